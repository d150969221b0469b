// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/histogram.h"

namespace halfmoon::cli {

/// What one run gave. Times of the histogram are nanoseconds.
struct BenchResult {
  std::string scenario;   // "send", ...
  std::string setting;    // what was asked for, one line
  std::uint64_t messages = 0;
  double seconds = 0;
  double payload_bytes = 0;
  Histogram latency;
  std::uint64_t refused = 0;
  std::map<std::int32_t, std::uint64_t> refused_by_code;
  std::map<std::int32_t, std::string> remark_by_code;  // the first one that came with the code
  std::optional<double> broker_cpu_s;                  // of the processes named; nullopt: none was
  double generator_cpu_s = 0;                          // the measuring thread's
  std::vector<std::pair<std::string, double>> more;    // figures that only this scenario has, by name
  std::string invalid;                                 // why the figures must not be used; empty: they may

  double rate_per_s() const { return seconds > 0 ? static_cast<double>(messages) / seconds : 0; }
};

/// The figures by name, in the order in which they are printed and written, e.g. {"rate_per_s", 250000.0}.
std::vector<std::pair<std::string, double>> figures(const BenchResult& result);

/// For a person, a few lines.
std::string to_text(const BenchResult& result);
/// One JSON object: scenario, setting, figures, refusals, and the histogram as [least ns of the bucket, count] pairs.
std::string to_json(const BenchResult& result);

/// Reads two texts of to_json() and gives a table: each figure of A, of B, and B / A. InvalidArgument: one is no such text.
Result<std::string> compare_results(std::string_view a, std::string_view b);

}  // namespace halfmoon::cli
