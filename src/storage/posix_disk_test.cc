// SPDX-License-Identifier: Apache-2.0
// The real disk, in a temporary directory.
#include "storage/posix_disk.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "storage/aligned_buffer.h"
#include "storage/log.h"
#include "testkit/seeded_random.h"

namespace halfmoon::storage {
namespace {

namespace fs = std::filesystem;

class PosixDiskTest : public ::testing::Test {
 protected:
  PosixDiskTest() {
    std::string pattern = (fs::temp_directory_path() / "halfmoon-XXXXXX").string();
    HM_CHECK(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    store_ = (root_ / "a" / "store").string();
  }
  ~PosixDiskTest() override { fs::remove_all(root_); }

  std::unique_ptr<Disk> open() {
    auto disk = open_posix_disk(store_);
    EXPECT_TRUE(disk.ok()) << disk.error().text;
    return disk.ok() ? std::move(disk).value() : nullptr;
  }
  static void put(const fs::path& path, std::string_view text) { std::ofstream(path) << text; }

  fs::path root_;
  std::string store_;
};

TEST_F(PosixDiskTest, AMissingDirectoryIsCreated) {
  const auto disk = open();
  ASSERT_TRUE(disk);
  struct stat info {};
  ASSERT_EQ(::stat(store_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u & ~0750u, 0u);
  EXPECT_TRUE(fs::exists(store_ + "/halfmoon-store"));
  EXPECT_TRUE(disk->list()->empty());
  EXPECT_GT(disk->space()->total_bytes, 0);
  EXPECT_GE(disk->space()->total_bytes, disk->space()->free_bytes);
}

TEST_F(PosixDiskTest, ASecondBrokerIsLockedOut) {
  auto disk = open();
  const auto second = open_posix_disk(store_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::Locked);
  EXPECT_NE(second.error().text.find("stop that broker"), std::string::npos);
  EXPECT_TRUE(open_posix_disk_read_only(store_).ok());
  disk.reset();
  EXPECT_TRUE(open_posix_disk(store_ + "/").ok());
}

TEST_F(PosixDiskTest, AForeignDirectoryIsNotTouched) {
  fs::create_directories(store_);
  put(store_ + "/thesis.tex", "irreplaceable");
  for (const auto& refused : {open_posix_disk(store_), open_posix_disk_read_only(store_)}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(refused.error().text.find("thesis.tex"), std::string::npos);
    EXPECT_NE(refused.error().text.find("storePathRootDir"), std::string::npos);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(store_), fs::directory_iterator()), 1);
}

TEST_F(PosixDiskTest, AFreshFileSystemsRootAndAnInterruptedStartAreNotForeign) {
  fs::create_directories(store_ + "/lost+found");
  put(store_ + "/lock", "");
  EXPECT_TRUE(open());
}

TEST_F(PosixDiskTest, ReadOnlyCreatesNothing) {
  EXPECT_EQ(open_posix_disk_read_only(store_).error().code, ErrorCode::Io);
  EXPECT_FALSE(fs::exists(store_));
  open().reset();
  const auto disk = open_posix_disk_read_only(store_);
  ASSERT_TRUE(disk.ok());
  EXPECT_FALSE((*disk)->open("new", OpenMode::CreateOrOpen, Caching::Cached).ok());
  EXPECT_FALSE(fs::exists(store_ + "/new"));
}

TEST_F(PosixDiskTest, FilesAreWrittenReadRenamedAndRemoved) {
  const auto disk = open();
  auto file = disk->open("one", OpenMode::CreateNew, Caching::Cached);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->write_at(3, as_bytes("lo, "), as_bytes("world")).ok());
  ASSERT_TRUE((*file)->write_at(0, as_bytes("hel")).ok());
  ASSERT_TRUE((*file)->sync().ok());
  EXPECT_EQ((*file)->size().value(), 12);
  std::array<std::byte, 100> bytes;
  EXPECT_EQ((*file)->read_at(0, bytes).value(), 12u);
  EXPECT_EQ(as_text(Bytes(bytes).first(12)), "hello, world");
  EXPECT_EQ((*file)->read_at(7, bytes).value(), 5u);
  EXPECT_EQ((*file)->read_at(50, bytes).value(), 0u);
  EXPECT_FALSE(disk->open("one", OpenMode::CreateNew, Caching::Cached).ok());
  ASSERT_TRUE(disk->rename("one", "two").ok());
  ASSERT_TRUE(disk->sync_directory().ok());
  EXPECT_EQ(disk->list().value(), std::vector<std::string>{"two"});
  ASSERT_TRUE(disk->remove("two").ok());
  const auto gone = disk->remove("two");
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, ErrorCode::Io);
  EXPECT_EQ(gone.error().text, store_ + "/two: unlink: No such file or directory");
}

TEST_F(PosixDiskTest, DirectFilesFallBackWhereTheyCannot) {
  const auto disk = open();
  auto file = disk->open("direct", OpenMode::CreateNew, Caching::Direct);
  ASSERT_TRUE(file.ok());
  AlignedBuffer block(2 * kBlockBytes);
  std::memset(block.data(), 'x', 2 * kBlockBytes);
  ASSERT_TRUE((*file)->write_at(0, block.first(kBlockBytes), block.first(kBlockBytes)).ok());
  // Where O_DIRECT works, this misaligned write is refused by the kernel and goes through the cache then.
  ASSERT_TRUE((*file)->write_at(5, as_bytes("misaligned")).ok());
  ASSERT_TRUE((*file)->sync().ok());
  std::array<std::byte, 20> bytes;
  EXPECT_EQ((*file)->read_at(0, bytes).value(), 20u);
  EXPECT_EQ(as_text(bytes), "xxxxxmisalignedxxxxx");
}

TEST_F(PosixDiskTest, AllocatingTooMuchLeavesTheFileAsItWas) {
  const auto disk = open();
  auto file = disk->open("huge", OpenMode::CreateNew, Caching::Cached);
  ASSERT_TRUE((*file)->allocate(1 << 20).ok());
  EXPECT_EQ((*file)->size().value(), 1 << 20);
  // The process's own limit stands in for a full disk, which other programs would feel.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 2 << 20;
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = (*file)->allocate(3 << 20);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().text, store_ + "/huge: fallocate: File too large");
  EXPECT_EQ((*file)->size().value(), 1 << 20);
}

