// SPDX-License-Identifier: Apache-2.0
// The tail file: taking over what the last process left in it, and making the next one (docs/formats/log.md, "The tail file").
#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "storage/log_impl.h"
#include "storage/log_replay.h"

namespace halfmoon::storage {
namespace {

constexpr std::int64_t kPieceBytes = 1 << 20;

}  // namespace

/// Goes on with what the last process closed in its ring and did not write. Everything that is found is copied into the segments first and then
/// replayed from there, so that a crash in the middle finds the same again. Where batches end nothing is taken: a power cut may have kept any of
/// the file's pages, and every batch is checked as in a segment.
Status Log::Impl::take_over_tail(Replay& replay) {
  HM_TRY(const auto, left, LeftTail::open(disk, store_id, replay.second));
  if (!left) return Done{};
  for (;;) {
    HM_TRY(const Position, end, copy_batches(*left, replay));
    if (end > replay.at) {
      replay.report.tail_bytes += end - replay.at;
      HM_TRY_STATUS(replay_segment(segments.size() - 1, replay));
      if (replay.at < end) return Error{ErrorCode::Io, segments.back()->name + ": what was written to it does not come back: " + replay.why};
      continue;
    }
    HM_TRY(const bool, more, begin_left_segment(*left, replay));
    if (!more) return Done{};
    HM_TRY_STATUS(replay_segment(segments.size() - 1, replay));
  }
}

/// Copies the valid batches at replay.at into the newest segment; returns where they end.
Result<Position> Log::Impl::copy_batches(const LeftTail& left, Replay& replay) {
  const Position from = replay.at;
  const Segment& segment = *segments.back();
  const Position limit = std::min(segment.header.limit(), from + left.ring_bytes());
  const auto ring_file = left.as_segment(segment.header);
  BatchScanner scanner(*ring_file, segment.header);
  Position end = from;
  while (end < limit) {
    HM_TRY(const auto, batch, scanner.next_believed(end, limit, name_in_tail(segment.header), replay.second));
    if (!batch) break;
    end = batch->end;
  }
  if (end == from) return end;
  HM_TRY(const auto, file, disk.open(segment.name, OpenMode::ReadWrite, Caching::Direct));
  // It may have been read out of a cache that a failed sync left behind: then records would come to the disk without it.
  HM_TRY_STATUS(rewrite_header(*file));
  HM_TRY_STATUS(file->sync());
  AlignedBuffer piece(kPieceBytes);
  for (Position at = block_floor(from); at < end; at += kPieceBytes) {
    const MutableBytes blocks = piece.first(std::min(kPieceBytes, block_ceiling(end) - at));
    // The first block begins with what the segment has, and the last one goes on with it.
    HM_TRY(const std::size_t, got, replay.second.read(*file, segment.name, segment.file_byte(at), blocks));
    if (got != blocks.size()) return Error{ErrorCode::Io, segment.name + ": the file became shorter"};
    const auto begin = static_cast<std::size_t>(std::max<Position>(0, from - at));
    const auto stop = static_cast<std::size_t>(std::min<Position>(static_cast<Position>(blocks.size()), end - at));
    HM_TRY(const std::size_t, copied, ring_file->read_at(segment.file_byte(at) + static_cast<std::int64_t>(begin), blocks.subspan(begin, stop - begin)));
    if (copied != stop - begin) return Error{ErrorCode::Io, std::string(kTailName) + ": the file became shorter"};
    HM_TRY_STATUS(file->write_at(segment.file_byte(at), blocks));
  }
  HM_TRY_STATUS(file->sync());
  return end;
}

/// Whether the last process had gone on in a next segment, exactly where the newest one ends now; then it becomes the newest.
Result<bool> Log::Impl::begin_left_segment(const LeftTail& left, Replay& replay) {
  const Position first = segments.back()->header.limit();
  HM_TRY(const auto, header, left.segment_at(first, replay.second));
  if (!header || header->store_id != store_id || header->previous_end != replay.at) return false;
  HM_TRY_STATUS(settle_tail(replay));  // before the next one's header says where this one ended
  // Of several that had been made, opening the log kept the first.
  if (!prepared || prepared->capacity != header->capacity)
    HM_TRY_STATUS(prepare_segment(disk, {.name = segment_name(first), .capacity = header->capacity, .caching = kWriteCaching, .fill = fill(), .zero = {}}));
  auto segment = std::make_shared<Segment>(*header);
  HM_TRY_STATUS(activate(*segment, header->previous_end));
  segment->writer.reset();
  segment->last_write_wall_ms.store(last_wall_ms, std::memory_order_relaxed);
  segments.back()->end.store(replay.at, std::memory_order_relaxed);
  segments.push_back(std::move(segment));
  prepared.reset();
  return true;
}

/// The old tail file has served when this is called: all that it had is durable.
Status Log::Impl::map_ring() {
  if (safety == Safety::Kept) {
    Result<std::unique_ptr<TailFile>> made = TailFile::create(disk, store_id, options.ring_bytes, ring);
    if (made.ok()) {
      tail_file = std::move(*made);
      return disk.sync_directory();  // a failed sync is the disk's failure, not a file system that cannot map
    }
    // No space for it, or a file system that cannot do it, is no reason not to serve.
    log_event(LogLevel::Warn, "log.no_tail_file", {{"error", made.error().text}, {"consequence", "each turn waits for its write, which is slower"}});
    safety = Safety::Written;
  }
  HM_TRY(const auto, names, disk.list());
  if (std::find(names.begin(), names.end(), kTailName) != names.end()) {
    HM_TRY_STATUS(disk.remove(std::string(kTailName)));
    HM_TRY_STATUS(disk.sync_directory());
  }
  return ring.map(options.ring_bytes);
}

}  // namespace halfmoon::storage
