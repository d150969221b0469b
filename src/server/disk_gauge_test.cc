// SPDX-License-Identifier: Apache-2.0
#include "server/disk_gauge.h"

#include <gtest/gtest.h>

namespace halfmoon::server {
namespace {

using broker::DiskLevel;

storage::Disk::Space used(std::int64_t percent, std::int64_t total = 1000000000) { return {total * (100 - percent) / 100, total}; }

TEST(DiskGauge, LevelsAreReachedWhereTheyAreSetAndLeftFivePercentBelow) {
  DiskGauge gauge({});
  const std::vector<std::pair<std::int64_t, DiskLevel>> script = {
      {50, DiskLevel::Ok},    {84, DiskLevel::Ok},   {85, DiskLevel::Tight}, {89, DiskLevel::Tight}, {90, DiskLevel::Full}, {100, DiskLevel::Full},
      {86, DiskLevel::Full},  {85, DiskLevel::Full}, {84, DiskLevel::Tight}, {81, DiskLevel::Tight}, {79, DiskLevel::Ok},   {84, DiskLevel::Ok},
      {90, DiskLevel::Full},  {70, DiskLevel::Ok}};
  for (const auto& [percent, level] : script) EXPECT_EQ(gauge.look(used(percent)), level) << percent;
}

TEST(DiskGauge, ItWarnsEarlierThanItRefuses) {
  DiskGauge gauge({});
  gauge.look(used(74));
  EXPECT_FALSE(gauge.warns());
  gauge.look(used(75));
  EXPECT_TRUE(gauge.warns());
  EXPECT_EQ(gauge.level(), DiskLevel::Ok);
  gauge.look(used(71));
  EXPECT_TRUE(gauge.warns());
  gauge.look(used(69));
  EXPECT_FALSE(gauge.warns());
}

TEST(DiskGauge, EnoughFreeSpaceIsEnough) {
  const std::int64_t terabyte = 1LL << 40;
  DiskGauge gauge({});
  EXPECT_EQ(gauge.look(used(95, terabyte)), DiskLevel::Ok);
  EXPECT_EQ(gauge.look({9LL << 30, terabyte}), DiskLevel::Full);
  EXPECT_EQ(gauge.look({11LL << 30, terabyte}), DiskLevel::Full) << "left a quarter above";
  EXPECT_EQ(gauge.look({13LL << 30, terabyte}), DiskLevel::Ok);
}

TEST(DiskGauge, AHundredMeansNeverAndNothingSaidMeansNothing) {
  DiskGauge gauge({.warn_percent = 100, .tight_percent = 100, .full_percent = 100});
  EXPECT_EQ(gauge.look(used(100)), DiskLevel::Ok);
  EXPECT_FALSE(gauge.warns());
  EXPECT_EQ(gauge.look({0, 0}), DiskLevel::Ok);
}

}  // namespace
}  // namespace halfmoon::server