TEST_F(PosixDiskTest, AWriteThatTheSystemCutsShortGoesOnWhereItStopped) {
  const auto disk = open();
  auto file = disk->open("short", OpenMode::CreateNew, Caching::Cached);
  // The system writes up to the limit and says so; only going on brings the error.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 6000;
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string first(4000, 'a'), second(4000, 'b');
  const Status wrote = (*file)->write_at(0, as_bytes(first), as_bytes(second));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(wrote.ok());
  EXPECT_EQ(wrote.error().text, store_ + "/short: write: File too large");
  std::string content(8000, '?');
  ASSERT_EQ((*file)->read_at(0, std::as_writable_bytes(std::span(content))).value(), 6000u);
  EXPECT_EQ(content.substr(0, 6000), first + second.substr(0, 2000));
}

TEST_F(PosixDiskTest, ABegunWriteEndsWhileNobodyWaits) {
  const auto disk = open();
  AlignedBuffer bytes(1 << 20);
  std::memset(bytes.data(), 'b', static_cast<std::size_t>(bytes.capacity()));
  for (const bool wait : {false, true}) {
    auto file = disk->open("file", OpenMode::CreateOrOpen, Caching::Direct);
    ASSERT_TRUE(file.ok() && (*file)->allocate(4 << 20).ok());
    const Result<bool> begun = (*file)->begin_write(1 << 20, bytes.first(bytes.capacity()));
    ASSERT_TRUE(begun.ok());
    if (!*begun) GTEST_SKIP() << "this system begins no writes";
    for (bool ended = false; !ended;) {
      const Result<bool> looked = (*file)->write_ended(wait ? File::Look::Wait : File::Look::Now);
      ASSERT_TRUE(looked.ok()) << looked.error().text;
      ended = *looked;
    }
    ASSERT_TRUE((*file)->sync().ok());
    // Closing waits for one that is under way, and the next file can begin one.
    ASSERT_TRUE((*file)->begin_write(3 << 20, bytes.first(4096)).ok());
  }
  auto file = disk->open("file", OpenMode::Read, Caching::Cached);
  std::string content(4 << 20, '?');
  ASSERT_EQ((*file)->read_at(0, std::as_writable_bytes(std::span(content))).value(), content.size());
  EXPECT_EQ(content.substr(0, 1 << 20), std::string(1 << 20, '\0'));
  EXPECT_EQ(content.substr(1 << 20, 1 << 20), std::string(1 << 20, 'b'));
  EXPECT_EQ(content.substr(3 << 20, 4096), std::string(4096, 'b'));
}

