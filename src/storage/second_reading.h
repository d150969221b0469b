// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "storage/disk.h"

namespace halfmoon::storage {

/// A start cuts, rewrites and skips by what it reads. So whatever it would act upon is read twice: a bit that came wrongly over a cable must not become a
/// torn tail. One of these goes with a start and counts how often two readings of one place differed; past kDifferencesMax it stops the start.
class SecondReading {
 public:
  static constexpr int kDifferencesMax = 3;

  /// Two readings of this place were not the same: says so (event `disk.readings_differ`). Errors: Io, at the fourth time.
  Status differed(const std::string& file, std::int64_t byte);
  /// Reads as File::read_at does, until two readings in a row agree. `out` suits the file: aligned, if it is Direct. Errors: Io.
  Result<std::size_t> read(File& file, const std::string& name, std::int64_t at, MutableBytes out);
  int differences() const { return differences_; }

 private:
  int differences_ = 0;
};

}  // namespace halfmoon::storage
