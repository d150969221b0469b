// SPDX-License-Identifier: Apache-2.0
#include "server/store.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "storage/posix_disk.h"

namespace halfmoon::server {

storage::LogOptions log_options(const Settings& s) {
  storage::LogOptions o;
  o.safety = s.durable() ? storage::Safety::Durable : storage::Safety::Kept;
  o.segment_bytes = s.segment_bytes;
  o.first_segment_bytes = std::min(o.first_segment_bytes, s.segment_bytes);
  o.ring_bytes = s.tail_buffer_bytes;
  // About 300 MB/s while that is enough, and the writes that messages wait for stay quick (p99 of produce to consume at 10 k/s: 2-7 ms
  // instead of 22-49 ms while a segment is made).
  o.prepare_pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
  o.record_bytes_max = static_cast<std::uint32_t>(std::min<std::int64_t>(o.record_bytes_max, s.tail_buffer_bytes / 4));
  return o;
}

broker::CoreOptions core_options(const Settings& s) {
  broker::CoreOptions o;
  o.broker_name = s.broker_name;
  o.cluster = s.cluster;
  o.region = s.region;
  o.trace_on = s.trace_on;
  o.auto_create_topics = s.auto_create_topics;
  o.auto_create_groups = s.auto_create_groups;
  o.default_queues = static_cast<std::int32_t>(s.default_queues);
  o.body_bytes_max = s.message_bytes_max;
  o.delay_levels_ms = s.delay_levels_ms();
  o.delay_max_ms = s.delay_max_s * 1000;
  o.check_after_ms = s.transaction_timeout_ms;
  o.check_interval_ms = s.transaction_interval_ms;
  o.check_max = static_cast<std::int32_t>(s.transaction_check_max);
  o.check_age_max_ms = s.transaction_check_max_age_s * 1000;
  if (s.http_transactions()) {
    o.immunity_min_s = 10;
    o.immunity_max_s = 300;
  }
  o.reject_transactions = s.reject_transactions;
  o.topics_max = static_cast<std::int32_t>(s.topics_max);
  o.groups_max = static_cast<std::int32_t>(s.groups_max);
  o.queues_max = s.queues_max;
  o.offsets_max = s.offsets_max;
  o.batch_messages_max = static_cast<std::int32_t>(s.batch_messages_max);
  o.parked_pulls_max = s.parked_pulls_max;
  o.memberships_max = s.members_max;
  o.memberships_per_connection_max = s.groups_per_connection_max;
  o.subscriptions_max = s.subscriptions_max;
  o.subscription_bytes_max = s.subscription_bytes_max;
  return o;
}

Result<Store> Store::open(const Settings& settings, Random& random) {
  Store store;
  HM_TRY(auto, disk, storage::open_posix_disk(settings.data_directory()));
  store.disk = std::move(disk);
  HM_TRY(auto, log, storage::Log::open(*store.disk, random, log_options(settings)));
  store.log = std::move(log);
  store.snapshots = std::make_unique<storage::SnapshotStore>(*store.disk, store.log->store_id());
  return store;
}

Result<Recovered> recover(Store& store, broker::Core& core) {
  Recovered recovered;
  const auto began = std::chrono::steady_clock::now();
  // The log's end is not known yet. A snapshot's position was durable before it was written, so it never lies above it.
  HM_TRY(const auto, snapshot, store.snapshots->newest(std::numeric_limits<storage::Position>::max()));
  storage::Position from = store.log->first_position();
  if (snapshot) {
    HM_TRY_STATUS(core.restore(*snapshot));
    from = recovered.snapshot = snapshot->position;
  } else if (from > 0) {  // retention deletes only what a snapshot knows: topics, groups and offsets would be gone in silence
    return Error{ErrorCode::Corrupt, "no valid snapshot is there, and the log begins at position " + std::to_string(from) +
                                         ": what was decided before it is nowhere else. Nothing has been changed: restore a snapshot-* file from a copy"};
  }
  const auto restored = std::chrono::steady_clock::now();
  HM_TRY(auto, report, store.log->recover(from, [&core](const storage::RecordView& record, std::int64_t wall_ms) { return core.replay(record, wall_ms); }));
  recovered.report = std::move(report);
  const auto milliseconds = [](auto time) { return std::chrono::duration_cast<std::chrono::milliseconds>(time).count(); };
  recovered.snapshot_ms = milliseconds(restored - began);
  recovered.replay_ms = milliseconds(std::chrono::steady_clock::now() - restored);
  return recovered;
}

}  // namespace halfmoon::server
