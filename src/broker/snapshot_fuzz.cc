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

/// A snapshot file with these bytes, its checksum made right if `sealed`.
std::optional<storage::LoadedSnapshot> read_file(std::string bytes, bool sealed) {
  if (sealed && bytes.size() >= storage::kSnapshotHeaderBytes) {
    std::memcpy(bytes.data(), storage::kSnapshotMagic.data(), storage::kSnapshotMagic.size());
    store_le(bytes.data() + 12, crc32c(as_bytes(bytes).subspan(16)));
  }
  testkit::SimDisk disk;
  const std::string name = storage::snapshot_name(bytes.size() >= 40 ? std::max<std::int64_t>(load_le<std::int64_t>(bytes.data() + 32), 0) : 0);
  const auto file = disk.open(name, storage::OpenMode::CreateNew, storage::Caching::Cached);
  HM_CHECK(file.ok() && (*file)->write_at(0, as_bytes(bytes)).ok());
  const auto snapshot = storage::read_snapshot(disk, name, nullptr);
  if (!snapshot.ok()) {
    HM_CHECK(snapshot.error().code == ErrorCode::Corrupt && snapshot.error().text.starts_with(name));
    return std::nullopt;
  }
  std::array<std::byte, 16> id{};
  std::memcpy(id.data(), bytes.data() + 16, id.size());
  HM_CHECK(storage::encode_snapshot_header(id, {.position = snapshot->position, .payload = std::string(snapshot->payload)}) + std::string(snapshot->payload) == bytes);
  return *snapshot;
}

}  // namespace

//  | form u8: 0 the payload, 1 a file, 2 a file with its checksum made right | bytes |
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
