// SPDX-License-Identifier: Apache-2.0
// Appending: sizes, the ring's end, segment ends, refusals.
#include <gtest/gtest.h>

#include "storage/log_fixture.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SimDisk;
using World = LogWorld<SimDisk, testkit::SeededRandom>;
using Loss = SimDisk::Loss;

std::string text(std::size_t bytes, std::size_t seed) {
  std::string out(bytes, '\0');
  for (std::size_t i = 0; i < bytes; i++) out[i] = static_cast<char>('a' + (i * 7 + seed) % 26);
  return out;
}

TEST(LogAppend, AnEmptyBatchIsNoBatch) {
  World world;
  world.open();
  EXPECT_EQ(world.close(), 0);
  EXPECT_FALSE(world.log->flush_pending());
  EXPECT_EQ(world.flush(), 0);
  EXPECT_EQ(world.log->counters().flushes, 0);
}

TEST(LogAppend, TheFirstRecordStandsBehindTheBatchRecord) {
  World world;
  world.open();
  EXPECT_EQ(world.append("x"), 40);
  EXPECT_EQ(world.log->end(), 40 + 24);
  EXPECT_TRUE(world.log->flush_pending());
  EXPECT_EQ(world.flush(), 64);
  EXPECT_FALSE(world.log->flush_pending());
}

TEST(LogAppend, AllSmallSizesSurviveInOneBlockAndAcrossBlocks) {
  World world;
  world.open();
  for (std::size_t bytes = 0; bytes <= 130; bytes++) world.append(text(bytes, bytes));
  for (const std::size_t bytes : {4000, 4031, 4032, 4033, 4040, 4096, 8191, 8192, 16384}) {
    world.append(text(bytes, bytes));
    world.flush();
  }
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, LargeRecordsUpToEightMebibytes) {
  World world({.segment_bytes = 32 << 20, .first_segment_bytes = 16 << 20, .ring_bytes = 32 << 20});
  world.open();
  for (const std::size_t bytes : {1u << 20, (3u << 20) + 5, 8u << 20, 7u << 20, 8u << 20}) {
    ASSERT_TRUE(world.log->room_for(static_cast<std::int64_t>(bytes), 1)) << world.log->refusal().text;
    world.append(text(bytes, bytes));
    world.flush();
  }
  for (const auto& [position, payload] : world.appended) EXPECT_TRUE(world.read(position) == payload) << position;
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_TRUE(world.recovered == world.appended);
}

