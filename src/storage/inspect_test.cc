// SPDX-License-Identifier: Apache-2.0
#include "storage/inspect.h"

#include <gtest/gtest.h>

#include <span>

#include "storage/log_fixture.h"
#include "storage/segment.h"
#include "storage/snapshot_format.h"
#include "testkit/lasting_pieces.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SimDisk;
using World = LogWorld<SimDisk, testkit::SeededRandom>;

/// Four segments of two records a batch, and a snapshot.
struct Filled : World {
  Filled() : World({.segment_bytes = 16 << 10, .first_segment_bytes = 16 << 10, .ring_bytes = 64 << 10}) {
    open();
    while (log->segments().size() < 4) {
      append({std::string(1500, 'x'), "y"});
      flush();
    }
    end = log->end();
    SnapshotStore store(disk, log->store_id());
    EXPECT_TRUE(store.write({.position = end, .payload = "tables"}).ok());
    log.reset();
  }
  VerifyReport verify() {
    const std::int64_t changes = disk.changes();
    const auto verified = verify_log(disk, {});
    EXPECT_TRUE(verified.ok()) << verified.error().text;
    EXPECT_EQ(disk.changes(), changes);  // looking changes nothing
    return verified.ok() ? *verified : VerifyReport{};
  }
  Position end = 0;
};

/// The process was killed under ASYNC_FLUSH: the newest batches, some in a segment of their own, are in the tail file only.
TEST(Inspect, WhatOnlyTheTailFileHas) {
  World world({.safety = Safety::Kept, .segment_bytes = 32 << 10, .first_segment_bytes = 8 << 10, .ring_bytes = 64 << 10});
  world.open();
  world.append("written");
  world.flush();
  const std::size_t written = world.appended.size();
  while (world.log->segments().size() < 3) {
    ASSERT_TRUE(world.log->room_for(900, 1));
    world.append(std::string(900, 'x'));
  }
  const Position end = world.log->end();
  world.crash(SimDisk::Loss::Nothing);
  const std::int64_t changes = world.disk.changes();
  const auto report = verify_log(world.disk, {});
  ASSERT_TRUE(report.ok()) << report.error().text;
  EXPECT_TRUE(report->damage.empty());
  EXPECT_EQ(report->records, static_cast<std::int64_t>(written));
  EXPECT_EQ(report->tail_records, static_cast<std::int64_t>(world.appended.size() - written));
  EXPECT_EQ(report->tail_batches, report->tail_records);
  EXPECT_GT(report->tail_bytes, report->tail_records * 900);
  EXPECT_EQ(report->end, end);
  EXPECT_EQ(report->torn_bytes, 0);
  EXPECT_EQ(report->tail_unusable, "");
  std::vector<World::Record> dumped;
  ASSERT_TRUE(dump_log(world.disk, 0, [&](const RecordView& record) {
    if (record.type != RecordType::Batch) dumped.emplace_back(record.position, std::string(as_text(record.payload)));
    return true;
  }).ok());
  EXPECT_EQ(dumped, world.appended);
  dumped.clear();
  const std::size_t last = world.appended.size() - 2;
  ASSERT_TRUE(dump_log(world.disk, world.appended[last].first, [&](const RecordView& record) {
    if (record.type != RecordType::Batch) dumped.emplace_back(record.position, std::string(as_text(record.payload)));
    return dumped.empty();
  }).ok());
  EXPECT_EQ(dumped, std::vector<World::Record>{world.appended[last]});
  EXPECT_EQ(world.disk.changes(), changes);
  ASSERT_TRUE(world.disk.remove("tail").ok());
  ASSERT_TRUE(world.disk.open("tail", OpenMode::CreateNew, Caching::Cached).value()->write_at(0, as_bytes("HMLGTAIL of nobody")).ok());
  const auto unusable = verify_log(world.disk, {});
  ASSERT_TRUE(unusable.ok());
  EXPECT_NE(unusable->tail_unusable, "");
  EXPECT_EQ(unusable->tail_records, 0);
}

