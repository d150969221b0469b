// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "cli/bench_scenarios.h"

namespace halfmoon::cli {

namespace {

struct Usage {
  double cpu_ns = 0;    // of all threads
  double wakeups = 0;   // how often one of them gave up the core to wait
  double threads = 0;
};

/// From /proc/PID/task/*/schedstat, exact where /proc/PID/stat counts in ticks of 10 ms. NotFound: no such process.
Result<Usage> usage_of(const std::vector<int>& pids) {
  Usage usage;
  for (const int pid : pids) {
    std::error_code error;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
      double ns = 0;
      if (std::ifstream file(task.path() / "schedstat"); file >> ns) usage.cpu_ns += ns;
      std::ifstream status(task.path() / "status");
      for (std::string line; std::getline(status, line);) {
        constexpr std::string_view kKey = "voluntary_ctxt_switches:";
        if (line.starts_with(kKey)) usage.wakeups += std::stod(line.substr(kKey.size()));
      }
      usage.threads += 1;
    }
    if (error) return Error{ErrorCode::NotFound, "no process " + std::to_string(pid) + ": check --broker-pid"};
  }
  return usage;
}

}  // namespace

Status run_idle(const BenchOptions& options, Meter& meter) {
  HM_TRY_STATUS(meter.start());
  HM_TRY(const Usage, before, usage_of(options.broker_pids));
  std::this_thread::sleep_for(std::chrono::duration<double>(options.idle_s));
  HM_TRY(const Usage, after, usage_of(options.broker_pids));
  HM_TRY_STATUS(meter.stop());
  BenchResult& result = meter.result();
  HM_TRY(const double, resident, resident_bytes(options.broker_pids));
  result.more.emplace_back("resident_mb", resident / 1e6);
  result.more.emplace_back("cpu_percent", (after.cpu_ns - before.cpu_ns) / 1e7 / result.seconds);
  result.more.emplace_back("wakeups_per_s", (after.wakeups - before.wakeups) / result.seconds);
  result.more.emplace_back("threads", after.threads);
  return Done{};
}

}  // namespace halfmoon::cli
