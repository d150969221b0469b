// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "base/bytes.h"

namespace halfmoon::storage {

/// Memory for something of many MiB that is read at once and then kept in part: in huge pages where the system has them, because the first touch of 50,000
/// small ones takes longer than reading what comes into them. Zeros at first. Throws std::bad_alloc.
class LargeMemory {
 public:
  explicit LargeMemory(std::size_t bytes);
  ~LargeMemory();
  LargeMemory(const LargeMemory&) = delete;
  LargeMemory& operator=(const LargeMemory&) = delete;

  MutableBytes bytes() const { return {begin_, size_}; }
  /// Whether it is the system's own mapping; what is small is not, and piece() then gives nothing back before its end.
  bool mapped() const { return mapped_ != 0; }
  /// A piece of `memory` that keeps all of it alive. When the last reference to the piece goes, the whole 4 KiB blocks in it are given back to the system,
  /// whatever else of the memory is still in use. Pieces do not overlap, and what lies in one is only reached through it.
  static std::shared_ptr<const std::byte> piece(const std::shared_ptr<const LargeMemory>& memory, Bytes piece);

 private:
  std::byte* begin_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;   // bytes of the mapping; 0: from the heap
};

}  // namespace halfmoon::storage
