// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "broker/core.h"
#include "storage/disk.h"

namespace halfmoon::server {

/// At which use of the file system what is refused (docs/operating.md, "The disk").
struct DiskLevels {
  std::int64_t warn_percent = 75;          // diskMaxUsedSpaceRatio
  std::int64_t tight_percent = 85;         // diskSpaceCleanForciblyRatio; 100: never
  std::int64_t full_percent = 90;          // diskSpaceWarningLevelRatio; 100: never
  std::int64_t enough_bytes = 10LL << 30;  // with so much free no level is reached, whatever the percentage
};

/// Turns what the file system says into a level. A level that was reached is left only 5 % below it, so that what is refused does not
/// change with every deleted file.
class DiskGauge {
 public:
  explicit DiskGauge(DiskLevels levels) : levels_(levels) {}
  /// What holds from now on. A file system that says nothing of itself (total 0) is never full.
  broker::DiskLevel look(const storage::Disk::Space& space);
  broker::DiskLevel level() const { return level_; }
  bool warns() const { return warns_; }
  std::int64_t used_percent() const { return used_percent_; }   // as of the last look

 private:
  bool reached(std::int64_t percent, bool before, const storage::Disk::Space& space) const;

  const DiskLevels levels_;
  broker::DiskLevel level_ = broker::DiskLevel::Ok;
  bool warns_ = false;
  std::int64_t used_percent_ = 0;
};

}  // namespace halfmoon::server
