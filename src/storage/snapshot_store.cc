// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot_store.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "base/crc.h"
#include "base/cursor.h"
#include "base/log.h"
#include "storage/second_reading.h"
#include "storage/snapshot_format.h"

namespace halfmoon::storage {
namespace {

constexpr std::string_view kPrefix = "snapshot-";
constexpr std::string_view kTemporary = "snapshot.tmp";
constexpr std::size_t kDigits = 20;
constexpr std::size_t kKept = 2;
constexpr std::size_t kWriteBytes = 1 << 20;
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::int64_t kSyncBytes = 8 << 20;

Result<std::vector<std::string>> snapshots_on(Disk& disk) {
  HM_TRY(auto, names, disk.list());
  std::erase_if(names, [](const std::string& name) { return !snapshot_position(name); });
  return names;  // sorted: by position
}

SnapshotDraft draft_of(const Snapshot& snapshot) {
  SnapshotDraft draft(snapshot.position);
  draft.take(snapshot.payload);
  return draft;
}

}  // namespace

std::string snapshot_name(Position position) {
  std::string digits = std::to_string(position);
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  return std::string(kPrefix) + digits;
}

std::optional<Position> snapshot_position(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits || !name.starts_with(kPrefix)) return std::nullopt;
  Position position = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), position);
  if (error != std::errc{} || end != name.data() + name.size() || position < 0) return std::nullopt;
  return position;
}

std::string encode_snapshot_header(const std::array<std::byte, 16>& store_id, const SnapshotDraft& snapshot) {
  std::string checked;
  Writer writer(checked);
  writer.text(as_text(store_id));
  writer.le(snapshot.position());
  writer.le(snapshot.bytes());
  std::uint32_t crc = crc32c(as_bytes(checked));
  for (const SnapshotDraft::Piece& piece : snapshot.pieces()) crc = crc32c(piece.bytes, crc);
  std::string header(kSnapshotMagic);
  Writer front(header);
  front.le(kSnapshotVersion);
  front.le(crc);
  return header + checked;
}

std::string encode_snapshot_header(const std::array<std::byte, 16>& store_id, const Snapshot& snapshot) {
  return encode_snapshot_header(store_id, draft_of(snapshot));
}

/// Reads `out.size()` bytes at `at`, and goes on with their checksum while they are in the processor's cache.
Result<std::uint32_t> read_checked(File& file, std::int64_t at, MutableBytes out, std::uint32_t crc) {
  for (std::size_t done = 0; done < out.size();) {
    const MutableBytes piece = out.subspan(done, std::min(kReadBytes, out.size() - done));
    HM_TRY(const std::size_t, got, file.read_at(at + static_cast<std::int64_t>(done), piece));
    if (got != piece.size()) return Error{ErrorCode::Corrupt, "could not be read to its end"};
    crc = crc32c(piece, crc);
    done += got;
  }
  return crc;
}

Result<LoadedSnapshot> read_snapshot(Disk& disk, const std::string& name, const std::array<std::byte, 16>* store_id) {
  const auto bad = [&name](const std::string& why) { return Error{ErrorCode::Corrupt, name + ": " + why}; };
  HM_TRY(const auto, file, disk.open(name, OpenMode::Read, Caching::Cached));
  HM_TRY(const std::int64_t, size, file->size());
  if (size < static_cast<std::int64_t>(kSnapshotHeaderBytes)) return bad("shorter than its header");
  std::array<std::byte, kSnapshotHeaderBytes> header{};
  HM_TRY(const std::size_t, got, file->read_at(0, header));
  if (got != header.size()) return bad("could not be read to its end");
  Reader reader(header);
  if (reader.text(kSnapshotMagic.size()) != kSnapshotMagic) return bad("not a snapshot");
  if (const auto version = reader.le<std::uint32_t>(); version != kSnapshotVersion) {
    return bad("format version " + std::to_string(version) + " is not known to this program");
  }
  const auto crc = reader.le<std::uint32_t>();
  const std::string_view id = reader.text(16);
  LoadedSnapshot snapshot{.position = reader.le<Position>(), .memory = nullptr, .payload = {}};
  const auto length = reader.le<std::uint64_t>();
  if (length != static_cast<std::uint64_t>(size) - header.size()) return bad("its length is wrong");
  const auto memory = std::make_shared<const LargeMemory>(length);
  const Result<std::uint32_t> computed = read_checked(*file, static_cast<std::int64_t>(header.size()), memory->bytes(), crc32c(Bytes(header).subspan(kSnapshotMagic.size() + 8)));
  if (!computed.ok()) return computed.error().code == ErrorCode::Corrupt ? bad(computed.error().text) : computed.error();
  if (*computed != crc) return bad("its checksum is wrong");
  if (snapshot_name(snapshot.position) != name) return bad("its position differs from its name");
  if (store_id && std::memcmp(id.data(), store_id->data(), id.size()) != 0) return bad("it belongs to another store");
  snapshot.memory = memory;
  snapshot.payload = as_text(memory->bytes());
  return snapshot;
}

