// SPDX-License-Identifier: Apache-2.0
// Snapshots: a file whose checksum is wrong is never taken; whatever payload stands behind a right one is either refused by name or restored to
// tables that a snapshot writes and reads again unchanged, and with which the core runs.
#include <cstdio>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/crc.h"
#include "storage/snapshot_format.h"
#include "testkit/fuzz_input.h"
#include "testkit/fuzzed_core.h"
#include "testkit/sim_disk.h"

namespace {

using namespace halfmoon;

/// Makes the checksums of a snapshot file right: of the pieces that lie in this file itself, of their list, of all.
void seal(std::string& bytes) {
  std::memcpy(bytes.data(), storage::kSnapshotMagic.data(), storage::kSnapshotMagic.size());
  const MutableBytes file = std::as_writable_bytes(std::span(bytes));
  const bool lists = load_le<std::uint32_t>(file.data() + 8) >= 2 && file.size() >= storage::kSnapshotHeaderBytes;
  const std::size_t pieces = lists ? load_le<std::uint32_t>(file.data() + 48) : 0;
  if (lists && pieces <= (file.size() - storage::kSnapshotHeaderBytes) / storage::kPieceLineBytes) {
    const MutableBytes lines = file.subspan(storage::kSnapshotHeaderBytes, pieces * storage::kPieceLineBytes);
    for (MutableBytes left = lines; !left.empty(); left = left.subspan(storage::kPieceLineBytes)) {
      const auto length = load_le<std::uint32_t>(left.data() + 12);
      const auto at = load_le<std::uint64_t>(left.data() + 16);
      if (at <= file.size() && length <= file.size() - at) store_le(left.data() + 24, crc32c(file.subspan(at, length)));
    }
    store_le(file.data() + 52, crc32c(lines, crc32c(file.subspan(16, 36))));
  }
  store_le(file.data() + 12, crc32c(file.subspan(16)));
}

void put(testkit::SimDisk& disk, const std::string& name, std::string_view bytes) {
  const auto file = disk.open(name, storage::OpenMode::CreateNew, storage::Caching::Cached);
  HM_CHECK(file.ok() && (*file)->write_at(0, as_bytes(bytes)).ok());
}

/// A snapshot file with these bytes, its checksums made right if `sealed`, beside piece files that hold the same bytes.
std::optional<storage::LoadedSnapshot> read_file(std::string bytes, bool sealed) {
  if (sealed && bytes.size() >= storage::kSnapshotHeaderBytesV1) seal(bytes);
  testkit::SimDisk disk;
  const std::string name = storage::snapshot_name(bytes.size() >= 40 ? std::max<std::int64_t>(load_le<std::int64_t>(bytes.data() + 32), 0) : 0);
  put(disk, name, bytes);
  for (const auto copy : {storage::PieceCopy::First, storage::PieceCopy::Second}) put(disk, storage::piece_file_name(0, copy), bytes);
  const auto snapshot = storage::read_snapshot(disk, name, nullptr);
  if (!snapshot.ok()) {
    HM_CHECK(snapshot.error().code == ErrorCode::Corrupt && snapshot.error().text.starts_with(name));
    return std::nullopt;
  }
  // Written again it reads the same.
  std::array<std::byte, 16> id{};
  std::memcpy(id.data(), bytes.data() + 16, id.size());
  testkit::SimDisk other;
  storage::SnapshotStore store(other, id);
  HM_CHECK(store.write({.position = snapshot->position, .payload = std::string(snapshot->payload)}).ok());
  const auto again = storage::read_snapshot(other, name, &id);
  HM_CHECK(again.ok() && again->position == snapshot->position && again->payload == snapshot->payload);
  return *snapshot;
}

}  // namespace

//  | form u8: 0 the payload, 1 a file, 2 a file with its checksums made right | bytes |
HM_FUZZ_TARGET() {
  const std::size_t form = input.below(3);
  storage::LoadedSnapshot snapshot;
  std::string payload;
  if (form == 0) {
    payload = std::string(input.rest());
    snapshot.position = 1 << 30;
    snapshot.payload = payload;
  } else if (auto read = read_file(std::string(input.rest()), form == 2)) {
    snapshot = std::move(*read);
  } else {
    return;
  }
  testkit::FuzzedCore first;
  const Status restored = first.core->restore(snapshot);
  if (!restored.ok()) {
    HM_CHECK(restored.error().code == ErrorCode::Corrupt && !restored.error().text.empty());
    return;
  }
  storage::Snapshot written = first.core->snapshot();
  written.position = snapshot.position;  // the log itself is empty
  testkit::FuzzedCore second;
  const Status again = second.core->restore(written);
  if (!again.ok()) std::fprintf(stderr, "what the core wrote is refused: %s\n", again.error().text.c_str());
  HM_CHECK(again.ok());
  HM_CHECK(second.core->snapshot().payload == written.payload);
  first.start();
  first.run();
}
