// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "storage/position.h"

namespace halfmoon::storage {

/// Records whose segment was dropped while something still pointed at them: original position -> where the CARRIED copy is. Written by the
/// core, read by every reader; almost always empty, which costs readers one atomic load. 20 to 40 bytes each.
class CarriedPositions {
 public:
  /// Where the record that was at `position` is now.
  Position locate(Position position) const {
    if (count_.load(std::memory_order_acquire) == 0) return position;
    const std::shared_lock lock(mutex_);
    const auto it = moved_.find(position);
    return it == moved_.end() ? position : it->second;
  }
  void put(Position original, Position copy) {
    const std::unique_lock lock(mutex_);
    moved_[original] = copy;
    count_.store(moved_.size(), std::memory_order_release);
  }
  /// Forgets copies that lie below `position`.
  void forget_copies_below(Position position) {
    const std::unique_lock lock(mutex_);
    boost::unordered::erase_if(moved_, [&](const auto& item) { return item.second < position; });
    count_.store(moved_.size(), std::memory_order_release);
  }
  /// In order of the originals.
  std::vector<std::pair<Position, Position>> all() const {
    std::vector<std::pair<Position, Position>> all;
    {
      const std::shared_lock lock(mutex_);
      all.assign(moved_.begin(), moved_.end());
    }
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  mutable std::shared_mutex mutex_;
  boost::unordered_flat_map<Position, Position> moved_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace halfmoon::storage
