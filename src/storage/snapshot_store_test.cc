// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot_store.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "storage/snapshot_format.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SimDisk;

class SnapshotStoreTest : public ::testing::Test {
 protected:
  SnapshotStoreTest() { set_log_sink([this](LogLevel, std::string_view, std::initializer_list<LogField>) { warnings_++; }); }
  ~SnapshotStoreTest() override { set_log_sink(text_log_sink()); }

  static std::array<std::byte, 16> id(int n) {
    std::array<std::byte, 16> bytes{};
    bytes[0] = static_cast<std::byte>(n);
    return bytes;
  }
  Position newest(Position end = INT64_MAX) {
    const auto snapshot = store_.newest(end);
    EXPECT_TRUE(snapshot.ok());
    return snapshot.ok() && *snapshot ? (*snapshot)->position : kNoPosition;
  }

  SimDisk disk_;
  testkit::SeededRandom random_{1};
  SnapshotStore store_{disk_, id(1)};
  int warnings_ = 0;
};

TEST_F(SnapshotStoreTest, NoneAtFirst) { EXPECT_EQ(newest(), kNoPosition); }

TEST_F(SnapshotStoreTest, TheNewestAtOrBelowTheEnd) {
  ASSERT_TRUE(store_.write({.position = 64, .payload = "old"}).ok());
  ASSERT_TRUE(store_.write({.position = 4096, .payload = ""}).ok());
  EXPECT_EQ(newest(), 4096);
  EXPECT_EQ(newest(4096), 4096);
  EXPECT_EQ(newest(4095), 64);
  EXPECT_EQ(newest(63), kNoPosition);
  EXPECT_EQ((*store_.newest(100))->payload, "old");
}

TEST_F(SnapshotStoreTest, TwoAreKept) {
  for (const Position position : {8, 16, 24, 32}) ASSERT_TRUE(store_.write({.position = position, .payload = "x"}).ok());
  EXPECT_EQ(disk_.list().value(), (std::vector<std::string>{snapshot_name(24), snapshot_name(32)}));
}

