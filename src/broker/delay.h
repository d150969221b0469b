// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/properties.h"

/// When a delayed message is due (specification 4.2 to 4.4). RocketMQ rounds timers down to a second and so may deliver early; we are exact to the
/// millisecond and never early.
namespace halfmoon::broker {

/// RocketMQ's messageDelayLevel "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"; level n is [n - 1].
inline constexpr std::array<std::int64_t, 18> kDefaultDelayLevelsMs = {
    1'000,   5'000,   10'000,  30'000,  60'000,  120'000, 180'000,   240'000,   300'000,
    360'000, 420'000, 480'000, 540'000, 600'000, 1'200'000, 1'800'000, 3'600'000, 7'200'000};

/// Milliseconds of each level of a list such as "1s 5s 1m": numbers with unit s, m, h or d, set apart by blanks, each at most 3650d. Errors:
/// InvalidArgument with the column and the cure.
Result<std::vector<std::int64_t>> parse_delay_levels(std::string_view text);

/// The first millisecond at which `delay_ms` have passed for certain: the clock shows whole milliseconds, so the one that has begun does not count.
constexpr std::int64_t due_after(std::int64_t now_wall_ms, std::int64_t delay_ms) { return now_wall_ms + delay_ms + 1; }

struct DelayPolicy {
  const std::vector<std::int64_t>& levels_ms;  // level n is [n - 1]; outlives the policy
  std::int64_t delay_max_ms;                   // for timers; levels may be longer
};

/// The wall time at which a message with these properties is to be delivered; nullopt: at once. DELAY above 0 wins, then TIMER_DELAY_SEC,
/// TIMER_DELAY_MS, TIMER_DELIVER_MS; what does not win is not looked at. For a half message it is asked at commit. Errors: MessageIllegal (a timer
/// beyond delay_max_ms, or a value that is no number).
Result<std::optional<std::int64_t>> due_time(const model::KnownProperties& properties, std::int64_t now_wall_ms, const DelayPolicy& policy);

/// A level's delay; below the first and above the last level counts as that one. 0 if there are no levels.
std::int64_t delay_of_level(const std::vector<std::int64_t>& levels_ms, std::int64_t level);

/// The level at which a message that a consumer sent back is delivered again: the one asked for, or one that grows with every delivery.
/// A negative level means the dead-letter topic and is not asked here.
std::int32_t retry_level(std::int32_t requested_level, std::int32_t reconsume_times);

}  // namespace halfmoon::broker
