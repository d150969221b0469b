// SPDX-License-Identifier: Apache-2.0
#include "storage/inspect.h"

#include <algorithm>

#include "storage/batch_scanner.h"
#include "storage/segment.h"
#include "storage/snapshot_format.h"

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
    const Result<LoadedSnapshot> snapshot = read_snapshot(disk, name, catalog.active.empty() ? nullptr : &catalog.active.front().store_id);
    std::string line = name + ": position " + std::to_string(*position) + ": ";
    if (!snapshot.ok()) line += snapshot.error().text;
    else line += *position > report.end && report.damage.empty() ? "valid, but the log ends before it" : "valid";
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
  for (std::size_t i = 0; i < catalog.active.size() && more; i++) {
    const SegmentHeader& segment = catalog.active[i];
    const bool newest = i + 1 == catalog.active.size();
    const Position end = newest ? segment.limit() : catalog.end_of(i);
    if (end <= from) continue;
    HM_TRY(const auto, file, disk.open(segment_name(segment.first), OpenMode::Read, Caching::Cached));
    BatchScanner scanner(*file, segment);
    for (Position at = segment.first; at < end && more;) {
      HM_TRY(const auto, batch, scanner.next(at, end));
      if (!batch && newest) break;
      if (!batch) return Error{ErrorCode::Corrupt, place(segment, at) + scanner.why()};
      const RecordHeader header = load_record_header(batch->bytes.data());
      HM_TRY_STATUS(show({.type = RecordType::Batch, .epoch = header.epoch, .position = at,
                          .payload = batch->bytes.subspan(static_cast<std::size_t>(kRecordHeaderBytes), header.length)}));
      HM_TRY_STATUS(BatchScanner::for_each_record(*batch, show));
      at = batch->end;
    }
  }
  return Done{};
}

}  // namespace halfmoon::storage
