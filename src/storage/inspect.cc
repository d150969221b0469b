// SPDX-License-Identifier: Apache-2.0
#include "storage/inspect.h"

#include <algorithm>

#include "storage/batch_scanner.h"
#include "storage/segment.h"
#include "storage/snapshot_format.h"
#include "storage/tail_file.h"

namespace halfmoon::storage {
namespace {

std::string place(const SegmentHeader& segment, Position position) {
  return segment_name(segment.first) + ": byte " + std::to_string(kSegmentHeaderBytes + position - segment.first) + ", position " +
         std::to_string(position) + ": ";
}

/// The state of one verification.
struct Verification {
  Disk& disk;
  const std::function<void(std::int64_t, std::int64_t)>& progress;
  VerifyReport& report;
  std::int64_t bytes_in_all = 0;
  std::uint32_t epoch = 0;

  void advance(std::int64_t bytes) {
    report.bytes += bytes;
    if (progress) progress(report.bytes, bytes_in_all);
  }
};

void note_epochs(const SegmentHeader& segment, const ScannedBatch& batch, Verification& v) {
  const Status noted = BatchScanner::for_each_record(batch, [&](const RecordView& record) -> Status {
    if (record.epoch < v.epoch) v.report.damage.push_back(place(segment, record.position) + "the epoch goes back");
    v.epoch = std::max(v.epoch, record.epoch);
    return Done{};
  });
  HM_CHECK(noted.ok());
}

/// Visits the batches that only the file `tail` has: they go on where those of the newest segment end, at `at`, and into segments that were begun there. Where
/// they end says nothing: older ones stand behind. False: the visitor had enough.
Result<bool> for_each_left_batch(const LeftTail& left, SegmentHeader segment, Position at, const std::function<Result<bool>(const SegmentHeader&, const ScannedBatch&)>& visit) {
  SecondReading second;
  for (;;) {
    const auto ring = left.as_segment(segment);
    BatchScanner scanner(*ring, segment);
    const Position limit = std::min(segment.limit(), at + left.ring_bytes());
    while (at < limit) {
      HM_TRY(const auto, batch, scanner.next(at, limit));  // once: beside a broker the next batch may be there a moment later
      if (!batch) break;
      HM_TRY(const bool, more, visit(segment, *batch));
      if (!more) return false;
      at = batch->end;
    }
    HM_TRY(const auto, next, left.segment_at(segment.limit(), second));
    if (!next || next->store_id != segment.store_id || next->previous_end != at) return true;
    segment = *next;
    at = segment.first;
  }
}

Status verify_left_tail(const SegmentCatalog& catalog, Verification& v) {
  HM_TRY(const auto, names, v.disk.list());
  if (std::find(names.begin(), names.end(), kTailName) == names.end()) return Done{};
  SecondReading second;
  HM_TRY(const auto, left, LeftTail::open(v.disk, catalog.active.back().store_id, second));
  if (!left) {
    v.report.tail_unusable = "it is of another store, or was cut short, or its head never reached the disk";
    return Done{};
  }
  HM_TRY(const bool, all, for_each_left_batch(*left, catalog.active.back(), v.report.end, [&](const SegmentHeader& segment, const ScannedBatch& batch) -> Result<bool> {
    note_epochs(segment, batch, v);
    v.report.tail_batches++;
    v.report.tail_records += batch.header.record_count;
    v.report.tail_bytes += batch.end - batch.begin;
    v.report.end = batch.end;
    return true;
  }));
  HM_CHECK(all);
  if (v.report.tail_bytes > 0) v.report.torn_bytes = 0;  // the next start writes over it
  return Done{};
}

/// What stands behind the last valid batch of the newest segment.
Status verify_tail(const SegmentHeader& segment, BatchScanner& scanner, Verification& v) {
  const std::string why = scanner.why();
  HM_TRY(const BatchScanner::Tail, tail, scanner.look_behind(v.report.end, segment.limit()));
  if (tail.had_been_durable) {
    v.report.damage.push_back(place(segment, v.report.end) + why + ", yet the batch at position " +
                              std::to_string(*tail.had_been_durable) + " says that this place had been written safely");
  } else {
    v.report.torn_bytes = tail.nonzero_end - v.report.end;
  }
  return Done{};
}

Status verify_segment(const SegmentCatalog& catalog, std::size_t index, Verification& v) {
  const SegmentHeader& segment = catalog.active[index];
  const bool newest = index + 1 == catalog.active.size();
  const Position end = newest ? segment.limit() : catalog.end_of(index);
  HM_TRY(const auto, file, v.disk.open(segment_name(segment.first), OpenMode::Read, Caching::Cached));
  BatchScanner scanner(*file, segment);
  v.epoch = std::max(v.epoch, segment.epoch);  // as recovery does
  v.report.end = segment.first;
  while (v.report.end < end) {
    HM_TRY(const auto, batch, scanner.next(v.report.end, end));
    if (!batch) {
      if (newest) return verify_tail(segment, scanner, v);
      v.report.damage.push_back(place(segment, v.report.end) + scanner.why());
      return Done{};
    }
    note_epochs(segment, *batch, v);
    v.report.batches++;
    v.report.records += batch->header.record_count;
    v.report.end = batch->end;
    v.advance(batch->end - batch->begin);
  }
  return Done{};
}

Status verify_snapshots(Disk& disk, const SegmentCatalog& catalog, VerifyReport& report) {
  HM_TRY(const auto, names, disk.list());
  for (const std::string& name : names) {
    const auto position = snapshot_position(name);
    if (!position) continue;
    const StoreId* const store = catalog.active.empty() ? nullptr : &catalog.active.front().store_id;
    const Result<LoadedSnapshot> snapshot = read_snapshot(disk, name, store);
    std::string line = name + ": position " + std::to_string(*position) + ": ";
    if (!snapshot.ok()) line += snapshot.error().text;
    else line += *position > report.end && report.damage.empty() ? "valid, but the log ends before it" : "valid";
    if (snapshot.ok()) {
      const Result<LoadedSnapshot> by_second = read_snapshot(disk, name, store, PieceCopy::Second);
      const std::size_t single = snapshot->pieces_from_other + (by_second.ok() ? by_second->pieces_from_other : 0);
      if (single > 0 || !by_second.ok()) line += ", but " + std::to_string(single) + " of its pieces are whole in one of their two copies only";
    }
    report.snapshots.push_back(std::move(line));
  }
  return Done{};
}

}  // namespace

Result<VerifyReport> verify_log(Disk& disk, const std::function<void(std::int64_t, std::int64_t)>& progress) {
  VerifyReport report;
  Result<SegmentCatalog> catalog = read_catalog(disk);
  if (!catalog.ok()) {
    if (catalog.error().code != ErrorCode::Corrupt) return catalog.error();
    report.damage.push_back(catalog.error().text);
    HM_TRY_STATUS(verify_snapshots(disk, {}, report));
    return report;
  }
  Verification v{.disk = disk, .progress = progress, .report = report};
  for (std::size_t i = 0; i < catalog->active.size(); i++) {
    const bool newest = i + 1 == catalog->active.size();
    v.bytes_in_all += (newest ? catalog->active[i].limit() : catalog->end_of(i)) - catalog->active[i].first;
  }
  report.segments = static_cast<std::int64_t>(catalog->active.size());
  report.first = catalog->active.empty() ? 0 : catalog->active.front().first;
  for (std::size_t i = 0; i < catalog->active.size(); i++) HM_TRY_STATUS(verify_segment(*catalog, i, v));
  if (!catalog->active.empty() && report.damage.empty()) HM_TRY_STATUS(verify_left_tail(*catalog, v));
  HM_TRY_STATUS(verify_snapshots(disk, *catalog, report));
  if (progress) progress(v.bytes_in_all, v.bytes_in_all);
  return report;
}

Status dump_log(Disk& disk, Position from, const std::function<bool(const RecordView&)>& visit) {
  HM_TRY(const SegmentCatalog, catalog, read_catalog(disk));
  bool more = true;
  const auto show = [&](const RecordView& record) -> Status {
    if (more && record.position >= from) more = visit(record);
    return Done{};
  };
  const auto show_batch = [&](const ScannedBatch& batch) -> Status {
    const RecordHeader header = load_record_header(batch.bytes.data());
    HM_TRY_STATUS(show({.type = RecordType::Batch, .epoch = header.epoch, .position = batch.begin,
                        .payload = batch.bytes.subspan(static_cast<std::size_t>(kRecordHeaderBytes), header.length)}));
    return BatchScanner::for_each_record(batch, show);
  };
  Position log_end = catalog.active.empty() ? 0 : catalog.active.front().first;
  for (std::size_t i = 0; i < catalog.active.size() && more; i++) {
    const SegmentHeader& segment = catalog.active[i];
    const bool newest = i + 1 == catalog.active.size();
    const Position end = newest ? segment.limit() : catalog.end_of(i);
    if (end <= from && !newest) continue;
    HM_TRY(const auto, file, disk.open(segment_name(segment.first), OpenMode::Read, Caching::Cached));
    BatchScanner scanner(*file, segment);
    for (Position at = segment.first; at < end && more;) {
      HM_TRY(const auto, batch, scanner.next(at, end));
      if (!batch && newest) break;
      if (!batch) return Error{ErrorCode::Corrupt, place(segment, at) + scanner.why()};
      HM_TRY_STATUS(show_batch(*batch));
      at = log_end = batch->end;
    }
    if (newest) log_end = std::max(log_end, segment.first);
  }
  if (!more || catalog.active.empty()) return Done{};
  SecondReading second;
  HM_TRY(const auto, left, LeftTail::open(disk, catalog.active.back().store_id, second));
  if (!left) return Done{};
  const auto shown = for_each_left_batch(*left, catalog.active.back(), log_end, [&](const SegmentHeader&, const ScannedBatch& batch) -> Result<bool> {
    HM_TRY_STATUS(show_batch(batch));
    return more;
  });
  return shown.ok() ? Status{Done{}} : Status{shown.error()};
}

}  // namespace halfmoon::storage