TEST(LogAppend, TooLargeARecordIsRefusedAndTheLogGoesOn) {
  World world;
  world.open();
  const auto refused = world.log->reserve(RecordType::Message, (16 << 10) + 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(world.log->room_for(40 << 10, 2));
  EXPECT_EQ(world.log->refusal().code, ErrorCode::InvalidArgument);
  world.append("fine");
  world.flush();
  world.reopen();
  world.expect_records({"fine"});
}

TEST(LogAppend, RecordsRunOnAcrossTheRingsEndAndSegments) {
  for (const Safety safety : {Safety::Durable, Safety::Written}) {
    World world;
    world.options.safety = safety;
    world.open();
    testkit::SeededRandom random(3);
    while (world.log->end() < 900 << 10) {
      const std::uint64_t records = 1 + random.below(4);
      for (std::uint64_t i = 0; i < records; i++) ASSERT_TRUE(world.add(text(random.below(5000), random.next() % 26)).ok());
      world.close();
      ASSERT_TRUE((random.one_in(2) ? world.log->write_out() : world.log->flush()).ok());
    }
    EXPECT_GE(world.log->segments().size(), 4u);
    for (const auto& [position, payload] : world.appended) ASSERT_EQ(world.read(position), payload);
    world.flush();
    world.crash(Loss::Everything);
    world.reopen();
    EXPECT_EQ(world.recovered, world.appended);
  }
}

TEST(LogAppend, SegmentsGrowAndBatchesStayInOne) {
  World world;
  world.open();
  while (world.log->segments().size() < 4) {
    ASSERT_TRUE(world.log->room_for(3 * 5000, 3));
    world.append({text(5000, 1), text(5000, 2), text(5000, 3)});
    world.flush();
  }
  const auto segments = world.log->segments();
  EXPECT_EQ(segments[0].capacity, 64 << 10);
  EXPECT_EQ(segments[1].capacity, 256 << 10);
  EXPECT_EQ(segments[2].capacity, 256 << 10);
  EXPECT_EQ(segments[1].first, 64 << 10);
  EXPECT_TRUE(segments[3].active);
  EXPECT_FALSE(segments[2].active);
  EXPECT_EQ(segments[2].last_write_wall_ms, 1000);
  for (std::size_t i = 0; i + 2 < world.appended.size(); i += 3) {
    EXPECT_EQ(world.appended[i + 2].first - world.appended[i].first, 2 * (5000 + 16));
  }
}

TEST(LogAppend, AnOpenBatchIsClosedWhereTheSegmentEnds) {
  World world;
  world.open();
  for (int i = 0; i < 5; i++) ASSERT_TRUE(world.add(text(5000, 1)).ok());
  for (int i = 0; i < 8; i++) {
    world.close();
    world.flush();
    ASSERT_TRUE(world.add(text(5000, 2)).ok());
  }
  EXPECT_TRUE(world.log->batch_open());
  world.close();
  world.flush();
  EXPECT_EQ(world.log->segments().size(), 2u);
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, BusyUntilTheFlusherCatchesUp) {
  World world;
  world.options.segment_bytes = world.options.first_segment_bytes = 1 << 20;
  world.open();
  int batches = 0;
  while (world.log->room_for(4000, 1)) {
    world.append(text(4000, static_cast<std::size_t>(batches++)));
    ASSERT_LT(batches, 100);
  }
  EXPECT_EQ(world.log->refusal().code, ErrorCode::Busy);
  EXPECT_GE(batches, 13);
  const auto refused = world.add("much too much for a full ring, " + text(4000, 1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::Busy);
  world.flush();
  EXPECT_TRUE(world.log->room_for(4000, 1));
  world.append("after");
  world.flush();
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, APreparedSegmentIsUsedWithoutWaiting) {
  World world;
  world.open();
  EXPECT_FALSE(world.log->next_is_ready());
  ASSERT_TRUE(world.log->prepare_next().ok());
  EXPECT_TRUE(world.log->next_is_ready());
  const std::int64_t allocations = world.disk.calls(SimDisk::Call::Allocate);
  ASSERT_TRUE(world.log->prepare_next().ok());
  EXPECT_EQ(world.disk.calls(SimDisk::Call::Allocate), allocations);
  while (world.log->end() < 64 << 10) {
    world.append(text(10000, 1));
    world.flush();
  }
  EXPECT_EQ(world.log->counters().segments_waited, 0);
  EXPECT_FALSE(world.log->next_is_ready());
  ASSERT_TRUE(world.log->prepare_next().ok());
  world.reopen();
  EXPECT_TRUE(world.log->next_is_ready());
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, APreparationThatTheAppendsWouldOvertakeMakesNoPauses) {
  constexpr std::int64_t kMiB = 1 << 20;
  int pauses = 0;
  World world({.segment_bytes = 8 * kMiB, .first_segment_bytes = 8 * kMiB, .ring_bytes = 4 * kMiB, .prepare_pause = [&] { pauses++; }});
  world.open();
  ASSERT_TRUE(world.log->prepare_next().ok());
  EXPECT_EQ(pauses, 9);  // all pieces: nothing is appended, there is time
  while (world.log->segments().size() < 2) {
    world.append(text(64 << 10, 1));
    world.flush();
  }
  while (world.log->end() < 8 * kMiB + 4 * kMiB) {
    world.append(text(64 << 10, 1));
    world.flush();
  }
  pauses = 0;
  ASSERT_TRUE(world.log->prepare_next().ok());
  EXPECT_EQ(pauses, 5);  // half of the segment is full: the next one shall be ready when seven eighths are, so its first 4/7 are made at once
}

TEST(LogAppend, ASegmentThatIsTooSmallForTheBatchIsPassedOver) {
  World world({.segment_bytes = 16 << 10, .first_segment_bytes = 8 << 10, .ring_bytes = 128 << 10});
  world.open();
  ASSERT_TRUE(world.log->prepare_next().ok());
  world.append(text(30000, 1));
  world.flush();
  world.append("small");
  world.flush();
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, AFullDiskMakesTheLogReadOnlyUntilThereIsSpace) {
  World world;
  world.open();
  world.disk.set_capacity(100 << 10);
  EXPECT_EQ(world.log->prepare_next().error().code, ErrorCode::DiskFull);
  EXPECT_FALSE(world.log->poisoned());
  int batches = 0;
  while (world.log->room_for(4000, 1)) {
    world.append(text(4000, 1));
    world.flush();
    ASSERT_LT(++batches, 100);
  }
  EXPECT_EQ(world.log->refusal().code, ErrorCode::DiskFull);
  EXPECT_EQ(world.add(text(4000, 1)).error().code, ErrorCode::DiskFull);
  EXPECT_EQ(world.disk.content("00000000000000065536.seg.tmp"), "");
  EXPECT_EQ(world.read(world.appended.back().first), text(4000, 1));
  world.append("a small one still fits");

  world.disk.set_capacity(10 << 20);
  ASSERT_TRUE(world.log->prepare_next().ok());
  EXPECT_TRUE(world.log->room_for(4000, 1));
  world.append(text(4000, 2));
  world.flush();
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, WrittenModeIsSafeOnceHandedOver) {
  World world;
  world.options.safety = Safety::Written;
  world.open();
  world.append("one");
  EXPECT_TRUE(world.log->flush_pending());
  ASSERT_TRUE(world.log->write_out().ok());
  EXPECT_FALSE(world.log->flush_pending());
  EXPECT_EQ(world.log->safe(), world.log->end());
  EXPECT_EQ(world.log->durable(), 0);
  EXPECT_EQ(world.log->sync_written().value(), world.log->end());
  EXPECT_EQ(world.log->durable(), world.log->end());
  world.append("killed, not cut off");
  ASSERT_TRUE(world.log->write_out().ok());
  world.crash(Loss::Nothing);
  world.reopen();
  world.expect_records({"one", "killed, not cut off"});
  world.append("cut off");
  ASSERT_TRUE(world.log->write_out().ok());
  world.crash(Loss::Everything);
  world.reopen();
  world.expect_records({"one", "killed, not cut off"});
}

TEST(LogAppend, DropsWholeSegmentsOnly) {
  World world;
  world.open();
  while (world.log->segments().size() < 4) {
    world.append(text(10000, 1));
    world.flush();
  }
  const auto before = world.log->segments();
  ReadBuffer buffer;
  ASSERT_TRUE(world.log->read(world.appended.front().first, buffer).ok());
  ASSERT_TRUE(world.log->drop_before(before[2].first - 1).ok());
  EXPECT_EQ(world.log->first_position(), before[1].first);
  EXPECT_EQ(world.log->read(world.appended.front().first, buffer).error().code, ErrorCode::NotFound);
  ASSERT_TRUE(world.log->drop_before(world.log->end() + (10 << 20)).ok());
  EXPECT_EQ(world.log->segments().size(), 1u);
  const Position first = world.log->first_position();
  world.append("goes on");
  world.flush();
  world.crash(Loss::Everything);
  EXPECT_FALSE(world.try_open(0).ok());
  world.reopen(first);
  EXPECT_EQ(world.recovered.back().second, "goes on");
  EXPECT_EQ(world.log->first_position(), first);
}

TEST(LogAppend, AFullDiskKeepsAReserveForWhatMayUseIt) {
  World world;
  world.open();
  world.disk.set_capacity(100 << 10);
  EXPECT_EQ(world.log->prepare_next().error().code, ErrorCode::DiskFull);
  const std::string small = text(40, 1);
  const auto add = [&](Claim claim) {
    const auto place = world.log->reserve(RecordType::Message, static_cast<std::uint32_t>(small.size()), claim);
    if (!place.ok()) return place.error().code;
    std::memcpy(place->payload.data(), small.data(), small.size());
    world.log->finish();
    world.appended.emplace_back(place->position, small);
    return ErrorCode::Internal;  // none
  };
  while (add(Claim::Ordinary) == ErrorCode::Internal) {
  }
  EXPECT_EQ(add(Claim::Ordinary), ErrorCode::DiskFull);
  EXPECT_FALSE(world.log->room_for(1, 1));
  std::int64_t kept = 0;
  while (add(Claim::OnReserve) == ErrorCode::Internal) kept++;
  EXPECT_GE(kept * 72, (64 << 10) / 8 - 72) << "an eighth of the segment";
  EXPECT_EQ(add(Claim::OnReserve), ErrorCode::DiskFull);
  EXPECT_FALSE(world.log->poisoned());
  world.log->close_batch(1);
  world.flush();

  world.disk.set_capacity(10 << 20);
  ASSERT_TRUE(world.log->prepare_next().ok());
  EXPECT_EQ(add(Claim::Ordinary), ErrorCode::Internal);
  world.log->close_batch(2);
  world.flush();
  world.crash(Loss::Everything);
  world.reopen();
  EXPECT_EQ(world.recovered, world.appended);
}

TEST(LogAppend, WithANextSegmentReadyNothingIsKeptBack) {
  World world;
  world.open();
  ASSERT_TRUE(world.log->prepare_next().ok());
  world.disk.set_capacity(100 << 10);
  while (world.log->end() < (60 << 10)) world.append(text(100, 1));  // the last eighth of the first segment
  EXPECT_EQ(world.log->segments().size(), 1u);
}

TEST(LogAppend, BadOptionsAreRefused) {
  SimDisk disk;
  testkit::SeededRandom random(1);
  for (const LogOptions& options : {LogOptions{.ring_bytes = 100 << 10}, LogOptions{.segment_bytes = 5000}, LogOptions{.ring_bytes = 4096}}) {
    const auto log = Log::open(disk, random, options);
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::InvalidArgument);
  }
}

/// A start takes its clock from the batches; one with an old time under new records set it back.
TEST(LogAppend, ABatchThatTheEndOfItsSegmentClosesCarriesTheNotedTime) {
  World world({.segment_bytes = 64 << 10, .first_segment_bytes = 16 << 10, .ring_bytes = 64 << 10});
  world.open();
  world.append("at the fixture's time");
  world.log->note_time(world.wall_ms + 5000);
  ASSERT_TRUE(world.add(text(4000, 1)).ok());
  ASSERT_TRUE(world.add(text(14000, 2)).ok());  // does not fit any more: the batch ends, and the next one begins in the next segment
  const auto segments = world.log->segments();
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[0].last_write_wall_ms, world.wall_ms + 5000);
}

}  // namespace
}  // namespace halfmoon::storage
