// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "base/bytes.h"

namespace halfmoon::storage {

inline constexpr std::int64_t kBlockBytes = 4096;  // what O_DIRECT needs addresses, lengths and file positions to be multiples of

constexpr std::int64_t block_floor(std::int64_t n) { return n & ~(kBlockBytes - 1); }
constexpr std::int64_t block_ceiling(std::int64_t n) { return (n + kBlockBytes - 1) & ~(kBlockBytes - 1); }

/// Memory whose address is a multiple of 4096. Growing forgets the contents.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::int64_t bytes) { reserve(bytes); }

  void reserve(std::int64_t bytes) {
    if (bytes <= capacity_) return;
    const auto size = static_cast<std::size_t>(block_ceiling(bytes));
    memory_.reset();
    memory_.reset(static_cast<std::byte*>(::operator new(size, std::align_val_t{kBlockBytes})));
    capacity_ = static_cast<std::int64_t>(size);
  }
  void release() {
    memory_.reset();
    capacity_ = 0;
  }
  std::byte* data() const { return memory_.get(); }
  std::int64_t capacity() const { return capacity_; }
  MutableBytes first(std::int64_t bytes) const { return {memory_.get(), static_cast<std::size_t>(bytes)}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{kBlockBytes}); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::int64_t capacity_ = 0;
};

}  // namespace halfmoon::storage
