// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/disk.h"
#include "storage/large_memory.h"
#include "storage/position.h"
#include "storage/snapshot_draft.h"

namespace halfmoon::storage {

/// A snapshot of the derived tables: everything the log says below `position`.
struct Snapshot {
  Position position = 0;
  std::string payload;
};

/// A snapshot as it was read. `payload` lies in `memory` (null: in the caller's), pieces of which whoever restores it may keep instead of copying them.
struct LoadedSnapshot {
  Position position = 0;
  std::shared_ptr<const LargeMemory> memory;
  std::string_view payload;
};

/// Snapshot files (docs/formats/log.md, last section). `write` may run on a background thread while the log is in use; the
/// caller has made `position` durable first.
class SnapshotStore {
 public:
  SnapshotStore(Disk& disk, std::array<std::byte, 16> store_id) : disk_(disk), store_id_(store_id) {}
  /// Writes, syncs and renames; then removes all but the newest two of those that newest() has not skipped. `pause` is called between pieces of 1 MiB: sleep there, so that a large snapshot
  /// leaves the disk to the writes that somebody waits for; may be empty.
  Status write(const SnapshotDraft& snapshot, const std::function<void()>& pause = {});
  Status write(const Snapshot& snapshot);
  /// True after a write or a sync had failed for another reason than lack of space: what other files had on its way to the disk may be lost as well, and
  /// nobody would be told (a drive that fails a flush may drop its whole cache, and succeed the next time).
  bool disk_failed() const { return disk_failed_; }
  /// The newest valid one at or below `end`. One that is invalid, or cannot be read, also at a second attempt, is skipped: the event `snapshot.skipped` or
  /// `snapshot.unreadable` says so, and the next write() removes it. nullopt: replay everything. Whether the log still has what an older one needs,
  /// Log::recover tells.
  Result<std::optional<LoadedSnapshot>> newest(Position end);

 private:
  Status write_out(File& file, const SnapshotDraft& snapshot, const std::function<void()>& pause);

  Disk& disk_;
  std::array<std::byte, 16> store_id_;
  bool disk_failed_ = false;
  std::vector<std::string> skipped_;   // by newest()
};

Snapshot joined(const SnapshotDraft& draft);

}  // namespace halfmoon::storage
