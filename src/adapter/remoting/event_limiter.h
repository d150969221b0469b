// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "base/clock.h"

namespace halfmoon::adapter {

/// Lets one log event a second through and counts the others, so that hostile input cannot fill the disk with its own complaints.
class EventLimiter {
 public:
  /// How many were held back since the last one that was let through; nullopt: hold this one back too.
  std::optional<std::int64_t> admit(Now now) {
    if (now.mono_ms < next_ms_) {
      ++held_back_;
      return std::nullopt;
    }
    next_ms_ = now.mono_ms + 1000;
    const std::int64_t held_back = held_back_;
    held_back_ = 0;
    return held_back;
  }

 private:
  std::int64_t next_ms_ = std::numeric_limits<std::int64_t>::min();
  std::int64_t held_back_ = 0;
};

}  // namespace halfmoon::adapter
