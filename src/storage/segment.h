// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/aligned_buffer.h"
#include "storage/disk.h"
#include "storage/record_format.h"

namespace halfmoon::storage {

inline constexpr std::int64_t kSegmentHeaderBytes = kBlockBytes;

using StoreId = std::array<std::byte, 16>;

/// A segment's first 4096 bytes (docs/formats/log.md).
struct SegmentHeader {
  StoreId store_id{};
  std::uint64_t salt = 0;
  Position first = 0;
  std::int64_t capacity = 0;
  Position previous_end = 0;
  std::uint32_t epoch = 1;
  std::int64_t created_wall_ms = 0;

  Position limit() const { return first + capacity; }
};

/// Fills all of `block` (4096 bytes).
void encode_segment_header(const SegmentHeader& header, MutableBytes block);
/// Corrupt with what is wrong (without the file's name).
Result<SegmentHeader> decode_segment_header(Bytes block);

std::string segment_name(Position first);
/// The first position that a segment's file name tells; nullopt for other files.
std::optional<Position> segment_position(std::string_view name);

/// Creates a segment file of `capacity` that reads as zeros, header included, durable under its final name: allocated, zeroed and synced
/// as `<name>.tmp`, then renamed. On error nothing is left but perhaps the .tmp. Errors: DiskFull, Io.
struct SegmentPreparation {
  std::string name;
  std::int64_t capacity = 0;
  Caching caching = Caching::Direct;
  /// Zeros: they are written, so that a later durable write waits for no metadata of the file system. Allocated: that is left out, at half the
  /// bytes written, where nobody waits for the writes.
  enum class Fill : std::uint8_t { Zeros, Allocated } fill = Fill::Zeros;
  /// Zeroes the first `bytes` of the file; empty: at once, by this thread.
  std::function<Status(File& file, std::int64_t bytes)> zero = {};
};
Status prepare_segment(Disk& disk, const SegmentPreparation& preparation);

/// An active segment at run time: shared by the list of segments and by whoever is at work in it.
///
/// `header` is set before the segment is published and constant from then on. `writer` belongs to the flushing thread. `end` is
/// kNoPosition while the segment is appended to; then where its data ends.
class Segment {
 public:
  explicit Segment(const SegmentHeader& h) : header(h), seed(h.salt), name(segment_name(h.first)) {}

  /// The handle that readers share, opened at first use. NotFound once the segment is dropped.
  struct Reader {
    std::shared_ptr<File> file;
    bool opened_now = false;
  };
  Result<Reader> reader(Disk& disk);
  /// Closes the readers' handle when the last read that uses it ends; with `forget`, for good.
  enum class Close : std::uint8_t { Idle, Forget };
  void close_reader(Close close);

  std::int64_t file_byte(Position position) const { return kSegmentHeaderBytes + position - header.first; }

  const SegmentHeader header;
  const RecordSeed seed;
  const std::string name;
  std::atomic<Position> end{kNoPosition};
  std::atomic<std::int64_t> last_write_wall_ms{0};
  std::unique_ptr<File> writer;

 private:
  std::mutex mutex_;
  std::shared_ptr<File> reader_;
  bool forgotten_ = false;
};

/// What the data directory holds of the log.
struct SegmentCatalog {
  std::vector<SegmentHeader> active;              // in order, without a gap
  std::optional<Position> prepared;               // a prepared segment, in its right place
  std::int64_t prepared_capacity = 0;
  std::vector<std::string> leftovers;             // files that an interrupted preparation left: safe to remove

  /// Where the data of active[i] ends; kNoPosition for the newest, which only a scan can tell.
  Position end_of(std::size_t i) const { return i + 1 < active.size() ? active[i + 1].previous_end : kNoPosition; }
};
/// Reads and checks all headers; changes nothing. Errors: Corrupt (the text names file and byte), Io.
Result<SegmentCatalog> read_catalog(Disk& disk);

}  // namespace halfmoon::storage
