// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot_store.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "storage/paced_writer.h"
#include "storage/second_reading.h"
#include "storage/snapshot_format.h"

namespace halfmoon::storage {
namespace {

constexpr std::string_view kTemporary = "snapshot.tmp";
constexpr std::size_t kKept = 2;

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

Snapshot joined(const SnapshotDraft& draft) {
  Snapshot snapshot{.position = draft.position(), .payload = {}};
  snapshot.payload.reserve(draft.bytes());
  for (const SnapshotDraft::Piece& piece : draft.pieces()) snapshot.payload.append(as_text(piece.bytes));
  return snapshot;
}

/// Where its lasting pieces stand; those that no earlier snapshot had are written first.
Result<std::vector<PlacedPiece>> SnapshotStore::place_pieces(const SnapshotDraft& snapshot, const std::function<void()>& pause) {
  std::vector<PlacedPiece> placed;
  std::vector<Bytes> fresh;
  std::vector<std::size_t> fresh_places;   // in `placed`
  std::unordered_map<const std::byte*, Known> known;
  std::uint64_t at = 0;
  for (const SnapshotDraft::Piece& piece : snapshot.pieces()) {
    if (piece.lasting) {
      const auto before = known_.find(piece.bytes.data());
      const bool same = before != known_.end() && before->second.place.length == piece.bytes.size() && !before->second.owner.expired() &&
                        !known.contains(piece.bytes.data());   // one that comes twice has two places
      if (!same) {
        fresh_places.push_back(placed.size());
        fresh.push_back(piece.bytes);
      }
      placed.push_back({.payload_at = at, .place = same ? before->second.place : PiecePlace{}});
      known[piece.bytes.data()] = {.owner = same ? before->second.owner : piece.owner, .place = placed.back().place};
    }
    at += piece.bytes.size();
  }
  HM_TRY(const auto, places, files_.append(fresh, pause));
  for (std::size_t i = 0; i < fresh.size(); i++) {
    placed[fresh_places[i]].place = known[fresh[i].data()].place = places[i];
    bytes_written_ += 2 * places[i].length;
  }
  known_ = std::move(known);
  return placed;
}

Status SnapshotStore::write_out(File& file, const SnapshotDraft& snapshot, std::span<const PlacedPiece> placed, const std::function<void()>& pause) {
  PacedWriter writer(file, 0, pause);
  const std::string head = encode_snapshot_head(store_id_, snapshot, placed);
  HM_TRY_STATUS(writer.put(as_bytes(head)));
  bytes_written_ += head.size();
  for (const SnapshotDraft::Piece& piece : snapshot.pieces()) {
    if (piece.lasting) continue;
    HM_TRY_STATUS(writer.put(piece.bytes));
    bytes_written_ += piece.bytes.size();
  }
  return writer.finish();
}

Status SnapshotStore::remember_failure(Status status) {
  disk_failed_ = disk_failed_ || (!status.ok() && status.error().code == ErrorCode::Io);
  return status;
}

Status SnapshotStore::write(const Snapshot& snapshot) {
  return write(draft_of(snapshot));
}

Status SnapshotStore::write(const SnapshotDraft& snapshot, const std::function<void()>& pause) {
  bytes_written_ = 0;
  const std::string temporary(kTemporary);
  HM_TRY(const auto, before, disk_.list());
  if (std::find(before.begin(), before.end(), temporary) != before.end()) HM_TRY_STATUS(disk_.remove(temporary));
  HM_TRY(const auto, placed, place_pieces(snapshot, pause));
  {
    HM_TRY(const auto, file, disk_.open(temporary, OpenMode::CreateNew, Caching::Cached));
    const Status wrote = remember_failure(write_out(*file, snapshot, placed, pause));
    if (!wrote.ok()) {
      static_cast<void>(disk_.remove(temporary));  // gives the space back; the next write does it otherwise
      return wrote;
    }
  }
  const std::string name = snapshot_name(snapshot.position());
  HM_TRY_STATUS(disk_.rename(temporary, name));
  HM_TRY_STATUS(remember_failure(disk_.sync_directory()));
  auto& files = files_of_[name];
  files.clear();
  for (const PlacedPiece& piece : placed) files.insert(piece.place.file);
  return remove_what_is_over();
}

/// All snapshots but the newest two, and the piece files that none of these names.
Status SnapshotStore::remove_what_is_over() {
  HM_TRY(auto, names, snapshots_on(disk_));
  const auto was_skipped = [this](const std::string& name) { return std::find(skipped_.begin(), skipped_.end(), name) != skipped_.end(); };
  const auto skipped = std::stable_partition(names.begin(), names.end(), was_skipped);  // one that serves nobody must not stand in for one that does
  const std::size_t kept = std::min(kKept, static_cast<std::size_t>(names.end() - skipped));
  for (std::size_t i = 0; i + kept < names.size(); i++) HM_TRY_STATUS(disk_.remove(names[i]));
  skipped_.clear();
  names.erase(names.begin(), names.end() - static_cast<std::ptrdiff_t>(kept));
  std::erase_if(files_of_, [&](const auto& entry) { return std::find(names.begin(), names.end(), entry.first) == names.end(); });
  std::set<std::uint32_t> used;
  for (const std::string& name : names) {
    if (!files_of_.contains(name)) {   // it is of an earlier life
      const auto head = read_snapshot_head(disk_, name);
      if (!head.ok()) return Done{};   // what it needs is not known: nothing goes
      for (const PlacedPiece& piece : head->pieces) files_of_[name].insert(piece.place.file);
    }
    used.insert(files_of_[name].begin(), files_of_[name].end());
  }
  return files_.keep_only(used);
}

/// What the tables keep of a snapshot where it was read to need not be written again.
void SnapshotStore::know_pieces_of(const LoadedSnapshot& snapshot) {
  known_.clear();
  if (!snapshot.memory->mapped()) return;   // then they copy it
  for (const PlacedPiece& piece : snapshot.pieces) known_[snapshot.memory->bytes().data() + piece.payload_at] = {.owner = snapshot.memory, .place = piece.place};
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
    if (snapshot.ok()) {
      know_pieces_of(*snapshot);
      return std::optional(std::move(snapshot).value());
    }
    const bool unreadable = snapshot.error().code != ErrorCode::Corrupt;
    log_event(unreadable ? LogLevel::Error : LogLevel::Warn, unreadable ? "snapshot.unreadable" : "snapshot.skipped",
              {{"file", *name}, {"error", snapshot.error().text}, {"consequence", "an older one, or the log alone, serves, if the log still begins early enough"}});
    skipped_.push_back(*name);
  }
  return std::optional<LoadedSnapshot>{};
}

}  // namespace halfmoon::storage
