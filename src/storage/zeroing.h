// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

#include "base/result.h"
#include "storage/aligned_buffer.h"
#include "storage/disk.h"

namespace halfmoon::storage {

/// Zeroes the next segment while the log is written (docs/design/0012). The disk does one thing after the other: a piece of zeros that it has just begun
/// holds up a flush by all of its time. So the flusher begins the pieces itself, right after a flush, when the disk is idle and the next
/// flush is being gathered; in proportion to what is appended. The thread that called fill only looks on, and goes to work itself when nothing is
/// flushed, or where a write cannot be begun.
class Zeroing {
 public:
  struct Pace {
    /// How much should be zeroed by now, of the `bytes` of fill: any thread.
    std::function<std::int64_t()> wanted;
    std::function<bool()> hurry;    // somebody waits: no pauses
    std::function<void()> pause;    // sleeps a little; never called from flushed
  };
  /// Returns when the first `bytes` of the file are zero. Nobody else uses the file meanwhile. Errors: Io.
  Status fill(File& file, std::int64_t bytes, const Pace& pace);
  /// The flusher: a flush has just ended. Returns at once.
  void flushed();

 private:
  Status look(File::Look how);
  Status write_piece();
  Status begin_piece();

  std::atomic<bool> filling_{false};
  std::mutex mutex_;                 // never held while somebody waits for time to pass
  AlignedBuffer zeros_;
  File* file_ = nullptr;
  const Pace* pace_ = nullptr;
  std::int64_t at_ = 0, bytes_ = 0;
  std::int64_t under_way_ = 0;       // bytes at at_ that a begun write is bringing to the disk
  std::int64_t flushes_ = 0;         // ever: tells that the flusher is at work
  bool cannot_begin_ = false;        // here no write can be begun
  Status begun_failed_{Done{}};      // for fill to return
};

}  // namespace halfmoon::storage
