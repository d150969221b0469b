// SPDX-License-Identifier: Apache-2.0
#include "runtime/steady_wall_clock.h"

#include <gtest/gtest.h>

#include "testkit/manual_clock.h"

namespace halfmoon::runtime {
namespace {

class SteadyWallClockTest : public ::testing::Test {
 protected:
  std::int64_t wall() { return steady_.now().wall_ms; }
  std::int64_t machine_wall() { return machine_.now().wall_ms; }
  void step(std::int64_t ms) { machine_.set_wall(machine_wall() + ms); }
  /// As a broker does: the clock is asked about every second.
  void run(std::int64_t seconds) {
    for (std::int64_t s = 0; s < seconds; ++s) {
      machine_.advance(1000);
      (void)wall();
    }
  }
  testkit::ManualClock machine_;
  SteadyWallClock steady_{machine_};
};

TEST_F(SteadyWallClockTest, WithoutStepsItIsTheMachines) {
  EXPECT_EQ(wall(), machine_wall());
  run(100000);
  EXPECT_EQ(wall(), machine_wall());
}

TEST_F(SteadyWallClockTest, AnHourForwardIsNotBelievedForTenMinutes) {
  const std::int64_t start = wall();
  step(3600'000);
  EXPECT_EQ(wall(), start);
  run(599);
  EXPECT_LE(wall() - start, 599'000 + 300) << "at most 500 ppm quicker than time itself";
  run(2);
  EXPECT_EQ(wall(), machine_wall());
}

TEST_F(SteadyWallClockTest, AStepThatIsTakenBackHasDoneNothing) {
  const std::int64_t start = wall();
  step(24 * 3600'000LL);
  run(300);
  step(-24 * 3600'000LL);
  run(1);
  EXPECT_LE(wall(), start + 301'000);
  EXPECT_EQ(wall(), machine_wall());
  run(1000);
  EXPECT_EQ(wall(), machine_wall());
}

TEST_F(SteadyWallClockTest, EveryNewStepHasToStandForTenMinutes) {
  (void)wall();
  step(3600'000);
  run(500);
  step(3600'000);
  run(500);
  EXPECT_GT(machine_wall() - wall(), 7000'000);
  run(101);
  EXPECT_EQ(wall(), machine_wall());
}

TEST_F(SteadyWallClockTest, ASmallStepIsMadeUpSlowly) {
  (void)wall();
  step(5000);
  run(1000);
  EXPECT_EQ(machine_wall() - wall(), 4500);
  run(9001);
  EXPECT_LE(machine_wall() - wall(), 2);
  EXPECT_LE(wall(), machine_wall());
}

TEST_F(SteadyWallClockTest, AStepBackIsTakenAtOnce) {
  run(10);
  step(-7200'000);
  EXPECT_EQ(wall(), machine_wall());
}

}  // namespace
}  // namespace halfmoon::runtime
