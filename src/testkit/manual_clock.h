// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace halfmoon::testkit {

/// A clock that moves when told to. Any thread.
class ManualClock : public Clock {
 public:
  explicit ManualClock(Now start = {.wall_ms = 1'700'000'000'000, .mono_ms = 1'000}) : wall_ms_(start.wall_ms), mono_ms_(start.mono_ms) {}

  Now now() override { return {.wall_ms = wall_ms_.load(), .mono_ms = mono_ms_.load()}; }
  /// Both clocks.
  void advance(std::int64_t ms) {
    wall_ms_ += ms;
    mono_ms_ += ms;
  }
  void set(Now now) {
    wall_ms_ = now.wall_ms;
    mono_ms_ = now.mono_ms;
  }
  /// Somebody set the machine's date; monotonic time does not notice.
  void set_wall(std::int64_t wall_ms) { wall_ms_ = wall_ms; }

 private:
  std::atomic<std::int64_t> wall_ms_;
  std::atomic<std::int64_t> mono_ms_;
};

}  // namespace halfmoon::testkit
