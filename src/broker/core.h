// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "broker/api.h"
#include "model/host_address.h"
#include "storage/log.h"
#include "storage/snapshot_store.h"

namespace halfmoon::broker {

/// The broker's policy: RocketMQ's configuration keys in the core's words (docs/operating.md names the keys).
struct CoreOptions {
  std::string broker_name = "broker-a";
  std::string cluster = "DefaultCluster";
  std::string region = "DefaultRegion";                 // property MSG_REGION of every message served
  bool trace_on = true;                                 // property TRACE_ON
  bool auto_create_topics = true;
  bool auto_create_groups = true;
  std::int32_t default_queues = 8;
  std::int64_t body_bytes_max = 4 << 20;                // maxMessageSize
  std::int32_t batch_messages_max = 1024;
  std::vector<std::int64_t> delay_levels_ms;            // level n is [n - 1]; empty: RocketMQ's 18
  std::int64_t delay_max_ms = 3LL * 24 * 3600 * 1000;   // timerMaxDelaySec
  std::int64_t check_after_ms = 6000;                   // transactionTimeOut
  std::int64_t check_interval_ms = 30000;               // transactionCheckInterval
  std::int32_t check_max = 15;                          // transactionCheckMax; 0: no maximum by count
  std::int64_t check_age_max_ms = 0;                    // a half message so old is parked when a check brings nothing new; 0: no maximum by age
  std::int64_t immunity_min_s = 1;                      // a message's own first check is believed between these two
  std::int64_t immunity_max_s = 100LL * 24 * 3600;
  std::int32_t checks_outstanding_max = 64;             // per connection
  bool reject_transactions = false;                     // rejectTransactionMessage
  std::int64_t client_timeout_ms = 120000;
  std::int64_t lock_ms = 60000;
  std::int64_t pull_bytes_max = 256 << 10;
  std::int32_t pull_count_max = 1024;
  std::int64_t parked_pulls_max = 100000;
  std::int32_t topics_max = 100000;
  std::int32_t groups_max = 100000;
  std::int64_t queues_max = 1000000;                    // of all topics
  std::int64_t offsets_max = 2000000;                   // of all groups and queues
  std::int64_t memberships_max = 200000;                // of connections in groups, producers and consumers
  std::int64_t memberships_per_connection_max = 1024;
  std::int64_t subscriptions_max = 1024;                // of one group
  std::int64_t subscription_bytes_max = 64 << 20;       // of all groups together
  std::int64_t offset_flush_ms = 1000;                  // one-way and pull commits are made durable this often
  std::int32_t verdicts_remembered = 100000;
  std::int64_t young_queue_bytes = 4LL << 30;           // a new group reads a queue from 0 if its first message is no further back in the log
};

/// What a filling disk still takes. Tight: no new topics, and no delays of more than a day. Full: no messages either; verdicts,
/// offsets, send-backs and deletions go on.
enum class DiskLevel : std::uint8_t { Ok, Tight, Full };

/// What may be deleted (fileReservedTime and the disk's limits).
struct RetentionPolicy {
  std::int64_t keep_ms = 72LL * 3600 * 1000;   // by the time of a segment's last write
  std::int64_t keep_bytes = 0;                 // 0: no limit by size; else the oldest segments above it go
};

/// The monitor of docs/architecture.md: deterministic, serialised, without a thread, lock, socket or clock of its own. Same calls and
/// same times give the same bytes in the log. Life: construct; restore (if there is a snapshot); replay every record; start; then turns of
/// begin, calls through the ports, end. `log`, `outbound`, `topics` outlive it.
class Core final : public Producing, public Transactions, public Consuming, public Clients, public Admin, public MessageReaders,
                   public TransactionOperations {
 public:
  Core(storage::Log& log, Random& random, Outbound& outbound, TopicListener& topics, CoreOptions options);
  ~Core() override;

  // ---- life
  /// The tables go on to use the snapshot's memory where it has its own.
  Status restore(const storage::LoadedSnapshot& snapshot);                            // Corrupt
  Status restore(const storage::Snapshot& snapshot);                                  // Corrupt
  Status replay(const storage::RecordView& record, std::int64_t batch_wall_ms);       // Corrupt
  /// Creates the system topics that are missing and arms the timers. In its own turn (between begin and end).
  Status start();

  // ---- turns
  void begin(Now now);
  /// Ends the turn: closes the log's batch. Afterwards the log may have something to flush.
  void end();
  /// In a turn, after log.safe() has moved: answers what waited for it and shows messages to consumers.
  void safe_advanced();
  /// In a turn: does everything that is due by now. Cheap when nothing is.
  void tick();
  /// When tick() has something to do next, by the clock that Now::mono_ms reads; INT64_MAX if never.
  std::int64_t next_due_mono_ms() const;

  /// In a turn: how full the disk is from now on.
  void set_disk_level(DiskLevel level);

  /// In a turn: from now on new messages and verdicts are refused with NotWritable and parked pulls are answered.
  void stop_accepting(const std::string& why);

  // ---- upkeep
  /// Outside a turn: the tables as of the end of the log. The caller makes `position` durable before it writes the file.
  /// It shares what it can with the tables: the pause is short, and it may be written while they go on.
  storage::SnapshotDraft draft_snapshot() const;
  storage::Snapshot snapshot() const;   // the same, copied
  /// In a turn: decides which whole segments may go, carries forward what is still referred to in at most a few of them, moves the queues'
  /// minimum, and returns the position before which the log may be dropped once log.durable() has reached `carried_until`.
  struct Release {
    storage::Position drop_before = 0;
    storage::Position carried_until = 0;
    bool unfinished = false;              // there is more to carry forward: nothing may go yet, call again
  };
  Result<Release> release(const RetentionPolicy& policy);

  CoreCounters counters() const;

  // ---- ports: see api.h
  void foresee(std::span<const SendPlace> places) override;
  void send(const SendRequest& request, Reply<SendResult> reply) override;
  void send_batch(const SendRequest& request, const std::vector<BatchItem>& items, Reply<SendResult> reply) override;
  void send_back(const SendBackRequest& request, Reply<Done> reply) override;
  void send_reply(const SendRequest& request, Reply<SendResult> reply) override;
  void end_transaction(const EndTransactionRequest& request, Reply<Done> reply) override;
  TransactionPage list_transactions(const TransactionFilter& filter, std::int64_t cursor, std::size_t limit) override;
  Result<TransactionInfo> transaction(std::int64_t half_position) override;
  void decide_transaction(const OperatorRequest& request, Verdict verdict, Reply<Done> reply) override;
  void resume_transaction(const OperatorRequest& request, Reply<Done> reply) override;
  std::unique_ptr<TransactionReader> make_transaction_reader() override;
  void pull(const PullRequest& request, Reply<PullResult> reply) override;
  Result<std::int64_t> committed_offset(std::string_view group, QueueRef queue, bool set_zero_if_absent) override;
  void commit_offset(std::string_view group, QueueRef queue, std::int64_t offset, Reply<Done> reply) override;
  Result<std::int64_t> max_offset(QueueRef queue) override;
  Result<std::int64_t> min_offset(QueueRef queue) override;
  Result<std::int64_t> offset_at_time(QueueRef queue, std::int64_t wall_ms, Boundary boundary) override;
  Result<std::int64_t> earliest_store_time(QueueRef queue) override;
  std::vector<QueueRef> lock_queues(const LockRequest& request) override;
  void unlock_queues(const LockRequest& request) override;
  Status heartbeat(const Heartbeat& beat) override;
  void unregister(ChannelId channel, std::string_view client_id, std::string_view producer_group, std::string_view consumer_group) override;
  void channel_closed(ChannelId channel) override;
  Result<std::vector<std::string>> consumer_ids(std::string_view group) override;
  Result<ConsumerConnections> consumer_connections(std::string_view group) override;
  Result<std::vector<ClientInfo>> producer_connections(std::string_view group) override;
  Result<ChannelId> consumer_channel(std::string_view group, std::string_view client_id) override;
  void put_topic(const model::TopicConfig& config, Reply<Done> reply) override;
  void delete_topic(std::string_view topic, Reply<Done> reply) override;
  Result<model::TopicConfig> topic(std::string_view name) override;
  std::vector<model::TopicConfig> topics() override;
  model::DataVersion topics_version() override;
  void put_group(const model::GroupConfig& config, Reply<Done> reply) override;
  void delete_group(std::string_view group, bool clean_offsets, Reply<Done> reply) override;
  Result<model::GroupConfig> group(std::string_view name) override;
  std::vector<model::GroupConfig> groups() override;
  model::DataVersion groups_version() override;
  Result<std::vector<QueueStats>> topic_stats(std::string_view topic) override;
  Result<std::vector<ConsumeProgress>> consume_progress(std::string_view group, std::string_view topic) override;
  std::vector<std::string> groups_of_topic(std::string_view topic) override;
  Result<std::map<std::int32_t, std::int64_t>> reset_offsets(const ResetRequest& request) override;
  std::unique_ptr<MessageReader> make_reader() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace halfmoon::broker
