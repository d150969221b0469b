// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace halfmoon::runtime {

/// For events that a peer can cause at will: lets one through in `every_ms`, and that one says how many were left out. Any thread.
class RateLimitedLog {
 public:
  explicit RateLimitedLog(std::int64_t every_ms) : every_ms_(every_ms) {}
  /// The number of events left out since the last one if this one may be written, else -1.
  std::int64_t ask(std::int64_t mono_ms) {
    std::int64_t next = next_ms_.load(std::memory_order_relaxed);
    if (mono_ms < next || !next_ms_.compare_exchange_strong(next, mono_ms + every_ms_, std::memory_order_relaxed)) {
      left_out_.fetch_add(1, std::memory_order_relaxed);
      return -1;
    }
    return left_out_.exchange(0, std::memory_order_relaxed);
  }

 private:
  const std::int64_t every_ms_;
  std::atomic<std::int64_t> next_ms_{0};
  std::atomic<std::int64_t> left_out_{0};
};

}  // namespace halfmoon::runtime
