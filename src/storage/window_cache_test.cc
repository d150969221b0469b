// SPDX-License-Identifier: Apache-2.0
// Windows of a segment's file: on the real disk, where they are read ahead by the kernel, and on the simulated one, where reads fail on demand.
#include "storage/window_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "storage/aligned_buffer.h"
#include "storage/posix_disk.h"
#include "storage/segment.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

namespace fs = std::filesystem;
using testkit::SeededRandom;
using testkit::SimDisk;

constexpr std::int64_t kFileBytes = 48 << 20;   // more than the cache keeps

std::byte byte_at(Position position) { return static_cast<std::byte>((position >> 3) * 2654435761u >> 13); }

/// A file whose bytes are known from their positions.
std::shared_ptr<File> fill(Disk& disk, std::int64_t bytes) {
  auto file = disk.open("some.seg", OpenMode::CreateNew, Caching::Direct);
  HM_CHECK(file.ok());
  AlignedBuffer block(1 << 20);
  for (Position at = 0; at < bytes; at += block.capacity()) {
    for (std::int64_t i = 0; i < block.capacity(); i++) block.data()[i] = byte_at(at + i);
    HM_CHECK((*file)->write_at(kSegmentHeaderBytes + at, block.first(std::min(block.capacity(), bytes - at))).ok());
  }
  return std::shared_ptr<File>(std::move(*file));
}

void expect_right(const WindowCache::Pin& pin, Position position, std::int64_t bytes) {
  const Bytes part = pin.from(position, bytes);
  ASSERT_FALSE(part.empty()) << position;
  for (std::size_t i = 0; i < part.size(); i += 61) ASSERT_EQ(part[i], byte_at(position + static_cast<Position>(i))) << position << " + " << i;
}

