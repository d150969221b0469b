// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/batch_scanner.h"
#include "storage/file_window.h"
#include "storage/log.h"
#include "storage/mirror_ring.h"
#include "storage/record_format.h"
#include "storage/segment.h"
#include "storage/tail_file.h"
#include "storage/window_cache.h"
#include "storage/zeroing.h"

namespace halfmoon::storage {

struct Replay;  // log_replay.h

/// The log's inside, split by side: log_append.cc, log_flush.cc, log_segments.cc, log_read.cc, log_recovery.cc,
/// log_tail.cc.
///
///            resident_begin        written   closed_end  finished_end  next
///   file only |  ring and file        |  ring only |  open batch  | being filled |
///   ----------+-----------------------+------------+--------------+--------------+----> positions
///
/// * The appender writes ring bytes at `next` and above only; it publishes `finished_end` with each record and `closed_end` with each
///   batch (release). The flusher copies or writes bytes below `closed_end` only (acquire).
/// * The ring is cut into kZones zones. Entering a zone overwrites the one that was there a ring ago: that one must be written, and
///   `resident_begin` is moved behind it first. A reader announces the zone it copies from (`zone_readers`), then looks at
///   `resident_begin`; the appender moves `resident_begin`, then waits for the announced readers of that zone. So no byte is ever
///   read while it is overwritten. `resident_begin` moves one zone ahead of need, hence the wait is for readers that were
///   interrupted inside one memcpy, next to never.
struct Log::Impl {
  Impl(Disk& d, Random& r, LogOptions o) : disk(d), random(r), options(o), safety(o.safety) {}

  static constexpr std::int64_t kZones = 16;

  Disk& disk;
  Random& random;
  const LogOptions options;
  StoreId store_id{};
  Safety safety;                        // Kept becomes Written where the disk cannot
  MirrorRing ring;                      // mapped when recovery ends
  std::unique_ptr<TailFile> tail_file;  // Safety::Kept: what the ring is mapped from
  std::int64_t zone_bytes = 0;
  std::uint32_t epoch = 1;
  bool recovered = false;
  bool created = false;                 // by this open: there is nothing to recover

  // ---- the appender's
  std::shared_ptr<Segment> active;
  Position next = 0;
  Position batch_begin = kNoPosition;   // kNoPosition: no batch is open
  std::uint32_t batch_records = 0;
  Position reserved = kNoPosition;      // the record being filled
  RecordType reserved_type{};
  std::uint32_t reserved_bytes = 0;
  std::int64_t last_wall_ms = 0;
  std::int64_t entered_zone = 0;        // absolute: position / zone_bytes
  Error refusal;

  // ---- shared between the sides
  alignas(64) std::atomic<Position> finished_end{0};
  std::atomic<Position> closed_end{0};
  std::atomic<Position> resident_begin{0};
  alignas(64) std::atomic<Position> written{0};
  std::atomic<Position> durable{0};
  std::atomic<Position> first_position{0};
  std::atomic<bool> poisoned{false};
  std::atomic<bool> disk_full{false};   // the last preparation failed for want of space
  alignas(64) mutable std::array<std::atomic<std::int32_t>, kZones> zone_readers{};

  mutable std::mutex segments_mutex;
  std::vector<std::shared_ptr<Segment>> segments;   // in order; the last is the active one
  struct Prepared {
    std::string name;
    std::int64_t capacity = 0;
  };
  std::optional<Prepared> prepared;
  Error poison_cause;
  std::mutex prepare_mutex;                         // held while a segment is prepared
  struct PreparationOf {                            // under prepare_mutex
    Position newest_first = 0;
    std::int64_t newest_bytes = 1;
    std::int64_t bytes = 1;                         // of what is prepared
  } preparation_of;
  Zeroing zeroing;

  // ---- the readers'
  static constexpr std::size_t kOpenReadersMax = 64;
  mutable std::mutex open_readers_mutex;
  mutable std::deque<std::shared_ptr<Segment>> open_readers;  // the first opened first

  // ---- the flusher's
  std::mutex flush_mutex;                           // for flush_segment's and written's moving on together
  std::shared_ptr<Segment> flush_segment;
  std::mutex sync_mutex;                            // one sync at a time: a second one would not see the first one's error
  AlignedBuffer last_block{kBlockBytes};

