// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/frame.h"

namespace halfmoon::wire {

//  0        4        8               8+header        4+length
//  | length | type<<24 | header length | header | body |
//  length counts everything after its own word
FrameSplit split_frame(Bytes input, std::size_t max_frame_bytes) {
  constexpr std::size_t kWord = 4;
  if (input.size() < kWord) return NeedMore{2 * kWord};
  const std::size_t total = std::size_t{load_be<std::uint32_t>(input.data())} + kWord;
  if (total < 2 * kWord) return BadFrame{"frame shorter than its header word"};
  if (total > max_frame_bytes) return BadFrame{"frame larger than the maximum"};
  if (input.size() < 2 * kWord) return NeedMore{2 * kWord};

  const auto mark = load_be<std::uint32_t>(input.data() + kWord);
  const std::size_t header_bytes = mark & 0xFF'FFFFu;
  const std::uint32_t type = mark >> 24;
  if (type > static_cast<std::uint32_t>(SerializeType::Binary)) return BadFrame{"unknown serialize type"};
  if (header_bytes > total - 2 * kWord) return BadFrame{"header longer than its frame"};
  if (header_bytes > kHeaderBytesMax) return BadFrame{"header larger than the maximum"};
  if (input.size() < total) return NeedMore{total};
  return Frame{static_cast<SerializeType>(type), input.subspan(2 * kWord, header_bytes),
               input.subspan(2 * kWord + header_bytes, total - 2 * kWord - header_bytes), total};
}

}  // namespace halfmoon::wire
