// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "runtime/rate_limited_log.h"

namespace halfmoon::runtime {

/// The bytes that all connections together hold: frames that have not arrived whole, and answers that have not left. Shared by all
/// shards; any thread. Above the limit connections that hold bytes are not read, in turn, until there is room again.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::int64_t limit = std::numeric_limits<std::int64_t>::max()) : limit_(limit) {}
  void change(std::int64_t by) { used_.fetch_add(by, std::memory_order_relaxed); }
  bool over() const { return used_.load(std::memory_order_relaxed) > limit_; }
  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::int64_t limit() const { return limit_; }
  RateLimitedLog& events() { return events_; }

 private:
  const std::int64_t limit_;
  std::atomic<std::int64_t> used_{0};
  RateLimitedLog events_{10000};
};

}  // namespace halfmoon::runtime
