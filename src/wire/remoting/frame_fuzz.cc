// SPDX-License-Identifier: Apache-2.0
// Frame splitter: however a stream is cut into pieces, the same frames come out of it, and the same end.
#include <string>
#include <vector>

#include "base/check.h"
#include "testkit/fuzz_input.h"
#include "wire/remoting/frame.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::wire;

constexpr std::size_t kMaxima[] = {kFrameBytesMax, 4096, 64, 8};

/// What a reader makes of a stream.
struct Outcome {
  std::vector<std::string> frames;   // type, header, body
  std::string_view bad;              // why it ended, if it did
  std::size_t left = 0;              // bytes of a frame that is not whole
  bool operator==(const Outcome&) const = default;
};

/// Feeds the stream in pieces as `cuts` says, as a connection's buffer does.
Outcome read(std::string_view stream, std::size_t maximum, testkit::FuzzInput cuts) {
  Outcome outcome;
  std::string buffer;
  while (outcome.bad.empty()) {
    for (;;) {
      // A copy of its own size: a read past the end is seen.
      const std::vector<char> exact(buffer.begin(), buffer.end());
      const auto split = split_frame(as_bytes({exact.data(), exact.size()}), maximum);
      if (const auto* more = std::get_if<NeedMore>(&split)) {
        HM_CHECK(more->bytes_min > exact.size());
        HM_CHECK(more->bytes_min <= std::max<std::size_t>(maximum, 8));
        if (!stream.empty() && more->bytes_min - exact.size() > 1) {
          // Less than what was asked for gives nothing.
          std::string less = buffer;
          less += stream.substr(0, more->bytes_min - exact.size() - 1);
          const auto again = split_frame(as_bytes(less), maximum);
          HM_CHECK(!std::holds_alternative<Frame>(again));
        }
        break;
      }
      if (const auto* bad = std::get_if<BadFrame>(&split)) {
        HM_CHECK(!bad->reason.empty());
        outcome.bad = bad->reason;
        return outcome;
      }
      const auto& frame = std::get<Frame>(split);
      HM_CHECK(frame.total_bytes == 8 + frame.header.size() + frame.body.size() && frame.total_bytes <= maximum);
      std::string text(1, static_cast<char>(frame.type));
      text.append(as_text(frame.header)).append("|").append(as_text(frame.body));
      outcome.frames.push_back(std::move(text));
      buffer.erase(0, frame.total_bytes);
    }
    if (stream.empty()) break;
    const std::size_t piece = cuts.empty() ? stream.size() : std::size_t{1} + cuts.byte();
    buffer += stream.substr(0, piece);
    stream.remove_prefix(std::min(piece, stream.size()));
  }
  outcome.left = buffer.size();
  return outcome;
}

}  // namespace

//  | maximum u8 | number of cuts u8 | a cut's length u8 ... | stream |
HM_FUZZ_TARGET() {
  const std::size_t maximum = kMaxima[input.below(4)];
  const std::string_view cuts = input.text(input.byte());
  const std::string_view stream = input.rest();
  const Outcome whole = read(stream, maximum, testkit::FuzzInput(std::string_view()));
  HM_CHECK(read(stream, maximum, testkit::FuzzInput(cuts)) == whole);
  const std::string bytewise(stream.size() <= 512 ? stream.size() : 0, '\0');
  HM_CHECK(read(stream, maximum, testkit::FuzzInput(bytewise)) == whole);
}
