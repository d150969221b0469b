// SPDX-License-Identifier: Apache-2.0
#include "broker/delay.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace halfmoon::broker {
namespace {

using model::KnownProperties;

constexpr std::int64_t kNow = 1'700'000'000'123;
constexpr std::int64_t kDelayMax = 259'200'000;
constexpr std::int64_t kAtOnce = -1;
constexpr std::int64_t kRefused = -2;

class DueTime : public testing::Test {
 protected:
  Result<std::optional<std::int64_t>> due(const KnownProperties& properties) { return due_time(properties, kNow, DelayPolicy{levels_ms_, kDelayMax}); }
  /// Milliseconds from now, without the one that had begun where the delay is relative; kAtOnce or kRefused.
  std::int64_t after(const KnownProperties& properties) {
    const auto result = due(properties);
    if (!result.ok()) return kRefused;
    const bool absolute = properties.delay_level.empty() && properties.timer_delay_sec.empty() && properties.timer_delay_ms.empty();
    return *result ? **result - (absolute ? kNow : kNow + 1) : kAtOnce;
  }
  std::string refusal(const KnownProperties& properties) {
    const auto result = due(properties);
    if (result.ok()) return "accepted";
    EXPECT_EQ(result.error().code, ErrorCode::MessageIllegal);
    return result.error().text;
  }