class WindowCacheOnDisk : public ::testing::Test {
 protected:
  WindowCacheOnDisk() {
    std::string pattern = (fs::temp_directory_path() / "halfmoon-XXXXXX").string();
    HM_CHECK(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    auto disk = open_posix_disk(pattern + "/store");
    HM_CHECK(disk.ok());
    disk_ = std::move(*disk);
  }
  ~WindowCacheOnDisk() override { fs::remove_all(root_); }

  fs::path root_;
  std::unique_ptr<Disk> disk_;
  std::atomic<std::int64_t> reads_{0};
};

TEST_F(WindowCacheOnDisk, ReadingInOrderIsReadAheadFor) {
  const auto file = fill(*disk_, kFileBytes);
  WindowCache cache(reads_);
  const WindowCache::Source source{.file = file, .first = 0, .limit = kFileBytes};
  for (Position at = 0; at < kFileBytes; at += 4000) {
    const auto pin = cache.at(at, source);
    ASSERT_TRUE(pin.ok()) << pin.error().text;
    expect_right(*pin, at, 4000);
  }
  EXPECT_LT(reads_, kFileBytes / WindowCache::kBytesMax + 8);  // each megabyte once; 64, 128, 256 and 512 KiB before
}

TEST_F(WindowCacheOnDisk, JumpsBringWhatWasAskedFor) {
  const auto file = fill(*disk_, kFileBytes);
  WindowCache cache(reads_);
  const WindowCache::Source source{.file = file, .first = 0, .limit = kFileBytes - 100};
  const auto jump = [&](std::uint64_t seed) {
    SeededRandom random(seed);
    for (int i = 0; i < 600; i++) {
      Position at = static_cast<Position>(random.below(static_cast<std::uint64_t>(source.limit)));
      for (std::int64_t run = random.one_in(4) ? 300'000 : 1; run > 0 && at < source.limit; run -= 30'000, at += 30'000) {
        const auto pin = cache.at(at, source);
        ASSERT_TRUE(pin.ok()) << pin.error().text;
        expect_right(*pin, at, 30'000);
        EXPECT_FALSE(pin->holds(cache, at, source.limit - at + 1));
      }
    }
  };
  std::thread other(jump, 2);
  jump(1);
  other.join();
}

TEST_F(WindowCacheOnDisk, WhatIsPinnedStaysAsItIs) {
  const auto file = fill(*disk_, kFileBytes);
  const WindowCache::Source source{.file = file, .first = 0, .limit = kFileBytes};
  std::vector<WindowCache::Pin> pins;
  {
    WindowCache cache(reads_);
    for (Position at = 0; at < kFileBytes; at += 1 << 20) pins.push_back(std::move(*cache.at(at, source)));   // more than kWindows
    for (Position at = 500; at < kFileBytes; at += 100'000) ASSERT_TRUE(cache.at(at, source).ok());
    for (std::size_t i = 0; i < pins.size(); i++) expect_right(pins[i], static_cast<Position>(i) << 20, 60'000);
    pins.erase(pins.begin(), pins.end() - 1);
  }
  expect_right(pins.back(), kFileBytes - (1 << 20), 60'000);  // and after the cache is gone
  const WindowCache another(reads_);
  EXPECT_FALSE(pins.back().holds(another, kFileBytes - (1 << 20), 1));
}

TEST_F(WindowCacheOnDisk, WhatWasAskedForAheadMayNeverBeLookedInto) {
  const auto file = fill(*disk_, kFileBytes);
  for (int i = 0; i < 20; i++) {
    WindowCache cache(reads_);
    const WindowCache::Source source{.file = file, .first = 0, .limit = kFileBytes};
    for (Position at = 0; at < 3 << 20; at += 50'000) ASSERT_TRUE(cache.at(at, source).ok());
  }  // the memory goes while the disk is reading: waited for
}

/// A file whose reads that were begun do not end before they may.
class SlowFile final : public File {
 public:
  explicit SlowFile(std::shared_ptr<File> file) : file_(std::move(file)) {}
  bool may_end = false;

  Result<std::size_t> read_at(std::int64_t at, MutableBytes out) override { return file_->read_at(at, out); }
  Status write_at(std::int64_t at, Bytes bytes) override { return file_->write_at(at, bytes); }
  Status write_at(std::int64_t at, Bytes first, Bytes second) override { return file_->write_at(at, first, second); }
  Status sync() override { return file_->sync(); }
  Status allocate(std::int64_t bytes) override { return file_->allocate(bytes); }
  Result<std::int64_t> size() override { return file_->size(); }
  bool direct() const override { return file_->direct(); }
  std::unique_ptr<PendingRead> begin_read(std::int64_t at, MutableBytes out) override { return std::make_unique<Slow>(*this, at, out); }

 private:
  class Slow final : public PendingRead {
   public:
    Slow(SlowFile& file, std::int64_t at, MutableBytes out) : file_(file), at_(at), out_(out) {}
    Result<std::size_t> wait() override {
      HM_CHECK(file_.may_end);   // it would keep everybody waiting
      return file_.read_at(at_, out_);
    }
    bool there(std::int64_t) override { return file_.may_end; }

   private:
    SlowFile& file_;
    const std::int64_t at_;
    const MutableBytes out_;
  };
  const std::shared_ptr<File> file_;
};

TEST_F(WindowCacheOnDisk, WhoHasNoPatienceIsToldAndFindsItLater) {
  const auto slow = std::make_shared<SlowFile>(fill(*disk_, 1 << 20));
  const std::shared_ptr<File> file = slow;
  WindowCache cache(reads_);
  const WindowCache::Source source{.file = file, .first = 0, .limit = 1 << 20};
  for (const std::int64_t patience_ns : {0, 1000, 0}) {
    const auto pin = cache.at(5000, source, patience_ns);
    ASSERT_FALSE(pin.ok());
    EXPECT_EQ(pin.error().code, ErrorCode::Busy);
  }
  EXPECT_EQ(reads_, 1);
  slow->may_end = true;
  const auto pin = cache.at(5000, source, 0);
  ASSERT_TRUE(pin.ok());
  expect_right(*pin, 5000, 10'000);
  EXPECT_EQ(reads_, 1);
}

TEST_F(WindowCacheOnDisk, WhileTheDiskOwesManyWindowsNobodyWaitsForOneToBeFree) {
  const auto slow = std::make_shared<SlowFile>(fill(*disk_, kFileBytes));
  const std::shared_ptr<File> file = slow;
  WindowCache cache(reads_);
  const WindowCache::Source source{.file = file, .first = 0, .limit = kFileBytes};
  constexpr auto kMany = static_cast<std::int64_t>(2 * WindowCache::kWindows);
  const auto place = [](std::int64_t i) { return (i * 29 % kMany) * (512 << 10); };   // jumps: nothing is read ahead
  for (std::int64_t i = 0; i < kMany; i++) EXPECT_EQ(cache.at(place(i), source, 0).error().code, ErrorCode::Busy);
  EXPECT_EQ(reads_, kMany);
  slow->may_end = true;
  for (std::int64_t i = 0; i < kMany; i++) {
    const auto pin = cache.at(place(i), source, 0);
    ASSERT_TRUE(pin.ok());
    expect_right(*pin, place(i), 1000);
  }
  EXPECT_EQ(reads_, kMany);   // all were kept
}

TEST_F(WindowCacheOnDisk, PatienceIsWithTheRealDiskToo) {
  const auto file = fill(*disk_, 8 << 20);
  WindowCache cache(reads_);
  const WindowCache::Source source{.file = file, .first = 0, .limit = 8 << 20};
  for (Position at = 0; at < 8 << 20; at += 300'000) {
    auto pin = cache.at(at, source, 0);
    for (int i = 0; i < 100'000 && !pin.ok() && pin.error().code == ErrorCode::Busy; i++) pin = cache.at(at, source, 100'000);
    ASSERT_TRUE(pin.ok());
    expect_right(*pin, at, 10'000);
  }
}

TEST_F(WindowCacheOnDisk, AFileThatEndsEarlyGivesWhatThereIs) {
  const auto file = fill(*disk_, 1 << 20);
  WindowCache cache(reads_);
  const WindowCache::Source source{.file = file, .first = 0, .limit = 8 << 20};
  for (Position at = 0; at < 1 << 20; at += 10'000) {
    const auto pin = cache.at(at, source);
    ASSERT_TRUE(pin.ok());
    expect_right(*pin, at, 10'000);
  }
  const auto behind = cache.at((1 << 20) + 5000, source);
  ASSERT_TRUE(behind.ok());
  EXPECT_FALSE(behind->holds(cache, (1 << 20) + 5000, 1));
  EXPECT_TRUE(behind->from((1 << 20) + 5000, 10).empty());
}

TEST(WindowCacheTest, AReadThatFailsIsToldAndDoneAgain) {
  SimDisk disk;
  const auto file = fill(disk, 8 << 20);
  const WindowCache::Source source{.file = file, .first = 0, .limit = 8 << 20};
  std::atomic<std::int64_t> reads{0};
  for (int nth = 1; nth <= 10; nth++) {
    WindowCache cache(reads);
    disk.fail({.call = SimDisk::Call::Read, .nth = nth});
    int told = 0;
    for (Position at = 0; at < 8 << 20;) {
      const auto pin = cache.at(at, source);
      if (pin.ok()) {
        expect_right(*pin, at, 5000);
        at += 5000;
      } else {
        EXPECT_EQ(pin.error().code, ErrorCode::Io);
        told++;
      }
    }
    EXPECT_EQ(told, 1) << nth;  // also when it had been asked for ahead
    disk.heal();
  }
}

TEST(WindowCacheTest, WhatIsForgottenIsReadAgain) {
  SimDisk disk;
  const auto file = fill(disk, 1 << 20);
  const WindowCache::Source source{.file = file, .first = 0, .limit = 1 << 20};
  std::atomic<std::int64_t> reads{0};
  WindowCache cache(reads);
  ASSERT_TRUE(cache.at(100, source).ok());
  ASSERT_TRUE(cache.at(200, source).ok());
  EXPECT_EQ(reads, 1);
  cache.forget(150, 160);
  ASSERT_TRUE(cache.at(200, source).ok());
  EXPECT_EQ(reads, 2);
}

}  // namespace
}  // namespace halfmoon::storage
