// SPDX-License-Identifier: Apache-2.0
#include "cli/bench.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <variant>

#include "cli/bench_fixture.h"
#include "cli/bench_frames.h"
#include "cli/bench_meter.h"
#include "cli/bench_scenarios.h"
#include "cli/bench_stand_in.h"
#include "wire/remoting/header.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::cli {
namespace {

using testing::error_of, testing::stand_in, testing::tiny;

constexpr wire::SerializeType kBoth[] = {wire::SerializeType::Json, wire::SerializeType::Binary};

void expect_measured(const Result<BenchResult>& result, std::uint64_t messages) {
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->messages, messages);
  EXPECT_EQ(result->refused, 0u);
  EXPECT_EQ(result->invalid, "");
  EXPECT_GT(result->rate_per_s(), 0);
  EXPECT_GT(result->latency.count(), 0u);
  EXPECT_GT(result->generator_cpu_s, 0);
  EXPECT_FALSE(result->broker_cpu_s.has_value());
}

TEST(Bench, SendsInAClosedLoopWithBothHeaders) {
  for (const wire::SerializeType header : kBoth) {
    const auto broker = stand_in();
    BenchOptions options = tiny(BenchScenario::Send, *broker);
    options.header = header;
    const Result<BenchResult> result = measure(options);
    expect_measured(result, 500);
    EXPECT_EQ(result->latency.count(), 500u);
    EXPECT_EQ(result->payload_bytes, 50'000);
  }
}

TEST(Bench, SendsOverManyConnectionsAndInFramesLargerThanARead) {
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  options.connections = 20;
  options.in_flight = 1;
  expect_measured(measure(options), 500);
  options.connections = 2;
  options.body_bytes = 700'000;
  options.messages = 20;
  options.warmup = 0;
  expect_measured(measure(options), 20);
}

TEST(Bench, AnOpenLoopKeepsItsRate) {
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  options.rate_per_s = 5000;
  options.connections = 2;
  const std::uint64_t began_ns = mono_ns();
  expect_measured(measure(options), 500);
  EXPECT_GE(mono_ns() - began_ns, 549u * 200'000u);  // nothing was sent ahead of its intended time
}

TEST(Bench, TransactionsAreCommittedOnce) {
  for (const wire::SerializeType header : kBoth) {
    const auto broker = stand_in();
    BenchOptions options = tiny(BenchScenario::Tx, *broker);
    options.header = header;
    expect_measured(measure(options), 500);
    broker->stop();
    EXPECT_EQ(broker->commits(), 550u);
  }
}

TEST(Bench, ChecksAreCountedAndAnswered) {
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Checks, *broker);
  options.connections = 3;
  options.check_answer = CheckAnswer::Commit;
  options.broker_pids = {getpid()};
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->messages, 550u);  // those of the warm-up are asked about too
  EXPECT_GT(result->rate_per_s(), 0);
  ASSERT_FALSE(result->more.empty());
  EXPECT_EQ(result->more.front().first, "memory_bytes_each");
  broker->stop();
  EXPECT_EQ(broker->commits(), 550u);
}

TEST(Bench, EndToEndThenPull) {
  for (const wire::SerializeType header : kBoth) {
    const auto broker = stand_in({.keep = StandIn::Keep::Messages});
    BenchOptions options = tiny(BenchScenario::E2e, *broker);
    options.header = header;
    options.rate_per_s = 5000;
    const Result<BenchResult> result = measure(options);
    expect_measured(result, 500);
    EXPECT_EQ(result->latency.count(), 500u);

    options.scenario = BenchScenario::Pull;
    options.rate_per_s = 0;
    options.connections = 2;
    const Result<BenchResult> drained = measure(options);
    expect_measured(drained, 553);  // and one a queue that made the topic
    EXPECT_EQ(drained->payload_bytes, 55'300);
  }
}

TEST(Bench, TheCeilingNeedsNoBroker) {
  BenchOptions options;
  options.scenario = BenchScenario::Ceiling;
  options.port = 1;  // not asked
  options.messages = 1000;
  options.broker_pids = {-1};
  expect_measured(measure(options), 1000);
}

TEST(Bench, TheDiskNeedsNoBrokerAndLeavesNothingBehind) {
  BenchOptions options;
  options.scenario = BenchScenario::Disk;
  options.port = 1;  // not asked
  options.messages = 20;
  options.scratch = ::testing::TempDir() + "bench-disk-" + std::to_string(getpid());
  ASSERT_TRUE(std::filesystem::create_directory(options.scratch));
  expect_measured(measure(options), 20);
  EXPECT_TRUE(std::filesystem::is_empty(options.scratch));
  std::filesystem::remove(options.scratch);
  const Result<BenchResult> nowhere = measure(options);
  ASSERT_FALSE(nowhere.ok());
  EXPECT_NE(nowhere.error().text.find("check --scratch"), std::string::npos);
}

TEST(Bench, RefusalsAreCountedByCode) {
  const auto broker = stand_in({.refuse_every = 5});
  BenchOptions options = tiny(BenchScenario::Tx, *broker);
  options.warmup = 0;
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->refused, 100u);
  EXPECT_EQ(result->refused_by_code.at(2), 100u);
  EXPECT_NE(to_text(*result).find("code 2: 100, the first: told to refuse"), std::string::npos);
}

