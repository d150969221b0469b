// SPDX-License-Identifier: Apache-2.0
#include "server/snapshot_pace.h"

#include <algorithm>

namespace halfmoon::server {

void SnapshotPace::start(storage::Position newest, std::int64_t mono_ms) {
  newest_ = newest;
  over_ms_ = mono_ms;
}

void SnapshotPace::drafted(std::int64_t mono_ms, std::int64_t pause_us, std::int64_t work_us) {
  drafted_ms_ = mono_ms;
  pause_us_ = pause_us;
  draft_work_us_ = work_us;
}

void SnapshotPace::written(storage::Position position, std::int64_t bytes, std::int64_t work_us) {
  newest_ = position;
  bytes_ = bytes;
  write_work_us_ = work_us;
}

std::int64_t SnapshotPace::log_before() const { return std::max(rules_.log_bytes, bytes_); }

bool SnapshotPace::due(storage::Position end, std::int64_t mono_ms) const {
  const std::int64_t grown = end - newest_;
  const std::int64_t much_work_us = std::max<std::int64_t>(0, draft_work_us_ + write_work_us_ - kWorkFreeUs);
  const std::int64_t apart_us = std::max(pause_us_ * kPauseShare, much_work_us * kWorkShare);
  const bool too_soon = mono_ms < drafted_ms_ + apart_us / 1000;
  const bool interval_over = mono_ms >= over_ms_ + rules_.interval_ms;
  return (grown >= log_before() && !too_soon) || (interval_over && grown > bytes_ / 8);
}

}  // namespace halfmoon::server
