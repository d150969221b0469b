// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_ask.h"
#include "cli/bench_frames.h"
#include "cli/bench_scenarios.h"

namespace halfmoon::cli {

Status run_connections(const BenchOptions& options, Meter& meter) {
  HM_TRY(const double, before, resident_bytes(options.broker_pids));
  const std::uint64_t began_ns = mono_ns();
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, options.connections));
  std::uint64_t refused = 0;
  HM_TRY_STATUS(ask_all(options, *links, {.count = options.connections,
                                          .make = [&](std::string& out, std::size_t i, std::int32_t opaque) {
                                            append_producer_heartbeat(out, options.header, opaque, "bench-" + std::to_string(i), options.group);
                                          },
                                          .use = [&](const Answer& answer) { refused += answer.code != 0 ? 1 : 0; }}));
  const double connect_s = static_cast<double>(mono_ns() - began_ns) / 1e9;
  if (refused > 0) return Error{ErrorCode::Internal, "the broker refuses heartbeats: " + std::to_string(refused) + " of " + std::to_string(options.connections)};
  HM_TRY(const double, connected, resident_bytes(options.broker_pids));
  HM_TRY_STATUS(run_send_over(options, *links, options.active, meter));
  HM_TRY(const double, after, resident_bytes(options.broker_pids));

  std::vector<std::pair<std::string, double>>& more = meter.result().more;
  more.emplace_back("connections", options.connections);
  more.emplace_back("active", options.active == 0 ? options.connections : options.active);
  more.emplace_back("connected_per_s", connect_s > 0 ? static_cast<double>(options.connections) / connect_s : 0);
  if (!options.broker_pids.empty()) {
    more.emplace_back("memory_bytes_a_connection", (connected - before) / static_cast<double>(options.connections));
    more.emplace_back("memory_bytes_a_connection_sent", (after - before) / static_cast<double>(options.connections));
  }
  return Done{};
}

}  // namespace halfmoon::cli
