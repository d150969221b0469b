// SPDX-License-Identifier: Apache-2.0
#include "storage/zeroing.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SimDisk;
using Call = SimDisk::Call;

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kBytes = 5 * kMiB + 4096;

/// A file full of what is not zero, and what a preparation does with it.
struct World {
  SimDisk disk;
  std::unique_ptr<File> file;
  Zeroing zeroing;
  std::int64_t wanted = 0;
  bool hurry = false;
  int pauses = 0;
  std::function<void()> in_pause = [] {};

  World() {
    auto opened = disk.open("file", OpenMode::CreateNew, Caching::Direct);
    HM_CHECK(opened.ok());
    file = std::move(opened).value();
    AlignedBuffer other(kBytes);
    std::memset(other.data(), 0x5a, static_cast<std::size_t>(kBytes));
    HM_CHECK(file->write_at(0, other.first(kBytes)).ok() && file->sync().ok() && disk.sync_directory().ok());
    writes_before = disk.calls(Call::Write);
  }
  Status fill() {
    return zeroing.fill(*file, kBytes, {.wanted = [this] { return wanted; }, .hurry = [this] { return hurry; }, .pause = [this] {
                                          pauses++;
                                          HM_CHECK(pauses < 1000);
                                          in_pause();
                                        }});
  }
  /// What a sync makes durable now.
  bool all_zero() {
    return file->sync().ok() && disk.image().at("file") == std::string(static_cast<std::size_t>(kBytes), '\0');
  }
  std::int64_t written() const { return disk.calls(Call::Write) - writes_before; }
  std::int64_t begun() const { return disk.calls(Call::BeginWrite); }
  std::int64_t writes_before = 0;
};

TEST(Zeroing, WhereNothingIsFlushedItWritesAndPauses) {
  World world;
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.written(), 6);
  EXPECT_EQ(world.pauses, 6);  // the first to see whether anything is flushed
  EXPECT_EQ(world.begun(), 0);
}

TEST(Zeroing, TheFlusherBeginsThePieces) {
  World world;
  world.wanted = kBytes;
  world.in_pause = [&] { world.zeroing.flushed(); };
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.begun(), 6);
  EXPECT_EQ(world.written(), 0);
}

TEST(Zeroing, OnePieceAtATimeAndTheLastIsWaitedFor) {
  World world;
  world.disk.delay_begun_writes(5);
  world.wanted = kBytes;
  world.in_pause = [&] { world.zeroing.flushed(); };
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.begun(), 6);
  EXPECT_EQ(world.disk.calls(Call::EndWrite), 6);
}

TEST(Zeroing, TheFlusherKeepsALittleAheadOfWhatIsWanted) {
  World world;
  world.in_pause = [&] {
    world.zeroing.flushed();
    if (world.pauses == 20) world.wanted = kMiB + (40 << 10);
    if (world.pauses == 40) world.wanted = kMiB + (70 << 10);
    if (world.pauses == 60) world.wanted = kBytes;
    if (world.pauses == 19) { EXPECT_EQ(world.begun(), 2); }   // two MiB ahead
    if (world.pauses == 39) { EXPECT_EQ(world.begun(), 3); }   // 40 KiB more are not worth a write
    if (world.pauses == 59) { EXPECT_EQ(world.begun(), 4); }
  };
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.written(), 0);
}

TEST(Zeroing, WhenTheFlushesStopItGoesOnItself) {
  World world;
  world.wanted = kBytes;
  world.in_pause = [&] {
    if (world.pauses <= 2) world.zeroing.flushed();
  };
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.begun(), 2);
  EXPECT_EQ(world.written(), 4);
}

TEST(Zeroing, WhereNoWriteCanBeBegunItWritesBesideTheFlushes) {
  World world;
  world.disk.support_begun_writes(false);
  world.in_pause = [&] { world.zeroing.flushed(); };
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.written(), 6);
}

TEST(Zeroing, WhoeverWaitsIsNotKeptByPauses) {
  World world;
  world.disk.delay_begun_writes(1000000);   // ends when it is waited for
  world.wanted = kBytes;
  world.in_pause = [&] {
    world.zeroing.flushed();
    world.hurry = world.pauses == 3;
  };
  ASSERT_TRUE(world.fill().ok());
  EXPECT_TRUE(world.all_zero());
  EXPECT_EQ(world.pauses, 3);
  EXPECT_EQ(world.begun(), 1);
  EXPECT_EQ(world.written(), 5);
}

TEST(Zeroing, AnErrorOfABegunPieceIsReturned) {
  for (const Call call : {Call::BeginWrite, Call::EndWrite}) {
    for (const std::int64_t nth : {1, 3, 6}) {
      World world;
      world.wanted = kBytes;
      world.in_pause = [&] { world.zeroing.flushed(); };
      world.disk.fail({.call = call, .nth = nth});
      const Status done = world.fill();
      ASSERT_FALSE(done.ok());
      EXPECT_EQ(done.error().code, ErrorCode::Io);
      world.zeroing.flushed();   // nothing is filled any more: touches nothing
      EXPECT_EQ(world.begun(), nth);
    }
  }
}

TEST(Zeroing, IsUsedAgain) {
  World world;
  for (int i = 0; i < 2; i++) {
    world.disk.fail({.call = Call::BeginWrite, .nth = i == 0 ? 2 : 100});
    world.wanted = kBytes;
    world.in_pause = [&] { world.zeroing.flushed(); };
    EXPECT_EQ(world.fill().ok(), i == 1);
  }
  EXPECT_TRUE(world.all_zero());
}

}  // namespace
}  // namespace halfmoon::storage
