// SPDX-License-Identifier: Apache-2.0
#include "cli/histogram.h"

#include <algorithm>
#include <cmath>

namespace halfmoon::cli {

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

void Histogram::clear() { *this = Histogram(); }

Histogram::Span Histogram::span_of(std::size_t index) {
  constexpr std::size_t kExact = std::size_t{2} << kSubBits;
  if (index < kExact) return {index, 1};
  const std::size_t shift = (index >> kSubBits) - 1;
  return {(index - (shift << kSubBits)) << shift, std::uint64_t{1} << shift};
}

std::uint64_t Histogram::quantile(double q) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  if (rank == count_) return max_;
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    passed += counts_[i];
    if (passed < rank) continue;
    const Span span = span_of(i);
    return std::clamp(span.first + span.width / 2, min_, max_);
  }
  return max_;
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> Histogram::buckets() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (counts_[i] != 0) out.emplace_back(span_of(i).first, counts_[i]);
  }
  return out;
}

}  // namespace halfmoon::cli
