// SPDX-License-Identifier: Apache-2.0
#include "broker/queue_index.h"

namespace halfmoon::broker {
namespace {

// Smallest offset in [low, high) for which `reached` holds, else high; reached() is false, then true, along the queue.
template <class F>
std::int64_t partition_point(std::int64_t low, std::int64_t high, F reached) {
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (reached(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

}  // namespace

std::int64_t QueueIndex::append(const IndexEntry& entry) {
  const std::int64_t i = end_ - base_;
  if (static_cast<std::size_t>(i / kChunk) == chunks_.size()) chunks_.push_back(std::make_unique<Chunk>());
  chunks_[static_cast<std::size_t>(i / kChunk)]->entries[i % kChunk] = entry;
  return end_++;
}

std::int64_t QueueIndex::trim_below(storage::Position position) {
  const std::int64_t old_min = min_;
  min_ = partition_point(min_, end_, [&](std::int64_t offset) { return at(offset).position >= position; });
  const std::int64_t whole_chunks = (min_ - base_) / kChunk;
  if (whole_chunks > 0) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + whole_chunks);
    base_ += whole_chunks * kChunk;
  }
  return min_ - old_min;
}

void QueueIndex::start_at(std::int64_t offset) {
  chunks_.clear();
  base_ = min_ = end_ = offset;
}

std::int64_t QueueIndex::first_not_before(std::int64_t wall_ms, std::int64_t end) const {
  return partition_point(min_, end, [&](std::int64_t offset) { return at(offset).store_ms >= wall_ms; });
}

std::int64_t QueueIndex::first_after(std::int64_t wall_ms, std::int64_t end) const {
  return partition_point(min_, end, [&](std::int64_t offset) { return at(offset).store_ms > wall_ms; });
}

}  // namespace halfmoon::broker
