// SPDX-License-Identifier: Apache-2.0
// Simulated lives (testkit/simulated_world.h), few of them: tests/sim/simulate.cc runs many.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log.h"
#include "testkit/simulated_world.h"

namespace halfmoon::testkit {
namespace {

/// HALFMOON_SEEDS=N runs seeds 1..N, HALFMOON_SEED=S one of them.
void live(Scenario scenario, std::uint64_t seeds) {
  set_log_sink([](LogLevel, std::string_view, std::initializer_list<LogField>) {});
  const char* one = std::getenv("HALFMOON_SEED");
  const char* many = std::getenv("HALFMOON_SEEDS");
  const std::uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t last = one ? first : many ? std::strtoull(many, nullptr, 10) : seeds;
  std::int64_t delivered = 0;
  for (std::uint64_t seed = first; seed <= last; seed++) {
    SimulatedWorld world(scenario, seed);
    EXPECT_TRUE(world.run()) << "seed " << seed << ": " << world.violation() << "\n  again: HALFMOON_SEED=" << seed;
    delivered += world.tallies()[static_cast<std::size_t>(Tally::Delivered)];
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(delivered, 0);
  set_log_sink(text_log_sink());
}

TEST(Simulation, Transactions) { live(Scenario::Transactions, 400); }
TEST(Simulation, General) { live(Scenario::General, 400); }

TEST(Simulation, OneSeedIsOneRunByteByByte) {
  set_log_sink([](LogLevel, std::string_view, std::initializer_list<LogField>) {});
  for (std::uint64_t seed = 1; seed <= 80; seed++) {
    const Scenario scenario = seed % 2 ? Scenario::Transactions : Scenario::General;
    SimulatedWorld first(scenario, seed), second(scenario, seed);
    std::string first_history, second_history;
    first.keep_history(&first_history);
    second.keep_history(&second_history);
    ASSERT_TRUE(first.run()) << first.violation();
    ASSERT_TRUE(second.run());
    EXPECT_EQ(first.fingerprint(), second.fingerprint()) << "seed " << seed;
    EXPECT_EQ(first.disk_image(), second.disk_image()) << "seed " << seed;
    EXPECT_EQ(first_history, second_history) << "seed " << seed;
    EXPECT_FALSE(first_history.empty());
  }
  set_log_sink(text_log_sink());
}

}  // namespace
}  // namespace halfmoon::testkit
