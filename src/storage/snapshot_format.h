// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/snapshot_store.h"

namespace halfmoon::storage {

// A snapshot file, docs/formats/log.md:
//
//    0          8         12       16         32         40       48
//    | HMSNAPSH | version | crc32c | store id | position | length | payload |
//                                  ^ the checksum covers from here to the end

inline constexpr std::string_view kSnapshotMagic = "HMSNAPSH";
inline constexpr std::uint32_t kSnapshotVersion = 1;
inline constexpr std::size_t kSnapshotHeaderBytes = 48;

std::string snapshot_name(Position position);
std::optional<Position> snapshot_position(std::string_view name);
std::string encode_snapshot_header(const std::array<std::byte, 16>& store_id, const SnapshotDraft& snapshot);
std::string encode_snapshot_header(const std::array<std::byte, 16>& store_id, const Snapshot& snapshot);

/// Corrupt, naming the file, if anything in it is wrong; `store_id` null: of whatever store.
Result<LoadedSnapshot> read_snapshot(Disk& disk, const std::string& name, const std::array<std::byte, 16>* store_id);

}  // namespace halfmoon::storage
