// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace halfmoon::runtime {

/// Counts the open connections of all listeners, in all and by remote address. Any thread.
class Admission {
 public:
  struct Limits {
    std::int64_t in_all = 10000;
    std::int64_t per_address = 1024;  // 0: no limit. Loopback addresses are not limited: it is this machine's own.
  };
  enum class Verdict : std::uint8_t { Admitted, TooMany, TooManyOfAddress };

  explicit Admission(Limits limits) : limits_(limits) {}
  Verdict enter(const std::string& ip);
  void leave(const std::string& ip);
  std::int64_t in_all() const;
  /// The process had no file descriptor for a connection: counted, and known to all listeners.
  void out_of_descriptors() { out_of_descriptors_.fetch_add(1, std::memory_order_relaxed); }
  /// Only grow.
  struct Refusals {
    std::int64_t too_many = 0, too_many_of_address = 0, out_of_descriptors = 0;
  };
  Refusals refusals() const;
  const Limits& limits() const { return limits_; }

 private:
  const Limits limits_;
  mutable std::mutex mutex_;
  std::int64_t in_all_ = 0;
  std::int64_t too_many_ = 0, too_many_of_address_ = 0;
  std::atomic<std::int64_t> out_of_descriptors_{0};
  std::unordered_map<std::string, std::int64_t> by_address_;
};

}  // namespace halfmoon::runtime
