// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "storage/inspect.h"
#include "storage/log.h"
#include "storage/segment.h"
#include "storage/snapshot_store.h"
#include "storage/tail_file.h"
#include "testkit/lasting_pieces.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

/// For tests only: a store over a disk with faults, which knows what it owes, and short scenarios of its life (disk_faults_test.cc).
namespace halfmoon::testkit::faults {

using namespace storage;
using Call = SimDisk::Call;
using Loss = SimDisk::Loss;
using Repeat = SimDisk::Fault::Repeat;

inline constexpr std::int64_t kSegment = 32 << 10, kFirstSegment = 8 << 10;

/// Faults are expected here: their log lines would bury what matters.
class Quiet {
 public:
  Quiet() { set_log_sink([](LogLevel, std::string_view, std::initializer_list<LogField>) {}); }
  ~Quiet() { set_log_sink(text_log_sink()); }
};

/// Log and snapshots as the broker uses them, and what was appended and acknowledged.
class Store {
 public:
  SimDisk disk;
  SeededRandom random{7};
  LogOptions options{.safety = Safety::Durable, .segment_bytes = kSegment, .first_segment_bytes = kFirstSegment, .ring_bytes = 64 << 10};
  std::unique_ptr<Log> log;
  std::unique_ptr<SnapshotStore> snapshots;
  bool snapshot_struck = false;   // a fault met the reading of one
  Status in_turns{Done{}};        // what came of appending while a segment is prepared

  Status open() {
    log.reset();
    recovered_.clear();
    HM_TRY(auto, opened, Log::open(disk, random, options));
    snapshots = std::make_unique<SnapshotStore>(disk, opened->store_id());
    HM_TRY(const auto, snapshot, snapshots->newest(INT64_MAX));
    snapshot_found_ = snapshot ? snapshot->position : kNoPosition;
    if (snapshot) {
      EXPECT_EQ(snapshot->payload, state_at(snapshot->position));
    }
    HM_TRY(const auto, report, opened->recover(opened->first_position(), [&](const RecordView& record, std::int64_t) -> Status {
      recovered_.emplace_back(record.position, std::string(as_text(record.payload)));
      return Done{};
    }));
    static_cast<void>(report);
    log = std::move(opened);
    check_owed();
    return Done{};
  }
  /// One batch of two records.
  Status append(std::size_t bytes) {
    const std::string payload(bytes, static_cast<char>('a' + owed_.size() % 26));
    if (!log->room_for(static_cast<std::int64_t>(2 * bytes), 2)) return log->refusal();
    for (int i = 0; i < 2; i++) {
      const auto room = log->reserve(RecordType::Message, static_cast<std::uint32_t>(bytes), Claim::OnReserve);
      if (!room.ok()) return room.error();
      std::memcpy(room->payload.data(), payload.data(), bytes);
      log->finish();
      owed_.push_back({room->position, payload, batch_});
    }
    batch_++;
    log->close_batch(1000);
    note_safe();
    return Done{};
  }
  Status flush() { return acknowledge(log->flush()); }
  Status write_out() { return acknowledge(log->write_out()); }
  Status sync_written() { return acknowledge(log->sync_written()); }
  Status append_and_flush(std::size_t bytes) {
    HM_TRY_STATUS(append(bytes));
    return flush();
  }
  Status fill(std::size_t segments) {
    while (log->segments().size() < segments) HM_TRY_STATUS(append_and_flush(1500));
    return Done{};
  }
  Status snapshot() {
    const Position position = log->durable();
    HM_TRY_STATUS(snapshots->write(lasting_.draft({.position = position, .payload = state_at(position)})));
    snapshot_written_ = std::max(snapshot_written_, position);
    return Done{};
  }
  Status drop(std::size_t segments) {
    const auto all = log->segments();
    if (all.size() <= segments) return Done{};
    dropped_ = all[segments].first;
    return log->drop_before(dropped_);
  }
  Status read_all() {
    ReadBuffer buffer;
    for (const Owed& owed : owed_) {
      if (owed.at < log->first_position()) continue;
      HM_TRY(const RecordView, record, log->read(owed.at, buffer));
      EXPECT_EQ(as_text(record.payload), owed.payload);
    }
    return Done{};
  }

