// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "storage/position.h"

namespace halfmoon::server {

/// When the next snapshot is due: often enough for a quick restart, seldom enough that nobody notices. Times are monotonic, positions the log's.
class SnapshotPace {
 public:
  struct Rules {
    std::int64_t log_bytes = 0;     // snapshotLogBytes
    std::int64_t interval_ms = 0;
  };
  /// While a draft is made everybody waits, which may be one part in so many of the time; and what draft and writing together take of a processor, beyond
  /// kWorkFreeUs, may be one part in so many. With a hundred thousand queues both count; with few, a quick restart counts more.
  static constexpr std::int64_t kPauseShare = 50;
  static constexpr std::int64_t kWorkShare = 30;
  static constexpr std::int64_t kWorkFreeUs = 25'000;

  explicit SnapshotPace(Rules rules) : rules_(rules) {}

  /// The newest one when the broker starts, and when that is.
  void start(storage::Position newest, std::int64_t mono_ms);
  /// `pause_us`: for so long nobody else was in the core. `work_us`: processor time.
  void drafted(std::int64_t mono_ms, std::int64_t pause_us, std::int64_t work_us);
  /// `bytes`: written for it, which is less than it holds. `work_us`: processor time.
  void written(storage::Position position, std::int64_t bytes, std::int64_t work_us);
  /// The attempt that began then is over, however it ended.
  void over(std::int64_t began_mono_ms) { over_ms_ = began_mono_ms; }

  storage::Position newest() const { return newest_; }
  /// Writing a snapshot costs as much as writing that many messages. So it waits for as much new log as was written for the last one, even where that is more than
  /// snapshotLogBytes, ...
  std::int64_t log_before() const;
  /// ... and an interval that is over calls for it only where the log has grown by an eighth of that.
  bool due(storage::Position end, std::int64_t mono_ms) const;
  std::int64_t pause_us() const { return pause_us_; }

 private:
  const Rules rules_;
  storage::Position newest_ = 0;
  std::int64_t bytes_ = 0;        // written for it
  std::int64_t pause_us_ = 0, draft_work_us_ = 0, write_work_us_ = 0;   // of the last one
  std::int64_t drafted_ms_ = 0, over_ms_ = 0;
};

}  // namespace halfmoon::server
