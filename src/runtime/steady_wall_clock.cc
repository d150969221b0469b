// SPDX-License-Identifier: Apache-2.0
#include "runtime/steady_wall_clock.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"

namespace halfmoon::runtime {
namespace {

constexpr std::int64_t kSlewDivisor = 2000;   // 500 ppm
constexpr std::int64_t kJitterMs = 2;         // the two clocks are read one after the other

}  // namespace

Now SteadyWallClock::now() {
  const Now machine = machine_.now();
  const std::int64_t seen = machine.wall_ms - machine.mono_ms;
  if (!started_) {
    started_ = true;
    offset_ms_ = seen_offset_ms_ = seen;
    slewed_mono_ms_ = machine.mono_ms;
  }
  if (std::abs(seen - seen_offset_ms_) > kJitterMs) {
    step_seen(seen - seen_offset_ms_, machine.wall_ms);
    seen_offset_ms_ = seen;
    stepped_mono_ms_ = machine.mono_ms;
  }
  const std::int64_t ahead = seen - offset_ms_;
  const std::int64_t may_make_up = (machine.mono_ms - slewed_mono_ms_) / kSlewDivisor;
  if (ahead <= kJitterMs) {
    offset_ms_ = std::min(offset_ms_, seen);
    slewed_mono_ms_ = machine.mono_ms;
  } else if (ahead > kHeldFromMs && machine.mono_ms - stepped_mono_ms_ >= kConfirmMs) {
    log_event(LogLevel::Warn, "clock.step_taken", {{"by_ms", ahead}, {"after_ms", machine.mono_ms - stepped_mono_ms_}});
    offset_ms_ = seen;
    slewed_mono_ms_ = machine.mono_ms;
  } else if (may_make_up > 0) {
    offset_ms_ += std::min(ahead, may_make_up);
    slewed_mono_ms_ += may_make_up * kSlewDivisor;
  }
  return {.wall_ms = machine.mono_ms + offset_ms_, .mono_ms = machine.mono_ms};
}

void SteadyWallClock::step_seen(std::int64_t difference_ms, std::int64_t stepped_to_ms) {
  if (std::abs(difference_ms) < kNoticedFromMs) return;
  const std::int64_t ahead = seen_offset_ms_ + difference_ms - offset_ms_;
  const bool held = ahead > kHeldFromMs;
  log_event(LogLevel::Warn, "clock.stepped",
            {{"by_ms", difference_ms}, {"to_ms", stepped_to_ms}, {"ahead_of_ours_ms", ahead},
             {"consequence", held ? "not believed for ten minutes, so that nothing delayed comes early; a restart believes it at once"
                                  : ahead > 0 ? "made up for slowly, so that nothing delayed comes early" : "the broker's time stands still until the clock has caught up"}});
}

}  // namespace halfmoon::runtime