TEST_F(PosixDiskTest, ABegunWriteThatFailsSaysSoWhenItIsLookedAt) {
  const auto disk = open();
  auto file = disk->open("file", OpenMode::CreateNew, Caching::Direct);
  ASSERT_TRUE(file.ok());
  AlignedBuffer bytes(1 << 20);
  std::memset(bytes.data(), 'b', static_cast<std::size_t>(bytes.capacity()));
  // A part is written, and only going on brings the error.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 16384;
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Result<bool> begun = (*file)->begin_write(4096, bytes.first(1 << 20));
  const Result<bool> ended = begun.ok() && *begun ? (*file)->write_ended(File::Look::Wait) : Result<bool>(false);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  if (begun.ok() && !*begun) GTEST_SKIP() << "this system begins no writes";
  ASSERT_TRUE(begun.ok());
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().text, store_ + "/file: write: File too large");
  EXPECT_EQ((*file)->size().value(), 16384);
}

TEST_F(PosixDiskTest, TheLogOnARealDirectory) {
  for (const Safety safety : {Safety::Durable, Safety::Kept, Safety::Written}) {
    const LogOptions options{.safety = safety, .segment_bytes = 1 << 20, .first_segment_bytes = 256 << 10, .ring_bytes = 256 << 10};
    store_ = (root_ / std::to_string(static_cast<int>(safety))).string();
    testkit::SeededRandom random(5);
    std::vector<std::pair<Position, std::string>> appended;
    for (int life = 0; life < 3; life++) {
      const auto disk = open();
      auto opened = Log::open(*disk, random, options);
      ASSERT_TRUE(opened.ok()) << opened.error().text;
      Log& log = **opened;
      std::size_t seen = 0;
      const auto report = log.recover(0, [&](const RecordView& record, std::int64_t) -> Status {
        EXPECT_EQ(appended.at(seen++).second, as_text(record.payload));
        return Done{};
      });
      ASSERT_TRUE(report.ok()) << report.error().text;
      EXPECT_EQ(seen, appended.size());
      for (int i = 0; i < 150; i++) {
        const std::string payload(random.below(4000), static_cast<char>('a' + i % 26));
        const auto room = log.reserve(RecordType::Message, static_cast<std::uint32_t>(payload.size()));
        ASSERT_TRUE(room.ok()) << room.error().text;
        if (!payload.empty()) std::memcpy(room->payload.data(), payload.data(), payload.size());
        log.finish();
        appended.emplace_back(room->position, payload);
        log.close_batch(i);
        // What a life with Kept leaves in the tail file at its end, the next one finds.
        const bool leave = safety == Safety::Kept && i >= 120;
        ASSERT_TRUE(leave || (i % 3 == 0 ? log.write_out() : log.flush()).ok());
        ASSERT_TRUE(i % 50 != 0 || log.prepare_next().ok());
      }
      EXPECT_EQ(log.safety(), safety);
      ASSERT_TRUE(safety == Safety::Kept || log.flush().ok());
      ReadBuffer buffer;
      for (const auto& [position, payload] : appended) {
        const auto record = log.read_untrusted(position, buffer);
        ASSERT_TRUE(record.ok()) << record.error().text;
        ASSERT_EQ(as_text(record->payload), payload);
      }
    }
  }
}

}  // namespace
}  // namespace halfmoon::storage
