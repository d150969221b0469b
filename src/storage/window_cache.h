// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/disk.h"
#include "storage/position.h"

namespace halfmoon::storage {

/// What readers of old records have in memory: pieces of the segment files (windows), shared by all readers of a log, so that the queues of a topic,
/// which lie interleaved, and the groups that are at about the same place cost one read of the disk, not one each. Files are read past the page cache where
/// that can be: filling it and copying out of it took half of a reader's time.
///
/// Whoever reads on is read ahead for: each window is twice its predecessor, 64 KiB to 1 MiB, and when one is first looked into the disk begins on the next
/// ones. A jump begins anew. At most kWindows are kept; the one that was not used for longest goes. While the disk owes so many, as many more. Any thread.
class WindowCache {
  struct Window;

 public:
  static constexpr std::int64_t kBytesMin = 64 << 10;
  static constexpr std::int64_t kBytesMax = 1 << 20;
  static constexpr std::size_t kWindows = 32;
  static constexpr int kAhead = 2;   // windows that are being read while one is worked off

  /// Counts its reads of the disk in `reads`, which outlives it.
  explicit WindowCache(std::atomic<std::int64_t>& reads) : reads_(reads) {}
  ~WindowCache();

  /// Keeps a window as it is. May outlive the cache; then only to let go.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept : window_(std::move(other.window_)) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(window_, other.window_);
      return *this;
    }
    ~Pin() { release(); }
    void release();
    /// Whether [position, position + bytes) of `cache` is all here.
    bool holds(const WindowCache& cache, Position position, std::int64_t bytes) const;
    /// The bytes from `position` on, `bytes` of them or as many as are here.
    Bytes from(Position position, std::int64_t bytes) const;

   private:
    friend class WindowCache;
    explicit Pin(std::shared_ptr<Window> window);
    std::shared_ptr<Window> window_;
  };

  /// Where a position's bytes are: the segment's file, its first position, and the position where what may be read of it ends.
  struct Source {
    const std::shared_ptr<File>& file;
    Position first = 0;
    Position limit = 0;
  };
  /// A window that holds the byte at `position`, below the source's limit; waits for the disk if it must, `patience_ns` at most unless that is negative.
  /// Where the file ends before it: one that does not. Errors: Io; Busy: it is not here yet, and on its way. The next call tries again.
  Result<Pin> at(Position position, const Source& source, std::int64_t patience_ns = kForEver);
  /// What is known of [from, to) may be wrong: it is read again when next asked for.
  void forget(Position from, Position to);

 private:
  struct Range {
    Position begin = 0;
    Position end = 0;
  };

  std::shared_ptr<Window> find(Position position) const;
  Range range_for(Position position, const Source& source, bool& goes_on) const;
  Pin take(Range range, bool goes_on);
  void plan_ahead(const Window& from, const Source& source, std::vector<Pin>& planned);
  void begin(Window& window, const Source& source);
  void forget(const Window& window);

  static std::uint64_t next_id();

  const std::uint64_t id_ = next_id();   // no two caches of a process have the same: a Pin may come from one that is gone
  std::atomic<std::int64_t>& reads_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Window>> windows_;   // under mutex_, as are the windows' places
  std::uint64_t uses_ = 0;                         // under mutex_
};

}  // namespace halfmoon::storage
