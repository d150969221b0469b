// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "storage/disk.h"

namespace halfmoon::storage {

/// Writes a file from its byte `at` on, gathered to writes of about 1 MiB, with `pause` (may be empty) called after each. Synced now and then: what somebody
/// waits for shall not find a long queue before it. `file` and `pause` outlive it.
class PacedWriter {
 public:
  PacedWriter(File& file, std::int64_t at, const std::function<void()>& pause) : file_(file), at_(at), pause_(pause) {}

  Status put(Bytes bytes) {
    gathered_.append(as_text(bytes));
    if (gathered_.size() < kWriteBytes) return Done{};
    HM_TRY_STATUS(hand_over());
    if (pause_) pause_();
    if (unsynced_ < kSyncBytes) return Done{};
    unsynced_ = 0;
    return file_.sync();
  }
  /// What is left, and a sync of all.
  Status finish() {
    HM_TRY_STATUS(hand_over());
    return file_.sync();
  }

 private:
  static constexpr std::size_t kWriteBytes = 1 << 20;
  static constexpr std::int64_t kSyncBytes = 8 << 20;

  Status hand_over() {
    HM_TRY_STATUS(file_.write_at(at_, as_bytes(gathered_)));
    at_ += static_cast<std::int64_t>(gathered_.size());
    unsynced_ += static_cast<std::int64_t>(gathered_.size());
    gathered_.clear();
    return Done{};
  }

  File& file_;
  std::int64_t at_;
  const std::function<void()>& pause_;
  std::string gathered_;
  std::int64_t unsynced_ = 0;
};

}  // namespace halfmoon::storage
