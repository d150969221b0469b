// SPDX-License-Identifier: Apache-2.0
// The appending side: laying records out in the ring.
#include <algorithm>
#include <thread>

#include "storage/log_impl.h"

namespace halfmoon::storage {

std::int64_t Log::Impl::payload_bytes_max() const {
  return std::min<std::int64_t>({options.record_bytes_max, ring.bytes() / 4, kPayloadBytesMax});
}

/// Everything below is in the file, or not data: its place in the ring may be used again.
Position Log::Impl::unwritten_begin() const {
  const Position handed_over = written.load(std::memory_order_acquire);
  const bool all = handed_over >= closed_end.load(std::memory_order_relaxed);
  // The last block is written again with the next batch, from the ring.
  return block_floor(all ? (batch_begin == kNoPosition ? next : batch_begin) : handed_over);
}

/// Makes the ring's bytes up to `to` ours to overwrite.
Status Log::Impl::claim_ring(Position to) {
  const std::int64_t target = (to - 1) / zone_bytes;
  if (target <= entered_zone) return Done{};
  const Position keep = (target + 1 - kZones) * zone_bytes;  // the ring now holds [keep, keep + ring)
  const Position unwritten = unwritten_begin();
  if (unwritten < keep) {
    return Error{ErrorCode::Busy, "the disk is behind: " + std::to_string(next - unwritten) + " bytes wait to be written; try again"};
  }
  if (keep > resident_begin.load(std::memory_order_relaxed)) resident_begin.store(keep, std::memory_order_seq_cst);
  for (std::int64_t zone = std::max(entered_zone + 1, target + 1 - kZones); zone <= target; zone++) {
    const auto& readers = zone_readers[static_cast<std::size_t>(zone % kZones)];
    while (readers.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
  }
  entered_zone = target;
  const Position ahead = std::min(keep + zone_bytes, unwritten);
  if (ahead > resident_begin.load(std::memory_order_relaxed)) resident_begin.store(ahead, std::memory_order_seq_cst);
  return Done{};
}

/// What ordinary appends leave free at a segment's end while there is no next one.
std::int64_t Log::Impl::reserve_of(const Segment& segment) const { return std::min(options.reserve_bytes, segment.header.capacity / 8); }

/// Room for `bytes` more in one batch: in the open one, or in a new one (whose BATCH record is not counted in `bytes`).
Status Log::Impl::make_room(std::int64_t bytes, Claim claim) {
  if (poisoned.load(std::memory_order_acquire)) return poison_error();
  if (bytes + kBatchRecordBytes > batch_bytes_max()) {
    return Error{ErrorCode::InvalidArgument, std::to_string(bytes) + " bytes in one batch of the log, at most " +
                                                 std::to_string(batch_bytes_max()) + " are possible; enlarge ring_bytes"};
  }
  const std::int64_t header = batch_begin == kNoPosition ? kBatchRecordBytes : 0;
  if (claim == Claim::Ordinary && disk_full.load(std::memory_order_acquire) && next + header + bytes > active->header.limit() - reserve_of(*active)) {
    return Error{ErrorCode::DiskFull, "no space for the log's next segment, and the rest of this one is kept for verdicts and offsets; free space or let "
                                      "retention delete old segments"};
  }
  if (next + header + bytes > active->header.limit()) {
    close_batch(last_wall_ms);
    while (next + kBatchRecordBytes + bytes > active->header.limit()) HM_TRY_STATUS(roll(kBatchRecordBytes + bytes));
    return claim_ring(next + kBatchRecordBytes + bytes);
  }
  return claim_ring(next + header + bytes);
}

void Log::Impl::begin_batch() {
  batch_begin = next;
  batch_records = 0;
  next += kBatchRecordBytes;
}

Position Log::Impl::close_batch(std::int64_t wall_ms) {
  if (batch_begin == kNoPosition) return next;
  last_wall_ms = wall_ms;
  std::byte* at = ring.at(batch_begin);
  store_batch_payload(at + kRecordHeaderBytes, {.batch_bytes = static_cast<std::uint32_t>(next - batch_begin - kBatchRecordBytes),
                                                .record_count = batch_records,
                                                .durable_before = durable.load(std::memory_order_relaxed),
                                                .wall_ms = wall_ms});
  seal_record(at, {.type = RecordType::Batch, .length = kBatchPayloadBytes, .epoch = epoch, .seed = active->seed.at(batch_begin)});
  counters.batches.fetch_add(1, std::memory_order_relaxed);
  counters.records.fetch_add(batch_records, std::memory_order_relaxed);
  counters.bytes.fetch_add(next - batch_begin, std::memory_order_relaxed);
  active->last_write_wall_ms.store(wall_ms, std::memory_order_relaxed);
  batch_begin = kNoPosition;
  finished_end.store(next, std::memory_order_release);
  closed_end.store(next, std::memory_order_release);
  return next;
}

bool Log::room_for(std::int64_t bytes, int records) {
  HM_CHECK(impl_->recovered && impl_->reserved == kNoPosition);
  Status room = impl_->make_room(bytes + records * (kRecordHeaderBytes + 7), Claim::Ordinary);
  if (!room.ok()) impl_->refusal = std::move(room).error();
  return room.ok();
}

Error Log::refusal() const { return impl_->refusal; }

Result<Log::Reservation> Log::reserve(RecordType type, std::uint32_t payload_bytes, Claim claim) {
  Impl& log = *impl_;
  HM_CHECK(log.recovered && log.reserved == kNoPosition);
  if (payload_bytes > log.payload_bytes_max()) {
    return Error{ErrorCode::InvalidArgument, "a record of " + std::to_string(payload_bytes) + " bytes; the log takes at most " +
                                                 std::to_string(log.payload_bytes_max())};
  }
  Status room = log.make_room(record_bytes(payload_bytes), claim);
  if (!room.ok()) {
    log.refusal = room.error();
    return std::move(room).error();
  }
  if (log.batch_begin == kNoPosition) log.begin_batch();
  log.reserved = log.next;
  log.reserved_type = type;
  log.reserved_bytes = payload_bytes;
  return Reservation{.position = log.next, .payload = {log.ring.at(log.next) + kRecordHeaderBytes, payload_bytes}};
}

void Log::finish() {
  Impl& log = *impl_;
  HM_CHECK(log.reserved != kNoPosition);
  seal_record(log.ring.at(log.reserved), {.type = log.reserved_type,
                                          .length = log.reserved_bytes,
                                          .epoch = log.epoch,
                                          .seed = log.active->seed.at(log.reserved)});
  log.next = log.reserved + record_bytes(log.reserved_bytes);
  log.reserved = kNoPosition;
  log.batch_records++;
  log.finished_end.store(log.next, std::memory_order_release);
}

void Log::note_time(std::int64_t wall_ms) { impl_->last_wall_ms = std::max(impl_->last_wall_ms, wall_ms); }

Position Log::close_batch(std::int64_t wall_ms) {
  HM_CHECK(impl_->reserved == kNoPosition);
  return impl_->close_batch(wall_ms);
}

Position Log::end() const { return impl_->next; }
bool Log::batch_open() const { return impl_->batch_begin != kNoPosition; }

}  // namespace halfmoon::storage
