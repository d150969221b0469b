// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/log.h"
#include "testkit/core_world.h"

namespace halfmoon::testkit {
namespace {

// HALFMOON_SEEDS=N runs seeds 1..N (default 300), HALFMOON_SEED=S one of them.
TEST(CoreWorld, KeepsItsPromisesWhateverCrashes) {
  set_log_level(LogLevel::Error);
  const char* one = std::getenv("HALFMOON_SEED");
  const char* many = std::getenv("HALFMOON_SEEDS");
  const std::uint64_t first = one ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t last = one ? first : many ? std::strtoull(many, nullptr, 10) : 300;
  std::int64_t crashes = 0, acknowledged = 0, delivered = 0;
  for (std::uint64_t seed = first; seed <= last; seed++) {
    CoreWorld world(seed);
    world.run(400);
    if (world.violations.empty()) world.settle();
    crashes += world.crashes;
    acknowledged += world.acknowledged;
    delivered += world.delivered;
    ASSERT_TRUE(world.violations.empty()) << "seed " << seed << ": " << world.violations.front() << "\n  again: HALFMOON_SEED=" << seed;
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  EXPECT_GT(acknowledged, 0);
  EXPECT_GT(delivered, acknowledged);
  std::printf("%lu seeds, %ld crashes, %ld acknowledged, %ld read\n", static_cast<unsigned long>(last - first + 1), static_cast<long>(crashes),
              static_cast<long>(acknowledged), static_cast<long>(delivered));
}

TEST(CoreWorld, SameSeedSameRun) {
  set_log_level(LogLevel::Error);
  std::uint64_t hashes[2];
  for (std::uint64_t& hash : hashes) {
    CoreWorld world(42);
    world.run(400);
    hash = world.state_hash;
  }
  EXPECT_NE(hashes[0], 0u);
  EXPECT_EQ(hashes[0], hashes[1]);
}

}  // namespace
}  // namespace halfmoon::testkit
