// SPDX-License-Identifier: Apache-2.0
// The list of segments: opening, preparing, rolling, dropping.
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "storage/log_impl.h"

namespace halfmoon::storage {

Status Log::Impl::open_segments() {
  HM_TRY(const SegmentCatalog, catalog, read_catalog(disk));
  for (const std::string& name : catalog.leftovers) HM_TRY_STATUS(disk.remove(name));
  // Also for names that a killed process left unsynced: records would go into a prepared segment that a power cut takes away.
  HM_TRY_STATUS(disk.sync_directory());
  if (catalog.prepared) prepared = Prepared{.name = segment_name(*catalog.prepared), .capacity = catalog.prepared_capacity};
  if (catalog.active.empty()) return create_first_segment();
  store_id = catalog.active.front().store_id;
  for (std::size_t i = 0; i < catalog.active.size(); i++) {
    auto segment = std::make_shared<Segment>(catalog.active[i]);
    segment->end.store(catalog.end_of(i), std::memory_order_relaxed);
    // The next segment was created when this one took its last batch.
    const bool newest = i + 1 == catalog.active.size();
    segment->last_write_wall_ms.store(newest ? segment->header.created_wall_ms : catalog.active[i + 1].created_wall_ms,
                                      std::memory_order_relaxed);
    segments.push_back(std::move(segment));
  }
  epoch = catalog.active.back().epoch;
  first_position.store(segments.front()->header.first, std::memory_order_relaxed);
  return Done{};
}

Status Log::Impl::create_first_segment() {
  for (std::size_t i = 0; i < store_id.size(); i += 8) store_le(store_id.data() + i, random.next());
  if (!prepared) HM_TRY_STATUS(prepare(0, Pace::AtOnce));
  auto segment = std::make_shared<Segment>(next_header(prepared->capacity));
  HM_TRY_STATUS(activate(*segment, 0));
  prepared.reset();
  segments.push_back(std::move(segment));
  created = true;
  return Done{};
}

/// The header of the segment that follows the newest. The end of the previous one stands in it when it is activated.
SegmentHeader Log::Impl::next_header(std::int64_t capacity) {
  return {.store_id = store_id,
          .salt = random.next(),
          .first = segments.empty() ? 0 : segments.back()->header.limit(),
          .capacity = capacity,
          .previous_end = 0,
          .epoch = epoch,
          .created_wall_ms = last_wall_ms};
}

Result<std::unique_ptr<File>> Log::Impl::open_writer(const Segment& segment) {
  return disk.open(segment.name, OpenMode::ReadWrite, kWriteCaching);
}

/// Makes a prepared file a segment of the log: its header is durable when this returns.
Status Log::Impl::activate(Segment& segment, Position previous_end) {
  HM_TRY(auto, writer, open_writer(segment));
  segment.writer = std::move(writer);
  AlignedBuffer block(kBlockBytes);
  SegmentHeader header = segment.header;
  header.previous_end = previous_end;
  encode_segment_header(header, block.first(kBlockBytes));
  HM_TRY_STATUS(segment.writer->write_at(0, block.first(kBlockBytes)));
  return segment.writer->sync();
}

/// How much of the next segment should be zeroed by now, so that it is ready when seven eighths of the newest are full: one that is not makes the appends
/// wait, longer than a disk that is a little busier.
std::int64_t Log::Impl::zeros_wanted() const {
  const Position appended = closed_end.load(std::memory_order_relaxed);
  const double used = static_cast<double>(appended - preparation_of.newest_first) / static_cast<double>(preparation_of.newest_bytes);
  return static_cast<std::int64_t>(static_cast<double>(preparation_of.bytes) * used * 8 / 7);
}

/// Prepares the segment behind the newest, if there is none yet, of the size whose turn it is, at least `bytes_min`.
Status Log::Impl::prepare(std::int64_t bytes_min, Pace pace) {
  const std::lock_guard one_at_a_time(prepare_mutex);
  SegmentPreparation preparation{.name = {}, .capacity = options.first_segment_bytes, .caching = kWriteCaching, .fill = fill(), .zero = {}};
  if (pace == Pace::Gentle && options.prepare_pause) {
    preparation.zero = [this](File& file, std::int64_t bytes) {
      return zeroing.fill(file, bytes, {.wanted = [this] { return zeros_wanted(); },
                                        .hurry = [this] { return append_waits.load(std::memory_order_relaxed); },
                                        .pause = options.prepare_pause});
    };
  }
  Position first = 0;
  {
    const std::lock_guard lock(segments_mutex);
    if (prepared) return Done{};
    if (!segments.empty()) {
      const SegmentHeader& newest = segments.back()->header;
      first = newest.limit();
      preparation_of = {.newest_first = newest.first, .newest_bytes = newest.capacity, .bytes = 0};
      preparation.capacity = newest.capacity <= options.segment_bytes / 4 ? 4 * newest.capacity : options.segment_bytes;
    }
  }
  preparation.capacity = std::max(std::min(preparation.capacity, options.segment_bytes), block_ceiling(bytes_min));
  preparation_of.bytes = kSegmentHeaderBytes + preparation.capacity;
  preparation.name = segment_name(first);
  Status made = prepare_segment(disk, preparation);
  if (!made.ok()) {
    if (made.error().code != ErrorCode::DiskFull) return poison(made.error());
    disk_full.store(true, std::memory_order_release);
    return made;
  }
  const std::lock_guard lock(segments_mutex);
  prepared = Prepared{.name = preparation.name, .capacity = preparation.capacity};
  disk_full.store(false, std::memory_order_release);
  return Done{};
}

/// Segments whose headers are not on the disk yet. Under segments_mutex.
std::size_t Log::Impl::segments_begun_in_ring() const {
  const Position handed_over = written.load(std::memory_order_acquire);
  return static_cast<std::size_t>(std::count_if(segments.begin(), segments.end(), [&](const auto& s) { return s->header.first > handed_over; }));
}

/// Goes on in the next segment, which should hold `bytes`. No batch is open.
Status Log::Impl::roll(std::int64_t bytes) {
  const auto ready = [&] {
    const std::lock_guard lock(segments_mutex);
    return prepared.has_value();
  };
  if (!ready()) {
    if (disk_full.load(std::memory_order_acquire)) {
      return Error{ErrorCode::DiskFull, "no space for the log's next segment; free space or let retention delete old segments"};
    }
    counters.segments_waited.fetch_add(1, std::memory_order_relaxed);
    append_waits.store(true, std::memory_order_relaxed);
    Status made = prepare(bytes, Pace::AtOnce);
    append_waits.store(false, std::memory_order_relaxed);
    HM_TRY_STATUS(std::move(made));
  }
  const std::lock_guard lock(segments_mutex);
  if (tail_file && segments_begun_in_ring() >= kTailSegments) return Error{ErrorCode::Busy, "the disk is behind by several segments; try again"};
  SegmentHeader header = next_header(prepared->capacity);
  header.previous_end = next;
  if (tail_file) tail_file->note_segment(header);
  auto segment = std::make_shared<Segment>(header);
  segment->last_write_wall_ms.store(last_wall_ms, std::memory_order_relaxed);
  active->end.store(next, std::memory_order_release);
  active = segment;
  next = segment->header.first;
  segments.push_back(std::move(segment));
  prepared.reset();
  return Done{};
}

std::shared_ptr<Segment> Log::Impl::segment_of(Position position) const {
  const std::lock_guard lock(segments_mutex);
  auto behind = std::upper_bound(segments.begin(), segments.end(), position,
                                 [](Position p, const std::shared_ptr<Segment>& s) { return p < s->header.first; });
  if (behind == segments.begin()) return nullptr;
  const auto& segment = *--behind;
  return position < segment->header.limit() ? segment : nullptr;
}

std::shared_ptr<Segment> Log::Impl::segment_after(const Segment& segment) const { return segment_of(segment.header.limit()); }

Status Log::Impl::drop_before(Position position) {
  for (;;) {
    std::shared_ptr<Segment> oldest;
    {
      const std::lock_guard lock(segments_mutex);
      const Position end = segments.front()->end.load(std::memory_order_relaxed);
      const bool droppable = segments.size() > 1 && segments.front()->header.limit() <= position &&
                             end <= durable.load(std::memory_order_acquire) &&
                             segments[1]->header.first <= written.load(std::memory_order_acquire);
      if (!droppable) return Done{};
      oldest = segments.front();
      segments.erase(segments.begin());
      first_position.store(segments.front()->header.first, std::memory_order_release);
    }
    // One at a time and in order, so that a crash leaves no gap.
    Status removed = disk.remove(oldest->name);
    if (!removed.ok()) {
      const std::lock_guard lock(segments_mutex);
      segments.insert(segments.begin(), oldest);
      first_position.store(oldest->header.first, std::memory_order_release);
      return removed;
    }
    oldest->close_reader(Segment::Close::Forget);
    HM_TRY_STATUS(disk.sync_directory());
  }
}

Status Log::prepare_next() {
  if (impl_->poisoned.load(std::memory_order_acquire)) return impl_->poison_error();
  return impl_->prepare(0, Impl::Pace::Gentle);
}

bool Log::next_is_ready() const {
  const std::lock_guard lock(impl_->segments_mutex);
  return impl_->prepared.has_value();
}

Status Log::drop_before(Position position) { return impl_->drop_before(position); }

std::vector<Log::SegmentInfo> Log::segments() const {
  const std::lock_guard lock(impl_->segments_mutex);
  std::vector<SegmentInfo> infos;
  for (const auto& segment : impl_->segments) {
    infos.push_back({.first = segment->header.first,
                     .capacity = segment->header.capacity,
                     .last_write_wall_ms = segment->last_write_wall_ms.load(std::memory_order_relaxed),
                     .active = segment == impl_->segments.back()});
  }
  return infos;
}

}  // namespace halfmoon::storage
