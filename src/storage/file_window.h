// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "storage/aligned_buffer.h"
#include "storage/disk.h"
#include "storage/position.h"

namespace halfmoon::storage {

/// A window of one segment file in memory, in whole blocks, so that it works on Direct files too. Not thread-safe.
class FileWindow {
 public:
  struct Request {
    Position first = 0;         // the segment's first position
    Position at = 0;
    std::int64_t bytes = 0;     // wanted
    std::int64_t ahead = 0;     // read so much at once when a read is needed
    Position limit = 0;         // but nothing from here on
  };
  /// The bytes wanted; fewer where `limit` or the file ends. Valid until the next call.
  Result<Bytes> get(File& file, const Request& request);
  /// Whether [at, at + bytes) can be had without a read.
  bool holds(Position first, Position at, std::int64_t bytes) const {
    return first == first_ && at >= begin_ && at + bytes <= end_;
  }
  /// Whether reading at `at` goes on from here: in the window, or less than `reach` behind it.
  bool leads_to(Position first, Position at, std::int64_t reach) const { return first == first_ && begin_ < end_ && at >= begin_ && at <= end_ + reach; }
  Position end() const { return end_; }
  void clear() { begin_ = end_ = 0; }
  void release() { clear(); buffer_.release(); }
  std::int64_t memory() const { return buffer_.capacity(); }

 private:
  AlignedBuffer buffer_;
  Position first_ = kNoPosition;
  Position begin_ = 0;
  Position end_ = 0;
};

}  // namespace halfmoon::storage