Snapshot joined(const SnapshotDraft& draft) {
  Snapshot snapshot{.position = draft.position(), .payload = {}};
  snapshot.payload.reserve(draft.bytes());
  for (const SnapshotDraft::Piece& piece : draft.pieces()) snapshot.payload.append(as_text(piece.bytes));
  return snapshot;
}

/// Header and pieces, gathered to writes of about kWriteBytes. Synced now and then: what somebody waits for shall not find a long queue before it.
Status SnapshotStore::write_out(File& file, const SnapshotDraft& snapshot, const std::function<void()>& pause) {
  std::string gathered = encode_snapshot_header(store_id_, snapshot);
  std::int64_t at = 0, unsynced = 0;
  const auto hand_over = [&]() -> Status {
    HM_TRY_STATUS(file.write_at(at, as_bytes(gathered)));
    at += static_cast<std::int64_t>(gathered.size());
    unsynced += static_cast<std::int64_t>(gathered.size());
    gathered.clear();
    return Done{};
  };
  for (const SnapshotDraft::Piece& piece : snapshot.pieces()) {
    gathered.append(as_text(piece.bytes));
    if (gathered.size() < kWriteBytes) continue;
    HM_TRY_STATUS(hand_over());
    if (pause) pause();
    if (unsynced < kSyncBytes) continue;
    HM_TRY_STATUS(file.sync());
    unsynced = 0;
  }
  HM_TRY_STATUS(hand_over());
  return file.sync();
}

Status SnapshotStore::write(const Snapshot& snapshot) {
  return write(draft_of(snapshot));
}

Status SnapshotStore::write(const SnapshotDraft& snapshot, const std::function<void()>& pause) {
  const std::string temporary(kTemporary);
  HM_TRY(const auto, before, disk_.list());
  if (std::find(before.begin(), before.end(), temporary) != before.end()) HM_TRY_STATUS(disk_.remove(temporary));
  {
    HM_TRY(const auto, file, disk_.open(temporary, OpenMode::CreateNew, Caching::Cached));
    const Status wrote = write_out(*file, snapshot, pause);
    if (!wrote.ok()) {
      disk_failed_ = disk_failed_ || wrote.error().code == ErrorCode::Io;
      static_cast<void>(disk_.remove(temporary));  // gives the space back; the next write does it otherwise
      return wrote;
    }
  }
  HM_TRY_STATUS(disk_.rename(temporary, snapshot_name(snapshot.position())));
  if (const Status synced = disk_.sync_directory(); !synced.ok()) {
    disk_failed_ = disk_failed_ || synced.error().code == ErrorCode::Io;
    return synced;
  }
  HM_TRY(auto, names, snapshots_on(disk_));
  const auto was_skipped = [this](const std::string& name) { return std::find(skipped_.begin(), skipped_.end(), name) != skipped_.end(); };
  const auto skipped = std::stable_partition(names.begin(), names.end(), was_skipped);  // one that serves nobody must not stand in for one that does
  const std::size_t kept = std::min(kKept, static_cast<std::size_t>(names.end() - skipped));
  for (std::size_t i = 0; i + kept < names.size(); i++) HM_TRY_STATUS(disk_.remove(names[i]));
  skipped_.clear();
  return Done{};
}

Result<std::optional<LoadedSnapshot>> SnapshotStore::newest(Position end) {
  skipped_.clear();
  SecondReading second;
  HM_TRY(const auto, names, snapshots_on(disk_));
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (*snapshot_position(*name) > end) continue;
    Result<LoadedSnapshot> snapshot = read_snapshot(disk_, *name, &store_id_);
    if (!snapshot.ok()) {
      const Error first = snapshot.error();
      snapshot = read_snapshot(disk_, *name, &store_id_);
      if (snapshot.ok() && first.code == ErrorCode::Corrupt) HM_TRY_STATUS(second.differed(*name, 0));
      else if (snapshot.ok()) log_event(LogLevel::Error, "snapshot.read_again", {{"file", *name}, {"error", first.text}, {"consequence", "the second time it could be read; look after the disk"}});
    }
    if (snapshot.ok()) return std::optional(std::move(snapshot).value());
    const bool unreadable = snapshot.error().code != ErrorCode::Corrupt;
    log_event(unreadable ? LogLevel::Error : LogLevel::Warn, unreadable ? "snapshot.unreadable" : "snapshot.skipped",
              {{"file", *name}, {"error", snapshot.error().text}, {"consequence", "an older one, or the log alone, serves, if the log still begins early enough"}});
    skipped_.push_back(*name);
  }
  return std::optional<LoadedSnapshot>{};
}

}  // namespace halfmoon::storage
