// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace halfmoon::cli {

/// Counts values (here: nanoseconds) in log-linear buckets: each power of two is cut into 128 equal ones, so a value read back is
/// within 0.4 % of one that was recorded, over the whole range of 64 bits and in 58 KiB. Values below 256 are kept exactly.
///
///     value       0 .. 255   256 .. 511   512 .. 1023   ...
///     a bucket's  1          2            4             ...      width
///
/// One thread at a time; threads that measure apart merge() at the end.
class Histogram {
 public:
  Histogram() : counts_(kBuckets) {}

  void record(std::uint64_t value) {
    ++counts_[index_of(value)];
    ++count_;
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }
  void merge(const Histogram& other);
  void clear();

  std::uint64_t count() const { return count_; }
  /// The least and the greatest value recorded, exact; 0 when there is none.
  std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const { return max_; }
  /// The value that a share `q` (0..1) of all recorded values does not exceed: the middle of its bucket, never outside
  /// min()..max(); 1 gives max(). 0 when nothing was recorded.
  std::uint64_t quantile(double q) const;
  /// Each bucket that is not empty, ascending: its least value, and how many fell into it.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> buckets() const;

 private:
  static constexpr int kSubBits = 7;  // 128 buckets a power of two
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  /// How far values of a bucket are shifted right; its width is 1 << shift.
  static int shift_of(std::uint64_t value) {
    const int width = static_cast<int>(std::bit_width(value));
    return width > kSubBits + 1 ? width - kSubBits - 1 : 0;
  }
  static std::size_t index_of(std::uint64_t value) {
    const int shift = shift_of(value);
    return (static_cast<std::size_t>(shift) << kSubBits) + static_cast<std::size_t>(value >> shift);
  }
  struct Span {
    std::uint64_t first = 0;
    std::uint64_t width = 1;
  };
  static Span span_of(std::size_t index);

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
  std::uint64_t min_ = ~std::uint64_t{0};
};

}  // namespace halfmoon::cli
