// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/large_memory.h"
#include "storage/position.h"
#include "storage/snapshot_draft.h"

namespace halfmoon::broker {

/// One message of a queue: where it is, and what a pull must know without reading it. A snapshot holds it byte for byte as memory does.
struct IndexEntry {
  storage::Position position = 0;   // of the record that made it visible
  std::int64_t store_ms = 0;
  std::uint32_t bytes = 0;          // of its image, about
  std::int32_t tag_hash = 0;
};

static_assert(std::endian::native == std::endian::little && sizeof(IndexEntry) == 24 && offsetof(IndexEntry, store_ms) == 8 &&
              offsetof(IndexEntry, bytes) == 16 && offsetof(IndexEntry, tag_hash) == 20);

/// A queue's offsets [min, end) and their entries, in memory. They are appended to chunks of 32 (768 bytes), so that a queue of few messages costs little; 128 full
/// chunks become a page. An entry never changes, so a snapshot shares chunks and pages instead of copying them.
class QueueIndex {
 public:
  std::int64_t min() const { return min_; }
  std::int64_t end() const { return end_; }

  /// Gives the entry the next offset and returns it.
  std::int64_t append(const IndexEntry& entry);
  /// min() <= offset < end().
  const IndexEntry& at(std::int64_t offset) const {
    const std::int64_t i = offset - base_;
    const auto page = static_cast<std::size_t>(i / kPage);
    if (page < pages_.size()) return pages_[page]->entries[i % kPage];
    const std::int64_t j = i - static_cast<std::int64_t>(pages_.size()) * kPage;
    return chunks_[static_cast<std::size_t>(j / kChunk)]->entries[j % kChunk];
  }
  /// Asks the processor for what append() will touch: first for the list of chunks, then, when that is there, for the entry.
  void fetch_list() const { __builtin_prefetch(chunks_.data() + (chunks_.empty() ? 0 : chunks_.size() - 1)); }
  void fetch_end() const {
    if (!chunks_.empty()) __builtin_prefetch(&chunks_.back()->entries[end_ % kChunk], 1);
  }
  /// Drops entries whose position lies below `position`; returns how many.
  std::int64_t trim_below(storage::Position position);
  /// From a snapshot: a queue that begins at `offset` and holds these entries, 24 bytes each. Where they lie in `memory` and are aligned, whole pages of
  /// them are kept where they are; the others are copied.
  void restore(std::int64_t offset, Bytes entries, const std::shared_ptr<const storage::LargeMemory>& memory = nullptr);
  /// For a snapshot: its entries as restore() takes them, without copying them.
  void freeze(storage::SnapshotDraft& out) const;

  /// First offset in [min, end) with store time >= wall_ms, else end().
  std::int64_t first_not_before(std::int64_t wall_ms, std::int64_t end) const;
  /// First offset in [min, end) with store time > wall_ms, else end.
  std::int64_t first_after(std::int64_t wall_ms, std::int64_t end) const;

 private:
  static constexpr std::int64_t kChunk = 32;
  static constexpr std::int64_t kPage = kChunk * 128;
  struct Chunk {
    IndexEntry entries[kChunk];
  };
  struct Page {
    IndexEntry entries[kPage];
  };
  void chunks_to_page();
  static std::shared_ptr<const Page> page_of(Bytes entries, const std::shared_ptr<const storage::LargeMemory>& memory);

  std::vector<std::shared_ptr<const Page>> pages_;    // all full
  std::vector<std::shared_ptr<Chunk>> chunks_;  // behind them; all full but the last
  std::int64_t base_ = 0;  // offset of the first slot of the first page, or chunk if there is no page
  std::int64_t min_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace halfmoon::broker
