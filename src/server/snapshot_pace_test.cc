// SPDX-License-Identifier: Apache-2.0
#include "server/snapshot_pace.h"

#include <gtest/gtest.h>

namespace halfmoon::server {
namespace {

constexpr std::int64_t kLogBytes = 1000, kIntervalMs = 60'000, kStartMs = 5'000;
constexpr storage::Position kStart = 100;

class SnapshotPaceTest : public ::testing::Test {
 protected:
  SnapshotPaceTest() { pace_.start(kStart, kStartMs); }
  SnapshotPace pace_{{.log_bytes = kLogBytes, .interval_ms = kIntervalMs}};
};

TEST_F(SnapshotPaceTest, SoMuchLogCallsForOne) {
  EXPECT_FALSE(pace_.due(kStart + kLogBytes - 1, kStartMs));
  EXPECT_TRUE(pace_.due(kStart + kLogBytes, kStartMs));
}

TEST_F(SnapshotPaceTest, AnIntervalCallsForOneWhereThereIsAnythingNew) {
  EXPECT_FALSE(pace_.due(kStart, kStartMs + kIntervalMs));
  EXPECT_FALSE(pace_.due(kStart + 1, kStartMs + kIntervalMs - 1));
  EXPECT_TRUE(pace_.due(kStart + 1, kStartMs + kIntervalMs));
}

TEST_F(SnapshotPaceTest, ALargeOneWaitsForAsMuchLogAsWasWrittenForIt) {
  pace_.drafted(kStartMs, 0, 0);
  pace_.written(2'000, 80'000, 0);
  pace_.over(kStartMs + 10);
  EXPECT_EQ(pace_.newest(), 2'000);
  EXPECT_FALSE(pace_.due(2'000 + 79'999, kStartMs + 20));
  EXPECT_TRUE(pace_.due(2'000 + 80'000, kStartMs + 20));
  EXPECT_FALSE(pace_.due(2'000 + 10'000, kStartMs + 10 + kIntervalMs));
  EXPECT_TRUE(pace_.due(2'000 + 10'001, kStartMs + 10 + kIntervalMs));
}

TEST_F(SnapshotPaceTest, PausesAreSoSmallAPartOfTheTime) {
  pace_.drafted(kStartMs, 20'000, 20'000);   // 20 ms: one in a second
  pace_.written(2'000, 10, 0);
  pace_.over(kStartMs);
  constexpr std::int64_t kApartMs = 20 * SnapshotPace::kPauseShare;
  EXPECT_FALSE(pace_.due(1'000'000, kStartMs + kApartMs - 1));
  EXPECT_TRUE(pace_.due(1'000'000, kStartMs + kApartMs));
}

TEST_F(SnapshotPaceTest, WorkIsSoSmallAPartOfAProcessor) {
  pace_.drafted(kStartMs, 1'000, 30'000);
  pace_.written(2'000, 10, 70'000);
  pace_.over(kStartMs);
  constexpr std::int64_t kApartMs = (100'000 - SnapshotPace::kWorkFreeUs) / 1000 * SnapshotPace::kWorkShare;
  EXPECT_FALSE(pace_.due(1'000'000, kStartMs + kApartMs - 1));
  EXPECT_TRUE(pace_.due(1'000'000, kStartMs + kApartMs));
}

TEST_F(SnapshotPaceTest, LittleWorkIsFree) {
  pace_.drafted(kStartMs, 0, SnapshotPace::kWorkFreeUs / 2);
  pace_.written(2'000, 10, SnapshotPace::kWorkFreeUs / 2);
  pace_.over(kStartMs);
  EXPECT_TRUE(pace_.due(1'000'000, kStartMs + 1));
}

TEST_F(SnapshotPaceTest, AnIntervalThatIsOverDoesNotWaitForThat) {
  pace_.drafted(kStartMs, 10'000'000, 10'000'000);
  pace_.written(2'000, 10, 0);
  pace_.over(kStartMs);
  EXPECT_TRUE(pace_.due(1'000'000, kStartMs + kIntervalMs));
}

TEST_F(SnapshotPaceTest, OneThatFailedIsNotTheNewest) {
  pace_.drafted(kStartMs, 0, 0);
  pace_.over(kStartMs + 10);
  EXPECT_EQ(pace_.newest(), kStart);
  EXPECT_TRUE(pace_.due(kStart + kLogBytes, kStartMs + 20));
}

}  // namespace
}  // namespace halfmoon::server