TEST(Bench, BrokerCpuIsReadFromItsProcess) {
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  options.broker_pids = {static_cast<int>(getpid())};
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_TRUE(result->broker_cpu_s.has_value());
  options.broker_pids = {-1};
  EXPECT_NE(error_of(measure(options)).find("check --broker-pid"), std::string::npos);

  const Result<double> cpu = cpu_seconds_of_stat("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0");
  ASSERT_TRUE(cpu.ok());
  EXPECT_DOUBLE_EQ(*cpu, 300.0 / static_cast<double>(sysconf(_SC_CLK_TCK)));
  EXPECT_FALSE(cpu_seconds_of_stat("").ok());
  EXPECT_FALSE(cpu_seconds_of_stat("7 (a) S 1").ok());
}

TEST(Bench, SaysWhatToStartWhenNobodyListens) {
  std::uint16_t port = 0;
  {
    const auto gone = stand_in();
    port = gone->port();
  }
  BenchOptions options;
  options.port = port;
  const std::string text = error_of(measure(options));
  EXPECT_NE(text.find("cannot connect to 127.0.0.1:" + std::to_string(port)), std::string::npos) << text;
  EXPECT_NE(text.find("halfmoon server"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(run_bench(options), 1);
}

TEST(Bench, GivesUpOnABrokerThatIsMute) {
  const auto broker = stand_in({.mute = true});
  for (const BenchScenario scenario : {BenchScenario::Send, BenchScenario::Pull}) {
    BenchOptions options = tiny(scenario, *broker);
    options.timeout_s = 1;
    EXPECT_NE(error_of(measure(options)).find("nothing came for 1 s"), std::string::npos);
  }
}

TEST(Bench, GivesUpOnAnOpenLoopThatIsNotAnswered) {
  const auto broker = stand_in({.mute = true});
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  options.rate_per_s = 1e9;  // all 550 at once
  options.timeout_s = 1;
  EXPECT_NE(error_of(measure(options)).find("nothing came"), std::string::npos);
}

TEST(Bench, AnEmptyTopicCannotBeDrained) {
  const auto broker = stand_in({.keep = StandIn::Keep::Messages});
  EXPECT_NE(error_of(measure(tiny(BenchScenario::Pull, *broker))).find("holds nothing"), std::string::npos);
}

TEST(Bench, OptionsThatCannotBeMeantNameTheirFlag) {
  const auto expect_flag = [](const char* flag, const BenchOptions& options) {
    EXPECT_NE(error_of(measure(options)).find(flag), std::string::npos) << flag;
  };
  BenchOptions options;
  options.queues = 0;
  expect_flag("--queues", options);
  options = {};
  options.connections = 0;
  expect_flag("--connections", options);
  options = {};
  options.rate_per_s = -1;
  expect_flag("--rate", options);
  options = {};
  options.scenario = BenchScenario::E2e;
  expect_flag("--rate", options);
  options.rate_per_s = 10;
  options.body_bytes = 8;
  expect_flag("--size", options);
}

TEST(Bench, ATemplateStaysADecodableFrame) {
  for (const wire::SerializeType header : kBoth) {
    const SendTemplate made({header, MessageKind::Half, "T", "g", 2, 4, 10});
    std::string out = "before";
    char* const body = made.append(out, {123, 0xABC, 1'700'000'000'001});
    EXPECT_EQ(std::string_view(body, 10), "xxxxxxxxxx");
    const wire::FrameSplit split = wire::split_frame(as_bytes(out).subspan(6));
    const auto* frame = std::get_if<wire::Frame>(&split);
    ASSERT_NE(frame, nullptr);
    EXPECT_EQ(frame->total_bytes, made.frame_bytes());
    wire::TextArena arena;
    const Result<wire::Header> decoded = wire::decode_header(frame->type, frame->header, arena);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->opaque, kSendOpaque + 123);
    const Result<wire::SendHeader> send = wire::decode_send(*decoded);
    ASSERT_TRUE(send.ok());
    EXPECT_EQ(send->queue_id, 2);
    EXPECT_EQ(send->sys_flag, 4);
    EXPECT_EQ(send->born_timestamp_ms, 1'700'000'000'001);
    EXPECT_NE(send->properties.find("UNIQ_KEY\1" + unique_key(0xABC) + "\2"), std::string_view::npos);
  }
}

TEST(Bench, ResultsAreComparedByTheirFiles) {
  const std::string folder = ::testing::TempDir();
  const std::string a = folder + "bench_a_" + std::to_string(getpid());
  const std::string b = folder + "bench_b_" + std::to_string(getpid());
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  options.json_file = a;
  EXPECT_EQ(run_bench(options), 0);
  options.json_file = b;
  EXPECT_EQ(run_bench(options), 0);
  BenchOptions compare;
  compare.scenario = BenchScenario::Compare;
  compare.compare_a = a;
  compare.compare_b = b;
  EXPECT_EQ(run_bench(compare), 0);
  std::filesystem::remove(b);
  EXPECT_EQ(run_bench(compare), 1);
  std::filesystem::remove(a);
}

TEST(Bench, ComparisonGivesRatios) {
  BenchResult a;
  a.scenario = "send";
  a.setting = "x";
  a.messages = 100;
  a.seconds = 2;
  a.latency.record(10'000);
  BenchResult b = a;
  b.seconds = 1;
  b.invalid = "late";
  const Result<std::string> table = compare_results(to_json(a), to_json(b));
  ASSERT_TRUE(table.ok()) << table.error().text;
  EXPECT_NE(table->find("B is INVALID: late"), std::string::npos);
  const std::size_t rate = table->find("rate_per_s");
  ASSERT_NE(rate, std::string::npos);
  EXPECT_NE(table->substr(rate, table->find('\n', rate) - rate).find("2.000"), std::string::npos) << *table;
  EXPECT_FALSE(compare_results("{}", to_json(b)).ok());
  EXPECT_FALSE(compare_results(to_json(a), "no json").ok());
}

}  // namespace
}  // namespace halfmoon::cli
