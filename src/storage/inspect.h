// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/log.h"

namespace halfmoon::storage {

/// What `halfmoon log verify` says of a directory. Reads only; never repairs.
struct VerifyReport {
  std::int64_t segments = 0, batches = 0, records = 0, bytes = 0;
  Position first = 0, end = 0;
  std::int64_t torn_bytes = 0;               // an unacknowledged tail that the next start would cut
  std::int64_t tail_batches = 0, tail_records = 0, tail_bytes = 0;   // in the file `tail` only: the next start brings them into the segments
  std::string tail_unusable;                 // why a file `tail` that is there does not count; empty: it does, or there is none
  std::vector<std::string> damage;           // one sentence each: file, byte, position, what is wrong
  std::vector<std::string> snapshots;        // name, position, valid or why not
};
/// Verifies every record of every segment, and of what the file `tail` goes on with. `progress` gets bytes done and bytes in all.
Result<VerifyReport> verify_log(Disk& disk, const std::function<void(std::int64_t, std::int64_t)>& progress);

/// Calls `visit` for every record from `from` on (BATCH records included) until it returns false or the log ends; the file `tail` included.
Status dump_log(Disk& disk, Position from, const std::function<bool(const RecordView&)>& visit);

}  // namespace halfmoon::storage
