// SPDX-License-Identifier: Apache-2.0
#include "broker/queue_index.h"

#include <algorithm>
#include <cstring>

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
  std::int64_t i = end_ - base_ - static_cast<std::int64_t>(pages_.size()) * kPage;
  if (i == kPage) {
    chunks_to_page();
    i = 0;
  }
  if (static_cast<std::size_t>(i / kChunk) == chunks_.size()) chunks_.push_back(std::make_shared<Chunk>());
  chunks_[static_cast<std::size_t>(i / kChunk)]->entries[i % kChunk] = entry;
  return end_++;
}

void QueueIndex::chunks_to_page() {
  auto page = std::make_shared<Page>();
  for (std::size_t i = 0; i < chunks_.size(); i++) std::memcpy(&page->entries[i * kChunk], chunks_[i]->entries, sizeof(Chunk));
  pages_.push_back(std::move(page));
  chunks_.clear();
}

std::int64_t QueueIndex::trim_below(storage::Position position) {
  const std::int64_t old_min = min_;
  min_ = partition_point(min_, end_, [&](std::int64_t offset) { return at(offset).position >= position; });
  const std::int64_t whole_pages = std::min((min_ - base_) / kPage, static_cast<std::int64_t>(pages_.size()));
  pages_.erase(pages_.begin(), pages_.begin() + whole_pages);
  base_ += whole_pages * kPage;
  if (pages_.empty()) {
    const std::int64_t whole_chunks = (min_ - base_) / kChunk;
    chunks_.erase(chunks_.begin(), chunks_.begin() + whole_chunks);
    base_ += whole_chunks * kChunk;
  }
  return min_ - old_min;
}

std::shared_ptr<const QueueIndex::Page> QueueIndex::page_of(Bytes entries, const std::shared_ptr<const storage::LargeMemory>& memory) {
  if (memory && memory->mapped() && reinterpret_cast<std::uintptr_t>(entries.data()) % alignof(Page) == 0)
    return std::reinterpret_pointer_cast<const Page>(storage::LargeMemory::piece(memory, entries));
  auto page = std::make_shared<Page>();
  std::memcpy(page->entries, entries.data(), sizeof(Page));
  return page;
}

void QueueIndex::restore(std::int64_t offset, Bytes entries, const std::shared_ptr<const storage::LargeMemory>& memory) {
  pages_.clear();
  chunks_.clear();
  base_ = min_ = offset;
  end_ = offset + static_cast<std::int64_t>(entries.size() / sizeof(IndexEntry));
  for (; entries.size() >= sizeof(Page); entries = entries.subspan(sizeof(Page))) pages_.push_back(page_of(entries.first(sizeof(Page)), memory));
  while (!entries.empty()) {
    const std::size_t bytes = std::min(entries.size(), sizeof(Chunk));
    chunks_.push_back(std::make_shared<Chunk>());
    std::memcpy(chunks_.back()->entries, entries.data(), bytes);
    entries = entries.subspan(bytes);
  }
}

void QueueIndex::freeze(storage::SnapshotDraft& out) const {
  std::int64_t from = base_;  // offset of the piece's first slot
  const auto piece = [&](const auto& owner, std::int64_t slots) {
    const std::int64_t begin = std::max(min_ - from, std::int64_t{0});
    const std::int64_t end = std::min(end_ - from, slots);
    from += slots;
    if (begin >= end) return;
    const Bytes entries = std::as_bytes(std::span(owner->entries + begin, static_cast<std::size_t>(end - begin)));
    if (entries.size() == sizeof(Page)) out.refer_lasting(owner, entries);
    else out.refer(owner, entries);
  };
  for (const auto& page : pages_) piece(page, kPage);
  for (const auto& chunk : chunks_) piece(chunk, kChunk);
}

std::int64_t QueueIndex::first_not_before(std::int64_t wall_ms, std::int64_t end) const {
  return partition_point(min_, end, [&](std::int64_t offset) { return at(offset).store_ms >= wall_ms; });
}

std::int64_t QueueIndex::first_after(std::int64_t wall_ms, std::int64_t end) const {
  return partition_point(min_, end, [&](std::int64_t offset) { return at(offset).store_ms > wall_ms; });
}

}  // namespace halfmoon::broker
