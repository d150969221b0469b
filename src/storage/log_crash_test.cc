// SPDX-License-Identifier: Apache-2.0
// Random workloads, faults and crashes from a seed. A failure names the seed; the seed replays it.
#include <gtest/gtest.h>

#include <array>

#include "base/log.h"
#include "storage/log_fixture.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SeededRandom;
using testkit::SimDisk;
using Loss = SimDisk::Loss;

/// Faults are expected here: their log lines would bury what matters.
class Quiet {
 public:
  Quiet() { set_log_sink([](LogLevel, std::string_view, std::initializer_list<LogField>) {}); }
  ~Quiet() { set_log_sink(text_log_sink()); }
};

/// A log under a random workload, and beside it what it owes.
class Workload {
 public:
  explicit Workload(std::uint64_t seed) : dice_(seed) {
    constexpr std::array kSafeties = {Safety::Durable, Safety::Kept, Safety::Written};
    world_.options = {.safety = kSafeties[dice_.below(3)],
                      .segment_bytes = 32 << 10,
                      .first_segment_bytes = 8 << 10,
                      .ring_bytes = 64 << 10};
    world_.random = SeededRandom(seed + 1);
    world_.disk.support_direct(!dice_.one_in(4));
    world_.disk.support_mapping(!dice_.one_in(8));
  }

  SimDisk& disk() { return world_.disk; }
  SeededRandom& dice() { return dice_; }
  Log& log() { return *world_.log; }
  std::int64_t acknowledged() const { return acknowledged_; }

  /// Goes on until something fails or `steps` are done.
  Status run(int steps) {
    for (int i = 0; i < steps; i++) HM_TRY_STATUS(step());
    return Done{};
  }

  Status step() {
    switch (dice_.below(12)) {
      case 0: return log().prepare_next();
      case 1: return log().safety() == Safety::Durable ? acknowledge(log().flush(), true) : acknowledge(log().write_out(), false);
      case 2: return acknowledge(log().sync_written(), true);
      case 3: return dice_.one_in(4) ? drop() : Status(Done{});
      case 4:
      case 5:
      case 6: return acknowledge(log().flush(), true);
      default: return append();
    }
  }

  /// Opens the log and compares. Errors of the disk come back; everything else is a failed test.
  Status open_and_check() {
    Status opened = world_.try_open(from_);
    if (!opened.ok()) {
      EXPECT_NE(opened.error().code, ErrorCode::Corrupt) << opened.error().text;
      return opened;
    }
    const std::size_t n = world_.recovered.size();
    EXPECT_LE(n, model_.size());
    bool prefix = n <= model_.size();
    for (std::size_t i = 0; i < n && prefix; i++) {
      prefix = model_[i].position == world_.recovered[i].first && model_[i].payload == world_.recovered[i].second;
    }
    EXPECT_TRUE(prefix) << "the records are not a prefix of what was appended";
    if (!prefix) return Done{};
    for (std::size_t i = n; i < model_.size(); i++) EXPECT_GE(model_[i].position, std::max(acknowledged_, kept_)) << "an acknowledged record is gone";
    const bool between_batches = n == 0 || n == model_.size() || model_[n - 1].batch != model_[n].batch;
    EXPECT_TRUE(between_batches) << "half a batch came back";
    model_.resize(n);
    acknowledged_ = log().end();
    batch_++;
    return Done{};
  }

  void crash(Loss loss) {
    // A killed process loses nothing that was closed, though it was never written. A power cut does, also one in the recovery from the kill.
    if (loss != Loss::Nothing) kept_ = 0;
    else if (world_.log && log().safety() == Safety::Kept && !log().poisoned()) kept_ = log().safe();
    world_.log.reset();
    world_.disk.crash(loss, dice_);
  }

