// SPDX-License-Identifier: Apache-2.0
#include "broker/delay.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

namespace halfmoon::broker {

namespace {

constexpr std::int64_t kMsPerSecond = 1'000;
constexpr std::int64_t kMsPerDay = 24 * 3600 * kMsPerSecond;
constexpr std::int64_t kLevelMsMax = 3650 * kMsPerDay;
constexpr std::int32_t kFirstRetryLevel = 3;
constexpr std::size_t kQuotedBytesMax = 64;

/// Milliseconds of a unit; 0 if it is none.
std::int64_t ms_of_unit(char unit) {
  switch (unit) {
    case 's': return kMsPerSecond;
    case 'm': return 60 * kMsPerSecond;
    case 'h': return 3600 * kMsPerSecond;
    case 'd': return kMsPerDay;
    default: return 0;
  }
}

/// One level such as "10s"; nullopt if it is none.
std::optional<std::int64_t> parse_level(std::string_view word) {
  const std::int64_t unit_ms = ms_of_unit(word.back());
  const auto count = model::parse_integer(word.substr(0, word.size() - 1));
  if (unit_ms == 0 || !count || *count < 0 || *count > kLevelMsMax / unit_ms) return std::nullopt;
  return *count * unit_ms;
}

Error not_a_number(std::string_view property, std::string_view value) {
  return {ErrorCode::MessageIllegal, "the message is illegal, property " + std::string(property) + " is '" +
                                         std::string(value.substr(0, kQuotedBytesMax)) + "', not a whole number; set it to one or leave it out"};
}

Error too_far(std::int64_t delay_max_ms) {
  return {ErrorCode::MessageIllegal, "timer message illegal, the delay time should not be bigger than the max delay " + std::to_string(delay_max_ms) +
                                         "ms; or if set del msg, the delay time should be bigger than the current time"};
}

}  // namespace

Result<std::vector<std::int64_t>> parse_delay_levels(std::string_view text) {
  std::vector<std::int64_t> levels_ms;
  for (std::size_t begin = text.find_first_not_of(' '); begin != std::string_view::npos; begin = text.find_first_not_of(' ', begin)) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    const auto level_ms = parse_level(word);
    if (!level_ms) {
      return Error{ErrorCode::InvalidArgument, "delay level " + std::to_string(levels_ms.size() + 1) + " at column " + std::to_string(begin + 1) + " is '" +
                                                   std::string(word.substr(0, kQuotedBytesMax)) +
                                                   "'; write a number and a unit s, m, h or d, at most 3650d, as in \"1s 5s 10s 1m 2h\""};
    }
    levels_ms.push_back(*level_ms);
    begin = end;
  }
  if (levels_ms.empty()) return Error{ErrorCode::InvalidArgument, "the list of delay levels is empty; write levels as in \"1s 5s 10s 1m 2h\""};
  return levels_ms;
}

Result<std::optional<std::int64_t>> due_time(const model::KnownProperties& properties, std::int64_t now_wall_ms, const DelayPolicy& policy) {
  const auto after = [now_wall_ms](std::int64_t delay_ms) -> std::optional<std::int64_t> {
    if (delay_ms <= 0) return std::nullopt;
    return due_after(now_wall_ms, delay_ms);
  };
  if (!properties.delay_level.empty()) {
    const auto level = model::parse_integer(properties.delay_level);
    if (!level) return not_a_number(model::property::kDelayLevel, properties.delay_level);
    if (*level > 0) return after(delay_of_level(policy.levels_ms, *level));
  }
  if (!properties.timer_delay_sec.empty()) {
    const auto delay_s = model::parse_integer(properties.timer_delay_sec);
    if (!delay_s) return not_a_number(model::property::kTimerDelaySec, properties.timer_delay_sec);
    if (*delay_s > policy.delay_max_ms / kMsPerSecond) return too_far(policy.delay_max_ms);
    return after(*delay_s <= 0 ? 0 : *delay_s * kMsPerSecond);
  }
  if (!properties.timer_delay_ms.empty()) {
    const auto delay_ms = model::parse_integer(properties.timer_delay_ms);
    if (!delay_ms) return not_a_number(model::property::kTimerDelayMs, properties.timer_delay_ms);
    if (*delay_ms > policy.delay_max_ms) return too_far(policy.delay_max_ms);
    return after(*delay_ms);
  }
  if (!properties.timer_deliver_ms.empty()) {
    const auto due_ms = model::parse_integer(properties.timer_deliver_ms);
    if (!due_ms) return not_a_number(model::property::kTimerDeliverMs, properties.timer_deliver_ms);
    if (*due_ms <= now_wall_ms) return std::optional<std::int64_t>();
    if (*due_ms > now_wall_ms + policy.delay_max_ms) return too_far(policy.delay_max_ms);
    return due_ms;
  }
  return std::optional<std::int64_t>();
}

std::int64_t delay_of_level(const std::vector<std::int64_t>& levels_ms, std::int64_t level) {
  if (levels_ms.empty()) return 0;
  const auto last = static_cast<std::int64_t>(levels_ms.size());
  return levels_ms[static_cast<std::size_t>(std::clamp<std::int64_t>(level, 1, last) - 1)];
}

std::int32_t retry_level(std::int32_t requested_level, std::int32_t reconsume_times) {
  if (requested_level > 0) return requested_level;
  // The count comes from a client's header.
  const std::int64_t level = kFirstRetryLevel + std::int64_t{std::max(reconsume_times, 0)};
  return static_cast<std::int32_t>(std::min<std::int64_t>(level, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace halfmoon::broker
