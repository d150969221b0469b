// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "storage/disk.h"
#include "storage/position.h"

namespace halfmoon::storage {

/// What an acknowledgement means (flushDiskType).
enum class Safety : std::uint8_t {
  Durable,  // SYNC_FLUSH: on stable storage
  Kept,     // ASYNC_FLUSH: in memory that the operating system keeps when the process is killed, and writes to the file `tail`
  Written,  // handed to the operating system by a write: what Kept falls back to where a file cannot be mapped
};

struct LogOptions {
  Safety safety = Safety::Durable;
  std::int64_t segment_bytes = 256 << 20;        // capacity of a full-size segment, a multiple of 4096
  std::int64_t first_segment_bytes = 4 << 20;    // of the first segment of a new store; each is four times its predecessor until segment_bytes
  std::int64_t ring_bytes = 64 << 20;            // resident tail, power of two, at least 64 KiB
  std::uint32_t record_bytes_max = 32 << 20;     // payload; also bounded by ring_bytes / 4
  /// When the disk has no space for a next segment, so much of the current one's end (an eighth of it at most) is kept from ordinary
  /// appends, so that verdicts, offsets and deletions still find room.
  std::int64_t reserve_bytes = 16 << 20;
  /// Called by prepare_next between pieces of 1 MiB: sleep here, so that zeroing leaves the disk to the writes that somebody waits for. Not
  /// called while the appends fill the current segment faster, or wait for the next one. May be empty.
  std::function<void()> prepare_pause = {};
};

/// Whether an append may use what is kept back on a full disk (LogOptions::reserve_bytes).
enum class Claim : std::uint8_t { Ordinary, OnReserve };

/// A record as a reader sees it. `payload` points into the ReadBuffer (or the caller's memory) and is valid until its next use.
struct RecordView {
  RecordType type{};
  std::uint32_t epoch = 0;
  Position position = kNoPosition;
  Bytes payload;
};

/// Scratch memory of one reading thread, and its hold on a window of the log that all readers share. May outlive the log, and be used with another.
class ReadBuffer {
 public:
  ReadBuffer();
  ~ReadBuffer();
  ReadBuffer(ReadBuffer&&) noexcept;
  ReadBuffer& operator=(ReadBuffer&&) noexcept;
  /// Reads with it wait for the disk no longer than this, each time, and then say Busy; the record is on its way all the same. Negative, as in the
  /// beginning: as long as it takes.
  void wait_at_most(std::int64_t patience_ns);

 private:
  friend class Log;
  struct State;
  std::unique_ptr<State> state_;
};

struct RecoveryReport {
  Position end = 0;                // where appending goes on
  std::int64_t batches = 0;
  std::int64_t records = 0;
  std::int64_t tail_bytes = 0;     // taken over out of the last process's tail file
  std::int64_t torn_bytes = 0;     // cut from the tail and kept in torn_file
  std::string torn_file;
};

struct LogCounters {
  std::int64_t batches = 0, records = 0, bytes = 0;      // appended
  std::int64_t flushes = 0, flushed_bytes = 0;           // by flush()/write_out(), blocks rewritten included
  std::int64_t ring_reads = 0, disk_reads = 0;
  std::int64_t segments_waited = 0;                      // rolls for which no prepared segment was ready
};

/// The segmented log (docs/formats/log.md).
///
/// Three sides, each one thread at a time, all three at once:
///  * appending (the thread inside the core): room_for, reserve, finish, close_batch, end, drop_before;
///  * flushing: flush, or write_out; beside it a background thread for what is slow: `prepare_next`, `sync_written`;
///  * reading (any number of threads, each with its ReadBuffer): read, safe, and what says so below.
/// It owns no thread and no clock; `random` is asked by open and by the appending side (a salt for each segment). After any error of write or sync it is poisoned: reserve and flush refuse for good.
class Log {
 public:
  static constexpr std::int64_t kRingBytesMin = 64 << 10;

  /// Opens the segments on `disk` (creates the first if there are none) and checks their headers. Errors: Corrupt with file and
  /// byte, DiskFull, Io. `disk` and `random` outlive the log.
  static Result<std::unique_ptr<Log>> open(Disk& disk, Random& random, LogOptions options);
  ~Log();

  /// Called once, before anything else: replays every record of every valid batch from `from` (a batch boundary: a snapshot's
  /// position, or first_position()) in order, BATCH records left out; settles the tail as the format page says.
  /// The visitor's error stops the recovery and is returned. Errors: Corrupt (damage, the text names the place), Io.
  using Visitor = std::function<Status(const RecordView&, std::int64_t batch_wall_ms)>;
  Result<RecoveryReport> recover(Position from, const Visitor& visit);

