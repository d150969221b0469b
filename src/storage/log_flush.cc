// SPDX-License-Identifier: Apache-2.0
// The flushing side: from the ring to the disk.
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "storage/log_impl.h"

namespace halfmoon::storage {

Error Log::Impl::poison_error() const {
  const std::lock_guard lock(segments_mutex);
  return {ErrorCode::Io, "the log takes no more records after a failed write or sync (" + poison_cause.text +
                             "); repair the disk and restart the broker, which then recovers all that was acknowledged"};
}

Error Log::Impl::poison(const Error& cause) {
  {
    const std::lock_guard lock(segments_mutex);
    if (!poisoned.load(std::memory_order_relaxed)) {
      poison_cause = cause;
      log_event(LogLevel::Error, "log.poisoned", {{"cause", cause.text}});
    }
    poisoned.store(true, std::memory_order_release);
  }
  return poison_error();
}

void Log::Impl::publish_durable(Position position) {
  Position seen = durable.load(std::memory_order_relaxed);
  while (seen < position && !durable.compare_exchange_weak(seen, position, std::memory_order_release)) {
  }
}

/// Writes [from, to) of `segment` out of the ring. Direct: whole blocks. The last block goes out of a copy with zeros behind `to`,
/// because the appender may be filling that block's rest meanwhile.
Status Log::Impl::write_range(Segment& segment, Position from, Position to) {
  File& file = *segment.writer;
  counters.flushes.fetch_add(1, std::memory_order_relaxed);
  if (!file.direct()) {
    counters.flushed_bytes.fetch_add(to - from, std::memory_order_relaxed);
    return file.write_at(segment.file_byte(from), Bytes(ring.at(from), static_cast<std::size_t>(to - from)));
  }
  const Position begin = block_floor(from);
  const Position whole = block_floor(to);
  const Bytes blocks(ring.at(begin), static_cast<std::size_t>(whole - begin));
  counters.flushed_bytes.fetch_add(block_ceiling(to) - begin, std::memory_order_relaxed);
  if (whole == to) return file.write_at(segment.file_byte(begin), blocks);
  const auto rest = static_cast<std::size_t>(to - whole);
  std::memcpy(last_block.data(), ring.at(whole), rest);
  std::memset(last_block.data() + rest, 0, static_cast<std::size_t>(kBlockBytes) - rest);
  if (blocks.empty()) return file.write_at(segment.file_byte(whole), last_block.first(kBlockBytes));
  return file.write_at(segment.file_byte(begin), blocks, last_block.first(kBlockBytes));
}

Status Log::Impl::sync_segment(Segment& segment) {
  const std::lock_guard lock(sync_mutex);
  if (poisoned.load(std::memory_order_acquire)) return poison_error();
  Status synced = segment.writer->sync();
  if (!synced.ok()) return poison(synced.error());
  return Done{};
}

/// Leaves the flush segment, whose data ends at `end`, for the next one: what is in it must be on disk before the next header says
/// where it ended, or a crash would look like damage.
Status Log::Impl::finish_segment(Position end) {
  HM_TRY_STATUS(sync_segment(*flush_segment));
  publish_durable(end);
  const std::shared_ptr<Segment> following = segment_after(*flush_segment);
  HM_CHECK(following != nullptr);
  HM_TRY_STATUS(activate(*following, end));
  const std::lock_guard lock(flush_mutex);
  flush_segment = following;
  written.store(following->header.first, std::memory_order_release);
  return Done{};
}

Status Log::Impl::write_closed(Position target) {
  if (poisoned.load(std::memory_order_acquire)) return poison_error();
  while (written.load(std::memory_order_relaxed) < target) {
    const Position from = written.load(std::memory_order_relaxed);
    const bool last = target <= flush_segment->header.limit();
    const Position end = last ? target : flush_segment->end.load(std::memory_order_acquire);
    if (end > from) {
      HM_TRY_STATUS(write_range(*flush_segment, from, end));
      written.store(end, std::memory_order_release);
    }
    if (!last) HM_TRY_STATUS(finish_segment(end));
  }
  return Done{};
}

Result<Position> Log::Impl::sync_written() {
  std::shared_ptr<Segment> segment;
  Position end;
  {
    const std::lock_guard lock(flush_mutex);
    segment = flush_segment;
    end = written.load(std::memory_order_acquire);
  }
  if (durable.load(std::memory_order_acquire) < end) {
    HM_TRY_STATUS(sync_segment(*segment));
    publish_durable(end);
    zeroing.flushed();
  }
  if (poisoned.load(std::memory_order_acquire)) return poison_error();
  return durable.load(std::memory_order_acquire);
}

Result<Position> Log::flush() {
  HM_TRY(const Position, _, write_out());
  static_cast<void>(_);
  return impl_->sync_written();
}

Result<Position> Log::write_out() {
  HM_CHECK(impl_->recovered);
  Status wrote = impl_->write_closed(impl_->closed_end.load(std::memory_order_acquire));
  if (!wrote.ok()) return impl_->poison(wrote.error());
  return impl_->written.load(std::memory_order_acquire);
}

Result<Position> Log::sync_written() { return impl_->sync_written(); }

bool Log::flush_pending() const { return safe() < impl_->closed_end.load(std::memory_order_acquire); }

std::int64_t Log::flush_pending_bytes() const { return impl_->closed_end.load(std::memory_order_acquire) - safe(); }

Position Log::durable() const { return impl_->durable.load(std::memory_order_acquire); }

std::int64_t Log::unwritten_bytes() const {
  return impl_->closed_end.load(std::memory_order_acquire) - impl_->written.load(std::memory_order_acquire);
}

Safety Log::safety() const { return impl_->safety; }

Position Log::safe() const {
  switch (impl_->safety) {
    case Safety::Durable: return durable();
    case Safety::Kept: return impl_->closed_end.load(std::memory_order_acquire);
    case Safety::Written: break;
  }
  return impl_->written.load(std::memory_order_acquire);
}

bool Log::poisoned() const { return impl_->poisoned.load(std::memory_order_acquire); }

}  // namespace halfmoon::storage
