// SPDX-License-Identifier: Apache-2.0
// Safety::Kept: what is closed survives a killed process without having been written (docs/formats/log.md, "The tail file").
#include <gtest/gtest.h>

#include "storage/log_fixture.h"
#include "storage/tail_file.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SeededRandom;
using testkit::SimDisk;
using Loss = SimDisk::Loss;

struct LogTail : ::testing::Test, LogWorld<SimDisk, SeededRandom> {
  LogTail() : LogWorld({.safety = Safety::Kept, .segment_bytes = 32 << 10, .first_segment_bytes = 8 << 10, .ring_bytes = 64 << 10}) {}

  void fill(std::size_t records, std::size_t bytes = 900) {
    for (std::size_t i = 0; i < records; i++) {
      ASSERT_TRUE(log->room_for(static_cast<std::int64_t>(bytes), 1)) << log->refusal().text;
      add(std::string(bytes, static_cast<char>('a' + appended.size() % 26))).value();
      close();
    }
  }
  void kill() {
    log.reset();
    disk.crash(Loss::Nothing, random);
  }
  bool has_tail() { return !disk.content(std::string(kTailName)).empty(); }
};

TEST_F(LogTail, ClosedIsSafeWithoutAWrite) {
  open();
  fill(3);
  EXPECT_EQ(log->safety(), Safety::Kept);
  EXPECT_FALSE(log->flush_pending());
  EXPECT_EQ(log->safe(), log->end());
  EXPECT_EQ(log->unwritten_bytes(), log->end());
  EXPECT_EQ(log->durable(), 0);
  ASSERT_TRUE(log->write_out().ok());
  EXPECT_EQ(log->unwritten_bytes(), 0);
}

TEST_F(LogTail, AKilledProcessLosesNothing) {
  open();
  fill(2);
  ASSERT_TRUE(log->write_out().ok());
  fill(3);
  const Position end = log->end();
  kill();
  open();
  EXPECT_EQ(recovered, appended);
  EXPECT_EQ(report.end, end);
  EXPECT_GT(report.tail_bytes, 0);
  EXPECT_EQ(report.torn_bytes, 0);
  kill();
  open();
  EXPECT_EQ(recovered, appended);
  EXPECT_EQ(report.tail_bytes, 0);  // it stands in the segments by now
}

TEST_F(LogTail, NeitherInSegmentsThatWereBegunInTheRingOnly) {
  open();
  fill(50);  // 8 KiB, 32 KiB: into the third
  EXPECT_EQ(log->segments().size(), 3u);
  EXPECT_EQ(log->durable(), 0);
  kill();
  open();
  EXPECT_EQ(recovered, appended);
  EXPECT_EQ(log->segments().size(), 3u);
  fill(40);
  kill();
  open();
  EXPECT_EQ(recovered, appended);
}

TEST_F(LogTail, TheBatchThatWasOpenIsGone) {
  open();
  fill(2);
  const Position end = log->end();
  add("never closed").value();
  appended.pop_back();
  kill();
  open();
  EXPECT_EQ(recovered, appended);
  EXPECT_EQ(report.end, end);
}

TEST_F(LogTail, APowerCutLeavesAPrefix) {
  for (int i = 0; i < 20; i++) {
    open();
    fill(5);
    ASSERT_TRUE(log->flush().ok());
    const std::size_t safe = appended.size();
    fill(20);
    log.reset();
    disk.crash(i == 0 ? Loss::Everything : Loss::RandomSectors, random);
    open();
    ASSERT_GE(recovered.size(), safe);
    ASSERT_LE(recovered.size(), appended.size());
    appended.resize(recovered.size());
    ASSERT_EQ(recovered, appended);
    ASSERT_TRUE(log->flush().ok());
    kill();
  }
}

TEST_F(LogTail, ACrashOfTheRecoveryLosesNothingEither) {
  for (std::int64_t k = 1; k < 40; k++) {
    SCOPED_TRACE(k);
    open();
    fill(20);
    kill();
    disk.fail({.call = {}, .nth = k, .bytes_done = 5000, .repeat = SimDisk::Fault::Repeat::Forever});
    const bool whole = try_open().ok() && log->safety() == Safety::Kept;
    kill();
    open();
    ASSERT_EQ(recovered, appended);
    log.reset();
    if (whole) break;
    ASSERT_LT(k, 39);
  }
}

TEST_F(LogTail, AnotherSafetyTakesItOverAndLeavesNone) {
  for (const Safety next : {Safety::Durable, Safety::Written}) {
    options.safety = Safety::Kept;
    open();
    fill(7);
    kill();
    EXPECT_TRUE(has_tail());
    options.safety = next;
    open();
    EXPECT_EQ(recovered, appended);
    EXPECT_FALSE(has_tail());
    log.reset();
  }
}

TEST_F(LogTail, AnotherSizeOfTheRing) {
  open();
  fill(7);
  kill();
  options.ring_bytes = 128 << 10;
  open();
  EXPECT_EQ(recovered, appended);
  fill(60);
  kill();
  options.ring_bytes = 64 << 10;
  open();
  EXPECT_EQ(recovered, appended);
}

TEST_F(LogTail, WhereNothingCanBeMappedTurnsWaitForTheirWrites) {
  disk.support_mapping(false);
  open();
  EXPECT_EQ(log->safety(), Safety::Written);
  fill(1);
  EXPECT_TRUE(log->flush_pending());
  ASSERT_TRUE(log->write_out().ok());
  EXPECT_FALSE(log->flush_pending());
}

TEST_F(LogTail, ADamagedOrForeignOneIsLeftAlone) {
  open();
  fill(4);
  ASSERT_TRUE(log->flush().ok());
  fill(4);
  kill();
  // The ring's bytes as they are, under a head that is not this store's.
  const std::string head = disk.content(std::string(kTailName)).substr(0, 64);
  {
    const auto file = disk.open(std::string(kTailName), OpenMode::Read, Caching::Cached).value();
    std::string bytes(64, '\0');
    ASSERT_TRUE(file->read_at(0, std::as_writable_bytes(std::span(bytes))).ok());
    ASSERT_EQ(bytes, head);
  }
  StoreId foreign{};
  SecondReading second;
  EXPECT_EQ(LeftTail::open(disk, foreign, second).value(), nullptr);
  StoreId own{};
  std::memcpy(own.data(), head.data() + 16, own.size());
  EXPECT_NE(LeftTail::open(disk, own, second).value(), nullptr);
}

TEST_F(LogTail, SegmentsBegunInTheRingAreLimited) {
  options.segment_bytes = options.first_segment_bytes = 4 << 10;
  open();
  std::size_t begun = 0;
  while (log->room_for(3000, 1)) {
    add(std::string(3000, 'x')).value();
    close();
    begun++;
  }
  EXPECT_EQ(log->refusal().code, ErrorCode::Busy);
  EXPECT_EQ(begun, 1 + kTailSegments);
  ASSERT_TRUE(log->write_out().ok());
  EXPECT_TRUE(log->room_for(3000, 1));
  kill();
  open();
  EXPECT_EQ(recovered, appended);
}

}  // namespace
}  // namespace halfmoon::storage