  // ---- appending
  /// True if `bytes` more payload in up to `records` records fits now into one batch, in the ring and in the current or next segment.
  /// Where the current segment has no room it rolls to the next one, which closes an open batch (end() then moves on). When false,
  /// ask `refusal()` why: Busy (the flusher is behind; an open batch must be closed for it to go on), DiskFull (no next segment; again
  /// after prepare_next succeeded), Io (poisoned), InvalidArgument (more than half the ring). Makes an ordinary claim; what it promised is
  /// then reserved OnReserve, because the disk may be found full in between.
  bool room_for(std::int64_t bytes, int records);
  Error refusal() const;
  /// Makes room for one record in the open batch (opening one if need be) and returns its payload to be filled in place; `position()` of
  /// the reservation is the record's. Exactly one reservation at a time, ended by finish(). Call room_for first for records that
  /// must land in one batch; without it a record that does not fit in the segment closes the batch and begins one in the next. Errors
  /// as `refusal()`.
  struct Reservation {
    Position position;
    MutableBytes payload;
  };
  Result<Reservation> reserve(RecordType type, std::uint32_t payload_bytes, Claim claim = Claim::Ordinary);
  /// Seals the reserved record: checksum and padding.
  void finish();
  /// What time it is. A batch that the end of its segment closes carries it; all others are given theirs by close_batch.
  void note_time(std::int64_t wall_ms);
  /// Ends the open batch, if any; from now on flush() may write it. Returns the end of the log.
  Position close_batch(std::int64_t wall_ms);
  Position end() const;          // where the next record will be, or the next batch's header
  bool batch_open() const;

  // ---- flushing
  /// Writes and syncs every closed batch; returns the new durable position at once if there is nothing to do. Poisons on error.
  Result<Position> flush();
  /// Hands every closed batch to the operating system without a sync (Safety::Written, Kept). Poisons on error. At the end of a segment it
  /// does sync, because the next one's header tells where this one ended.
  Result<Position> write_out();
  /// Syncs what was written out before the call; returns the new durable position. For Safety::Written and Kept, from a background thread now
  /// and then, while another one writes out. Poisons on error.
  Result<Position> sync_written();
  bool flush_pending() const;    // any thread: safe() is behind the closed batches
  std::int64_t flush_pending_bytes() const;   // by so much
  /// Any thread: closed batches that no write has handed over yet. Safety::Kept: nobody waits for them, but the ring holds no more than
  /// ring_bytes of them; write_out() now and then, by a background thread.
  std::int64_t unwritten_bytes() const;
  /// The options' safety, or Written where they say Kept and the disk cannot. Constant after recover().
  Safety safety() const;

  /// Creates and zeroes the next segment, if none is ready. Slow; background thread. DiskFull leaves the log usable until the
  /// current segment is full, then read-only until a later call succeeds. Any other error poisons.
  Status prepare_next();
  bool next_is_ready() const;    // any thread

  // ---- reading, any thread
  /// Everything below is durable / written / as safe as the producer was told.
  Position durable() const;
  Position safe() const;
  Position first_position() const;
  /// Reads the record at `position`, which is known to be a record's beginning (out of an index), finished, perhaps not yet safe. From the
  /// ring without a system call or a checksum if it is recent; otherwise from the segment file, checksum verified, with read-ahead.
  /// Errors: NotFound (no record begins there, or its segment is gone), Corrupt, Io.
  Result<RecordView> read(Position position, ReadBuffer& buffer) const;
  /// The same for a position that a stranger sent: any number is allowed, the checksum always decides, only closed batches are
  /// looked at, and whatever does not validate is NotFound. May return BATCH records. Errors: NotFound, Io.
  Result<RecordView> read_untrusted(Position position, ReadBuffer& buffer) const;

  // ---- segments
  struct SegmentInfo {
    Position first = 0;
    std::int64_t capacity = 0;
    std::int64_t last_write_wall_ms = 0;  // of its last batch, 0 if unknown (then the header's creation time)
    bool active = false;                  // the one being appended to
  };
  std::vector<SegmentInfo> segments() const;   // any thread
  /// Forgets and deletes every whole segment that ends at or before `position`; the active one stays. Slow part (unlink) included.
  Status drop_before(Position position);

  const std::array<std::byte, 16>& store_id() const;
  LogCounters counters() const;  // any thread
  bool poisoned() const;         // any thread

 private:
  struct Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace halfmoon::storage
