// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "storage/disk.h"
#include "storage/large_memory.h"
#include "storage/position.h"
#include "storage/snapshot_draft.h"
#include "storage/snapshot_pieces.h"

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
  std::vector<PlacedPiece> pieces = {};   // of it, those that need not be written again
  std::size_t pieces_from_other = 0;      // so many were whole only in the copy that was not preferred
};

/// Snapshot files (docs/formats/log.md, last section). `write` may run on a background thread while the log is in use; the
/// caller has made `position` durable first.
class SnapshotStore {
 public:
  SnapshotStore(Disk& disk, std::array<std::byte, 16> store_id) : disk_(disk), store_id_(store_id), files_(disk) {}
  /// Writes, syncs and renames; lasting pieces that the last one had are only named. Then removes all but the newest two of those that newest() has not
  /// skipped, and the piece files that these do not name. `pause` is called between pieces of 1 MiB: sleep there, so that a large snapshot
  /// leaves the disk to the writes that somebody waits for; may be empty.
  Status write(const SnapshotDraft& snapshot, const std::function<void()>& pause = {});
  Status write(const Snapshot& snapshot);
  /// True after a write or a sync had failed for another reason than lack of space: what other files had on its way to the disk may be lost as well, and
  /// nobody would be told (a drive that fails a flush may drop its whole cache, and succeed the next time).
  bool disk_failed() const { return disk_failed_ || files_.disk_failed(); }
  /// To the disk with the last write(): less than the snapshot is large, where it shares pieces with the one before.
  std::uint64_t bytes_written() const { return bytes_written_; }
  /// The newest valid one at or below `end`. One that is invalid, or cannot be read, also at a second attempt, is skipped: the event `snapshot.skipped` or
  /// `snapshot.unreadable` says so, and the next write() removes it. nullopt: replay everything. Whether the log still has what an older one needs,
  /// Log::recover tells.
  Result<std::optional<LoadedSnapshot>> newest(Position end);

 private:
  struct Known {
    std::weak_ptr<const void> owner;   // while it lives, what stands at the address is what was written
    PiecePlace place;
  };
  Result<std::vector<PlacedPiece>> place_pieces(const SnapshotDraft& snapshot, const std::function<void()>& pause);
  Status write_out(File& file, const SnapshotDraft& snapshot, std::span<const PlacedPiece> placed, const std::function<void()>& pause);
  Status remember_failure(Status status);
  Status remove_what_is_over();
  void know_pieces_of(const LoadedSnapshot& snapshot);

  Disk& disk_;
  std::array<std::byte, 16> store_id_;
  bool disk_failed_ = false;
  std::vector<std::string> skipped_;   // by newest()
  PieceFiles files_;
  std::unordered_map<const std::byte*, Known> known_;            // the lasting pieces of the newest snapshot, by address
  std::map<std::string, std::set<std::uint32_t>> files_of_;      // snapshot -> the piece files that it names, as far as known
  std::uint64_t bytes_written_ = 0;
};

Snapshot joined(const SnapshotDraft& draft);

}  // namespace halfmoon::storage
