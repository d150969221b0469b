// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "base/bytes.h"

namespace halfmoon::wire {

/// How a frame's header is written (spec 1.1, bits 31..24 of the second word). A server answers in the requester's way.
enum class SerializeType : std::uint8_t { Json = 0, Binary = 1 };

/// The largest frame, its length word included.
inline constexpr std::size_t kFrameBytesMax = (16u << 20) + 4;
/// The largest header. A property string may have 32767 bytes, of which JSON escapes may make six times as many.
inline constexpr std::size_t kHeaderBytesMax = 256u << 10;

/// The input ends before the frame does. `bytes_min`: how many bytes the input must have, counted from its start, before
/// asking again can give anything but NeedMore.
struct NeedMore {
  std::size_t bytes_min = 0;
};

/// One whole frame; the views point into the input.
struct Frame {
  SerializeType type = SerializeType::Json;
  Bytes header;
  Bytes body;
  std::size_t total_bytes = 0;  // what to drop from the input afterwards
};

/// The stream cannot be read any further: close the connection. `reason` is static text.
struct BadFrame {
  std::string_view reason;
};

using FrameSplit = std::variant<NeedMore, Frame, BadFrame>;

/// Looks for one frame at the front of `input` (spec 1.1). The lengths are judged as soon as their words are there, so a caller
/// never buffers for a frame that is longer than `max_frame_bytes` (length word included).
FrameSplit split_frame(Bytes input, std::size_t max_frame_bytes = kFrameBytesMax);

}  // namespace halfmoon::wire
