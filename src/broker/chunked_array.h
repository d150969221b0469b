// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace halfmoon::broker {

/// An array that grows and shrinks at its end by whole chunks: no copy when it grows, no slack but in the last chunk and one spare. Elements do not
/// move. Not copyable.
template <class T, std::size_t kChunk>
class ChunkedArray {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return chunks_[i / kChunk][i % kChunk]; }
  const T& operator[](std::size_t i) const { return chunks_[i / kChunk][i % kChunk]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(const T& value) {
    if (size_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique<T[]>(kChunk));
    (*this)[size_++] = value;
  }
  void pop_back() {
    size_--;
    if (chunks_.size() * kChunk >= size_ + 2 * kChunk) chunks_.pop_back();
  }
  void clear() {
    chunks_.clear();
    size_ = 0;
  }
  /// Bytes allocated.
  std::size_t bytes() const { return chunks_.size() * kChunk * sizeof(T) + chunks_.capacity() * sizeof(chunks_[0]); }

 private:
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::size_t size_ = 0;
};

}  // namespace halfmoon::broker