  std::vector<std::int64_t> levels_ms_{1'000, 5'000, 10'000};
};

KnownProperties level(std::string_view value) { KnownProperties p; p.delay_level = value; return p; }
KnownProperties delay_sec(std::string_view value) { KnownProperties p; p.timer_delay_sec = value; return p; }
KnownProperties delay_ms(std::string_view value) { KnownProperties p; p.timer_delay_ms = value; return p; }
KnownProperties deliver_ms(std::int64_t value, std::string& text) { KnownProperties p; p.timer_deliver_ms = text = std::to_string(value); return p; }

TEST_F(DueTime, PlainMessageIsDueAtOnce) { EXPECT_EQ(after({}), kAtOnce); }

TEST_F(DueTime, MillisecondThatHadBegunDoesNotCount) {
  EXPECT_EQ(**due(level("1")), kNow + 1'001);  // sent at kNow + 0.9 ms it would else come 0.9 ms early
  EXPECT_EQ(due_after(100, 5), 106);
}

TEST_F(DueTime, LevelDelaysAndIsClamped) {
  EXPECT_EQ(after(level("1")), 1'000);
  EXPECT_EQ(after(level("3")), 10'000);
  EXPECT_EQ(after(level("4")), 10'000);
  EXPECT_EQ(after(level("99999999999")), 10'000);
}

TEST_F(DueTime, LevelZeroAndBelowIsNone) {
  EXPECT_EQ(after(level("0")), kAtOnce);
  EXPECT_EQ(after(level("-1")), kAtOnce);
  KnownProperties p = level("0");
  p.timer_delay_ms = "7";
  EXPECT_EQ(after(p), 7);
}

TEST_F(DueTime, LevelMayBeLongerThanTimersMay) {
  levels_ms_.back() = kDelayMax + 1;
  EXPECT_EQ(after(level("3")), kDelayMax + 1);
}

TEST_F(DueTime, TimersAreExactToTheMillisecond) {
  std::string text;
  EXPECT_EQ(after(delay_sec("3")), 3'000);
  EXPECT_EQ(after(delay_ms("1501")), 1'501);
  EXPECT_EQ(after(deliver_ms(kNow + 1, text)), 1);
  EXPECT_EQ(after(deliver_ms(kNow + 877, text)), 877) << "a whole second by the clock is not rounded either";
}

TEST_F(DueTime, FirstOfLevelSecondsMillisecondsTimeWins) {
  std::string text;
  KnownProperties p = deliver_ms(kNow + 40, text);
  p.timer_delay_ms = "30";
  EXPECT_EQ(after(p), 30);
  p.timer_delay_sec = "2";
  EXPECT_EQ(after(p), 2'000);
  p.delay_level = "2";
  EXPECT_EQ(after(p), 5'000);
}

TEST_F(DueTime, WhatDoesNotWinIsNotLookedAt) {
  KnownProperties p = level("1");
  p.timer_delay_sec = "nonsense";
  EXPECT_EQ(after(p), 1'000);
}

TEST_F(DueTime, PastAndPresentAreAtOnce) {
  std::string text;
  EXPECT_EQ(after(deliver_ms(kNow, text)), kAtOnce);
  EXPECT_EQ(after(deliver_ms(kNow - 1, text)), kAtOnce);
  EXPECT_EQ(after(deliver_ms(std::numeric_limits<std::int64_t>::min(), text)), kAtOnce);
  EXPECT_EQ(after(delay_sec("0")), kAtOnce);
  EXPECT_EQ(after(delay_sec("-9223372036854775808")), kAtOnce);
  EXPECT_EQ(after(delay_ms("-5")), kAtOnce);
}

TEST_F(DueTime, FarthestTimerIsAcceptedAndOneBeyondRefused) {
  std::string text;
  EXPECT_EQ(after(delay_sec("259200")), kDelayMax);
  EXPECT_EQ(after(delay_ms("259200000")), kDelayMax);
  EXPECT_EQ(after(deliver_ms(kNow + kDelayMax, text)), kDelayMax);
  EXPECT_EQ(after(delay_sec("259201")), kRefused);
  EXPECT_EQ(after(delay_ms("259200001")), kRefused);
  EXPECT_EQ(after(deliver_ms(kNow + kDelayMax + 1, text)), kRefused);
}

TEST_F(DueTime, HugeTimersDoNotOverflow) {
  std::string text;
  EXPECT_EQ(after(delay_sec("9223372036854775807")), kRefused);
  EXPECT_EQ(after(delay_ms("9223372036854775807")), kRefused);
  EXPECT_EQ(after(deliver_ms(std::numeric_limits<std::int64_t>::max(), text)), kRefused);
}

TEST_F(DueTime, TooFarSaysSoInRocketMqsWords) {
  EXPECT_EQ(refusal(delay_sec("300000")),
            "timer message illegal, the delay time should not be bigger than the max delay 259200000ms; or if set del msg, the delay time should be "
            "bigger than the current time");
}

TEST_F(DueTime, NonsenseIsRefusedByName) {
  KnownProperties deliver;
  deliver.timer_deliver_ms = "tomorrow";
  EXPECT_NE(refusal(level("high")).find("property DELAY is 'high'"), std::string::npos);
  EXPECT_NE(refusal(delay_sec("1s")).find("property TIMER_DELAY_SEC is '1s'"), std::string::npos);
  EXPECT_NE(refusal(delay_ms("1.5")).find("property TIMER_DELAY_MS is '1.5'"), std::string::npos);
  EXPECT_NE(refusal(deliver).find("property TIMER_DELIVER_MS is 'tomorrow'"), std::string::npos);
  EXPECT_NE(refusal(level("99999999999999999999")).find("DELAY"), std::string::npos);
}

TEST(DelayLevels, DefaultTableIsRocketMqs) {
  const auto parsed = parse_delay_levels("1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, std::vector<std::int64_t>(kDefaultDelayLevelsMs.begin(), kDefaultDelayLevelsMs.end()));
}

TEST(DelayLevels, UnitsAndBlanks) {
  const auto parsed = parse_delay_levels("  2s 3m  1h 1d ");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, (std::vector<std::int64_t>{2'000, 180'000, 3'600'000, 86'400'000}));
}

TEST(DelayLevels, MistakeIsShownWithItsColumn) {
  const auto parsed = parse_delay_levels("1s 5x 10s");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(parsed.error().text,
            "delay level 2 at column 4 is '5x'; write a number and a unit s, m, h or d, at most 3650d, as in \"1s 5s 10s 1m 2h\"");
}

TEST(DelayLevels, MalformedListsAreRefused) {
  for (const char* text : {"", "  ", "s", "5", "1s,5s", "-1s", "1.5s", "1S", "3651d", "9223372036854775807d", "9223372036854775808s"}) {
    EXPECT_FALSE(parse_delay_levels(text).ok()) << text;
  }
  EXPECT_TRUE(parse_delay_levels("3650d").ok());
}

TEST(DelayLevels, LevelIsClampedAtBothEnds) {
  const std::vector<std::int64_t> levels_ms{100, 200};
  EXPECT_EQ(delay_of_level(levels_ms, -1), 100);
  EXPECT_EQ(delay_of_level(levels_ms, 1), 100);
  EXPECT_EQ(delay_of_level(levels_ms, 2), 200);
  EXPECT_EQ(delay_of_level(levels_ms, 3), 200);
  EXPECT_EQ(delay_of_level({}, 1), 0);
}

TEST(RetryLevel, GrowsWithDeliveriesUnlessRequested) {
  EXPECT_EQ(retry_level(0, 0), 3);
  EXPECT_EQ(retry_level(0, 5), 8);
  EXPECT_EQ(retry_level(2, 5), 2);
  EXPECT_EQ(retry_level(0, std::numeric_limits<std::int32_t>::max()), std::numeric_limits<std::int32_t>::max());
}

}  // namespace
}  // namespace halfmoon::broker
