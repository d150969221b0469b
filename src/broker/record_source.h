// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "storage/carried.h"
#include "storage/log.h"

namespace halfmoon::broker {

/// Records by the position where they were first appended, for one thread: where retention has carried one forward, its copy. `log` and
/// `carried` outlive it.
class RecordSource {
 public:
  RecordSource(const storage::Log& log, const storage::CarriedPositions& carried) : log_(log), carried_(carried) {}

  enum class Trust : std::uint8_t { Known, Stranger };  // see Log::read and Log::read_untrusted
  /// The view lives until the next read. Errors: NotFound, Corrupt (Known only), Io.
  Result<storage::RecordView> read(storage::Position position, Trust trust);
  /// ReadBuffer::wait_at_most, for the reads from now on.
  void wait_at_most(std::int64_t patience_ns) { buffer_.wait_at_most(patience_ns); }

 private:
  const storage::Log& log_;
  const storage::CarriedPositions& carried_;
  storage::ReadBuffer buffer_;
};

}  // namespace halfmoon::broker
