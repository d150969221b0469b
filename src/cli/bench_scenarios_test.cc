// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "cli/bench.h"
#include "cli/bench_fixture.h"
#include "cli/bench_stand_in.h"

namespace halfmoon::cli {
namespace {

using testing::error_of, testing::stand_in;

BenchOptions tiny(BenchScenario scenario, const StandIn& broker) {
  BenchOptions options = testing::tiny(scenario, broker);
  options.broker_pids = {static_cast<int>(getpid())};
  return options;
}

double figure(const Result<BenchResult>& result, const std::string& name) {
  if (!result.ok()) return -1;
  for (const auto& [key, value] : result->more)
    if (key == name) return value;
  return -1;
}

TEST(BenchGroups, EachGroupIsGivenEveryMessage) {
  for (const std::uint32_t batch : {1u, 16u}) {
    const auto broker = stand_in({.keep = StandIn::Keep::Messages});
    BenchOptions options = tiny(BenchScenario::Groups, *broker);
    options.groups = 4;
    options.batch = batch;
    options.rate_per_s = 5000;
    const Result<BenchResult> result = measure(options);
    ASSERT_TRUE(result.ok()) << result.error().text;
    EXPECT_EQ(result->messages, 2000u);
    EXPECT_EQ(result->latency.count(), 2000u);
    EXPECT_EQ(result->invalid, "");
    EXPECT_GT(figure(result, "messages_a_pull"), batch > 1 ? 10 : 0.99);
  }
}

TEST(BenchDelays, WhatComesBeforeItsTimeIsFound) {
  const auto broker = stand_in({.keep = StandIn::Keep::Messages});  // which delivers at once
  BenchOptions options = tiny(BenchScenario::Delays, *broker);
  options.lead_s = 0.5;
  options.spread_s = 0.5;
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->messages, 500u);
  EXPECT_EQ(figure(result, "early"), 500);
  EXPECT_GT(figure(result, "earliest_us"), 500'000);
  EXPECT_EQ(figure(result, "twice"), 0);
  EXPECT_NE(result->invalid.find("before their time"), std::string::npos);
}

TEST(BenchDelays, LatenessCountsFromTheDeliveryTime) {
  const auto broker = stand_in({.keep = StandIn::Keep::Messages});
  BenchOptions options = tiny(BenchScenario::Delays, *broker);
  options.lead_s = 0;  // the first are due before they are sent
  options.spread_s = 0;
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->latency.count(), 500u);
  EXPECT_LE(figure(result, "lead_left_s"), 0);
}

TEST(BenchTopics, AreMadeAndSentTo) {
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Topics, *broker);
  options.topics = 20;
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->messages, 500u);
  EXPECT_EQ(result->latency.count(), 500u);
  EXPECT_GT(figure(result, "topics_made_per_s"), 0);
  EXPECT_GE(figure(result, "memory_bytes_a_queue"), 0);
}

TEST(BenchConnections, OnlyTheActiveOnesSend) {
  const auto broker = stand_in();
  BenchOptions options = tiny(BenchScenario::Connections, *broker);
  options.connections = 40;
  options.active = 10;
  options.in_flight = 1;
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_EQ(result->latency.count(), 500u);
  EXPECT_EQ(figure(result, "active"), 10);
  EXPECT_NE(figure(result, "memory_bytes_a_connection"), -1);
  options.active = 41;
  EXPECT_NE(error_of(measure(options)).find("--active"), std::string::npos);
}

TEST(BenchBeside, TheSendIsMeasuredAndTheOtherLoadToo) {
  const auto broker = stand_in({.keep = StandIn::Keep::Messages});
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  ASSERT_TRUE(measure(options).ok());
  options.cold_topic = options.topic;
  for (const SideLoadKind kind : {SideLoadKind::Drain, SideLoadKind::Hog}) {
    options.beside = kind;
    const Result<BenchResult> result = measure(options);
    ASSERT_TRUE(result.ok()) << result.error().text;
    EXPECT_EQ(result->messages, 500u);
    EXPECT_EQ(figure(result, "beside_messages_per_s") > 0, kind == SideLoadKind::Drain);
  }
}

TEST(BenchBeside, AnEmptyColdTopicIsSaid) {
  const auto broker = stand_in({.keep = StandIn::Keep::Messages});
  BenchOptions options = tiny(BenchScenario::Send, *broker);
  options.beside = SideLoadKind::Drain;
  EXPECT_NE(error_of(measure(options)).find("BenchCold holds nothing"), std::string::npos);
}

TEST(BenchStart, SaysWhyNothingStarted) {
  BenchOptions options;
  options.scenario = BenchScenario::Start;
  options.messages = 1;
  options.scratch = ::testing::TempDir();
  options.timeout_s = 1;
  options.command = {"/bin/false"};
  {
    const auto gone = stand_in();
    options.port = gone->port();
    EXPECT_NE(error_of(measure(options)).find("listens"), std::string::npos);
  }
  EXPECT_NE(error_of(measure(options)).find("ended before it took a message"), std::string::npos);
  options.command = {"/bin/sleep", "100"};
  EXPECT_NE(error_of(measure(options)).find("nothing came for 1 s"), std::string::npos);
  options.command.clear();
  EXPECT_NE(error_of(measure(options)).find("command behind --"), std::string::npos);
}

TEST(BenchIdle, MeasuresAProcess) {
  BenchOptions options;
  options.scenario = BenchScenario::Idle;
  options.idle_s = 0.05;
  EXPECT_NE(error_of(measure(options)).find("--broker-pid"), std::string::npos);
  options.broker_pids = {static_cast<int>(getpid())};
  const Result<BenchResult> result = measure(options);
  ASSERT_TRUE(result.ok()) << result.error().text;
  EXPECT_GT(figure(result, "resident_mb"), 0.5);
  EXPECT_GE(figure(result, "wakeups_per_s"), 1);  // our own sleep
  EXPECT_GE(figure(result, "threads"), 1);
  options.broker_pids = {-1};
  EXPECT_NE(error_of(measure(options)).find("no process"), std::string::npos);
}

}  // namespace
}  // namespace halfmoon::cli
