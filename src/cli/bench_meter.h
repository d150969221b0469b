// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/bench_frames.h"
#include "cli/bench_report.h"

namespace halfmoon::cli {

/// Nanoseconds since some moment, never backwards; and the wall clock in milliseconds.
std::uint64_t mono_ns();
std::int64_t wall_ns();
std::int64_t wall_ms();

/// The bytes of memory that a process has resident, from its /proc/PID/statm. NotFound: there is no such process.
Result<double> resident_bytes(int pid);
/// The sum over several.
Result<double> resident_bytes(const std::vector<int>& pids);

/// The CPU seconds, user and system, that a process has used, from the text of its /proc/PID/stat. InvalidArgument: it is none.
Result<double> cpu_seconds_of_stat(std::string_view stat);

/// Gathers one run: first nothing counts (warm-up), from start() on everything does, until stop(). Owned by the measuring thread.
class Meter {
 public:
  explicit Meter(std::vector<int> broker_pids) : pids_(std::move(broker_pids)) {}

  /// NotFound: there is no process with one of the ids.
  Status start();
  Status stop();
  bool running() const { return running_; }

  /// One message is done; `from_ns` is when it was sent, or should have been.
  void done(std::uint64_t from_ns, std::uint64_t to_ns) {
    if (running_) result_.latency.record(to_ns > from_ns ? to_ns - from_ns : 0);
  }
  void refused(const Answer& answer);
  void invalid(std::string why) { result_.invalid = std::move(why); }

  BenchResult& result() { return result_; }

 private:
  Result<double> broker_cpu() const;

  std::vector<int> pids_;
  BenchResult result_;
  bool running_ = false;
  std::uint64_t started_ns_ = 0;
  double broker_cpu_at_start_ = 0;
  double own_cpu_at_start_ = 0;
};

}  // namespace halfmoon::cli