  /// The process or the machine ends.
  void crash(Loss loss, std::uint64_t seed) {
    log.reset();
    power_failed_ = power_failed_ || loss != Loss::Nothing;
    SeededRandom dice(seed);
    disk.crash(loss, dice);
  }
  /// A restart finds all that is owed, goes on, and another one finds that too.
  void check_restart() {
    for (int twice = 0; twice < 2; twice++) {
      const Status opened = open();
      ASSERT_TRUE(opened.ok()) << opened.error().text;
      if (::testing::Test::HasFailure()) return;
      const Status more = append_and_flush(500);
      ASSERT_TRUE(more.ok()) << more.error().text;
      const Status seen = snapshot();
      ASSERT_TRUE(seen.ok()) << seen.error().text;
      crash(Loss::Everything, 1);
    }
  }

 private:
  struct Owed {
    Position at = 0;
    std::string payload;
    std::int64_t batch = 0;
  };

  /// Its beginning is always the same, the rest another one each time.
  static std::string state_at(Position position) {
    std::string state;
    while (state.size() < 12000) state += "line " + std::to_string(state.size()) + (state.size() < 8000 ? "\n" : " at " + std::to_string(position) + "\n");
    return state;
  }
  void note_safe() {
    handed_over_ = std::max(handed_over_, log->safe());
    durable_ = std::max(durable_, log->durable());
  }
  /// A failed write or sync of the log: nothing is acknowledged any more, and nobody is told otherwise.
  Status acknowledge(const Result<Position>& done) {
    if (done.ok()) {
      note_safe();
      return Done{};
    }
    EXPECT_EQ(done.error().code, ErrorCode::Io);
    EXPECT_TRUE(log->poisoned());
    power_failed_ = true;  // a failed sync may lose what power would lose
    const Position before = log->durable();
    EXPECT_FALSE(log->flush().ok());
    EXPECT_FALSE(log->write_out().ok());
    EXPECT_FALSE(log->room_for(1, 1));
    EXPECT_EQ(log->durable(), before);
    return done.error();
  }
  void check_owed() {
    const Position first = log->first_position();
    EXPECT_LE(first, dropped_);
    std::erase_if(owed_, [&](const Owed& owed) { return owed.at < first; });
    const Position promised = power_failed_ ? durable_ : handed_over_;
    ASSERT_LE(recovered_.size(), owed_.size());
    for (std::size_t i = 0; i < recovered_.size(); i++) {
      ASSERT_EQ(recovered_[i].first, owed_[i].at);
      ASSERT_EQ(recovered_[i].second, owed_[i].payload);
    }
    for (std::size_t i = recovered_.size(); i < owed_.size(); i++) ASSERT_GE(owed_[i].at, promised) << "an acknowledged record is gone";
    const std::size_t n = recovered_.size();
    ASSERT_TRUE(n == 0 || n == owed_.size() || owed_[n - 1].batch != owed_[n].batch) << "half a batch came back";
    // One that cannot be read is skipped: an older one or the log alone serves.
    if (!snapshot_struck) {
      EXPECT_GE(snapshot_found_, snapshot_written_);
    }
    snapshot_struck = false;
    owed_.resize(n);
    handed_over_ = durable_ = log->end();
    power_failed_ = false;
  }

  testkit::LastingPieces lasting_{4096};
  std::vector<Owed> owed_;
  std::vector<std::pair<Position, std::string>> recovered_;
  std::int64_t batch_ = 0;
  Position durable_ = 0, handed_over_ = 0;     // what was said to be safe against the loss of power, against the end of the process
  Position snapshot_written_ = kNoPosition, snapshot_found_ = kNoPosition;
  Position dropped_ = 0;
  bool power_failed_ = false;
};

}  // namespace halfmoon::testkit::faults
