// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "base/result.h"
#include "cli/bench.h"
#include "cli/bench_links.h"
#include "cli/bench_meter.h"

namespace halfmoon::cli {

// One run each against options.host:port, start to end on the calling thread; what was measured is in the meter. The Errors are
// those of measure().

/// Send, Tx and Ceiling.
Status run_send(const BenchOptions& options, Meter& meter);
/// The same over connections that are there, the first `active` of them (0: all).
Status run_send_over(const BenchOptions& options, Links& links, std::size_t active, Meter& meter);
/// run_send, and how many bytes the broker wrote for it, where it tells (Apache RocketMQ does not).
Status run_tx(const BenchOptions& options, Meter& meter);
Status run_checks(const BenchOptions& options, Meter& meter);
Status run_e2e(const BenchOptions& options, Meter& meter);
Status run_groups(const BenchOptions& options, Meter& meter);
Status run_pull(const BenchOptions& options, Meter& meter);
/// The same, cut short when `enough()`.
Status run_pull_until(const BenchOptions& options, Meter& meter, const std::function<bool()>& enough);
Status run_delays(const BenchOptions& options, Meter& meter);
Status run_topics(const BenchOptions& options, Meter& meter);
Status run_connections(const BenchOptions& options, Meter& meter);
Status run_start(const BenchOptions& options, Meter& meter);
Status run_idle(const BenchOptions& options, Meter& meter);
Status run_disk(const BenchOptions& options, Meter& meter);

/// How many messages go before the measured ones.
inline std::uint64_t warmup_of(const BenchOptions& options) { return options.warmup.value_or(options.messages / 10); }

/// The n-th message's time in an open loop that began at `start_ns`.
inline std::uint64_t intended_ns(const BenchOptions& options, std::uint64_t start_ns, std::uint64_t n) {
  return start_ns + static_cast<std::uint64_t>(static_cast<double>(n) * 1e9 / options.rate_per_s);
}

/// How far an open loop may fall behind, in seconds of its rate: beyond the first the figures are marked, beyond the second it ends.
inline constexpr double kBehindInvalidS = 1;
inline constexpr double kBehindGiveUpS = 10;

struct TemplateExtras {
  std::string_view properties = {};  // each name, 0x01, value, 0x02
  bool delivery_time = false;
};
/// One template a queue; of numbered topics where there are several.
std::vector<SendTemplate> send_templates(const BenchOptions& options, MessageKind kind, const TemplateExtras& extras = {});

/// The Errors of a run in which nothing comes any more, and of one whose rate the broker does not take.
Error no_answer(const BenchOptions& options, std::uint64_t missing);
Error too_far_behind(const BenchOptions& options);

}  // namespace halfmoon::cli
