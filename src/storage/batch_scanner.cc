// SPDX-License-Identifier: Apache-2.0
#include "storage/batch_scanner.h"

#include <algorithm>
#include <cstring>

namespace halfmoon::storage {
namespace {

constexpr std::int64_t kScanAheadBytes = 1 << 20;

Position nonzero_end_of(Bytes bytes) {
  std::size_t n = bytes.size();
  while (n >= 64 && is_zero(bytes.subspan(n - 64, 64))) n -= 64;
  while (n > 0 && bytes[n - 1] == std::byte{0}) n--;
  return static_cast<Position>(n);
}

}  // namespace

bool is_zero(Bytes bytes) {
  if (bytes.empty()) return true;
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

Result<std::optional<ScannedBatch>> BatchScanner::next(Position at, Position limit) {
  const auto want = [&](std::int64_t bytes) {
    return window_.get(file_, {.first = segment_.first, .at = at, .bytes = bytes, .ahead = kScanAheadBytes, .limit = limit});
  };
  HM_TRY(const Bytes, start, want(kBatchRecordBytes));
  if (start.size() < static_cast<std::size_t>(kBatchRecordBytes)) {
    why_ = "no room for a batch";
    return std::optional<ScannedBatch>{};
  }
  const auto header = load_batch_header(start.data(), seed_.at(at));
  if (!header) {
    why_ = is_zero(start) ? "zeros where a batch should begin" : "no valid BATCH record";
    return std::optional<ScannedBatch>{};
  }
  const std::int64_t bytes = kBatchRecordBytes + header->batch_bytes;
  if (at + bytes > limit) {
    why_ = "the batch would not end inside its segment";
    return std::optional<ScannedBatch>{};
  }
  HM_TRY(const Bytes, all, want(bytes));
  if (static_cast<std::int64_t>(all.size()) < bytes) {
    why_ = "the file ends inside the batch";
    return std::optional<ScannedBatch>{};
  }
  if (!batch_valid(all, *header, at)) return std::optional<ScannedBatch>{};
  return std::optional(ScannedBatch{.begin = at, .end = at + bytes, .header = *header, .bytes = all});
}

Result<std::optional<ScannedBatch>> BatchScanner::next_believed(Position at, Position limit, const std::string& name, SecondReading& second) {
  HM_TRY(auto, first, next(at, limit));
  if (first) return first;
  window_.clear();
  HM_TRY(auto, batch, next(at, limit));
  if (batch) HM_TRY_STATUS(second.differed(name, kSegmentHeaderBytes + at - segment_.first));
  return batch;
}

bool BatchScanner::batch_valid(Bytes bytes, const BatchHeader& header, Position begin) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  std::uint32_t count = 0;
  std::uint32_t epoch = load_record_header(bytes.data()).epoch;
  std::int64_t at = kBatchRecordBytes;
  while (size - at >= kRecordHeaderBytes) {
    const RecordHeader record = load_record_header(bytes.data() + at);
    const bool fits = record.plausible() && record.bytes() <= size - at;
    if (!fits || !record_valid(bytes.data() + at, record, seed_.at(begin + at))) {
      why_ = "the record at position " + std::to_string(begin + at) + " does not match its checksum";
      return false;
    }
    if (record.epoch < epoch) {
      why_ = "the epoch goes back at position " + std::to_string(begin + at);
      return false;
    }
    epoch = record.epoch;
    at += record.bytes();
    count++;
  }
  if (at == size && count == header.record_count) return true;
  why_ = "the batch's records do not end where its header says";
  return false;
}

Status BatchScanner::for_each_record(const ScannedBatch& batch, const std::function<Status(const RecordView&)>& visit) {
  for (auto at = static_cast<std::size_t>(kBatchRecordBytes); at < batch.bytes.size();) {
    const RecordHeader header = load_record_header(batch.bytes.data() + at);
    const RecordView view{.type = static_cast<RecordType>(header.type),
                          .epoch = header.epoch,
                          .position = batch.begin + static_cast<Position>(at),
                          .payload = batch.bytes.subspan(at + static_cast<std::size_t>(kRecordHeaderBytes), header.length)};
    HM_TRY_STATUS(visit(view));
    at += static_cast<std::size_t>(header.bytes());
  }
  return Done{};
}

Result<BatchScanner::Tail> BatchScanner::look_behind(Position from, Position limit) {
  Tail tail{.nonzero_end = from, .had_been_durable = std::nullopt};
  for (Position at = from; at < limit;) {
    HM_TRY(const Bytes, piece, window_.get(file_, {.first = segment_.first, .at = at, .bytes = std::min(kScanAheadBytes, limit - at),
                                                   .ahead = kScanAheadBytes, .limit = limit}));
    if (piece.empty()) break;
    const auto size = static_cast<std::int64_t>(piece.size());
    if (!is_zero(piece)) {
      tail.nonzero_end = at + nonzero_end_of(piece);
      for (std::int64_t i = (8 - at % 8) % 8; i + kBatchRecordBytes <= size; i += 8) {
        const auto header = load_batch_header(piece.data() + i, seed_.at(at + i));
        if (header && at + i > from && header->durable_before > from) {
          tail.had_been_durable = at + i;
          return tail;
        }
      }
    }
    // BATCH records that straddle two pieces: the next one begins a little earlier.
    at += size < limit - at && size > kBatchRecordBytes ? size - kBatchRecordBytes : size;
  }
  return tail;
}

}  // namespace halfmoon::storage
