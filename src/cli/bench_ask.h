// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "cli/bench_links.h"
#include "cli/bench_scenarios.h"

namespace halfmoon::cli {

/// Requests that are not measured themselves, each with one answer.
struct Questions {
  std::size_t count = 1;
  std::size_t in_flight = 64;  // over all connections
  /// Appends request i, whose opaque must be `opaque`; it goes out on connection i modulo their number.
  std::function<void(std::string& out, std::size_t i, std::int32_t opaque)> make;
  /// Takes an answer, refusals too.
  std::function<void(const Answer& answer)> use;
};

/// Asks them all; ends when all are answered. Io: a connection broke, or no answer came for options.timeout_s.
Status ask_all(const BenchOptions& options, Links& links, const Questions& questions);

}  // namespace halfmoon::cli
