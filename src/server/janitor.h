// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "broker/core.h"
#include "runtime/monitor.h"
#include "runtime/worker.h"
#include "server/disk_gauge.h"
#include "server/settings.h"
#include "server/snapshot_pace.h"
#include "server/store.h"

namespace halfmoon::server {

/// What a store needs done behind its back, on one background thread: the next segment made ready, snapshots of the tables, deletion
/// of what is older than it must be, a look at the disk's free space; with ASYNC_FLUSH the sync as well.
class Janitor {
 public:
  struct Hooks {
    std::function<void()> flush;                       // asks for everything appended so far to become durable
    std::function<void()> write_out;                   // returns when everything appended so far is written, not synced
    std::function<void(const std::string&)> poisoned;  // does not return
  };
  Janitor(const Settings& settings, Store& store, broker::Core& core, runtime::Monitor& monitor, Clock& clock, Hooks hooks);
  ~Janitor();

  void start(storage::Position last_snapshot);
  void stop();
  /// After each turn, inside the monitor; cheap.
  void turn_ended();
  /// Any thread: the log's durable end has moved.
  void durable_moved();
  /// How full the disk is; any thread.
  struct DiskState {
    broker::DiskLevel level = broker::DiskLevel::Ok;
    std::int64_t used_percent = 0;
    bool no_segment = false;   // no space for the log's next one
  };
  DiskState disk_state() const;
  /// After stop(): a last snapshot, of everything. The log must be flushed. Errors: Io, DiskFull.
  Status write_last_snapshot();

 private:
  void work();
  void prepare_segment(Now now);
  void sync(Now now);
  void sync_all();
  void snapshot(Now now);
  void release(Now now);
  void watch_disk(Now now);
  void warn_of_disk(Now now, const storage::Disk::Space& space);
  std::int64_t bytes_to_keep() const;
  storage::SnapshotDraft draft(Now now);
  Status write(const storage::SnapshotDraft& snapshot, const std::function<void()>& pause);

  const Settings& settings_;
  Store& store_;
  broker::Core& core_;
  runtime::Monitor& monitor_;
  Clock& clock_;
  const Hooks hooks_;

  std::atomic<storage::Position> end_{0};              // of the log, after the last turn
  std::atomic<storage::Position> waits_for_{storage::kNoPosition};   // durable end that a snapshot or a release waits for
  std::atomic<storage::Position> snapshot_at_{std::numeric_limits<storage::Position>::max()};   // the end of the log at which the next one is due
  std::atomic<bool> wants_segment_{true};              // false while a failed preparation is not repeated yet
  std::optional<storage::SnapshotDraft> pending_snapshot_;
  std::optional<broker::Core::Release> pending_release_;
  SnapshotPace pace_;
  storage::Position snapshot_before_ = 0;              // the newest but one
  std::int64_t prepare_again_ms_ = 0, release_ms_ = 0, disk_ms_ = 0, disk_warned_ms_ = 0, sync_ms_ = 0;
  DiskGauge gauge_;
  std::atomic<broker::DiskLevel> disk_level_{broker::DiskLevel::Ok};
  std::atomic<std::int64_t> disk_used_percent_{0};
  std::unique_ptr<runtime::Worker> worker_;
};

}  // namespace halfmoon::server
