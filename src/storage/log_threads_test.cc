// SPDX-License-Identifier: Apache-2.0
// All sides of the log at once: what one thread at a time cannot show, above all under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "storage/log.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SeededRandom;
using testkit::SimDisk;

constexpr std::size_t kRecords = 12000;

/// The payload of the i-th record: known from i alone, so that readers can check it.
std::size_t size_of(std::size_t i) { return i % 50 == 0 ? 4000 + i % 1000 : i * 37 % 700; }
std::byte byte_of(std::size_t i) { return static_cast<std::byte>(i * 131 % 251); }

struct Everything {
  SimDisk disk;
  SeededRandom salts{1};
  std::unique_ptr<Log> log;
  std::vector<std::atomic<Position>> positions = std::vector<std::atomic<Position>>(kRecords);
  std::atomic<std::size_t> published{0};
  std::atomic<bool> done{false};
  std::atomic<std::int64_t> wrong{0};

  void append() {
    SeededRandom dice(2);
    for (std::size_t i = 0; i < kRecords;) {
      const std::size_t batch = std::min<std::size_t>(1 + dice.below(8), kRecords - i);
      for (std::size_t end = i + batch; i < end;) {
        const auto room = log->reserve(RecordType::Message, static_cast<std::uint32_t>(size_of(i)));
        if (!room.ok()) {
          if (room.error().code != ErrorCode::Busy) {
            wrong++;
            return;
          }
          log->close_batch(1);
          std::this_thread::yield();
          continue;
        }
        if (!room->payload.empty()) std::memset(room->payload.data(), static_cast<int>(byte_of(i)), room->payload.size());
        log->finish();
        positions[i].store(room->position, std::memory_order_relaxed);
        published.store(++i, std::memory_order_release);
      }
      log->close_batch(1);
      if (dice.one_in(500) && !log->drop_before(log->durable() - (300 << 10)).ok()) wrong++;
    }
    done = true;
  }
  void flush(Safety safety) {
    while (!done || log->flush_pending()) {
      const auto end = safety == Safety::Durable ? log->flush() : log->write_out();
      if (!end.ok()) wrong++;
      if (!log->flush_pending()) std::this_thread::yield();
    }
  }
  void background() {
    while (!done) {
      if (!log->prepare_next().ok() || !log->sync_written().ok()) wrong++;
      static_cast<void>(log->segments());
      static_cast<void>(log->counters());
      std::this_thread::yield();
    }
  }
  void read(std::uint64_t seed) {
    SeededRandom dice(seed);
    ReadBuffer buffer;
    while (!done) {
      const std::size_t n = published.load(std::memory_order_acquire);
      if (n == 0) continue;
      // Mostly near the tail, where the ring is overwritten; now and then anywhere.
      const std::size_t i = dice.one_in(4) ? dice.below(n) : n - 1 - dice.below(std::min<std::size_t>(n, 300));
      const Position position = positions[i].load(std::memory_order_relaxed);
      check(log->read(position, buffer), i, position);
      static_cast<void>(log->read_untrusted(static_cast<Position>(dice.below(static_cast<std::uint64_t>(position) + 100)) & ~7, buffer));
    }
  }
  void check(const Result<RecordView>& record, std::size_t i, Position position) {
    if (!record.ok()) {
      if (record.error().code != ErrorCode::NotFound || position >= log->first_position()) wrong++;
      return;
    }
    bool same = record->payload.size() == size_of(i) && record->position == position;
    for (const std::byte b : record->payload) same = same && b == byte_of(i);
    if (!same) wrong++;
  }
};

void all_at_once(Safety safety) {
  Everything all;
  auto log = Log::open(all.disk, all.salts, {.safety = safety, .segment_bytes = 256 << 10, .first_segment_bytes = 64 << 10,
                                              .ring_bytes = 64 << 10, .prepare_pause = [] { std::this_thread::yield(); }});
  ASSERT_TRUE(log.ok());
  all.log = std::move(log).value();
  ASSERT_TRUE(all.log->recover(0, [](const RecordView&, std::int64_t) -> Status { return Done{}; }).ok());
  {
    std::vector<std::jthread> threads;
    threads.emplace_back([&] { all.flush(safety); });
    threads.emplace_back([&] { all.background(); });
    threads.emplace_back([&] { all.read(3); });
    threads.emplace_back([&] { all.read(4); });
    threads.emplace_back([&] { all.append(); });
  }
  EXPECT_EQ(all.wrong, 0);
  EXPECT_GT(all.log->counters().ring_reads, 0);
  EXPECT_EQ(all.log->safe(), all.log->end());
  const Position from = all.log->first_position();
  std::size_t i = 0;
  while (all.positions[i] < from) i++;
  all.log.reset();

  auto again = Log::open(all.disk, all.salts, {.segment_bytes = 256 << 10, .first_segment_bytes = 64 << 10, .ring_bytes = 64 << 10});
  ASSERT_TRUE(again.ok());
  const auto report = (*again)->recover(from, [&](const RecordView& record, std::int64_t) -> Status {
    all.check(record, i, all.positions[i]);
    i++;
    return Done{};
  });
  ASSERT_TRUE(report.ok()) << report.error().text;
  EXPECT_EQ(i, kRecords);
  EXPECT_EQ(all.wrong, 0);
}

TEST(LogThreads, Durable) { all_at_once(Safety::Durable); }
TEST(LogThreads, Written) { all_at_once(Safety::Written); }

}  // namespace
}  // namespace halfmoon::storage
