// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace halfmoon::runtime {

/// The machine's clock, but for steps of its date. Delays, checks and store times are reckoned by the date; if somebody sets it forward by
/// mistake, everything that is delayed would become due at once, and nothing could call it back. So a step forward is not believed at once:
///
///   up to kHeldFromMs     the difference is made up slowly, 500 ms in 1000 s;
///   more                  likewise, until the date has stood by its step for kConfirmMs: then it is taken over;
///   backward              taken at once, which the core makes a standstill (its time never goes back).
///
/// Slow corrections (NTP slewing) and a suspended machine are no steps: both clocks see them. One caller at a time.
class SteadyWallClock final : public Clock {
 public:
  static constexpr std::int64_t kHeldFromMs = 60'000;
  static constexpr std::int64_t kConfirmMs = 600'000;
  static constexpr std::int64_t kNoticedFromMs = 1'000;   // smaller steps are not written to the log

  explicit SteadyWallClock(Clock& machine) : machine_(machine) {}
  Now now() override;

 private:
  void step_seen(std::int64_t difference_ms, std::int64_t stepped_to_ms);

  Clock& machine_;
  bool started_ = false;
  std::int64_t offset_ms_ = 0;        // date minus monotonic time, as we reckon it
  std::int64_t seen_offset_ms_ = 0;   // ... as the machine said last
  std::int64_t stepped_mono_ms_ = 0;  // when that changed
  std::int64_t slewed_mono_ms_ = 0;   // up to when a difference has been made up for
};

}  // namespace halfmoon::runtime
