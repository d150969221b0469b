// SPDX-License-Identifier: Apache-2.0
#include "server/janitor.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.h"

namespace halfmoon::server {
namespace {

constexpr std::int64_t kTickMs = 1000;
constexpr std::chrono::milliseconds kSnapshotPause{2};   // after each MiB of a snapshot, as when a segment is zeroed
constexpr std::int64_t kPrepareAgainMs = 1000;     // after the disk was full
constexpr std::int64_t kReleaseEveryMs = 10000;
constexpr std::int64_t kDiskEveryMs = 1000;
constexpr std::int64_t kDiskWarnEveryMs = 600000;
constexpr storage::Position kNotAsked = std::numeric_limits<storage::Position>::max();

/// Processor time of this thread.
std::int64_t worked_us() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

}  // namespace

Janitor::Janitor(const Settings& settings, Store& store, broker::Core& core, runtime::Monitor& monitor, Clock& clock, Hooks hooks)
    : settings_(settings), store_(store), core_(core), monitor_(monitor), clock_(clock), hooks_(std::move(hooks)),
      pace_({.log_bytes = settings.snapshot_bytes, .interval_ms = settings.snapshot_interval_s * 1000}),
      gauge_({settings.disk_max_used_percent, settings.disk_tight_percent, settings.disk_full_percent, settings.disk_enough_bytes}) {}

Janitor::~Janitor() { stop(); }

void Janitor::start(storage::Position last_snapshot) {
  release_ms_ = clock_.now().mono_ms;
  snapshot_before_ = last_snapshot;
  pace_.start(last_snapshot, release_ms_);
  snapshot_at_.store(last_snapshot + pace_.log_before(), std::memory_order_relaxed);
  const std::int64_t every = settings_.durable() ? kTickMs : std::min(kTickMs, settings_.flush_interval_ms);
  worker_ = std::make_unique<runtime::Worker>("janitor", every, [this] { work(); });
  worker_->kick();
}

void Janitor::stop() {
  if (worker_) worker_->stop();
}

void Janitor::turn_ended() {
  const storage::Position end = store_.log->end();
  end_.store(end, std::memory_order_relaxed);
  if (!worker_) return;
  const bool snapshot_due = end >= snapshot_at_.load(std::memory_order_relaxed);
  if (snapshot_due) snapshot_at_.store(kNotAsked, std::memory_order_relaxed);
  if (snapshot_due || (!store_.log->next_is_ready() && wants_segment_.load(std::memory_order_relaxed))) worker_->kick();
}

void Janitor::durable_moved() {
  const storage::Position wanted = waits_for_.load(std::memory_order_relaxed);
  if (worker_ && wanted != storage::kNoPosition && store_.log->durable() >= wanted) worker_->kick();
}

void Janitor::work() {
  const Now now = clock_.now();
  prepare_segment(now);
  sync(now);
  snapshot(now);
  release(now);
  watch_disk(now);
  if (!pending_snapshot_ && !pending_release_) waits_for_.store(storage::kNoPosition, std::memory_order_relaxed);
}

void Janitor::prepare_segment(Now now) {
  if (store_.log->next_is_ready() || now.mono_ms < prepare_again_ms_) return;
  const Status prepared = store_.log->prepare_next();
  if (prepared.ok()) {
    wants_segment_.store(true, std::memory_order_relaxed);
    if (prepare_again_ms_ != 0) log_event(LogLevel::Info, "disk.space_again", {{"directory", settings_.data_directory()}});
    prepare_again_ms_ = 0;
    return;
  }
  if (store_.log->poisoned()) hooks_.poisoned(prepared.error().text);
  wants_segment_.store(false, std::memory_order_relaxed);
  if (prepare_again_ms_ == 0) log_event(LogLevel::Error, "disk.full", {{"directory", settings_.data_directory()}, {"error", prepared.error().text}});
  prepare_again_ms_ = now.mono_ms + kPrepareAgainMs;
}

void Janitor::sync(Now now) {
  if (settings_.durable() || now.mono_ms < sync_ms_ + settings_.flush_interval_ms) return;
  sync_ms_ = now.mono_ms;
  sync_all();
}

/// With ASYNC_FLUSH, where nobody else does it: what is closed becomes durable.
void Janitor::sync_all() {
  if (store_.log->durable() >= store_.log->safe()) return;
  hooks_.write_out();
  if (const auto synced = store_.log->sync_written(); !synced.ok()) hooks_.poisoned(synced.error().text);
}

void Janitor::snapshot(Now now) {
  if (!pending_snapshot_) {
    if (!pace_.due(end_.load(std::memory_order_relaxed), now.mono_ms)) return;
    pending_snapshot_ = draft(now);
    waits_for_.store(pending_snapshot_->position(), std::memory_order_relaxed);
    if (settings_.durable()) hooks_.flush();
    else sync_all();
  }
  if (store_.log->durable() < pending_snapshot_->position()) return;
  // A large one takes seconds: what cannot wait so long is seen to in between.
  const Status written = write(*pending_snapshot_, [this] {
    std::this_thread::sleep_for(kSnapshotPause);
    const Now meanwhile = clock_.now();
    prepare_segment(meanwhile);
    sync(meanwhile);
  });
  if (store_.snapshots->disk_failed())
    hooks_.poisoned("a snapshot could not be written (" + written.error().text + "), and a disk that fails one sync may have lost what others wrote; repair the "
                    "disk and restart the broker, which then recovers all that was acknowledged");
  if (!written.ok()) log_event(LogLevel::Warn, "snapshot.failed", {{"error", written.error().text}, {"consequence", "the next start replays more of the log"}});
  pace_.over(now.mono_ms);
  pending_snapshot_.reset();
  snapshot_at_.store((written.ok() ? pace_.newest() : end_.load(std::memory_order_relaxed)) + pace_.log_before(), std::memory_order_relaxed);
}

storage::SnapshotDraft Janitor::draft(Now now) {
  std::optional<storage::SnapshotDraft> drafted;
  std::chrono::steady_clock::time_point began, ended;
  const std::int64_t worked_before_us = worked_us();
  monitor_.between_turns([&] {
    began = std::chrono::steady_clock::now();
    drafted = core_.draft_snapshot();
    ended = std::chrono::steady_clock::now();
  });
  pace_.drafted(now.mono_ms, std::chrono::duration_cast<std::chrono::microseconds>(ended - began).count(), worked_us() - worked_before_us);
  return std::move(*drafted);
}

Status Janitor::write(const storage::SnapshotDraft& snapshot, const std::function<void()>& pause) {
  const std::int64_t worked_before_us = worked_us();
  HM_TRY_STATUS(store_.snapshots->write(snapshot, pause));
  const std::int64_t work_us = worked_us() - worked_before_us;
  const auto bytes = static_cast<std::int64_t>(store_.snapshots->bytes_written());
  snapshot_before_ = pace_.newest();
  pace_.written(snapshot.position(), bytes, work_us);
  log_event(LogLevel::Debug, "snapshot.written",
            {{"position", snapshot.position()}, {"bytes", snapshot.bytes()}, {"written_bytes", bytes}, {"paused_us", pace_.pause_us()}, {"work_us", work_us}});
  return Done{};
}

void Janitor::release(Now now) {
  if (!pending_release_) {
    if (now.mono_ms < release_ms_ + kReleaseEveryMs) return;
    release_ms_ = now.mono_ms;
    broker::RetentionPolicy policy;
    policy.keep_ms = settings_.file_reserved_hours * 3600 * 1000;
    policy.keep_bytes = bytes_to_keep();
    Result<broker::Core::Release> decided{broker::Core::Release{}};
    monitor_.enter([&](Now) { decided = core_.release(policy); });
    if (!decided.ok()) {
      log_event(LogLevel::Warn, "retention.failed", {{"error", decided.error().text}});
      return;
    }
    if (decided->unfinished) release_ms_ -= kReleaseEveryMs;  // goes on with the next round
    if (decided->drop_before <= store_.log->first_position()) return;
    pending_release_ = *decided;
    waits_for_.store(decided->carried_until, std::memory_order_relaxed);
    hooks_.flush();
  }
  if (store_.log->durable() < pending_release_->carried_until) return;
  // What the older of the two snapshots would replay stays: it stands in when the newer one is damaged.
  const storage::Position before = std::min(pending_release_->drop_before, snapshot_before_);
  pending_release_.reset();
  const storage::Position first = store_.log->first_position();
  if (before <= first) return;
  Status dropped{Done{}};
  monitor_.between_turns([&] { dropped = store_.log->drop_before(before); });
  if (!dropped.ok()) log_event(LogLevel::Warn, "retention.failed", {{"error", dropped.error().text}});
  else if (store_.log->first_position() > first) log_event(LogLevel::Info, "retention.dropped", {{"bytes", store_.log->first_position() - first}, {"first_position", store_.log->first_position()}});
}

/// retentionBytes, or one segment less than there is while the disk is too full and old messages may go for it.
std::int64_t Janitor::bytes_to_keep() const {
  if (!settings_.delete_when_tight || gauge_.level() == broker::DiskLevel::Ok) return settings_.retention_bytes;
  const auto segments = store_.log->segments();
  std::int64_t total = 0;
  for (const auto& segment : segments) total += segment.capacity;
  const std::int64_t less = std::max<std::int64_t>(1, total - segments.front().capacity);
  return settings_.retention_bytes > 0 ? std::min(settings_.retention_bytes, less) : less;
}

void Janitor::watch_disk(Now now) {
  if (disk_ms_ != 0 && now.mono_ms < disk_ms_ + kDiskEveryMs) return;
  disk_ms_ = now.mono_ms;
  const auto space = store_.disk->space();
  if (!space.ok()) return;
  const broker::DiskLevel before = gauge_.level();
  const broker::DiskLevel level = gauge_.look(*space);
  disk_used_percent_.store(gauge_.used_percent(), std::memory_order_relaxed);
  disk_level_.store(level, std::memory_order_relaxed);
  if (gauge_.warns()) warn_of_disk(now, *space);
  if (level == before) return;
  monitor_.enter([&](Now) { core_.set_disk_level(level); });
  const bool worse = level > before;
  const std::string_view refused = level == broker::DiskLevel::Full ? "messages" : level == broker::DiskLevel::Tight ? "new topics and delays of more than a day" : "nothing";
  log_event(worse ? LogLevel::Error : LogLevel::Info, worse ? "disk.level_reached" : "disk.level_left",
            {{"directory", settings_.data_directory()}, {"used_percent", gauge_.used_percent()}, {"free_bytes", space->free_bytes}, {"refused", refused}});
}

void Janitor::warn_of_disk(Now now, const storage::Disk::Space& space) {
  if (disk_warned_ms_ != 0 && now.mono_ms < disk_warned_ms_ + kDiskWarnEveryMs) return;
  disk_warned_ms_ = now.mono_ms;
  log_event(LogLevel::Warn, "disk.filling", {{"directory", settings_.data_directory()}, {"used_percent", gauge_.used_percent()}, {"free_bytes", space.free_bytes},
                                             {"cure", "lower fileReservedTime, set retentionBytes, or give the directory more space"}});
}

Janitor::DiskState Janitor::disk_state() const {
  return {disk_level_.load(std::memory_order_relaxed), disk_used_percent_.load(std::memory_order_relaxed), !wants_segment_.load(std::memory_order_relaxed)};
}

Status Janitor::write_last_snapshot() {
  const storage::SnapshotDraft last = draft(clock_.now());
  if (last.position() == pace_.newest()) return Done{};
  if (store_.log->durable() < last.position()) return Error{ErrorCode::Io, "the log is not durable up to its end"};
  return write(last, {});
}

}  // namespace halfmoon::server
