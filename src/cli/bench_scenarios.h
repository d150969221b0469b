// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "cli/bench.h"
#include "cli/bench_meter.h"

namespace halfmoon::cli {

// One run each against options.host:port, start to end on the calling thread; what was measured is in the meter. The Errors are
// those of measure().

/// Send, Tx and Ceiling.
Status run_send(const BenchOptions& options, Meter& meter);
/// run_send, and how many bytes the broker wrote for it, where it tells (Apache RocketMQ does not).
Status run_tx(const BenchOptions& options, Meter& meter);
Status run_checks(const BenchOptions& options, Meter& meter);
Status run_e2e(const BenchOptions& options, Meter& meter);
Status run_pull(const BenchOptions& options, Meter& meter);

/// How many messages go before the measured ones.
inline std::uint64_t warmup_of(const BenchOptions& options) { return options.warmup.value_or(options.messages / 10); }

/// The n-th message's time in an open loop that began at `start_ns`.
inline std::uint64_t intended_ns(const BenchOptions& options, std::uint64_t start_ns, std::uint64_t n) {
  return start_ns + static_cast<std::uint64_t>(static_cast<double>(n) * 1e9 / options.rate_per_s);
}

/// How far an open loop may fall behind, in seconds of its rate: beyond the first the figures are marked, beyond the second it ends.
inline constexpr double kBehindInvalidS = 1;
inline constexpr double kBehindGiveUpS = 10;

/// One template a queue.
std::vector<SendTemplate> send_templates(const BenchOptions& options, MessageKind kind, std::string_view more_properties = {});

/// The Errors of a run in which nothing comes any more, and of one whose rate the broker does not take.
Error no_answer(const BenchOptions& options, std::uint64_t missing);
Error too_far_behind(const BenchOptions& options);

}  // namespace halfmoon::cli
