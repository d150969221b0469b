// SPDX-License-Identifier: Apache-2.0
#include "broker/position_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "broker/chunked_array.h"
#include "broker/packed48.h"

namespace halfmoon::broker {
namespace {

std::vector<std::uint32_t> all(const PositionIndex& index, storage::Position from = 0) {
  std::vector<std::uint32_t> values;
  index.walk(from, [&](std::uint32_t value) {
    values.push_back(value);
    return true;
  });
  return values;
}

TEST(PositionIndex, FindsWhatIsThereAndNothingElse) {
  PositionIndex index;
  EXPECT_EQ(index.find(0), PositionIndex::kNone);
  EXPECT_EQ(index.first_from(0), PositionIndex::kNone);
  index.append(16, 1);
  index.append(24, 2);
  index.append(24 + (std::int64_t{1} << 40), 3);
  EXPECT_EQ(index.find(16), 1u);
  EXPECT_EQ(index.find(24), 2u);
  EXPECT_EQ(index.find(24 + (std::int64_t{1} << 40)), 3u);
  for (const std::int64_t absent : {std::int64_t{-8}, std::int64_t{-1}, std::int64_t{0}, std::int64_t{17}, std::int64_t{20}, std::int64_t{32}, INT64_MAX, INT64_MIN})
    EXPECT_EQ(index.find(absent), PositionIndex::kNone) << absent;
  EXPECT_EQ(index.first_from(17), 2u);
  EXPECT_EQ(index.first_from(25), 3u);
  EXPECT_FALSE(index.erase(32));
  EXPECT_TRUE(index.erase(24));
  EXPECT_EQ(all(index), (std::vector<std::uint32_t>{1, 3}));
}

// Against std::map: append at the end, erase anywhere, in bursts that fill and empty leaves, with gaps that no leaf can span.
TEST(PositionIndex, IsAnOrderedMapWhateverIsErased) {
  std::mt19937_64 dice(11);
  PositionIndex index;
  std::map<storage::Position, std::uint32_t> model;
  storage::Position end = 0;
  std::uint32_t value = 0;
  for (int round = 0; round < 300; round++) {
    for (auto n = dice() % 900; n > 0; n--) {
      end += 8 * static_cast<std::int64_t>(1 + (dice() % 1000 == 0 ? std::uint64_t{1} << 33 : dice() % 300));
      index.append(end, value);
      model[end] = value++;
    }
    const std::uint64_t keep_one_in = 2 + dice() % 40;
    for (auto it = model.begin(); it != model.end();) {
      if (dice() % keep_one_in == 0) {
        ++it;
        continue;
      }
      ASSERT_TRUE(index.erase(it->first));
      it = model.erase(it);
    }
    ASSERT_EQ(index.size(), model.size());
    const storage::Position from = static_cast<storage::Position>(dice() % static_cast<std::uint64_t>(end + 1));
    std::vector<std::uint32_t> expected;
    for (auto it = model.lower_bound(from); it != model.end(); ++it) expected.push_back(it->second);
    ASSERT_EQ(all(index, from), expected);
    for (const auto& [position, v] : model) {
      ASSERT_EQ(index.find(position), v);
      ASSERT_EQ(index.find(position + 8), model.contains(position + 8) ? model[position + 8] : PositionIndex::kNone);
    }
  }
}

TEST(PositionIndex, SparseRemainsDoNotKeepTheMemoryOfWhatHasGone) {
  PositionIndex index;
  constexpr std::uint32_t kAll = 200'000;
  for (std::uint32_t i = 0; i < kAll; i++) index.append(i * 512, i);
  EXPECT_LT(index.bytes() / kAll, 9u);
  for (std::uint32_t i = 0; i < kAll; i++)
    if (i % 100 != 0) index.erase(i * 512);
  EXPECT_EQ(index.size(), kAll / 100);
  EXPECT_LT(index.bytes(), kAll / 100 * 8 * 4);
}

TEST(ChunkedArray, GrowsAndShrinksByChunks) {
  ChunkedArray<std::uint32_t, 16> array;
  for (std::uint32_t i = 0; i < 1000; i++) array.push_back(i);
  for (std::uint32_t i = 0; i < 1000; i++) ASSERT_EQ(array[i], i);
  EXPECT_LT(array.bytes(), 1000 * 4 + 64 + 128 * 8);
  for (std::uint32_t i = 1000; i > 10; i--) {
    ASSERT_EQ(array.back(), i - 1);
    array.pop_back();
  }
  EXPECT_EQ(array.size(), 10u);
  for (std::uint32_t i = 10; i < 200; i++) array.push_back(i);
  for (std::uint32_t i = 0; i < 200; i++) ASSERT_EQ(array[i], i);
  array.clear();
  EXPECT_TRUE(array.empty());
}

TEST(Packed48, HoldsItsRangeAndTheNearerEndOutsideOfIt) {
  static_assert(sizeof(Packed48) == 6);
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{1}, std::int64_t{0x123456789abc}, Packed48::kMax}) EXPECT_EQ(Packed48(value), value);
  EXPECT_EQ(Packed48(-5), 0);
  EXPECT_EQ(Packed48(INT64_MAX), Packed48::kMax);
}

}  // namespace
}  // namespace halfmoon::broker
