// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/snapshot_pieces.h"
#include "storage/snapshot_store.h"

namespace halfmoon::storage {

// A snapshot file, docs/formats/log.md:
//
//    0          8         12       16         32         40       48       52             56
//    | HMSNAPSH | version | crc32c | store id | position | length | pieces | crc32c table | a line for each piece | the rest of the payload |
//                                  ^ the first checksum covers from here to the end, the second from here to the end of the lines, itself left out
//
// Version 1 has no pieces: its payload begins at byte 48.

inline constexpr std::string_view kSnapshotMagic = "HMSNAPSH";
inline constexpr std::uint32_t kSnapshotVersion = 2;
inline constexpr std::size_t kSnapshotHeaderBytes = 56;
inline constexpr std::size_t kSnapshotHeaderBytesV1 = 48;
inline constexpr std::size_t kPieceLineBytes = 32;

std::string snapshot_name(Position position);
std::optional<Position> snapshot_position(std::string_view name);

/// What stands before the rest of the payload. `pieces` are those of the draft that lie in piece files, in order; of the others the checksum is taken here.
std::string encode_snapshot_head(const std::array<std::byte, 16>& store_id, const SnapshotDraft& snapshot, std::span<const PlacedPiece> pieces);

struct SnapshotHead {
  std::uint32_t version = 0;
  std::uint32_t crc = 0;                // of all from byte 16 on
  std::array<std::byte, 16> store_id{};
  Position position = 0;
  std::uint64_t length = 0;             // of the payload
  std::vector<PlacedPiece> pieces;
  std::uint64_t bytes() const { return version == 1 ? kSnapshotHeaderBytesV1 : kSnapshotHeaderBytes + pieces.size() * kPieceLineBytes; }
};

/// Corrupt, naming the file, if anything in it, or in a piece that it names, is wrong; `store_id` null: of whatever store. Pieces are read from
/// their preferred copy, or else from the other one.
Result<LoadedSnapshot> read_snapshot(Disk& disk, const std::string& name, const std::array<std::byte, 16>* store_id, PieceCopy preferred = PieceCopy::First);
/// Its head alone. Errors: Corrupt, Io.
Result<SnapshotHead> read_snapshot_head(Disk& disk, const std::string& name);

}  // namespace halfmoon::storage
