// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/cursor.h"
#include "base/reply.h"
#include "base/result.h"

namespace halfmoon {
namespace {

TEST(Crc, MatchesPublishedCheckValues) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32_ieee(as_bytes("123456789")), 0xCBF43926u);
}

TEST(Crc, ContinuesFromASeed) {
  const std::string text = "a longer text, so that the eight-byte steps and the rest are both used";
  for (std::size_t cut = 0; cut <= text.size(); cut++)
    EXPECT_EQ(crc32c(as_bytes(text.substr(cut)), crc32c(as_bytes(text.substr(0, cut)))), crc32c(as_bytes(text)));
}

/// By the definition, bit by bit.
std::uint32_t crc32c_slowly(std::string_view bytes, std::uint32_t seed) {
  std::uint32_t c = ~seed;
  for (const char byte : bytes) {
    c ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; bit++) c = (c >> 1) ^ ((c & 1) ? 0x82F63B78u : 0u);
  }
  return ~c;
}

TEST(Crc, IsTheSameForEveryLengthAndAlignment) {
  std::string text(20'000, '\0');
  std::uint32_t random = 1;
  for (char& c : text) c = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
  for (std::size_t n = 0; n < text.size() - 8; n += n < 800 ? 1 : 1013) {
    const std::string_view part = std::string_view(text).substr(n % 8, n);
    EXPECT_EQ(crc32c(as_bytes(part), random + static_cast<std::uint32_t>(n)), crc32c_slowly(part, random + static_cast<std::uint32_t>(n))) << n;
  }
}

TEST(Reader, NeverReadsPastTheEnd) {
  const std::string three("\x01\x02\x03", 3);
  Reader r(as_bytes(three));
  EXPECT_EQ(r.be<std::uint16_t>(), 0x0102);
  EXPECT_EQ(r.be<std::uint32_t>(), 0u);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.text(1), "");
}

TEST(Writer, IsReadersCounterpart) {
  std::string out;
  Writer w(out);
  w.be<std::int32_t>(-2);
  w.le<std::int64_t>(7);
  w.text("xy");
  Reader r(as_bytes(out));
  EXPECT_EQ(r.be<std::int32_t>(), -2);
  EXPECT_EQ(r.le<std::int64_t>(), 7);
  EXPECT_EQ(r.text(2), "xy");
  EXPECT_TRUE(r.ok());
}

TEST(Reply, AnswersOnce) {
  int answers = 0;
  Reply<int> reply([&](Result<int>&& r) { answers += *r; });
  Reply<int> moved = std::move(reply);
  EXPECT_FALSE(reply);
  moved(5);
  EXPECT_FALSE(moved);
  EXPECT_EQ(answers, 5);
}

TEST(Reply, DroppedMeansInternalError) {
  ErrorCode code = ErrorCode::Busy;
  { Reply<int> reply([&](Result<int>&& r) { code = r.error().code; }); }
  EXPECT_EQ(code, ErrorCode::Internal);
}

TEST(InlineFunction, DestroysWhatItHolds) {
  auto watched = std::make_shared<int>(1);
  {
    InlineFunction<void()> f([watched] {});
    InlineFunction<void()> g = std::move(f);
    EXPECT_EQ(watched.use_count(), 2);
  }
  EXPECT_EQ(watched.use_count(), 1);
}

Result<int> half_of(int v) {
  if (v % 2) return Error{ErrorCode::InvalidArgument, "odd"};
  return v / 2;
}
Result<int> quarter_of(int v) {
  HM_TRY(const int, h, half_of(v));
  return half_of(h);
}
TEST(Result, TryHandsErrorsUp) {
  EXPECT_EQ(*quarter_of(8), 2);
  EXPECT_EQ(quarter_of(6).error().text, "odd");
}

}  // namespace
}  // namespace halfmoon
