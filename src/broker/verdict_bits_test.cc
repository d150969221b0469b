// SPDX-License-Identifier: Apache-2.0
#include "broker/verdict_bits.h"

#include <gtest/gtest.h>

namespace halfmoon::broker {
namespace {

constexpr std::int64_t kHalves = 10'000;

storage::Position at(std::int64_t half_offset) { return half_offset * 1000; }
HalfState state_of(std::int64_t half_offset) { return half_offset % 3 == 0 ? HalfState::RolledBack : HalfState::Committed; }

// Every 7th stays without a verdict.
VerdictBits filled(std::int64_t first) {
  VerdictBits bits;
  for (std::int64_t n = first; n < first + kHalves; n++) {
    bits.note_half(n, at(n));
    if (n % 7 != 0) bits.put(n, state_of(n), at(n) + 500);
  }
  return bits;
}

TEST(VerdictBits, KnowEachVerdict) {
  const std::int64_t first = 12'345;
  const VerdictBits bits = filled(first);
  for (std::int64_t n = first - 100; n < first + kHalves + 100; n++) {
    const bool known = n >= first && n < first + kHalves && n % 7 != 0;
    ASSERT_EQ(bits.find(n), known ? std::optional(state_of(n)) : std::nullopt) << n;
  }
  EXPECT_LE(bits.bytes(), static_cast<std::size_t>(kHalves / 4 + 16));
}

TEST(VerdictBits, ForgetWhatTheLogHasDropped) {
  VerdictBits bits = filled(0);
  bits.forget_below(at(5000));
  for (std::int64_t n = 5000; n < kHalves; n++) ASSERT_EQ(bits.find(n), n % 7 != 0 ? std::optional(state_of(n)) : std::nullopt) << n;
  EXPECT_EQ(bits.find(5000 - 2 * VerdictBits::kMarkEvery), std::nullopt);
  EXPECT_LE(bits.bytes(), static_cast<std::size_t>((kHalves - 5000 + VerdictBits::kMarkEvery) / 4 + 16));
}

TEST(VerdictBits, LateVerdictIsKnownUntilItsRecordGoes) {
  VerdictBits bits = filled(0);
  bits.forget_below(at(5000));
  bits.put(7, HalfState::RolledBack, at(kHalves));
  EXPECT_EQ(bits.find(7), HalfState::RolledBack);
  bits.forget_below(at(kHalves));
  EXPECT_EQ(bits.find(7), HalfState::RolledBack);
  bits.forget_below(at(kHalves) + 1);
  EXPECT_EQ(bits.find(7), std::nullopt);
}

TEST(VerdictBits, EverythingDroppedAndThenGoingOn) {
  VerdictBits bits = filled(0);
  bits.forget_below(at(50'000));
  bits.note_half(kHalves, at(60'000));
  bits.put(kHalves, HalfState::Committed, at(60'001));
  EXPECT_EQ(bits.find(kHalves), HalfState::Committed);
  bits.forget_below(at(60'000));
  EXPECT_EQ(bits.find(kHalves), HalfState::Committed);
}

TEST(VerdictBits, ANumberFarAboveAllOthersTakesNoMemory) {  // found by fuzzing: memory for every number between
  VerdictBits bits = filled(0);
  const std::size_t before = bits.bytes();
  bits.put(std::int64_t{1} << 46, HalfState::RolledBack, at(kHalves));
  EXPECT_EQ(bits.bytes(), before);
  EXPECT_EQ(bits.find(std::int64_t{1} << 46), HalfState::RolledBack);
  EXPECT_EQ(bits.find((std::int64_t{1} << 46) - 1), std::nullopt);
}

TEST(VerdictBits, SurviveASnapshot) {
  VerdictBits bits = filled(40'000);
  bits.forget_below(at(45'000));
  bits.put(1, HalfState::Committed, 77);
  bits.put(2, HalfState::RolledBack, 78);
  std::string text, again;
  Writer w(text);
  bits.encode(w);
  VerdictBits read;
  Reader in(as_bytes(text));
  ASSERT_TRUE(read.decode(in, 50'000));
  for (const std::int64_t too_few : {44'000, 49'900}) {
    VerdictBits forged;
    Reader again_in(as_bytes(text));
    EXPECT_FALSE(forged.decode(again_in, too_few)) << too_few;
  }
  for (std::int64_t n = 0; n < 51'000; n++) ASSERT_EQ(read.find(n), bits.find(n)) << n;
  Writer w2(again);
  read.encode(w2);
  EXPECT_EQ(text, again);
  for (const std::size_t cut : {std::size_t{0}, std::size_t{9}, text.size() - 1}) {
    VerdictBits broken;
    Reader short_in(as_bytes(std::string_view(text).substr(0, cut)));
    EXPECT_FALSE(broken.decode(short_in, 50'000));
  }
}

}  // namespace
}  // namespace halfmoon::broker