  /// Every record that is there can be read, from ring or file.
  void check_reads() {
    ReadBuffer buffer;
    for (const Expected& expected : model_) {
      const auto record = log().read_untrusted(expected.position, buffer);
      ASSERT_TRUE(record.ok()) << record.error().text;
      ASSERT_EQ(as_text(record->payload), expected.payload);
    }
  }

 private:
  struct Expected {
    Position position = 0;
    std::string payload;
    std::int64_t batch = 0;
  };

  Status append() {
    const std::uint64_t records = 1 + dice_.below(4);
    std::vector<std::string> payloads;
    std::int64_t bytes = 0;
    for (std::uint64_t i = 0; i < records; i++) {
      payloads.emplace_back(dice_.one_in(8) ? dice_.below(6000) : dice_.below(300), static_cast<char>('a' + dice_.below(26)));
      bytes += static_cast<std::int64_t>(payloads.back().size());
    }
    if (!log().room_for(bytes, static_cast<int>(records))) {
      const ErrorCode why = log().refusal().code;
      if (why == ErrorCode::Busy) return acknowledge(log().flush(), true);
      if (why == ErrorCode::DiskFull) return Done{};
      return log().refusal();
    }
    batch_++;
    for (std::string& payload : payloads) {
      const Position at = world_.add(payload).value();
      model_.push_back({.position = at, .payload = std::move(payload), .batch = batch_});
    }
    world_.close();
    return Done{};
  }

  Status acknowledge(Result<Position> durable, bool counts) {
    if (!durable.ok()) return durable.error();
    if (counts) acknowledged_ = std::max(acknowledged_, *durable);
    return Done{};
  }

  Status drop() {
    const auto segments = log().segments();
    if (segments.size() < 3 || log().durable() < segments[1].first) return Done{};
    from_ = segments[1].first;
    std::erase_if(model_, [this](const Expected& expected) { return expected.position < from_; });
    return log().drop_before(from_);
  }

  SeededRandom dice_;
  LogWorld<SimDisk, SeededRandom> world_;
  std::vector<Expected> model_;
  Position acknowledged_ = 0;   // durable
  Position kept_ = 0;           // as long as the machine runs
  Position from_ = 0;
  std::int64_t batch_ = 0;
};

Loss any_loss(SeededRandom& dice) {
  if (dice.one_in(6)) return Loss::Nothing;
  return dice.one_in(6) ? Loss::Everything : Loss::RandomSectors;
}

/// The machine stops at the k-th change of the disk from now on, in the middle of it.
void stop_at(SimDisk& disk, SeededRandom& dice, std::int64_t k) {
  disk.fail({.call = {}, .nth = k, .code = ErrorCode::Io, .bytes_done = static_cast<std::int64_t>(dice.below(9000)),
             .repeat = SimDisk::Fault::Repeat::Forever});
}

