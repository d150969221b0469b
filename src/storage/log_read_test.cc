// SPDX-License-Identifier: Apache-2.0
// Reading: known and arbitrary positions, ring and file, read-ahead, damage.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "storage/log_fixture.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SimDisk;
using World = LogWorld<SimDisk, testkit::SeededRandom>;
using Loss = SimDisk::Loss;

/// A log of several segments, most of it no longer in the ring.
void fill(World& world, std::int64_t bytes) {
  testkit::SeededRandom random(11);
  while (world.log->end() < bytes) {
    std::string payload(random.below(3000), '\0');
    for (char& c : payload) c = static_cast<char>(random.next());
    world.append({payload, "small"});
    world.flush();
  }
}

TEST(LogRead, ArbitraryPositionsNeverPass) {
  World world;
  world.open();
  fill(world, 400 << 10);
  std::set<Position> starts;
  for (const auto& [position, payload] : world.appended) starts.insert(position);
  ReadBuffer buffer;
  int found = 0;
  for (Position position = -100; position < world.log->end() + 100; position += 4) {
    const auto record = world.log->read_untrusted(position, buffer);
    if (record.ok()) {
      found++;
      EXPECT_TRUE(record->type == RecordType::Batch || starts.contains(position)) << position;
    } else {
      EXPECT_EQ(record.error().code, ErrorCode::NotFound);
      EXPECT_FALSE(starts.contains(position)) << position;
    }
  }
  EXPECT_EQ(found, static_cast<int>(starts.size()) * 3 / 2);  // two records and a BATCH record each
  for (const Position position : {INT64_MIN, INT64_MIN + 8, INT64_MAX, INT64_MAX - 7}) {
    EXPECT_EQ(world.log->read_untrusted(position, buffer).error().code, ErrorCode::NotFound);
    EXPECT_EQ(world.log->read(position, buffer).error().code, ErrorCode::NotFound);
  }
}

TEST(LogRead, KnownReadsOfWrongPositionsDoNotCrash) {
  World world;
  world.open();
  fill(world, 300 << 10);
  ReadBuffer buffer;
  for (Position position = 0; position < world.log->end() + 64; position += 88) {
    const auto record = world.log->read(position, buffer);
    EXPECT_TRUE(record.ok() || record.error().code != ErrorCode::Io) << position;
  }
}

TEST(LogRead, TheOpenBatchIsForKnownReadsOnly) {
  World world;
  world.open();
  const Position position = world.add("not closed yet").value();
  ReadBuffer buffer;
  EXPECT_EQ(world.read(position), "not closed yet");
  EXPECT_EQ(world.log->read_untrusted(position, buffer).error().code, ErrorCode::NotFound);
  world.close();
  EXPECT_TRUE(world.log->read_untrusted(position, buffer).ok());
}

TEST(LogRead, ReadingOnReadsAhead) {
  World world({.segment_bytes = 8 << 20, .first_segment_bytes = 8 << 20, .ring_bytes = 64 << 10});
  world.open();
  fill(world, 4 << 20);
  ReadBuffer buffer;
  for (const auto& [position, payload] : world.appended) {
    const auto record = world.log->read(position, buffer);
    ASSERT_TRUE(record.ok()) << record.error().text;
    ASSERT_EQ(as_text(record->payload), payload);
  }
  EXPECT_LT(world.log->counters().disk_reads, 12);  // 64, 128, ... 1024 KiB, then 1 MiB each
}

TEST(LogRead, QueuesThatLieInterleavedAreReadOnce) {
  World world({.segment_bytes = 8 << 20, .first_segment_bytes = 8 << 20, .ring_bytes = 64 << 10});
  world.open();
  fill(world, 4 << 20);
  ReadBuffer buffer;
  // As pulls of 32 from each of 8 queues in turn.
  constexpr std::size_t kQueues = 8, kPull = 32;
  for (std::size_t begin = 0; begin < world.appended.size(); begin += kQueues * kPull) {
    for (std::size_t queue = 0; queue < kQueues; queue++) {
      for (std::size_t i = begin + queue; i < std::min(begin + kQueues * kPull, world.appended.size()); i += kQueues) {
        const auto record = world.log->read(world.appended[i].first, buffer);
        ASSERT_TRUE(record.ok()) << record.error().text;
        ASSERT_EQ(as_text(record->payload), world.appended[i].second);
      }
    }
  }
  EXPECT_LT(world.log->counters().disk_reads, 16);  // 4 MiB; with one window, one for every pull
}

TEST(LogRead, DamageIsNamed) {
  World world;
  world.open();
  const Position position = world.append("sound");
  fill(world, 300 << 10);
  world.disk.corrupt("00000000000000000000.seg", 4096 + position + 16, "S");
  ReadBuffer buffer;
  const auto record = world.log->read(position, buffer);
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.error().code, ErrorCode::Corrupt);
  EXPECT_NE(record.error().text.find("00000000000000000000.seg: byte 4136, position 40"), std::string::npos) << record.error().text;
  EXPECT_EQ(world.log->read_untrusted(position, buffer).error().code, ErrorCode::NotFound);
}

TEST(LogRead, AnErrorOfTheDiskIsToldAndForgotten) {
  World world;
  world.open();
  const Position position = world.append("there");
  fill(world, 300 << 10);
  ReadBuffer buffer;
  world.disk.fail({.call = SimDisk::Call::Read});
  EXPECT_EQ(world.log->read(position, buffer).error().code, ErrorCode::Io);
  const auto record = world.log->read(position, buffer);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(as_text(record->payload), "there");
  EXPECT_FALSE(world.log->poisoned());
}

TEST(LogRead, ManySegmentsNeedFewOpenFiles) {
  World world({.segment_bytes = 4 << 10, .first_segment_bytes = 4 << 10, .ring_bytes = 64 << 10});
  world.open();
  for (int i = 0; i < 200; i++) {
    world.append(std::string(4000, static_cast<char>('a' + i % 26)));
    world.flush();
  }
  for (int round = 0; round < 2; round++) {
    const std::int64_t opened = world.disk.calls(SimDisk::Call::Open);
    for (const auto& [position, payload] : world.appended) EXPECT_EQ(world.read(position), payload);
    EXPECT_GT(world.disk.calls(SimDisk::Call::Open), opened + 100);  // handles were closed and opened again
  }
}

TEST(LogRead, TheLastBatchIsInMemoryAfterARestart) {
  World world;
  world.open();
  fill(world, 100 << 10);
  world.reopen();
  EXPECT_EQ(world.read(world.appended.back().first), world.appended.back().second);
  EXPECT_EQ(world.log->counters().disk_reads, 0);
  for (const auto& [position, payload] : world.appended) EXPECT_EQ(world.read(position), payload);
}

}  // namespace
}  // namespace halfmoon::storage