TEST(Inspect, ASoundLog) {
  Filled world;
  std::int64_t last = 0;
  std::int64_t total = 0;
  const auto report = verify_log(world.disk, [&](std::int64_t done, std::int64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(last, total);
  EXPECT_EQ(report->segments, 4);
  EXPECT_EQ(report->records, static_cast<std::int64_t>(world.appended.size()));
  EXPECT_EQ(report->batches * 2, report->records);
  EXPECT_EQ(report->end, world.end);
  EXPECT_EQ(report->torn_bytes, 0);
  EXPECT_TRUE(report->damage.empty());
  ASSERT_EQ(report->snapshots.size(), 1u);
  EXPECT_TRUE(report->snapshots[0].ends_with(": valid"));
}

TEST(Inspect, DamageIsNamedAndTheRestIsStillVerified) {
  Filled world;
  world.disk.corrupt("00000000000000016384.seg", 4096 + 60, "?");
  const VerifyReport report = world.verify();
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_TRUE(report.damage[0].starts_with("00000000000000016384.seg: byte 4096, position 16384: ")) << report.damage[0];
  EXPECT_EQ(report.end, world.end);
}

TEST(Inspect, AMissingSegmentIsNamed) {
  Filled world;
  ASSERT_TRUE(world.disk.remove("00000000000000016384.seg").ok());
  const VerifyReport report = world.verify();
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_TRUE(report.damage[0].starts_with("00000000000000016384.seg: is missing")) << report.damage[0];
}

TEST(Inspect, ATornTailIsNoDamage) {
  Filled world;
  const std::string name = "00000000000000049152.seg";
  const Position last_batch = world.appended[world.appended.size() - 2].first - 40;
  world.disk.corrupt(name, 4096 + last_batch - 49152, "?");
  const VerifyReport report = world.verify();
  EXPECT_TRUE(report.damage.empty());
  EXPECT_EQ(report.end, last_batch);
  EXPECT_GT(report.torn_bytes, 1500);
  EXPECT_TRUE(report.snapshots[0].ends_with("the log ends before it"));
}

TEST(Inspect, AnEmptyDirectory) {
  SimDisk disk;
  const auto report = verify_log(disk, {});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->segments, 0);
  EXPECT_TRUE(dump_log(disk, 0, [](const RecordView&) { return true; }).ok());
}

TEST(Inspect, DumpShowsAllRecordsFromAPosition) {
  Filled world;
  std::vector<Position> records;
  std::int64_t batches = 0;
  const auto collect = [&](const RecordView& record) {
    if (record.type == RecordType::Batch) batches++;
    else records.push_back(record.position);
    return true;
  };
  ASSERT_TRUE(dump_log(world.disk, 0, collect).ok());
  ASSERT_EQ(records.size(), world.appended.size());
  for (std::size_t i = 0; i < records.size(); i++) EXPECT_EQ(records[i], world.appended[i].first);
  EXPECT_EQ(batches * 2, static_cast<std::int64_t>(records.size()));

  records.clear();
  const Position from = world.appended[21].first;
  ASSERT_TRUE(dump_log(world.disk, from, collect).ok());
  EXPECT_EQ(records.size(), world.appended.size() - 21);
  EXPECT_EQ(records.front(), from);

  int seen = 0;
  ASSERT_TRUE(dump_log(world.disk, 0, [&](const RecordView&) { return ++seen < 5; }).ok());
  EXPECT_EQ(seen, 5);
}

TEST(Inspect, DumpStopsAtDamage) {
  Filled world;
  world.disk.corrupt("00000000000000000000.seg", 4096 + 60, "?");
  EXPECT_EQ(dump_log(world.disk, 0, [](const RecordView&) { return true; }).error().code, ErrorCode::Corrupt);
}

TEST(Inspect, KnowsTheEpochOfASegmentsHeader) {  // found by fuzzing: recovery refused what verify called sound
  Filled world;
  const std::string name = segment_name(0);
  std::string block = world.disk.content(name).substr(0, kSegmentHeaderBytes);
  SegmentHeader header = *decode_segment_header(as_bytes(block));
  header.epoch = 1;
  encode_segment_header(header, std::as_writable_bytes(std::span(block)));
  world.disk.corrupt(name, 0, block);
  EXPECT_TRUE(world.verify().damage.empty());
  const Position last = world.end;
  for (Position first = 0; first < last; first += 16 << 10) {
    block = world.disk.content(segment_name(first)).substr(0, kSegmentHeaderBytes);
    header = *decode_segment_header(as_bytes(block));
    header.epoch = 5;
    encode_segment_header(header, std::as_writable_bytes(std::span(block)));
    world.disk.corrupt(segment_name(first), 0, block);
  }
  EXPECT_FALSE(world.verify().damage.empty());
  EXPECT_FALSE(world.try_open().ok());
}

TEST(Inspect, TellsOfPiecesThatAreWholeInOneCopyOnly) {
  Filled world;
  const std::array<std::byte, 16> id = [&] {
    const auto catalog = read_catalog(world.disk);
    return catalog->active.front().store_id;
  }();
  testkit::LastingPieces lasting(100);
  SnapshotStore store(world.disk, id);
  ASSERT_TRUE(store.write(lasting.draft({.position = world.end - 8, .payload = std::string(100, 'a') + std::string(100, 'b') + "tables"})).ok());
  ASSERT_TRUE(world.disk.remove(snapshot_name(world.end)).ok());
  EXPECT_TRUE(world.verify().snapshots.at(0).ends_with(": valid"));
  for (const PieceCopy copy : {PieceCopy::First, PieceCopy::Second}) {
    const std::string name = piece_file_name(0, copy), sound = world.disk.content(name);
    world.disk.corrupt(name, 150, "x");
    EXPECT_TRUE(world.verify().snapshots.at(0).ends_with(": valid, but 1 of its pieces are whole in one of their two copies only"));
    world.disk.corrupt(name, 0, sound);
  }
}

}  // namespace
}  // namespace halfmoon::storage
