// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace halfmoon::cli {

struct LogDumpOptions {
  std::string directory;
  std::int64_t from = 0;     // a batch's position or any other; records before it are left out
  std::int64_t limit = 0;    // 0: no limit
  bool json = false;         // one JSON object a line
  bool batches = false;      // BATCH records too
};

/// Prints the log's records to stdout; the directory is only read, a server may be using it. 0, or 1 with a line on stderr.
int run_log_dump(const LogDumpOptions& options);

/// Checks every record and snapshot and prints a report. 0: in order (an unacknowledged torn tail is); 1: damage, or not readable.
int run_log_verify(const std::string& directory);

}  // namespace halfmoon::cli
