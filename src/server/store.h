// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "broker/core.h"
#include "server/settings.h"
#include "storage/disk.h"
#include "storage/log.h"
#include "storage/snapshot_store.h"

namespace halfmoon::server {

storage::LogOptions log_options(const Settings& settings);
broker::CoreOptions core_options(const Settings& settings);

/// What lies in the data directory, opened and locked. Members in the order in which they need each other.
struct Store {
  std::unique_ptr<storage::Disk> disk;
  std::unique_ptr<storage::Log> log;
  std::unique_ptr<storage::SnapshotStore> snapshots;

  /// Errors: Locked, InvalidArgument (foreign directory), DiskFull, Corrupt, Io; the texts name directory and cure.
  static Result<Store> open(const Settings& settings, Random& random);
};

struct Recovered {
  storage::RecoveryReport report;
  storage::Position snapshot = 0;   // 0: none was used
  std::int64_t snapshot_ms = 0;     // to read it, and to make tables of it
  std::int64_t replay_ms = 0;       // to replay the log behind it
};

/// Brings `core`, fresh, to where the log ends: the newest snapshot, then every record behind it. Errors: Corrupt, Io.
Result<Recovered> recover(Store& store, broker::Core& core);

}  // namespace halfmoon::server
