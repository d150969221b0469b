// SPDX-License-Identifier: Apache-2.0
#include "cli/bench.h"

#include <cstdio>
#include <fstream>
#include <iterator>

#include "cli/bench_meter.h"
#include "cli/bench_scenarios.h"
#include "cli/bench_stand_in.h"

namespace halfmoon::cli {

namespace {

constexpr std::size_t kE2eBodyBytesMin = 16;  // intended time and the run's mark
constexpr std::size_t kBodyBytesMax = 4u << 20;

const char* name_of(BenchScenario scenario) {
  switch (scenario) {
    case BenchScenario::Send: return "send";
    case BenchScenario::Tx: return "tx";
    case BenchScenario::Checks: return "checks";
    case BenchScenario::E2e: return "e2e";
    case BenchScenario::Pull: return "pull";
    case BenchScenario::Groups: return "groups";
    case BenchScenario::Delays: return "delays";
    case BenchScenario::Topics: return "topics";
    case BenchScenario::Connections: return "connections";
    case BenchScenario::Start: return "start";
    case BenchScenario::Idle: return "idle";
    case BenchScenario::Disk: return "disk";
    case BenchScenario::Ceiling: return "ceiling";
    case BenchScenario::Compare: return "compare";
  }
  return "?";
}

bool has_own_connections(BenchScenario s) { return s == BenchScenario::E2e || s == BenchScenario::Groups || s == BenchScenario::Delays; }

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// What only this scenario has.
std::string extra_setting(const BenchOptions& o) {
  if (o.scenario == BenchScenario::Groups) return ", " + std::to_string(o.groups) + " groups, pulls of " + std::to_string(o.batch);
  if (o.scenario == BenchScenario::Delays) return ", delivery times over " + rounded(o.spread_s) + " s";
  if (o.scenario == BenchScenario::Topics) return ", " + std::to_string(o.topics) + " topics";
  if (o.scenario == BenchScenario::Connections && o.active > 0) return ", " + std::to_string(o.active) + " of them active";
  if (o.beside == SideLoadKind::Polls) return ", beside " + std::to_string(o.beside_polls) + " long polls";
  if (o.beside == SideLoadKind::Drain) return ", beside a reader of " + o.cold_topic;
  if (o.beside == SideLoadKind::Hog) return ", beside a thread that computes";
  return "";
}

std::string setting_of(const BenchOptions& o) {
  if (o.scenario == BenchScenario::Idle) return rounded(o.idle_s) + " s";
  if (o.scenario == BenchScenario::Disk) return "writes of " + std::to_string(o.body_bytes) + " bytes in whole blocks of 4 KiB, each synced, one after the other";
  if (o.scenario == BenchScenario::Start) {
    std::string out = "exec to first acknowledged send:";
    for (const std::string& part : o.command) out += ' ' + part;
    return out;
  }
  std::string out = std::to_string(o.body_bytes) + " byte bodies, ";
  if (o.scenario == BenchScenario::Pull) out = "";
  out += o.header == wire::SerializeType::Binary ? "binary" : "JSON";
  out += " header, " + std::to_string(o.queues) + " queues";
  if (!has_own_connections(o.scenario)) out += ", " + std::to_string(o.connections) + " connections";
  if (o.scenario == BenchScenario::Pull) return out;
  out += extra_setting(o);
  if (o.rate_per_s > 0) return out + ", open loop at " + std::to_string(static_cast<std::uint64_t>(o.rate_per_s)) + "/s";
  return out + ", " + std::to_string(o.in_flight) + " in flight on each";
}

Status check(const BenchOptions& o) {
  const auto bad = [](const char* text) { return Error{ErrorCode::InvalidArgument, text}; };
  if (o.port == 0) return bad("--port must be 1 to 65535");
  if (o.topic.empty() || o.group.empty()) return bad("--topic and --group must not be empty");
  if (o.queues == 0 || o.queues > 65'536) return bad("--queues must be 1 to 65536");
  if (o.connections == 0 || o.connections > 100'000) return bad("--connections must be 1 to 100000");
  if (o.in_flight == 0 || std::uint64_t{o.in_flight} * o.connections > 10'000'000) {
    return bad("--in-flight must be 1 or more, and 10 million at most over all connections");
  }
  if (o.messages == 0) return bad("--messages must be 1 or more");
  if (o.body_bytes > kBodyBytesMax) return bad("--size must be 4194304 at most");
  if (o.burst == 0) return bad("--burst must be 1 or more");
  if (o.timeout_s == 0) return bad("--timeout must be 1 or more");
  if (!(o.rate_per_s >= 0) || (o.rate_per_s > 0 && o.rate_per_s < 1)) return bad("--rate must be 1/s or more, or 0 for a closed loop");
  if (o.scenario == BenchScenario::E2e || o.scenario == BenchScenario::Groups) {
    if (o.rate_per_s <= 0) return bad("e2e and groups are open loops: give them a --rate, such as 10000");
  }
  if (has_own_connections(o.scenario) && o.body_bytes < kE2eBodyBytesMin) return bad("this scenario marks the bodies: --size must be 16 or more");
  if (o.groups == 0 || o.groups > 10'000) return bad("--groups must be 1 to 10000");
  if (o.batch == 0 || o.batch > 32) return bad("--batch must be 1 to 32");
  if (!(o.spread_s >= 0) || !(o.lead_s >= 0)) return bad("--spread and --lead must be 0 or more");
  if (o.topics == 0 || o.topics > 100'000) return bad("--topics must be 1 to 100000");
  if (o.active > o.connections) return bad("--active must be --connections at most");
  if (o.scenario == BenchScenario::Start && o.command.empty()) return bad("start needs the broker's command behind --: -- halfmoon server --data {}");
  if (o.scenario == BenchScenario::Idle && (o.broker_pids.empty() || !(o.idle_s > 0))) return bad("idle needs a --broker-pid, and --seconds above 0");
  if (o.beside == SideLoadKind::Polls && (o.beside_polls == 0 || o.beside_polls > 1'000'000)) return bad("--polls must be 1 to 1000000");
  if (o.scenario == BenchScenario::Compare) return bad("a comparison measures nothing");
  return Done{};
}

Status measure_into(Meter& meter, const BenchOptions& options) {
  switch (options.scenario) {
    case BenchScenario::E2e: return run_e2e(options, meter);
    case BenchScenario::Tx: return run_tx(options, meter);
    case BenchScenario::Checks: return run_checks(options, meter);
    case BenchScenario::Pull: return run_pull(options, meter);
    case BenchScenario::Groups: return run_groups(options, meter);
    case BenchScenario::Delays: return run_delays(options, meter);
    case BenchScenario::Topics: return run_topics(options, meter);
    case BenchScenario::Connections: return run_connections(options, meter);
    case BenchScenario::Start: return run_start(options, meter);
    case BenchScenario::Idle: return run_idle(options, meter);
    case BenchScenario::Disk: return run_disk(options, meter);
    case BenchScenario::Ceiling: {
      HM_TRY(const std::unique_ptr<StandIn>, stand_in, StandIn::start({}));
      BenchOptions own = options;
      own.host = "127.0.0.1";
      own.port = stand_in->port();
      return run_send(own, meter);
    }
    default: return run_send(options, meter);
  }
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorCode::NotFound, "cannot read " + path + "; a run with --json writes such a file"};
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<std::string> compare_files(const BenchOptions& options) {
  HM_TRY(const std::string, a, read_file(options.compare_a));
  HM_TRY(const std::string, b, read_file(options.compare_b));
  return compare_results(a, b);
}

int fail(const Error& error) {
  std::fprintf(stderr, "halfmoon bench: %s\n", error.text.c_str());
  return 1;
}

}  // namespace

std::vector<SendTemplate> send_templates(const BenchOptions& options, MessageKind kind, const TemplateExtras& extras) {
  const bool numbered = options.topics > 1;
  const std::string topic = numbered ? numbered_topic(options.topic, 0) : options.topic;
  std::vector<SendTemplate> templates;
  templates.reserve(options.queues);
  for (std::uint32_t queue = 0; queue < options.queues; ++queue) {
    templates.emplace_back(
        SendShape{options.header, kind, topic, options.group, queue, options.queues, options.body_bytes, extras.properties, extras.delivery_time, numbered});
  }
  return templates;
}

Error no_answer(const BenchOptions& options, std::uint64_t missing) {
  return {ErrorCode::Io, "nothing came for " + std::to_string(options.timeout_s) + " s while " + std::to_string(missing) +
                             " answers or messages were awaited: is the broker stuck? Its log may say; --timeout waits longer"};
}

Error too_far_behind(const BenchOptions& options) {
  return {ErrorCode::Busy, "10 seconds behind the rate of " + std::to_string(static_cast<std::uint64_t>(options.rate_per_s)) +
                               "/s: the broker takes less; give a lower --rate"};
}

Result<BenchResult> measure(const BenchOptions& options) {
  HM_TRY_STATUS(check(options));
  Meter meter(options.scenario == BenchScenario::Ceiling ? std::vector<int>() : options.broker_pids);
  meter.result().scenario = name_of(options.scenario);
  meter.result().setting = setting_of(options);
  HM_TRY_STATUS(measure_into(meter, options));
  return std::move(meter.result());
}

int run_bench(const BenchOptions& options) {
  if (options.scenario == BenchScenario::Compare) {
    const Result<std::string> table = compare_files(options);
    if (!table.ok()) return fail(table.error());
    std::fputs(table->c_str(), stdout);
    return 0;
  }
  const Result<BenchResult> result = measure(options);
  if (!result.ok()) return fail(result.error());
  std::fputs(to_text(*result).c_str(), stdout);
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file, std::ios::binary | std::ios::trunc);
    file << to_json(*result) << std::flush;
    if (!file) return fail({ErrorCode::Io, "cannot write " + options.json_file + ": check that its folder exists and is writable"});
  }
  return result->refused > 0 && result->refused >= result->messages ? 1 : 0;
}

}  // namespace halfmoon::cli
