// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_meter.h"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <sstream>

namespace halfmoon::cli {

namespace {

timespec read_clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return t;
}

double thread_cpu_seconds() {
  const timespec t = read_clock(CLOCK_THREAD_CPUTIME_ID);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

}  // namespace

std::uint64_t mono_ns() {
  const timespec t = read_clock(CLOCK_MONOTONIC);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

std::int64_t wall_ns() {
  const timespec t = read_clock(CLOCK_REALTIME);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

std::int64_t wall_ms() { return wall_ns() / 1'000'000; }

Result<double> cpu_seconds_of_stat(std::string_view stat) {
  // "PID (name) S ppid ...": the name may hold blanks and brackets, so the fields count from the last bracket; utime and stime
  // are the 12th and 13th behind it (proc(5): 14 and 15).
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return Error{ErrorCode::InvalidArgument, "not the text of /proc/PID/stat"};
  std::istringstream fields{std::string(stat.substr(name_end + 1))};
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  if (!(fields >> user >> system)) return Error{ErrorCode::InvalidArgument, "not the text of /proc/PID/stat"};
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

Result<double> resident_bytes(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(file >> size >> resident)) return Error{ErrorCode::NotFound, "no process " + std::to_string(pid) + ": check --broker-pid"};
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Result<double> resident_bytes(const std::vector<int>& pids) {
  double sum = 0;
  for (const int pid : pids) {
    HM_TRY(const double, bytes, resident_bytes(pid));
    sum += bytes;
  }
  return sum;
}

Result<double> Meter::broker_cpu() const {
  double sum = 0;
  for (const int pid : pids_) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(file, line)) {
      return Error{ErrorCode::NotFound, "no process " + std::to_string(pid) + " to count the CPU time of: check --broker-pid"};
    }
    HM_TRY(const double, seconds, cpu_seconds_of_stat(line));
    sum += seconds;
  }
  return sum;
}

Status Meter::start() {
  HM_TRY(const double, cpu, broker_cpu());
  broker_cpu_at_start_ = cpu;
  own_cpu_at_start_ = thread_cpu_seconds();
  result_.latency.clear();
  result_.refused = 0;
  result_.refused_by_code.clear();
  result_.payload_bytes = 0;
  running_ = true;
  started_ns_ = mono_ns();
  return Done{};
}

Status Meter::stop() {
  result_.seconds = static_cast<double>(mono_ns() - started_ns_) / 1e9;
  running_ = false;
  result_.generator_cpu_s = thread_cpu_seconds() - own_cpu_at_start_;
  HM_TRY(const double, cpu, broker_cpu());
  if (!pids_.empty()) result_.broker_cpu_s = cpu - broker_cpu_at_start_;
  return Done{};
}

void Meter::refused(const Answer& answer) {
  ++result_.refused;
  if (++result_.refused_by_code[answer.code] == 1) {
    result_.remark_by_code.try_emplace(answer.code, answer.text("remark").substr(0, 200));
  }
}

}  // namespace halfmoon::cli