void one_seed(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Workload work(seed);
  SeededRandom& dice = work.dice();
  for (int life = 0; life < 4; life++) {
    // Crashes may also hit the recovery itself.
    while (true) {
      if (dice.one_in(3)) stop_at(work.disk(), dice, 1 + static_cast<std::int64_t>(dice.below(6)));
      const bool up = work.open_and_check().ok();
      work.disk().heal();
      if (::testing::Test::HasFailure()) return;
      if (up) break;
      work.crash(any_loss(dice));
    }
    work.check_reads();
    stop_at(work.disk(), dice, 1 + static_cast<std::int64_t>(dice.below(120)));
    static_cast<void>(work.run(60));
    work.crash(any_loss(dice));
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(LogCrash, RandomWorkloadsKeepTheirPromises) {
  const Quiet quiet;
  for (std::uint64_t seed = 0; seed < 400 && !HasFailure(); seed++) one_seed(seed);
}

TEST(LogCrash, EveryPointOfAShortWorkload) {
  const Quiet quiet;
  for (std::int64_t k = 1; k < 90 && !HasFailure(); k++) {
    for (std::uint64_t seed = 0; seed < 4; seed++) {
      SCOPED_TRACE("k " + std::to_string(k) + " seed " + std::to_string(seed));
      Workload work(17);
      SeededRandom crash_dice(seed);
      stop_at(work.disk(), crash_dice, k);
      Status ran = work.open_and_check();
      if (ran.ok()) ran = work.run(80);
      work.crash(seed == 0 ? Loss::Everything : seed == 1 ? Loss::Nothing : Loss::RandomSectors);
      ASSERT_TRUE(work.open_and_check().ok());
      work.check_reads();
    }
  }
}

TEST(LogCrash, RecoveringTwiceGivesTheSameBytes) {
  const Quiet quiet;
  for (std::uint64_t seed = 1000; seed < 1100 && !HasFailure(); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Workload work(seed);
    ASSERT_TRUE(work.open_and_check().ok());
    stop_at(work.disk(), work.dice(), 20 + static_cast<std::int64_t>(work.dice().below(80)));
    static_cast<void>(work.run(60));
    work.crash(Loss::RandomSectors);
    ASSERT_TRUE(work.open_and_check().ok());
    work.crash(Loss::Everything);
    const auto once = work.disk().image();
    ASSERT_TRUE(work.open_and_check().ok());
    work.crash(Loss::Everything);
    EXPECT_EQ(work.disk().image(), once);
  }
}

/// After the k-th write or sync fails nothing is acknowledged any more, whatever succeeds later.
TEST(LogCrash, EveryFailingWriteAndSyncPoisons) {
  const Quiet quiet;
  for (const SimDisk::Call call : {SimDisk::Call::Write, SimDisk::Call::Sync}) {
    for (std::int64_t k = 1; k < 60; k++) {
      SCOPED_TRACE("call " + std::to_string(static_cast<int>(call)) + " k " + std::to_string(k));
      Workload work(23);
      ASSERT_TRUE(work.open_and_check().ok());
      work.disk().fail({.call = call, .nth = k, .bytes_done = 700});
      if (work.run(200).ok()) break;  // the workload has no more calls of this kind
      EXPECT_TRUE(work.log().poisoned());
      const Position durable = work.log().durable();
      for (int again = 0; again < 3; again++) {
        const auto flushed = work.log().flush();
        ASSERT_FALSE(flushed.ok());
        EXPECT_EQ(flushed.error().code, ErrorCode::Io);
        EXPECT_NE(flushed.error().text.find("restart the broker"), std::string::npos);
        EXPECT_FALSE(work.log().room_for(1, 1));
        EXPECT_EQ(work.log().refusal().code, ErrorCode::Io);
        EXPECT_FALSE(work.log().reserve(RecordType::Message, 1).ok());
        EXPECT_FALSE(work.log().prepare_next().ok());
        EXPECT_FALSE(work.log().write_out().ok());
        EXPECT_FALSE(work.log().sync_written().ok());
      }
      EXPECT_EQ(work.log().durable(), durable);
      work.crash(Loss::RandomSectors);
      ASSERT_TRUE(work.open_and_check().ok());
    }
  }
}

TEST(LogCrash, AFullDiskComesAndGoes) {
  const Quiet quiet;
  for (std::uint64_t seed = 0; seed < 60 && !HasFailure(); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Workload work(seed);
    ASSERT_TRUE(work.open_and_check().ok());
    for (int round = 0; round < 4; round++) {
      work.disk().set_capacity(static_cast<std::int64_t>(work.dice().below(120 << 10)));
      for (int i = 0; i < 60; i++) {
        const Status step = work.step();
        EXPECT_TRUE(step.ok() || step.error().code == ErrorCode::DiskFull) << step.error().text;
      }
      EXPECT_FALSE(work.log().poisoned());
      work.disk().set_capacity(10 << 20);
      ASSERT_TRUE(work.log().prepare_next().ok());
    }
    work.crash(any_loss(work.dice()));
    ASSERT_TRUE(work.open_and_check().ok());
  }
}

}  // namespace
}  // namespace halfmoon::storage
