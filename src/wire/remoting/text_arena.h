// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace halfmoon::wire {

/// Where decoders put what cannot be a view into the input: unescaped strings and field tables. Addresses stay until reset().
/// Owned by one I/O shard and reused: decode the headers of a batch, handle them, reset. After the first batches it allocates
/// nothing. It grows by no more than the decoded input's size and its field tables.
class TextArena {
 public:
  TextArena() = default;
  TextArena(const TextArena&) = delete;
  TextArena& operator=(const TextArena&) = delete;

  /// Room for `bytes` bytes, aligned to 8; not yours until commit(used) says how many of them were used.
  char* reserve(std::size_t bytes) {
    if (left_ < bytes) grow(bytes);
    return next_;
  }
  void commit(std::size_t used) {
    used = (used + 7) & ~std::size_t{7};
    if (used > left_) used = left_;
    next_ += used;
    left_ -= used;
  }
  /// Ends the life of every view handed out. Keeps one chunk of at most kKeptBytes.
  void reset();

 private:
  static constexpr std::size_t kChunkBytes = 16u << 10;
  static constexpr std::size_t kKeptBytes = 256u << 10;
  struct Chunk {
    std::unique_ptr<char[]> memory;
    std::size_t size = 0;
  };
  void grow(std::size_t bytes);
  void use(const Chunk& chunk) {
    next_ = chunk.memory.get();
    left_ = chunk.size;
  }

  std::vector<Chunk> chunks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace halfmoon::wire
