// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/result.h"
#include "storage/disk.h"
#include "storage/position.h"

namespace halfmoon::storage {

/// A snapshot of the derived tables: everything the log says below `position`.
struct Snapshot {
  Position position = 0;
  std::string payload;
};

/// Snapshot files (docs/formats/log.md, last section). `write` may run on a background thread while the log is in use; the
/// caller has made `position` durable first.
class SnapshotStore {
 public:
  SnapshotStore(Disk& disk, std::array<std::byte, 16> store_id) : disk_(disk), store_id_(store_id) {}
  /// Writes, syncs and renames; then removes all but the newest two.
  Status write(const Snapshot& snapshot);
  /// The newest valid one at or below `end`; invalid ones are skipped with a warning in the log. nullopt: replay everything.
  Result<std::optional<Snapshot>> newest(Position end);

 private:
  Disk& disk_;
  std::array<std::byte, 16> store_id_;
};

}  // namespace halfmoon::storage
