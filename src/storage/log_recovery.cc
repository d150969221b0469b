// SPDX-License-Identifier: Apache-2.0
// Recovery, as docs/formats/log.md, "Recovery", says.
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "storage/log_impl.h"
#include "storage/log_replay.h"

namespace halfmoon::storage {

namespace {

constexpr std::int64_t kLookBehindBytes = 64 << 20;  // how far behind a torn place later batches are looked for
constexpr std::int64_t kPieceBytes = 1 << 20;
constexpr std::size_t kTornFilesKept = 8;

std::string torn_name(Position position) {
  std::string name = segment_name(position);
  return "torn-" + name.substr(0, name.find('.')) + ".bin";
}

bool is_torn_name(const std::string& name) { return name.starts_with("torn-") && name.ends_with(".bin"); }

Error damage(const Segment& segment, Position position, const std::string& what) {
  return {ErrorCode::Corrupt, segment.name + ": byte " + std::to_string(segment.file_byte(position)) + ", position " +
                                  std::to_string(position) + ": " + what +
                                  "; records that were on disk are damaged. Nothing has been changed: restore the file from a copy"};
}

/// Copies [from, to) of the segment into a file of its own.
Status copy_out(Disk& disk, File& file, const Segment& segment, Position from, Position to) {
  const std::string name = torn_name(from);
  HM_TRY(const auto, names, disk.list());
  if (std::find(names.begin(), names.end(), name) != names.end()) return Done{};  // an interrupted recovery was here
  HM_TRY(const auto, out, disk.open(name + ".tmp", OpenMode::CreateOrOpen, Caching::Cached));
  FileWindow window;
  for (Position at = from; at < to;) {
    HM_TRY(const Bytes, piece, window.get(file, {.first = segment.header.first, .at = at, .bytes = std::min(kPieceBytes, to - at),
                                                 .ahead = 0, .limit = to}));
    if (piece.empty()) break;
    HM_TRY_STATUS(out->write_at(at - from, piece));
    at += static_cast<std::int64_t>(piece.size());
  }
  HM_TRY_STATUS(out->sync());
  HM_TRY_STATUS(disk.rename(name + ".tmp", name));
  return disk.sync_directory();
}

Status keep_newest_torn_files(Disk& disk) {
  HM_TRY(auto, names, disk.list());
  std::erase_if(names, [](const std::string& name) { return !is_torn_name(name); });
  for (std::size_t i = 0; i + kTornFilesKept < names.size(); i++) HM_TRY_STATUS(disk.remove(names[i]));
  return Done{};
}

}  // namespace

Result<RecoveryReport> Log::Impl::recover(Position from, const Visitor& visit) {
  HM_CHECK(!recovered);
  if (from < first_position.load(std::memory_order_relaxed)) {
    return Error{ErrorCode::Corrupt, "the log begins at position " + std::to_string(first_position.load()) +
                                         ", but is needed from " + std::to_string(from) + ": segments are missing"};
  }
  Replay replay{.visit = visit, .at = from, .last_batch = from, .durable = from, .epoch = 0, .why = {}, .report = {}, .second = {}};
  // A snapshot's position may be the end of one segment's data, or lie in a later one.
  std::size_t index = 0;
  while (index + 1 < segments.size() && segments[index + 1]->header.first <= from) index++;
  for (; index < segments.size(); index++) HM_TRY_STATUS(replay_segment(index, replay));
  if (!created) HM_TRY_STATUS(take_over_tail(replay));
  if (!created) HM_TRY_STATUS(settle_tail(replay));
  HM_TRY_STATUS(map_ring());
  HM_TRY_STATUS(resume_at(replay));
  replay.report.end = replay.at;
  recovered = true;
  return replay.report;
}

/// Visits the batches of segments[index] from replay.at on. Of the newest segment it leaves the first invalid place in replay.at; in
/// an older one such a place is damage.
Status Log::Impl::replay_segment(std::size_t index, Replay& replay) {
  const Segment& segment = *segments[index];
  const bool newest = index + 1 == segments.size();
  const Position end = newest ? segment.header.limit() : segment.end.load(std::memory_order_relaxed);
  if (replay.at < segment.header.first) replay.at = replay.last_batch = segment.header.first;
  replay.durable = std::max(replay.durable, segment.header.first);
  replay.epoch = std::max(replay.epoch, segment.header.epoch);
  if (replay.at > end) return damage(segment, end, "the log ends here, but a snapshot covers it up to position " + std::to_string(replay.at));
  // Past the page cache, which may show what a failed write did not bring to the disk. And it does not hold the segments, which are written past it:
  // bringing them into fresh pages of it took most of the time of a start.
  HM_TRY(const auto, file, disk.open(segment.name, OpenMode::Read, Caching::Direct));
  BatchScanner scanner(*file, segment.header);
  while (replay.at < end) {
    HM_TRY(const auto, batch, scanner.next_believed(replay.at, end, segment.name, replay.second));
    if (!batch) {
      replay.why = scanner.why();
      if (!newest) return damage(segment, replay.at, replay.why);
      break;
    }
    HM_TRY_STATUS(BatchScanner::for_each_record(*batch, [&](const RecordView& record) -> Status {
      if (record.epoch < replay.epoch) return damage(segment, record.position, "the epoch goes back");
      replay.epoch = record.epoch;
      replay.report.records++;
      Status visited = replay.visit(record, batch->header.wall_ms);
      if (visited.ok() || visited.error().code != ErrorCode::Corrupt) return visited;
      return Error{ErrorCode::Corrupt, segment.name + ": byte " + std::to_string(segment.file_byte(record.position)) + ": " + visited.error().text};
    }));
    replay.report.batches++;
    replay.durable = std::max(replay.durable, batch->header.durable_before);
    replay.last_batch = batch->begin;
    replay.at = batch->end;
    last_wall_ms = batch->header.wall_ms;
    segments[index]->last_write_wall_ms.store(last_wall_ms, std::memory_order_relaxed);
  }
  return Done{};
}

/// Decides whether what follows the last valid batch is damage or a torn tail, cuts the latter, and makes all that is left durable.
Status Log::Impl::settle_tail(Replay& replay) {
  Segment& segment = *segments.back();
  const Position limit = segment.header.limit();
  HM_TRY(const auto, file, disk.open(segment.name, OpenMode::ReadWrite, Caching::Direct));
  BatchScanner scanner(*file, segment.header);
  const Position look_to = std::min(limit, replay.at + std::max(kLookBehindBytes, options.ring_bytes));
  HM_TRY(const BatchScanner::Tail, tail, scanner.look_behind(replay.at, look_to));
  if (tail.had_been_durable) {
    return damage(segment, replay.at, replay.why + ", yet the batch at position " + std::to_string(*tail.had_been_durable) +
                                          " says that this place had been written safely");
  }
  const bool torn = tail.nonzero_end > replay.at;
  if (torn) {
    replay.report.torn_bytes = tail.nonzero_end - replay.at;
    keep_torn_bytes(*file, replay, tail.nonzero_end);
    HM_TRY_STATUS(cut_tail(*file, replay));
  }
  if (replay.durable < replay.at) HM_TRY_STATUS(rewrite_tail(*file, replay));
  HM_TRY_STATUS(rewrite_header(*file));
  return file->sync();
}

/// For whoever wants to know what happened. Failing must not keep the broker from starting.
void Log::Impl::keep_torn_bytes(File& file, Replay& replay, Position nonzero_end) {
  Status kept = copy_out(disk, file, *segments.back(), replay.at, nonzero_end);
  if (kept.ok()) kept = keep_newest_torn_files(disk);
  if (kept.ok()) {
    replay.report.torn_file = torn_name(replay.at);
  } else {
    log_event(LogLevel::Warn, "log.torn_bytes_not_kept", {{"position", replay.at}, {"error", kept.error().text}});
  }
}

/// Zeroes the segment from replay.at to its end, where it is not zero. The first block begins with what stays.
Status Log::Impl::cut_tail(File& file, Replay& replay) {
  const Segment& segment = *segments.back();
  AlignedBuffer piece(kPieceBytes);
  for (Position at = block_floor(replay.at); at < segment.header.limit(); at += kPieceBytes) {
    const MutableBytes bytes = piece.first(std::min(kPieceBytes, segment.header.limit() - at));
    HM_TRY(const std::size_t, got, replay.second.read(file, segment.name, segment.file_byte(at), bytes));
    if (got != bytes.size()) return Error{ErrorCode::Io, segment.name + ": the file became shorter"};
    const MutableBytes cut = bytes.subspan(static_cast<std::size_t>(std::max<Position>(0, replay.at - at)));
    if (is_zero(cut)) continue;
    std::memset(cut.data(), 0, cut.size());
    HM_TRY_STATUS(file.write_at(segment.file_byte(at), bytes));
  }
  return Done{};
}

/// Writes [replay.durable, replay.at) once more: it was read past the page cache, so these are the bytes that the disk has, or may
/// only have had.
Status Log::Impl::rewrite_tail(File& file, Replay& replay) {
  const Segment& segment = *segments.back();
  AlignedBuffer piece(kPieceBytes);
  for (Position at = block_floor(replay.durable); at < replay.at; at += kPieceBytes) {
    const MutableBytes bytes = piece.first(std::min(kPieceBytes, block_ceiling(replay.at) - at));
    HM_TRY(const std::size_t, got, replay.second.read(file, segment.name, segment.file_byte(at), bytes));
    if (got != bytes.size()) return Error{ErrorCode::Io, segment.name + ": the file became shorter"};
    HM_TRY_STATUS(file.write_at(segment.file_byte(at), bytes));
  }
  return Done{};
}

/// The header too may have been read out of a cache that a failed sync left behind, and nothing else would write it again.
Status Log::Impl::rewrite_header(File& file) {
  AlignedBuffer block(kBlockBytes);
  encode_segment_header(segments.back()->header, block.first(kBlockBytes));
  return file.write_at(0, block.first(kBlockBytes));
}

/// Sets all sides up to go on at replay.at. The last batch comes into the ring: its last block is written again from there.
Status Log::Impl::resume_at(Replay& replay) {
  active = segments.back();
  epoch = std::max(epoch, replay.epoch);
  next = replay.at;
  Position resident = replay.at;
  if (replay.at - replay.last_batch <= ring.bytes() / 2) resident = std::max(replay.last_batch, active->header.first);
  HM_TRY(const auto, file, disk.open(active->name, OpenMode::Read, Caching::Direct));
  const Position from = block_floor(resident), to = block_ceiling(replay.at);
  AlignedBuffer blocks(to - from);
  HM_TRY(const std::size_t, got, replay.second.read(*file, active->name, active->file_byte(from), blocks.first(to - from)));
  if (static_cast<std::int64_t>(got) != to - from) return Error{ErrorCode::Io, active->name + ": the file became shorter"};
  if (replay.at > from) std::memcpy(ring.at(from), blocks.data(), static_cast<std::size_t>(replay.at - from));
  entered_zone = std::max<Position>(0, next - 1) / zone_bytes;
  resident_begin.store(resident);
  finished_end.store(next);
  closed_end.store(next);
  written.store(next);
  durable.store(next);
  HM_TRY(auto, writer, open_writer(*active));
  active->writer = std::move(writer);
  flush_segment = active;
  return Done{};
}

}  // namespace halfmoon::storage
