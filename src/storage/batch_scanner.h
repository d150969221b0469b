// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "storage/file_window.h"
#include "storage/log.h"
#include "storage/second_reading.h"
#include "storage/segment.h"

namespace halfmoon::storage {

/// A batch that validates as a whole.
struct ScannedBatch {
  Position begin = 0;
  Position end = 0;
  BatchHeader header;
  Bytes bytes;  // [begin, end), until the scanner's next call
};

/// Reads the batches of one segment file, each checked to its last byte. For recovery and verification.
class BatchScanner {
 public:
  /// `file` and `segment` outlive the scanner.
  BatchScanner(File& file, const SegmentHeader& segment) : file_(file), segment_(segment), seed_(segment.salt) {}

  /// The batch at `at`, which may use bytes below `limit`; nullopt if there is no valid one, then `why()` says why. Errors: Io.
  Result<std::optional<ScannedBatch>> next(Position at, Position limit);
  const std::string& why() const { return why_; }
  /// The same for a start, to which the end of the valid batches is the end of the log: where there is none, it is looked for a second time in the file
  /// `name`, and one that is there then is believed. Errors: Io, also where that happens too often.
  Result<std::optional<ScannedBatch>> next_believed(Position at, Position limit, const std::string& name, SecondReading& second);

  /// Calls `visit` for the batch's records in order (without the BATCH record); its error stops and is returned.
  static Status for_each_record(const ScannedBatch& batch, const std::function<Status(const RecordView&)>& visit);

  /// The bytes after the end of the valid batches, up to `limit`.
  struct Tail {
    Position nonzero_end = 0;                  // behind the last byte that is not zero; `from` if all are
    std::optional<Position> had_been_durable;  // a valid BATCH record behind `from` that says that `from` was durable
  };
  Result<Tail> look_behind(Position from, Position limit);

 private:
  bool batch_valid(Bytes bytes, const BatchHeader& header, Position begin);

  File& file_;
  const SegmentHeader& segment_;
  RecordSeed seed_;
  FileWindow window_;
  std::string why_;
};

/// Whether all bytes are zero.
bool is_zero(Bytes bytes);

}  // namespace halfmoon::storage
