// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "storage/position.h"

namespace halfmoon::broker {

/// One message of a queue: where it is, and what a pull must know without reading it.
struct IndexEntry {
  storage::Position position = 0;   // of the record that made it visible
  std::int64_t store_ms = 0;
  std::uint32_t bytes = 0;          // of its image, about
  std::int32_t tag_hash = 0;
};

/// A queue's offsets [min, end) and their entries, in memory, in chunks of 64 (1.5 KiB), so that an idle queue costs little.
class QueueIndex {
 public:
  std::int64_t min() const { return min_; }
  std::int64_t end() const { return end_; }

  /// Gives the entry the next offset and returns it.
  std::int64_t append(const IndexEntry& entry);
  /// min() <= offset < end().
  const IndexEntry& at(std::int64_t offset) const {
    const std::int64_t i = offset - base_;
    return chunks_[static_cast<std::size_t>(i / kChunk)]->entries[i % kChunk];
  }
  /// Drops entries whose position lies below `position`; returns how many.
  std::int64_t trim_below(storage::Position position);
  /// For a snapshot: an empty queue that begins at `offset`.
  void start_at(std::int64_t offset);

  /// First offset in [min, end) with store time >= wall_ms, else end().
  std::int64_t first_not_before(std::int64_t wall_ms, std::int64_t end) const;
  /// First offset in [min, end) with store time > wall_ms, else end.
  std::int64_t first_after(std::int64_t wall_ms, std::int64_t end) const;

 private:
  static constexpr std::int64_t kChunk = 64;
  struct Chunk {
    IndexEntry entries[kChunk];
  };
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::int64_t base_ = 0;  // offset of the first slot of the first chunk
  std::int64_t min_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace halfmoon::broker