TEST_F(SnapshotStoreTest, ALargeOneIsWrittenInPiecesWithPausesAndReadAsAWhole) {
  SnapshotDraft draft(64);
  std::string want;
  for (int i = 0; i < 200; i++) {
    draft.take(std::string(50'000 + static_cast<std::size_t>(i), static_cast<char>('a' + i % 26)));
    want += std::string(50'000 + static_cast<std::size_t>(i), static_cast<char>('a' + i % 26));
  }
  int pauses = 0;
  ASSERT_TRUE(store_.write(draft, [&] { pauses++; }).ok());
  EXPECT_EQ(pauses, static_cast<int>(want.size() >> 20));
  EXPECT_EQ(draft.bytes(), want.size());
  EXPECT_EQ((*store_.newest(64))->payload, want);
}

TEST_F(SnapshotStoreTest, AnyFlippedByteMakesItInvalidAndTheOlderOneServes) {
  ASSERT_TRUE(store_.write({.position = 8, .payload = "older"}).ok());
  ASSERT_TRUE(store_.write({.position = 16, .payload = "newer"}).ok());
  const std::string sound = disk_.content(snapshot_name(16));
  for (std::size_t i = 0; i < sound.size(); i++) {
    SCOPED_TRACE(i);
    disk_.corrupt(snapshot_name(16), static_cast<std::int64_t>(i), std::string(1, static_cast<char>(sound[i] ^ 1)));
    EXPECT_EQ(newest(), 8);
    disk_.corrupt(snapshot_name(16), 0, sound);
  }
  EXPECT_EQ(warnings_, static_cast<int>(sound.size()));
  EXPECT_EQ(newest(), 16);
}

TEST_F(SnapshotStoreTest, OneThatCannotBeReadIsSaidByItsOwnEventAndTheOlderOneServes) {
  ASSERT_TRUE(store_.write({.position = 8, .payload = "older"}).ok());
  ASSERT_TRUE(store_.write({.position = 16, .payload = "newer"}).ok());
  std::vector<std::string> said;
  set_log_sink([&](LogLevel level, std::string_view event, std::initializer_list<LogField>) { said.push_back((level == LogLevel::Error ? "error " : "warn ") + std::string(event)); });
  // Once: it is tried again.
  disk_.fail({.call = SimDisk::Call::Read, .nth = 1});
  EXPECT_EQ(newest(), 16);
  EXPECT_EQ(said, (std::vector<std::string>{"error snapshot.read_again"}));
  said.clear();
  disk_.fail({.call = SimDisk::Call::Read, .nth = 2, .lie = SimDisk::Lie::FlippedBit});
  EXPECT_EQ(newest(), 16);
  EXPECT_EQ(said, (std::vector<std::string>{"error disk.readings_differ"}));
  said.clear();
  disk_.fail({.call = SimDisk::Call::Read, .nth = 2});
  disk_.fail({.call = SimDisk::Call::Read, .nth = 3});
  EXPECT_EQ(newest(), 8);
  EXPECT_EQ(said, (std::vector<std::string>{"error snapshot.unreadable"}));
  // It does not take the place of one that serves: after the next one that is written the older one is still there.
  ASSERT_TRUE(store_.write({.position = 24, .payload = "newest"}).ok());
  EXPECT_EQ(disk_.list().value(), (std::vector<std::string>{snapshot_name(8), snapshot_name(24)}));
}

TEST_F(SnapshotStoreTest, AnotherStoresSnapshotIsSkipped) {
  SnapshotStore other(disk_, id(2));
  ASSERT_TRUE(other.write({.position = 8, .payload = "x"}).ok());
  EXPECT_EQ(newest(), kNoPosition);
  EXPECT_EQ(warnings_, 1);
}

TEST_F(SnapshotStoreTest, WhateverFailsTheOlderOneStays) {
  for (std::int64_t k = 1; k < 12; k++) {
    for (const auto loss : {SimDisk::Loss::Nothing, SimDisk::Loss::Everything, SimDisk::Loss::RandomSectors}) {
      SCOPED_TRACE(k);
      SimDisk disk;
      SnapshotStore store(disk, id(1));
      ASSERT_TRUE(store.write({.position = 8, .payload = "older"}).ok());
      disk.fail({.call = {}, .nth = k, .bytes_done = 10, .repeat = SimDisk::Fault::Repeat::Forever});
      const bool written = store.write({.position = 16, .payload = std::string(3000, 'n')}).ok();
      disk.crash(loss, random_);
      const auto found = store.newest(INT64_MAX);
      ASSERT_TRUE(found.ok() && *found);
      EXPECT_TRUE(!written || (*found)->position == 16);
      ASSERT_TRUE(store.write({.position = 24, .payload = "newest"}).ok());
      EXPECT_EQ((*store.newest(INT64_MAX))->payload, "newest");
    }
  }
}

TEST_F(SnapshotStoreTest, AFailedWriteOrSyncIsRememberedAndAFullDiskIsNot) {
  for (const auto call : {SimDisk::Call::Write, SimDisk::Call::Sync, SimDisk::Call::SyncDirectory}) {
    SimDisk disk;
    SnapshotStore store(disk, id(1));
    disk.set_capacity(10);
    EXPECT_EQ(store.write({.position = 8, .payload = "full"}).error().code, ErrorCode::DiskFull);
    disk.set_capacity(1 << 20);
    EXPECT_FALSE(store.disk_failed());
    disk.fail({.call = call, .nth = 1});
    EXPECT_EQ(store.write({.position = 16, .payload = "failing"}).error().code, ErrorCode::Io);
    EXPECT_TRUE(store.disk_failed());
  }
}

TEST_F(SnapshotStoreTest, AFullDiskIsReportedAndLeavesNoTemporary) {
  disk_.set_capacity(100);
  EXPECT_EQ(store_.write({.position = 8, .payload = std::string(1000, 'x')}).error().code, ErrorCode::DiskFull);
  EXPECT_TRUE(disk_.list()->empty());
}

TEST_F(SnapshotStoreTest, OtherFilesAreNoSnapshots) {
  for (const char* name : {"snapshot-", "snapshot-1", "snapshot-0000000000000000000x", "snapshot-99999999999999999999", "snapshot.tmp"}) {
    EXPECT_FALSE(snapshot_position(name)) << name;
  }
  EXPECT_EQ(snapshot_position(snapshot_name(INT64_MAX)), INT64_MAX);
}

}  // namespace
}  // namespace halfmoon::storage
