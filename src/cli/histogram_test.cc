// SPDX-License-Identifier: Apache-2.0
#include "cli/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace halfmoon::cli {
namespace {

TEST(Histogram, EmptyIsZero) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.min(), 0u);
  EXPECT_EQ(h.max(), 0u);
  EXPECT_EQ(h.quantile(0.5), 0u);
  EXPECT_TRUE(h.buckets().empty());
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram h;
  for (std::uint64_t v = 0; v < 256; ++v) h.record(v);
  for (std::uint64_t v = 0; v < 256; ++v) EXPECT_EQ(h.quantile(static_cast<double>(v + 1) / 256.0), v);
}

TEST(Histogram, EveryMagnitudeIsReadBackWithinOnePercent) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const std::uint64_t offset : {0u, 1u, 77u}) {
      const std::uint64_t value = (std::uint64_t{1} << bit) + (offset << bit) / 100;
      Histogram h;
      h.record(0);
      h.record(value);
      h.record(~std::uint64_t{0});  // so that neither min nor max is the answer
      const double read = static_cast<double>(h.quantile(0.6));
      const double exact = static_cast<double>(value);
      EXPECT_LE(std::abs(read - exact), exact * 0.01) << value;
    }
  }
}

TEST(Histogram, QuantilesFollowTheSortedValues) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(11.0, 1.5);  // around 60 us, with a long tail
  Histogram h;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 50'000; ++i) {
    all.push_back(static_cast<std::uint64_t>(latency(random)));
    h.record(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(all.size())));
    const double exact = static_cast<double>(all[rank - 1]);
    EXPECT_NEAR(static_cast<double>(h.quantile(q)), exact, exact * 0.01) << q;
  }
  EXPECT_EQ(h.quantile(1.0), all.back());
  EXPECT_EQ(h.max(), all.back());
  EXPECT_EQ(h.min(), all.front());
}

TEST(Histogram, MergedIsAsRecordedTogether) {
  Histogram a;
  Histogram b;
  Histogram both;
  for (std::uint64_t v = 1; v < 1'000'000; v = v * 3 / 2 + 1) {
    (v % 2 == 0 ? a : b).record(v);
    both.record(v);
  }
  a.merge(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.buckets(), both.buckets());
  EXPECT_EQ(a.min(), both.min());
  EXPECT_EQ(a.max(), both.max());
  a.merge(Histogram());
  EXPECT_EQ(a.min(), both.min());
}

TEST(Histogram, BucketsNameTheirLeastValueAndClearForgets) {
  Histogram h;
  h.record(300);
  h.record(301);
  h.record(5);
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> expected = {{5, 1}, {300, 2}};
  EXPECT_EQ(h.buckets(), expected);
  h.clear();
  EXPECT_EQ(h.count(), 0u);
  EXPECT_TRUE(h.buckets().empty());
}

}  // namespace
}  // namespace halfmoon::cli
