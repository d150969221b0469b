// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/position.h"

namespace halfmoon::broker {

/// Position -> number, in order of position; grows at its end only, as the log does. Eight bytes an entry while leaves are full; a leaf and its
/// neighbour that are together less than three quarters full become one. Finding is two binary searches, over the leaves and within one.
class PositionIndex {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  /// `position` must lie above all that are in it, and be a multiple of 8.
  void append(storage::Position position, std::uint32_t value);
  /// kNone if it is not there.
  std::uint32_t find(storage::Position position) const;
  /// True if it was there.
  bool erase(storage::Position position);
  /// The entry with the lowest position at or above `position`; kNone if there is none.
  std::uint32_t first_from(storage::Position position) const;
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return leaves_.capacity() * sizeof(Entry) + leaves_.size() * sizeof(Leaf); }

  /// Calls f(value) in order for entries at or above `from` until f gives false. f must not change the index.
  template <class F>
  void walk(storage::Position from, F f) const {
    for (std::size_t i = leaf_of(from); i < leaves_.size(); i++) {
      const Leaf& leaf = *leaves_[i].leaf;
      for (std::uint32_t k = lower(leaves_[i], from); k < leaf.count; k++)
        if (!f(leaf.value[k])) return;
    }
  }

 private:
  static constexpr std::uint32_t kLeaf = 512;
  struct Leaf {
    std::uint32_t count = 0;
    std::uint32_t delta[kLeaf];  // (position - first) / 8
    std::uint32_t value[kLeaf];
  };
  struct Entry {
    storage::Position first = 0;  // no entry of the leaf lies below it
    std::unique_ptr<Leaf> leaf;
  };
  /// The last leaf that begins at or below `position`, else the first; leaves_.size() if there is none.
  std::size_t leaf_of(storage::Position position) const;
  /// Place of the leaf's first entry at or above `position`, or its count.
  static std::uint32_t lower(const Entry& entry, storage::Position position);
  void merge_around(std::size_t i);
  bool merge(std::size_t i);  // leaf i + 1 into leaf i, if both fit

  std::vector<Entry> leaves_;
  std::size_t size_ = 0;
};

}  // namespace halfmoon::broker
