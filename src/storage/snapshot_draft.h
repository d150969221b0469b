// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "storage/position.h"

namespace halfmoon::storage {

/// A snapshot on its way to the disk: its payload in pieces. Most are shared with the tables, which go on growing meanwhile but do not change
/// what a piece refers to; so it is made quickly inside the core and written outside of it.
class SnapshotDraft {
 public:
  explicit SnapshotDraft(Position at) : position_(at) {}

  /// Bytes that stay as they are while `owner` lives. Not copied.
  void refer(std::shared_ptr<const void> owner, Bytes bytes) {
    if (bytes.empty()) return;
    bytes_ += bytes.size();
    pieces_.push_back({.owner = std::move(owner), .bytes = bytes});
  }
  /// The same for what will be there in later drafts, too, at the same address and with the same owner: it is written once.
  void refer_lasting(std::shared_ptr<const void> owner, Bytes bytes) {
    refer(std::move(owner), bytes);
    if (!bytes.empty()) pieces_.back().lasting = true;
  }
  void take(std::string text) {
    const auto owner = std::make_shared<const std::string>(std::move(text));
    refer(owner, as_bytes(*owner));
  }

  struct Piece {
    std::shared_ptr<const void> owner;
    Bytes bytes;
    bool lasting = false;
  };
  Position position() const { return position_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::uint64_t bytes() const { return bytes_; }   // of the whole payload

 private:
  Position position_;
  std::vector<Piece> pieces_;
  std::uint64_t bytes_ = 0;
};

}  // namespace halfmoon::storage
