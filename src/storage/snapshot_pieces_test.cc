// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/crc.h"
#include "base/cursor.h"
#include "base/log.h"
#include "storage/snapshot_format.h"
#include "testkit/lasting_pieces.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::LastingPieces;
using testkit::SimDisk;

constexpr std::size_t kPiece = 1000;
constexpr std::array<std::byte, 16> kStore{std::byte{1}};

/// A piece's worth of bytes, another one for each n.
std::string block(int n) {
  std::string text;
  while (text.size() < kPiece) text += "block " + std::to_string(n) + " byte " + std::to_string(text.size()) + ", ";
  text.resize(kPiece);
  return text;
}

class SnapshotPieces : public ::testing::Test {
 protected:
  SnapshotPieces() {
    set_log_sink([this](LogLevel, std::string_view event, std::initializer_list<LogField>) { said_.emplace_back(event); });
  }
  ~SnapshotPieces() override { set_log_sink(text_log_sink()); }

  void restart() { store_.emplace(disk_, kStore); }
  Status write(Position position, const std::string& payload) { return store_->write(lasting_.draft({.position = position, .payload = payload})); }
  /// "at POSITION: PAYLOAD" of the newest that serves.
  std::string newest() {
    const auto snapshot = store_->newest(INT64_MAX);
    EXPECT_TRUE(snapshot.ok());
    if (!snapshot.ok() || !*snapshot) return "none";
    return "at " + std::to_string((*snapshot)->position) + ": " + std::string((*snapshot)->payload);
  }
  bool there(const std::string& name) {
    const auto names = disk_.list().value();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  void flip(const std::string& name, std::int64_t byte) {
    const std::string content = disk_.content(name);
    disk_.corrupt(name, byte, std::string(1, static_cast<char>(content[static_cast<std::size_t>(byte)] ^ 1)));
  }
  std::size_t piece_bytes() { return disk_.content(piece_file_name(0, PieceCopy::First)).size(); }

  SimDisk disk_;
  testkit::SeededRandom random_{1};
  LastingPieces lasting_{kPiece};
  std::optional<SnapshotStore> store_{std::in_place, disk_, kStore};
  std::vector<std::string> said_;
};

TEST_F(SnapshotPieces, AreWrittenOnceAndReadInTheirPlaces) {
  ASSERT_TRUE(write(8, block(1) + block(2) + "end").ok());
  const std::size_t first = piece_bytes();
  EXPECT_GE(first, 2 * kPiece);
  EXPECT_EQ(newest(), "at 8: " + block(1) + block(2) + "end");
  restart();
  ASSERT_TRUE(write(16, block(1)).ok());   // a new life does not know what the old one wrote
  const std::size_t second = piece_bytes();
  EXPECT_GT(second, first);
  ASSERT_TRUE(write(24, block(3) + block(1) + "more").ok());
  EXPECT_EQ(piece_bytes() - second, 4096 - second % 4096 + kPiece) << "behind whole blocks";
  EXPECT_EQ(store_->bytes_written(), 2 * kPiece + kSnapshotHeaderBytes + 2 * kPieceLineBytes + 4);
  ASSERT_TRUE(write(32, block(3) + block(1)).ok());
  EXPECT_EQ(store_->bytes_written(), kSnapshotHeaderBytes + 2 * kPieceLineBytes);
  EXPECT_EQ(newest(), "at 32: " + block(3) + block(1));
  EXPECT_TRUE(said_.empty());
}

TEST_F(SnapshotPieces, OfWhichOneComesTwice) {
  for (const Position position : {8, 16, 24}) {
    ASSERT_TRUE(write(position, block(1) + block(1) + block(2)).ok());
    EXPECT_EQ(newest(), "at " + std::to_string(position) + ": " + block(1) + block(1) + block(2));
  }
}

TEST_F(SnapshotPieces, WhoseOwnerIsGoneAreNoMoreKnown) {
  std::string memory = block(1);
  {
    const auto owner = std::make_shared<int>(0);
    SnapshotDraft draft(8);
    draft.refer_lasting(owner, as_bytes(memory));
    ASSERT_TRUE(store_->write(draft).ok());
  }
  memory = block(2);
  SnapshotDraft draft(16);
  draft.refer_lasting(std::make_shared<int>(0), as_bytes(memory));
  ASSERT_TRUE(store_->write(draft).ok());
  EXPECT_EQ(newest(), "at 16: " + block(2));
}

TEST_F(SnapshotPieces, AreReadFromTheirSecondCopyWhereTheFirstIsDamagedOrMissing) {
  const std::string payload = block(1) + "between" + block(2);
  SnapshotDraft draft(8);
  std::vector<std::shared_ptr<const std::string>> owners{std::make_shared<const std::string>(block(1)), std::make_shared<const std::string>(block(2))};
  draft.refer_lasting(owners[0], as_bytes(*owners[0]));
  draft.take("between");
  draft.refer_lasting(owners[1], as_bytes(*owners[1]));
  ASSERT_TRUE(store_->write(draft).ok());
  const std::string first = piece_file_name(0, PieceCopy::First), second = piece_file_name(0, PieceCopy::Second);
  for (const std::string& name : {first, second}) {
    for (std::int64_t byte = 0; byte < static_cast<std::int64_t>(2 * kPiece); byte += 97) {
      said_.clear();
      flip(name, byte);
      EXPECT_EQ(newest(), "at 8: " + payload) << byte;
      EXPECT_EQ(said_, name == first ? std::vector<std::string>{"snapshot.other_copy_served"} : std::vector<std::string>{});
      flip(name, byte);
    }
  }
  disk_.fail({.call = SimDisk::Call::Read, .nth = 5});   // header, its second part, list, rest; then the first piece
  EXPECT_EQ(newest(), "at 8: " + payload);
  ASSERT_TRUE(disk_.remove(first).ok());
  EXPECT_EQ(newest(), "at 8: " + payload);
  flip(second, 5);
  EXPECT_EQ(newest(), "none");
  said_.clear();
  ASSERT_TRUE(disk_.remove(second).ok());
  EXPECT_EQ(newest(), "none");
  EXPECT_EQ(said_, std::vector<std::string>{"snapshot.skipped"}) << "a missing file is no failing disk";
}

TEST_F(SnapshotPieces, OfTheOlderSnapshotServeWhenTheNewerOnesAreGone) {
  ASSERT_TRUE(write(8, block(1)).ok());
  ASSERT_TRUE(write(16, block(1) + block(2)).ok());
  for (const PieceCopy copy : {PieceCopy::First, PieceCopy::Second}) flip(piece_file_name(0, copy), static_cast<std::int64_t>(piece_bytes()) - 1);
  EXPECT_EQ(newest(), "at 8: " + block(1));
  // What is written next stands behind the damage, and the older one stays beside it.
  ASSERT_TRUE(write(24, block(3)).ok());
  EXPECT_EQ(newest(), "at 24: " + block(3));
  ASSERT_TRUE(disk_.remove(snapshot_name(24)).ok());
  EXPECT_EQ(newest(), "at 8: " + block(1));
}

TEST_F(SnapshotPieces, AnyFlippedByteOfTheListIsNoticed) {
  ASSERT_TRUE(write(8, block(1) + "older").ok());
  ASSERT_TRUE(write(16, block(1) + block(2) + "newer").ok());
  const auto size = static_cast<std::int64_t>(disk_.content(snapshot_name(16)).size());
  for (std::int64_t byte = 0; byte < size; byte++) {
    SCOPED_TRACE(byte);
    flip(snapshot_name(16), byte);
    EXPECT_EQ(newest(), "at 8: " + block(1) + "older");
    flip(snapshot_name(16), byte);
  }
}

TEST_F(SnapshotPieces, TheirFilesGoWithTheLastSnapshotThatNamesThem) {
  ASSERT_TRUE(write(8, block(1)).ok());
  ASSERT_TRUE(disk_.remove(piece_file_name(0, PieceCopy::Second)).ok());   // half a pair is not gone on with
  restart();
  ASSERT_TRUE(write(16, block(2)).ok());
  EXPECT_TRUE(there(piece_file_name(0, PieceCopy::First)));
  EXPECT_TRUE(there(piece_file_name(1, PieceCopy::First)));
  EXPECT_TRUE(there(piece_file_name(1, PieceCopy::Second)));
  ASSERT_TRUE(write(24, block(2)).ok());
  EXPECT_FALSE(there(piece_file_name(0, PieceCopy::First)));
  EXPECT_EQ(newest(), "at 24: " + block(2));
}

TEST_F(SnapshotPieces, NoFileGoesWhileAnOlderSnapshotCannotBeRead) {
  ASSERT_TRUE(write(8, block(1)).ok());
  ASSERT_TRUE(disk_.remove(piece_file_name(0, PieceCopy::Second)).ok());
  restart();
  std::string struck;
  disk_.watch([&](const SimDisk::Visit& visit) {
    if (visit.struck) struck = visit.file;
  });
  disk_.fail({.call = SimDisk::Call::Size, .nth = 2});   // of the piece file that might go on, and of the older snapshot, whose head is read
  ASSERT_TRUE(write(16, block(2)).ok());
  EXPECT_EQ(struck, snapshot_name(8));
  ASSERT_TRUE(disk_.remove(snapshot_name(16)).ok());
  EXPECT_EQ(newest(), "at 8: " + block(1));
}

TEST_F(SnapshotPieces, OfAFullDiskNothingIsTaken) {
  ASSERT_TRUE(write(8, block(1)).ok());
  const auto used = [&] {
    std::size_t bytes = 0;
    const auto names = disk_.list().value();
    for (const std::string& name : names) bytes += disk_.content(name).size();
    return bytes;
  };
  std::string large;
  for (int i = 0; i < 50; i++) large += block(100 + i);
  for (std::size_t room = 0; room < 110'000; room += 5'000) {
    SCOPED_TRACE(room);
    const std::size_t before = used();
    disk_.set_capacity(static_cast<std::int64_t>(before + room));
    const Status written = write(16, large);
    disk_.set_capacity(1 << 30);
    if (written.ok()) break;
    EXPECT_EQ(written.error().code, ErrorCode::DiskFull);
    EXPECT_FALSE(store_->disk_failed());
    EXPECT_LE(used(), before + large.size() + 8192) << "of the second copy, or of the snapshot, that did not fit, nothing is left";
    EXPECT_EQ(newest(), "at 8: " + block(1));
  }
  ASSERT_TRUE(write(24, large).ok());
  EXPECT_EQ(newest(), "at 24: " + large);
}

TEST_F(SnapshotPieces, AFailedWriteOrSyncIsRememberedAndOtherFailuresAreNot) {
  for (const auto call : {SimDisk::Call::Write, SimDisk::Call::Sync, SimDisk::Call::Open, SimDisk::Call::Allocate, SimDisk::Call::List}) {
    SimDisk disk;
    SnapshotStore store(disk, kStore);
    disk.fail({.call = call, .nth = 1});
    EXPECT_EQ(store.write(lasting_.draft({.position = 8, .payload = block(1)})).error().code, ErrorCode::Io);
    EXPECT_EQ(store.disk_failed(), call == SimDisk::Call::Write || call == SimDisk::Call::Sync);
    EXPECT_TRUE(store.write(lasting_.draft({.position = 16, .payload = block(1)})).ok());
  }
}

TEST_F(SnapshotPieces, WhateverFailsTheOlderOneServes) {
  for (std::int64_t k = 1; k < 40; k++) {
    for (const auto loss : {SimDisk::Loss::Nothing, SimDisk::Loss::Everything, SimDisk::Loss::RandomSectors}) {
      SCOPED_TRACE(k);
      SimDisk disk;
      SnapshotStore store(disk, kStore);
      LastingPieces lasting(kPiece);
      const std::string older = block(1) + block(2) + "older", newer = block(1) + block(3) + block(4) + "newer";
      ASSERT_TRUE(store.write(lasting.draft({.position = 8, .payload = older})).ok());
      disk.fail({.call = {}, .nth = k, .bytes_done = 10, .repeat = SimDisk::Fault::Repeat::Forever});
      const bool written = store.write(lasting.draft({.position = 16, .payload = newer})).ok();
      disk.crash(loss, random_);
      SnapshotStore next(disk, kStore);
      const auto found = next.newest(INT64_MAX);
      ASSERT_TRUE(found.ok() && *found);
      EXPECT_TRUE(!written || (*found)->position == 16);
      EXPECT_EQ((*found)->payload, (*found)->position == 16 ? newer : older);
      ASSERT_TRUE(next.write(lasting.draft({.position = 24, .payload = newer + "and more"})).ok());
      EXPECT_EQ((*next.newest(INT64_MAX))->payload, newer + "and more");
    }
  }
}

TEST_F(SnapshotPieces, ThatWereReadIntoLargeMemoryAreNotWrittenAgain) {
  constexpr std::size_t kLarge = 1 << 20;
  std::string payload;
  for (int i = 0; payload.size() < 5 * kLarge + 77; i++) payload += "number " + std::to_string(i) + "\n";
  LastingPieces lasting(kLarge);
  ASSERT_TRUE(store_->write(lasting.draft({.position = 8, .payload = payload})).ok());
  restart();
  const auto loaded = std::move(*store_->newest(INT64_MAX));
  ASSERT_TRUE(loaded && loaded->memory->mapped());
  SnapshotDraft next(16);
  for (std::size_t at = 0; at < 5 * kLarge; at += kLarge)
    next.refer_lasting(LargeMemory::piece(loaded->memory, loaded->memory->bytes().subspan(at, kLarge)), loaded->memory->bytes().subspan(at, kLarge));
  next.take("another end");
  ASSERT_TRUE(store_->write(next).ok());
  EXPECT_LT(store_->bytes_written(), 1000U);
  EXPECT_EQ(newest(), "at 16: " + payload.substr(0, 5 * kLarge) + "another end");
}

TEST_F(SnapshotPieces, AFileIsLeftForTheNextWhenItIsFull) {
  constexpr std::size_t kLarge = 40 << 20;
  LastingPieces lasting(kLarge);
  const std::string payload = std::string(kLarge, 'a') + std::string(kLarge, 'b') + std::string(kLarge, 'c');
  ASSERT_TRUE(store_->write(lasting.draft({.position = 8, .payload = payload})).ok());
  EXPECT_TRUE(there(piece_file_name(1, PieceCopy::Second)));
  EXPECT_FALSE(there(piece_file_name(2, PieceCopy::First)));
  EXPECT_TRUE(newest() == "at 8: " + payload);
}

TEST_F(SnapshotPieces, ASnapshotOfAnEarlierBuildIsRead) {
  const std::string payload = "as it was";
  std::string file = "HMSNAPSH", checked;
  Writer rest(checked);
  rest.text(as_text(kStore));
  rest.le(Position{64});
  rest.le(static_cast<std::uint64_t>(payload.size()));
  rest.text(payload);
  Writer writer(file);
  writer.le(std::uint32_t{1});
  writer.le(crc32c(as_bytes(checked)));
  writer.text(checked);
  const auto out = disk_.open(snapshot_name(64), OpenMode::CreateNew, Caching::Cached);
  ASSERT_TRUE((*out)->write_at(0, as_bytes(file)).ok());
  EXPECT_EQ(newest(), "at 64: as it was");
  for (std::int64_t byte = 0; byte < static_cast<std::int64_t>(file.size()); byte++) {
    flip(snapshot_name(64), byte);
    EXPECT_EQ(newest(), "none") << byte;
    flip(snapshot_name(64), byte);
  }
}

TEST_F(SnapshotPieces, OtherFilesAreNoPieceFiles) {
  for (const char* name : {"pieces-", "pieces-1", "pieces-000000000x", "pieces-9999999999", "pieces-0000000001.cop", "pieces-00000000010"}) EXPECT_FALSE(piece_file_number(name)) << name;
  EXPECT_EQ(piece_file_number("pieces-0000000012"), 12U);
  EXPECT_EQ(piece_file_number("pieces-0000000012.copy"), 12U);
}

}  // namespace
}  // namespace halfmoon::storage
