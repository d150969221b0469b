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

 private:
  const storage::Log& log_;
  const storage::CarriedPositions& carried_;
  storage::ReadBuffer buffer_;
};

}  // namespace halfmoon::broker
