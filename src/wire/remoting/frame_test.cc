// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/frame.h"

#include <gtest/gtest.h>

#include <string>

#include "base/cursor.h"

namespace halfmoon::wire {
namespace {

std::string frame_of(std::uint32_t length, std::uint32_t mark, std::string_view rest) {
  std::string out;
  Writer writer(out);
  writer.be(length);
  writer.be(mark);
  writer.text(rest);
  return out;
}

std::string_view reason(const FrameSplit& split) {
  const auto* bad = std::get_if<BadFrame>(&split);
  return bad ? bad->reason : "not bad";
}

TEST(Frame, TakesHeaderAndBodyApart) {
  const std::string input = frame_of(4 + 2 + 3, (1u << 24) | 2, "hhbbbnext frame");
  const FrameSplit split = split_frame(as_bytes(input));
  const auto* frame = std::get_if<Frame>(&split);
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(frame->type, SerializeType::Binary);
  EXPECT_EQ(as_text(frame->header), "hh");
  EXPECT_EQ(as_text(frame->body), "bbb");
  EXPECT_EQ(frame->total_bytes, 13u);
}

TEST(Frame, ACutFrameSaysHowMuchItNeeds) {
  const std::string whole = frame_of(4 + 2 + 3, 2, "hhbbb");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::string cut = whole.substr(0, n);
    const FrameSplit split = split_frame(as_bytes(cut));
    const auto* more = std::get_if<NeedMore>(&split);
    ASSERT_NE(more, nullptr) << n;
    EXPECT_EQ(more->bytes_min, n < 8 ? 8u : whole.size()) << n;
  }
}

TEST(Frame, LengthsAreJudgedBeforeAnythingIsBuffered) {
  EXPECT_EQ(reason(split_frame(as_bytes(frame_of(0xFFFF'FFFF, 0, "").substr(0, 4)))), "frame larger than the maximum");
  EXPECT_EQ(reason(split_frame(as_bytes("GET / HTTP/1.1\r\n"))), "frame larger than the maximum");
  EXPECT_EQ(reason(split_frame(as_bytes(frame_of(3, 0, "")))), "frame shorter than its header word");
  EXPECT_EQ(reason(split_frame(as_bytes(frame_of(10, 7, "")))), "header longer than its frame");
  EXPECT_EQ(reason(split_frame(as_bytes(frame_of(10, 0x0200'0001, "")))), "unknown serialize type");
  EXPECT_EQ(reason(split_frame(as_bytes(frame_of(1u << 23, kHeaderBytesMax + 1, "")))), "header larger than the maximum");
}

TEST(Frame, TheLargestFrameIsTaken) {
  const std::size_t most = 64;
  EXPECT_TRUE(std::holds_alternative<NeedMore>(split_frame(as_bytes(frame_of(most - 4, 0, "")), most)));
  EXPECT_TRUE(std::holds_alternative<BadFrame>(split_frame(as_bytes(frame_of(most - 3, 0, "")), most)));
}

}  // namespace
}  // namespace halfmoon::wire
