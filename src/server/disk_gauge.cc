// SPDX-License-Identifier: Apache-2.0
#include "server/disk_gauge.h"

namespace halfmoon::server {
namespace {

constexpr std::int64_t kHysteresisPercent = 5;

}  // namespace

bool DiskGauge::reached(std::int64_t percent, bool before, const storage::Disk::Space& space) const {
  if (percent >= 100) return false;
  const std::int64_t enough = before ? levels_.enough_bytes + levels_.enough_bytes / 4 : levels_.enough_bytes;
  return used_percent_ >= (before ? percent - kHysteresisPercent : percent) && space.free_bytes < enough;
}

broker::DiskLevel DiskGauge::look(const storage::Disk::Space& space) {
  using broker::DiskLevel;
  if (space.total_bytes <= 0) return level_;
  // As `df` does: what only the superuser may still use counts as neither. Rounded up, so that 100 is said only when nothing is left.
  used_percent_ = 100 - space.free_bytes * 100 / space.total_bytes;
  warns_ = reached(levels_.warn_percent, warns_, space);
  const bool full = reached(levels_.full_percent, level_ == DiskLevel::Full, space);
  const bool tight = reached(levels_.tight_percent, level_ != DiskLevel::Ok, space);
  level_ = full ? DiskLevel::Full : tight ? DiskLevel::Tight : DiskLevel::Ok;
  return level_;
}

}  // namespace halfmoon::server
