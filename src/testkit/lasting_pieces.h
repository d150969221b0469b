// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "storage/snapshot_draft.h"
#include "storage/snapshot_store.h"

namespace halfmoon::testkit {

/// Cuts small snapshots into lasting pieces of so many bytes, as large tables do it with theirs: what an earlier one had, byte for byte, is the same piece again.
/// The last piece, which is shorter, does not last.
class LastingPieces {
 public:
  explicit LastingPieces(std::size_t bytes) : bytes_(bytes) {}

  storage::SnapshotDraft draft(const storage::Snapshot& snapshot) {
    storage::SnapshotDraft draft(snapshot.position);
    std::string_view left = snapshot.payload;
    for (; left.size() >= bytes_; left.remove_prefix(bytes_)) {
      auto& piece = pieces_[std::string(left.substr(0, bytes_))];
      if (!piece) piece = std::make_shared<const std::string>(left.substr(0, bytes_));
      draft.refer_lasting(piece, as_bytes(*piece));
    }
    draft.take(std::string(left));
    return draft;
  }

 private:
  std::size_t bytes_;
  std::map<std::string, std::shared_ptr<const std::string>> pieces_;
};

}  // namespace halfmoon::testkit
