// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/disk.h"
#include "storage/mirror_ring.h"
#include "storage/second_reading.h"
#include "storage/segment.h"

namespace halfmoon::storage {

inline constexpr std::string_view kTailName = "tail";
/// So many segments may have been begun in the ring and not yet on the disk.
inline constexpr std::size_t kTailSegments = 8;

/// The file `tail` while its process lives (docs/formats/log.md, "The tail file"): the ring's memory is a shared mapping of it, so that the
/// operating system has every closed batch at once. Beside the ring it holds the headers of segments that were begun there.
class TailFile {
 public:
  TailFile() = default;
  TailFile(const TailFile&) = delete;
  TailFile& operator=(const TailFile&) = delete;
  ~TailFile();

  /// Makes it anew and maps its ring into `ring` (not mapped yet). The caller syncs the directory, so that an older one cannot come back. Errors:
  /// DiskFull, Io; then `ring` is as it was.
  static Result<std::unique_ptr<TailFile>> create(Disk& disk, const StoreId& store_id, std::int64_t ring_bytes, MirrorRing& ring);

  /// The appender goes on in a segment whose file does not say so yet. It takes the place of the one noted kTailSegments ago.
  void note_segment(const SegmentHeader& header);

 private:
  std::byte* head_ = nullptr;
  std::size_t noted_ = 0;
};

/// What of a segment stands in the tail file, for messages; byte numbers are then the segment's.
std::string name_in_tail(const SegmentHeader& segment);

/// The same file as the last process left it. Read with system calls, not mapped, so that a bad sector is an error and no signal.
class LeftTail {
 public:
  /// nullptr: there is none, or none that this store can use (of another store, cut short, or its head never reached the disk).
  static Result<std::unique_ptr<LeftTail>> open(Disk& disk, const StoreId& store_id, SecondReading& second);

  std::int64_t ring_bytes() const { return ring_bytes_; }
  /// The ring as if it were the file of this segment. Outlived by the LeftTail.
  std::unique_ptr<File> as_segment(const SegmentHeader& segment) const;
  /// The segment noted with this first position; nullopt: none was.
  Result<std::optional<SegmentHeader>> segment_at(Position first, SecondReading& second) const;

 private:
  std::unique_ptr<File> file_;
  std::int64_t ring_bytes_ = 0;
};

}  // namespace halfmoon::storage
