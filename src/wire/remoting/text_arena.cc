// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/text_arena.h"

#include <algorithm>
#include <utility>

namespace halfmoon::wire {

void TextArena::grow(std::size_t bytes) {
  // Each chunk at least doubles the last, so that a busy shard soon has one that fits its batches.
  const std::size_t doubled = chunks_.empty() ? kChunkBytes : std::min(2 * chunks_.back().size, kKeptBytes);
  const std::size_t size = (std::max(bytes, doubled) + 7) & ~std::size_t{7};
  chunks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
  use(chunks_.back());
}

void TextArena::reset() {
  if (chunks_.empty()) return;
  if (chunks_.size() == 1 && chunks_.front().size <= kKeptBytes) return use(chunks_.front());
  Chunk kept;
  for (Chunk& chunk : chunks_) {
    if (chunk.size <= kKeptBytes && chunk.size > kept.size) kept = std::move(chunk);
  }
  chunks_.clear();
  next_ = nullptr;
  left_ = 0;
  if (!kept.memory) return;
  chunks_.push_back(std::move(kept));
  use(chunks_.back());
}

}  // namespace halfmoon::wire
