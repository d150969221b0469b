// SPDX-License-Identifier: Apache-2.0
#include "storage/log.h"

#include <gtest/gtest.h>

#include "storage/log_fixture.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using World = LogWorld<testkit::SimDisk, testkit::SeededRandom>;
using Loss = testkit::SimDisk::Loss;

TEST(Log, KeepsWhatWasFlushed) {
  World world;
  world.open();
  world.append({"one", "two"});
  world.append("");
  world.flush();
  world.append("lost");
  world.crash(Loss::Everything);
  world.reopen();
  world.expect_records({"one", "two", ""});
  EXPECT_EQ(world.recovered[0].first, world.appended[0].first);
}

TEST(Log, ReadsFromRingAndDisk) {
  World world;
  world.open();
  for (int i = 0; i < 300; i++) {
    world.append(std::string(1000, static_cast<char>('a' + i % 26)));
    world.flush();
  }
  for (const auto& [position, payload] : world.appended) EXPECT_EQ(world.read(position), payload);
  EXPECT_GT(world.log->counters().ring_reads, 0);
  EXPECT_GT(world.log->counters().disk_reads, 0);
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

}  // namespace
}  // namespace halfmoon::storage
