// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "base/result.h"
#include "cli/bench.h"
#include "cli/bench_links.h"

namespace halfmoon::cli {

/// What goes on beside a Send, on a thread and connections of its own. The starting thread owns it.
class SideLoad {
 public:
  /// Begins, and comes back when it is under way: all long polls are out, the first cold messages are here. Errors: those of measure().
  static Result<std::unique_ptr<SideLoad>> start(const BenchOptions& options);
  SideLoad(const SideLoad&) = delete;
  SideLoad& operator=(const SideLoad&) = delete;
  ~SideLoad();

  /// Ends it and adds its figures, "beside_...". The Error is what went wrong with it since it began.
  Status stop(BenchResult& result);

 private:
  explicit SideLoad(const BenchOptions& options) : options_(options) {}
  Status run();
  Status hold_polls();
  Status drain();
  void join();

  const BenchOptions options_;
  std::atomic<bool> under_way_{false};
  std::atomic<bool> over_{false};  // asked to end, or ended by itself
  std::atomic<bool> ended_{false};
  std::optional<Error> failure_;   // of the thread, until it is joined
  std::uint64_t messages_ = 0;
  std::uint64_t polls_answered_ = 0;
  double seconds_ = 0;
  std::thread thread_;
};

}  // namespace halfmoon::cli
