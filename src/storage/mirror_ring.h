// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "storage/position.h"

namespace halfmoon::storage {

/// Memory for the log's tail: the same pages mapped twice, back to back, so that any `bytes()` consecutive positions are contiguous
/// in memory wherever they begin.
///
///   positions    ... | 0 1 2 ... n-1 | 0 1 2 ... n-1 |      index = position modulo n, n a power of two
///                    ^ first mapping ^ the same pages again
///
/// Pages are touched when the log first gets there and then reused for ever. What may be read or overwritten when is the business
/// of the log, not of the ring.
class MirrorRing {
 public:
  MirrorRing() = default;
  MirrorRing(const MirrorRing&) = delete;
  MirrorRing& operator=(const MirrorRing&) = delete;
  ~MirrorRing();

  /// `bytes`: a power of two, at least the page size. Io if the system refuses the memory.
  Status map(std::int64_t bytes);
  /// The same over [offset, offset + bytes) of a file, shared: what is stored here is in the file. `offset`: of a page.
  Status map_file(int fd, std::int64_t offset, std::int64_t bytes);
  std::byte* at(Position position) const { return base_ + (position & mask_); }
  std::int64_t bytes() const { return mask_ + 1; }

 private:
  std::byte* base_ = nullptr;
  std::int64_t mask_ = -1;
};

}  // namespace halfmoon::storage
