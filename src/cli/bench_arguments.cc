// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_arguments.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <string>

#include "cli/bench.h"

namespace halfmoon::cli {
namespace {

using Options = std::shared_ptr<BenchOptions>;

template <class T>
void add_choice(CLI::App* sub, const std::string& name, T& into, const std::string& help, const std::map<std::string, T>& choices) {
  std::string names;
  for (const auto& choice : choices) names += (names.empty() ? "" : "|") + choice.first;
  sub->add_option(name, into, help)->transform(CLI::CheckedTransformer(choices, CLI::ignore_case))->option_text(names);
}

void add_place(CLI::App* sub, const Options& o) {
  sub->add_option("--host", o->host, "Broker's host")->capture_default_str();
  sub->add_option("-p,--port", o->port, "Broker's port")->capture_default_str();
  sub->add_option("--topic", o->topic, "Topic; created if missing")->capture_default_str();
  sub->add_option("--group", o->group, "Producer and consumer group")->capture_default_str();
  sub->add_option("--queues", o->queues, "Queues")->capture_default_str();
  sub->add_option("--size", o->body_bytes, "Bytes of a body")->capture_default_str();
  add_choice<wire::SerializeType>(sub, "--header", o->header, "Header codec; default json", {{"json", wire::SerializeType::Json}, {"binary", wire::SerializeType::Binary}});
  sub->add_option("--timeout", o->timeout_s, "Give up after so many seconds without an answer")->capture_default_str();
}

void add_result(CLI::App* sub, const Options& o) {
  sub->add_option("--broker-pid", o->broker_pids, "The broker's process, whose CPU time is reported");
  sub->add_option("--json", o->json_file, "Write the result to this file as well");
}

void add_load(CLI::App* sub, const Options& o) {
  add_place(sub, o);
  sub->add_option("--connections", o->connections, "Connections")->capture_default_str();
  sub->add_option("--in-flight", o->in_flight, "Unanswered requests a connection (closed loop)")->capture_default_str();
  sub->add_option("-n,--messages", o->messages, "Messages that are measured")->capture_default_str();
  sub->add_option("--warmup", o->warmup, "Messages before those; default a tenth");
  sub->add_option("--rate", o->rate_per_s, "Messages a second; 0: as fast as answers come")->capture_default_str();
  sub->add_option("--burst", o->burst, "Requests a write, at most")->capture_default_str();
  add_result(sub, o);
}

void add_beside(CLI::App* sub, const Options& o) {
  add_choice<SideLoadKind>(sub, "--beside", o->beside,
                           "What else goes on, on a thread of its own: polls (long polls on the same queues that nothing matches), drain (a reader of --cold-topic, again and "
                           "again), hog (a thread that computes)",
                           {{"none", SideLoadKind::None}, {"polls", SideLoadKind::Polls}, {"drain", SideLoadKind::Drain}, {"hog", SideLoadKind::Hog}});
  sub->add_option("--polls", o->beside_polls, "How many long polls `--beside polls` holds")->capture_default_str();
  sub->add_option("--cold-topic", o->cold_topic, "What `--beside drain` reads; fill it with `send --topic`")->capture_default_str();
  sub->footer("Examples: what a cold reader does to a producer\n"
              "  halfmoon bench send -n 4000000 --topic BenchCold\n"
              "  halfmoon bench send -n 300000 --rate 10000 --json without.json\n"
              "  halfmoon bench send -n 300000 --rate 10000 --json with.json --beside drain\n"
              "  halfmoon bench compare without.json with.json");
}

void add_checks(CLI::App* sub, const Options& o) {
  add_load(sub, o);
  add_choice<CheckAnswer>(sub, "--answer", o->check_answer, "What the producers answer; default unknown",
                          {{"unknown", CheckAnswer::Unknown}, {"commit", CheckAnswer::Commit}, {"rollback", CheckAnswer::Rollback}});
}

void add_groups(CLI::App* sub, const Options& o) {
  add_load(sub, o);
  sub->add_option("--groups", o->groups, "Consumer groups, each with a connection of its own")->capture_default_str();
  sub->add_option("--batch", o->batch, "A group asks for a queue's messages once so many are there; 1: it long-polls")->capture_default_str();
  sub->footer("Rate, CPU and latency are those of deliveries: each message counts once for every group.\nExample:\n"
              "  halfmoon bench groups --rate 2000 -n 20000 --broker-pid $(pidof halfmoon)");
}

void add_delays(CLI::App* sub, const Options& o) {
  add_load(sub, o);
  sub->add_option("--spread", o->spread_s, "Seconds from the first delivery time to the last")->capture_default_str();
  sub->add_option("--lead", o->lead_s, "Seconds from the first send to the first delivery time; all must be sent by then")->capture_default_str();
  sub->footer("The latency is how late a message was. Early or double deliveries are counted; an early one makes the run INVALID.\nExample:\n"
              "  halfmoon bench delays -n 1000000 --spread 60 --lead 30");
}

void add_topics(CLI::App* sub, const Options& o) {
  add_load(sub, o);
  sub->add_option("--topics", o->topics, "How many: TOPIC-00000, TOPIC-00001, ...")->capture_default_str();
  sub->footer("Compare with `halfmoon bench send`. For the restart: stop the broker, then\n"
              "  halfmoon bench start -n 1 -- halfmoon server --data DIR");
}

void add_connections(CLI::App* sub, const Options& o) {
  add_load(sub, o);
  sub->add_option("--active", o->active, "How many of the connections send messages; 0: all")->capture_default_str();
  sub->footer("Every connection sends one heartbeat first. Two runs to compare:\n"
              "  halfmoon bench connections --connections 1000 --in-flight 1 --rate 10000 -n 100000 --json few.json\n"
              "  halfmoon bench connections --connections 10000 --active 1000 --in-flight 1 --rate 10000 -n 100000 --json many.json");
}

void add_start(CLI::App* sub, const Options& o) {
  add_place(sub, o);
  add_result(sub, o);
  sub->add_option("-n,--runs", o->messages, "How often")->capture_default_str();
  sub->add_option("--scratch", o->scratch, "Where the new folders for {} are made, and removed again")->capture_default_str();
  sub->add_option("COMMAND", o->command, "The broker's command; {} in it stands for a new empty folder")->required();
  sub->footer("The latency is the time from exec to the first acknowledged send.\nExamples:\n"
              "  halfmoon bench start -- halfmoon server --data {}\n"
              "  halfmoon bench start -n 1 -- halfmoon server --data /srv/mq       a restart with what is there");
}

void add_idle(CLI::App* sub, const Options& o) {
  sub->add_option("--broker-pid", o->broker_pids, "The broker's process")->required();
  sub->add_option("--seconds", o->idle_s, "How long to look")->capture_default_str();
  sub->add_option("--json", o->json_file, "Write the result to this file as well");
}

void add_disk(CLI::App* sub, const Options& o) {
  sub->add_option("-n,--writes", o->messages, "How many are measured")->capture_default_str();
  sub->add_option("-s,--size", o->body_bytes, "Bytes of a write; rounded up to 4 KiB")->capture_default_str();
  sub->add_option("--scratch", o->scratch, "On which disk: a new folder is made here, and removed again")->capture_default_str();
  sub->add_option("--json", o->json_file, "Write the result to this file as well");
  sub->footer("The latency of a durable write, without any broker: what SYNC_FLUSH cannot go below on this disk.\nExample:\n"
              "  halfmoon bench disk --scratch /srv/mq");
}

void add_compare(CLI::App* sub, const Options& o) {
  sub->add_option("A", o->compare_a, "First result")->required();
  sub->add_option("B", o->compare_b, "Second result")->required();
}

struct Scenario {
  const char* name;
  BenchScenario which;
  const char* help;
  void (*add)(CLI::App*, const Options&);
};

constexpr Scenario kScenarios[] = {
    {"send", BenchScenario::Send, "Send messages; throughput and latency of the answers", [](CLI::App* sub, const Options& o) {
       add_load(sub, o);
       add_beside(sub, o);
     }},
    {"tx", BenchScenario::Tx, "Send half messages and commit each", add_load},
    {"checks", BenchScenario::Checks, "Leave half messages without a verdict, then be the producers that are asked about them", add_checks},
    {"e2e", BenchScenario::E2e, "Latency from sending to a consumer, at a --rate", add_load},
    {"groups", BenchScenario::Groups, "Many groups read what one producer sends, at a --rate", add_groups},
    {"pull", BenchScenario::Pull, "Read what the topic holds", add_load},
    {"delays", BenchScenario::Delays, "Messages with a delivery time: how late each is delivered", add_delays},
    {"topics", BenchScenario::Topics, "Make many topics and send to all of their queues; memory of each", add_topics},
    {"connections", BenchScenario::Connections, "Many connections, some of which send; memory of each", add_connections},
    {"start", BenchScenario::Start, "A broker's command to its first acknowledged send", add_start},
    {"idle", BenchScenario::Idle, "Memory and CPU of a broker that nobody asks anything", add_idle},
    {"disk", BenchScenario::Disk, "A durable write of this disk, made as a broker makes it", add_disk},
    {"ceiling", BenchScenario::Ceiling, "What this load generator could do against a broker that costs nothing", add_load},
    {"compare", BenchScenario::Compare, "Compare two results that --json wrote", add_compare},
};

}  // namespace

void add_bench(CLI::App& app, std::function<int()>& action) {
  auto* command = app.add_subcommand("bench", "Measure a running broker");
  command->require_subcommand(1);
  for (const Scenario& scenario : kScenarios) {
    const Options o = std::make_shared<BenchOptions>();
    o->scenario = scenario.which;
    if (scenario.which == BenchScenario::Start) o->messages = 10;
    if (scenario.which == BenchScenario::Disk) o->messages = 5000;
    if (scenario.which == BenchScenario::Disk) o->body_bytes = 4096;
    if (scenario.which == BenchScenario::Topics) o->topics = 10'000;
    auto* sub = command->add_subcommand(scenario.name, scenario.help);
    scenario.add(sub, o);
    sub->callback([o, &action] {
      action = [o] { return run_bench(*o); };
    });
  }
  command->footer(
      "Examples:\n"
      "  halfmoon bench send -n 1000000 --in-flight 64 --broker-pid $(pidof halfmoon)\n"
      "  halfmoon bench checks -n 1000000 --connections 32 --broker-pid $(pidof halfmoon)\n"
      "  halfmoon bench e2e --rate 10000\n\n"
      "`halfmoon bench SCENARIO --help` says more.");
}

}  // namespace halfmoon::cli
