// SPDX-License-Identifier: Apache-2.0
#include "broker/queue_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace halfmoon::broker {
namespace {

IndexEntry entry(std::int64_t n) {
  return {.position = n * 128, .store_ms = 1000 + n / 3, .bytes = static_cast<std::uint32_t>(n % 5000), .tag_hash = static_cast<std::int32_t>(n * 7)};
}

std::string frozen(const QueueIndex& index) {
  storage::SnapshotDraft draft(0);
  index.freeze(draft);
  std::string out;
  for (const auto& piece : draft.pieces()) out += as_text(piece.bytes);
  return out;
}

void expect_holds(const QueueIndex& index, std::int64_t min, std::int64_t end) {
  ASSERT_EQ(index.min(), min);
  ASSERT_EQ(index.end(), end);
  for (std::int64_t n = min; n < end; n++) ASSERT_EQ(index.at(n).position, entry(n).position) << "offset " << n << " of " << min << " to " << end;
}

// Offsets are entry numbers, so that whatever is done, offset n holds entry n.
TEST(QueueIndex, HoldsWhatWasAppendedThroughTrimsAndRestores) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    std::mt19937_64 dice(seed);
    QueueIndex index;
    std::int64_t min = 0, end = 0;
    for (int step = 0; step < 40; step++) {
      for (std::int64_t n = static_cast<std::int64_t>(dice() % 3000); n > 0; n--) {
        EXPECT_EQ(index.append(entry(end)), end);
        end++;
      }
      if (dice() % 3 == 0) {
        const std::int64_t cut = min + static_cast<std::int64_t>(dice() % static_cast<std::uint64_t>(end - min + 1));
        EXPECT_EQ(index.trim_below(entry(cut).position), cut - min);
        min = cut;
      }
      if (dice() % 5 == 0) {
        QueueIndex other;
        other.restore(min, as_bytes(frozen(index)));
        index = std::move(other);
      }
      expect_holds(index, min, end);
      if (min < end) {
        EXPECT_EQ(index.at(index.first_not_before(entry((min + end) / 2).store_ms, end)).store_ms, entry((min + end) / 2).store_ms);
      }
    }
  }
}

// A snapshot's memory is used in place where entries are aligned in it, and copied where they are not; in both cases it may go when the queue goes.
TEST(QueueIndex, ARestoredQueueLivesInTheSnapshotsMemory) {
  constexpr std::int64_t kCount = 300'000;
  QueueIndex index;
  for (std::int64_t n = 0; n < kCount; n++) index.append(entry(n));
  const std::string bytes = frozen(index);
  for (const std::size_t shift : {std::size_t{0}, std::size_t{8}, std::size_t{3}}) {
    auto memory = std::make_shared<const storage::LargeMemory>(bytes.size() + 64);
    ASSERT_TRUE(memory->mapped());
    std::memcpy(memory->bytes().data() + shift, bytes.data(), bytes.size());
    const Bytes entries = Bytes(memory->bytes()).subspan(shift, bytes.size());
    QueueIndex other;
    other.restore(0, entries, memory);
    const std::weak_ptr<const storage::LargeMemory> used = memory;
    EXPECT_EQ(reinterpret_cast<const std::byte*>(&other.at(5)) == entries.data() + 5 * sizeof(IndexEntry), shift % 8 == 0);
    memory.reset();
    EXPECT_EQ(used.expired(), shift % 8 != 0);
    expect_holds(other, 0, kCount);
    storage::SnapshotDraft draft(0);
    other.freeze(draft);
    other.trim_below(entry(200'000).position);
    for (std::int64_t n = kCount; n < kCount + 10'000; n++) other.append(entry(n));
    expect_holds(other, 200'000, kCount + 10'000);
    std::string after;
    for (const auto& piece : draft.pieces()) after += as_text(piece.bytes);
    EXPECT_EQ(after, bytes);
    other.trim_below(entry(kCount + 10'000).position);
    EXPECT_EQ(used.expired(), shift % 8 != 0);
    draft = storage::SnapshotDraft(0);
    EXPECT_TRUE(used.expired());
  }
}

TEST(QueueIndex, AFrozenStateStaysAsItWasWhileTheQueueGoesOn) {
  for (const std::int64_t count : {1, 63, 64, 65, 4095, 4096, 4097, 9000}) {
    QueueIndex index;
    for (std::int64_t n = 0; n < count; n++) index.append(entry(n));
    index.trim_below(entry(count / 3).position);
    const std::string before = frozen(index);
    storage::SnapshotDraft draft(0);
    index.freeze(draft);
    for (std::int64_t n = count; n < count + 10000; n++) index.append(entry(n));
    index.trim_below(entry(count + 9000).position);
    std::string after;
    for (const auto& piece : draft.pieces()) after += as_text(piece.bytes);
    EXPECT_EQ(after, before) << count;
    EXPECT_EQ(after.size(), static_cast<std::size_t>(count - count / 3) * sizeof(IndexEntry));
  }
}

// What a later snapshot has as well is written once; so it must be the same bytes at the same address then.
TEST(QueueIndex, WholePagesLastFromOneSnapshotToTheNext) {
  constexpr std::int64_t kPage = 4096;
  const auto lasting = [](const QueueIndex& index) {
    storage::SnapshotDraft draft(0);
    index.freeze(draft);
    std::vector<std::pair<const std::byte*, std::size_t>> pieces;
    for (const auto& piece : draft.pieces())
      if (piece.lasting) pieces.emplace_back(piece.bytes.data(), piece.bytes.size());
    return pieces;
  };
  QueueIndex index;
  std::int64_t end = 0;
  const auto append_until = [&](std::int64_t n) {
    for (; end < n; end++) index.append(entry(end));
  };
  append_until(kPage);
  EXPECT_TRUE(lasting(index).empty()) << "it may still be in chunks";
  append_until(3 * kPage + 5);
  const auto first = lasting(index);
  ASSERT_EQ(first.size(), 3U);
  append_until(5 * kPage + 70);
  const auto second = lasting(index);
  ASSERT_EQ(second.size(), 5U);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), second.begin()));
  for (const auto& [data, size] : second) EXPECT_EQ(size, kPage * sizeof(IndexEntry));
  index.trim_below(entry(kPage + 1).position);   // of the second page a part is left, which is another piece after each trim
  const auto trimmed = lasting(index);
  ASSERT_EQ(trimmed.size(), 3U);
  EXPECT_TRUE(std::equal(trimmed.begin(), trimmed.end(), second.begin() + 2));
}

}  // namespace
}  // namespace halfmoon::broker