  struct Counters {
    std::atomic<std::int64_t> batches{0}, records{0}, bytes{0};
    std::atomic<std::int64_t> flushes{0}, flushed_bytes{0};
    std::atomic<std::int64_t> ring_reads{0}, disk_reads{0};
    std::atomic<std::int64_t> segments_waited{0};
  };
  mutable Counters counters;
  mutable WindowCache windows{counters.disk_reads};   // what readers have of the files

  // log_append.cc
  Status make_room(std::int64_t bytes, Claim claim);
  std::int64_t reserve_of(const Segment& segment) const;
  Status claim_ring(Position to);
  Position unwritten_begin() const;
  void begin_batch();
  Position close_batch(std::int64_t wall_ms);
  std::int64_t batch_bytes_max() const { return ring.bytes() / 2; }
  std::int64_t payload_bytes_max() const;

  // log_segments.cc
  Status open_segments();
  Status create_first_segment();
  Status roll(std::int64_t bytes);
  std::size_t segments_begun_in_ring() const;
  enum class Pace : std::uint8_t { AtOnce, Gentle };  // Gentle: with options.prepare_pause, while that is fast enough
  Status prepare(std::int64_t bytes_min, Pace pace);
  std::int64_t zeros_wanted() const;
  std::atomic<bool> append_waits{false};   // for prepare_mutex, in roll
  Status activate(Segment& segment, Position previous_end);
  Result<std::unique_ptr<File>> open_writer(const Segment& segment);
  SegmentHeader next_header(std::int64_t capacity);
  /// Segments are zeroed and written past the page cache, whatever the safety: filling fresh cache pages cost more than all the rest of a send
  /// (60 % of the broker's CPU), and the ring already is the cache of the tail.
  static constexpr Caching kWriteCaching = Caching::Direct;
  SegmentPreparation::Fill fill() const { return safety == Safety::Kept ? SegmentPreparation::Fill::Allocated : SegmentPreparation::Fill::Zeros; }
  std::shared_ptr<Segment> segment_of(Position position) const;
  std::shared_ptr<Segment> segment_after(const Segment& segment) const;
  Status drop_before(Position position);

  // log_flush.cc
  Status write_closed(Position target);
  Status write_range(Segment& segment, Position from, Position to);
  Status sync_segment(Segment& segment);
  Status finish_segment(Position end);
  Result<Position> sync_written();
  Error poison(const Error& cause);
  Error poison_error() const;
  void publish_durable(Position position);

  // log_read.cc
  enum class Trust : std::uint8_t { Known, Unknown };
  Result<RecordView> read(Position position, ReadBuffer::State& state, Trust trust) const;
  std::optional<Result<RecordView>> read_ring(Position position, Position end, ReadBuffer::State& state, Trust trust) const;
  std::optional<RecordView> read_window(Position position, ReadBuffer::State& state) const;
  Result<RecordView> read_disk(Position position, ReadBuffer::State& state, Trust trust) const;
  Result<Bytes> bytes_of(Position position, std::int64_t bytes, const WindowCache::Source& source, ReadBuffer::State& state) const;
  Result<RecordView> read_again_from_disk(const Segment& segment, Position position, ReadBuffer::State& state) const;

  Result<std::shared_ptr<File>> reader_of(const std::shared_ptr<Segment>& segment) const;

  // log_recovery.cc
  Result<RecoveryReport> recover(Position from, const Visitor& visit);
  Status replay_segment(std::size_t index, Replay& replay);
  Status settle_tail(Replay& replay);
  Status cut_tail(File& file, Replay& replay);
  Status rewrite_tail(File& file, Replay& replay);
  Status rewrite_header(File& file);
  void keep_torn_bytes(File& file, Replay& replay, Position nonzero_end);
  Status resume_at(Replay& replay);

  // log_tail.cc
  Status take_over_tail(Replay& replay);
  Result<Position> copy_batches(const LeftTail& left, Replay& replay);
  Result<bool> begin_left_segment(const LeftTail& left, Replay& replay);
  Status map_ring();
};

struct ReadBuffer::State {
  WindowCache::Pin window;           // where the last record was
  RecordSeed seed;                   // of the segment that it is of
  std::vector<std::byte> copy;       // of a record out of the ring, or of one that lies across windows
  FileWindow again;                  // of a record that was read a second time
  std::int64_t patience_ns = kForEver;

  /// At least `bytes` of memory for a copy, and not for ever much more.
  std::byte* room(std::int64_t bytes);
};

}  // namespace halfmoon::storage
