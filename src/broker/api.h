// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/reply.h"
#include "base/result.h"
#include "model/group.h"
#include "model/host_address.h"
#include "model/message_image.h"
#include "model/topic.h"

/// The ports of the core: what every protocol adapter says to it, and what it says back. Words of the domain only; no wire
/// codes, no threads. All ports but MessageReader are called by whoever is inside the core (runtime::Monitor), between `begin`
/// and `end` of a batch (broker/core.h); string_views in a request live for the call, no longer.
namespace halfmoon::broker {

/// A client's connection as the core knows it: a number that is never reused while the process lives.
enum class ChannelId : std::uint64_t {};

// ------------------------------------------------------------------------------------------------------------- producing

/// One message (or, with `batch`, the messages of one batch) to be stored. The core chooses by the properties whether it is plain,
/// delayed or a half message.
struct SendRequest {
  std::string_view group;
  std::string_view topic;
  std::string_view default_topic;          // template for a topic that does not exist yet
  std::int32_t default_queues = 4;         // queues the client asks for such a topic
  std::int32_t queue_id = -1;              // < 0: the broker picks one
  std::int32_t sys_flag = 0;
  std::int32_t flag = 0;
  std::int64_t born_ms = 0;
  model::HostAddress born_host;            // the client's end of its connection
  model::HostAddress store_host;           // ours, as this client reaches it
  std::string_view properties;
  std::string_view body;
  std::uint32_t body_crc = 0;              // base/crc.h crc32_ieee(body): computed by the caller, outside the core
  std::int32_t reconsume_times = 0;
  std::optional<std::int32_t> max_reconsume_times;  // honoured for %RETRY% topics only (trap 21)
  ChannelId channel{};                     // so that the sender of a half message is the first to be asked about it
  bool one_way = false;                    // nobody hears the answer
};

/// A batch: every item is stored in one queue at consecutive offsets, all of them or none.
struct BatchItem {
  std::int32_t flag = 0;
  std::string_view properties;
  std::string_view body;
  std::uint32_t body_crc = 0;
};

/// Text of at most 63 bytes without allocation; longer input is cut.
class ShortText {
 public:
  ShortText() = default;
  explicit ShortText(std::string_view text) : size_(static_cast<std::uint8_t>(text.size() < 63 ? text.size() : 63)) { text.copy(data_, size_); }
  std::string_view view() const { return {data_, size_}; }

 private:
  std::uint8_t size_ = 0;
  char data_[63];
};

struct SendResult {
  std::int32_t queue_id = 0;
  std::int64_t queue_offset = 0;   // of the first message; for a half message its half offset
  std::int64_t position = 0;       // of the first message
  std::vector<std::int64_t> more_positions;  // of a batch: the 2nd, 3rd, ... message
  ShortText unique_key;            // the message's UNIQ_KEY (the broker's own where the client sent none): RocketMQ's transactionId
};

/// A stored message that a client refers to by position, read by the caller through MessageReader before it enters the core.
struct StoredMessage;

/// A consumer could not process a message: deliver it again later, or put it aside (specification 4.2).
struct SendBackRequest {
  const StoredMessage* message = nullptr;
  std::string_view group;
  std::int32_t delay_level = 0;            // < 0: dead letter at once; 0: by the number of deliveries; else this level
  std::optional<std::int32_t> max_reconsume_times;  // else the group's
  model::HostAddress store_host;
};

/// Where a send that is about to be made goes.
struct SendPlace {
  std::string_view topic;
  std::int32_t queue_id = -1;
};

class Producing {
 public:
  virtual ~Producing() = default;
  /// A hint, before many sends are made in one turn: what they will look at is fetched for all of them at once, instead of one after the other. Without
  /// other effect.
  virtual void foresee(std::span<const SendPlace> /*places*/) {}
  /// Answered when the message is as safe as flushDiskType says. Errors: InvalidArgument (names, queue id), NoPermission,
  /// TopicNotFound, GroupNotFound (%RETRY%), MessageIllegal, NotWritable, DiskFull, Busy.
  virtual void send(const SendRequest& request, Reply<SendResult> reply) = 0;
  /// Errors: as send; MessageIllegal for transaction, delay or retry in a batch.
  virtual void send_batch(const SendRequest& request, const std::vector<BatchItem>& items, Reply<SendResult> reply) = 0;
  /// Errors: GroupNotFound, NotFound, NoPermission, DiskFull, Busy.
  virtual void send_back(const SendBackRequest& request, Reply<Done> reply) = 0;
  /// Pushes a reply message to the requester named in property REPLY_TO_CLIENT (specification 4.11); it is not stored. Errors: NotFound (no such client), MessageIllegal (no such property).
  virtual void send_reply(const SendRequest& request, Reply<SendResult> reply) = 0;
};

// ---------------------------------------------------------------------------------------------------------- transactions

enum class Verdict : std::uint8_t { Unknown, Commit, Rollback };

/// What a verdict must name, read from a HALF record.
struct HalfNames {
  std::string producer_group;
  std::string unique_key;
  std::int64_t half_offset = 0;
};

struct EndTransactionRequest {
  std::string_view producer_group;
  std::int64_t half_position = 0;      // commitLogOffset
  std::int64_t half_offset = 0;        // tranStateTableOffset
  Verdict verdict = Verdict::Unknown;
  bool from_check = false;
  std::string_view message_id;         // the message's unique key, its offset id, or empty
  std::string_view transaction_id;     // likewise
  ChannelId channel{};
  /// What MessageReader::forgotten_half said before the core was entered; `looked_up` is false where nobody asked it.
  const HalfNames* names = nullptr;
  bool looked_up = false;
  std::string_view address;            // "ip:port" of the client, for the half message's history
};

class Transactions {
 public:
  virtual ~Transactions() = default;
  /// Answered when the verdict is safe, also when it is given again. Errors: NotFound (no half message there, or not any more), InvalidArgument
  /// (position, group or id of another message; touches nothing), IllegalOperation (the contrary verdict is final; said when that one is safe),
  /// Busy (looked_up is false, and the verdict is so old that the names must be read).
  virtual void end_transaction(const EndTransactionRequest& request, Reply<Done> reply) = 0;
};

// ------------------------------------------------------------------------------------------- transactions, as operators see them

enum class TransactionState : std::uint8_t {
  Pending,      // no verdict yet; its producers are asked when it is due
  Waiting,      // due, and no producer of its group is there to be asked
  Parked,       // asked about as often or as long as the policy says; waits for a verdict or for being resumed
  Committed,    // these two are remembered as long as a verdict is (CoreOptions::verdicts_remembered, and the half message's segment)
  RolledBack,
};
constexpr std::uint8_t state_bit(TransactionState state) { return static_cast<std::uint8_t>(1u << static_cast<unsigned>(state)); }

struct TransactionFilter {
  std::uint8_t states = 0x1f;          // state_bit()s
  std::string_view group, topic, unique_key;  // empty: any
  std::optional<std::int64_t> older_than_ms, younger_than_ms;  // by when the broker stored it
};

/// What the core knows of a half message without looking into the log.
struct TransactionInfo {
  std::int64_t position = 0;           // of its HALF record: what a verdict names
  std::int64_t half_offset = 0;
  TransactionState state{};
  std::string topic, group;            // topic: empty if it was deleted
  std::int32_t queue_id = 0;
  std::int64_t stored_ms = 0;
  std::int64_t age_ms = 0;             // by the broker's clock
  std::int32_t answered = 0;           // checks answered with "unknown" since it was sent or resumed
  std::optional<std::int64_t> next_check_ms;
  std::int64_t refused = 0;            // contrary verdicts that were refused
  std::int64_t last_event = -1;        // where its history ends: for TransactionReader::history
};

struct TransactionPage {
  std::vector<TransactionInfo> transactions;
  std::optional<std::int64_t> next_cursor;  // nullopt: that was all
};

/// An operator's act; its name and reason become part of the log.
struct OperatorRequest {
  std::int64_t half_position = 0;
  std::string_view unique_key;         // not empty: refused if the half message has another
  std::string_view operator_name;
  std::string_view reason;
  ChannelId channel{};
  std::string_view address;            // "ip:port" of the operator's client
};

enum class TransactionEventKind : std::uint8_t { Sent, Asked, AnsweredUnknown, Parked, Resumed, Committed, RolledBack, Refused };
enum class TransactionActor : std::uint8_t { Broker, Producer, Check, Operator };  // Check: a producer, answering one

struct TransactionEvent {
  TransactionEventKind kind{};
  TransactionActor actor = TransactionActor::Broker;
  std::int64_t wall_ms = 0;
  std::string client_id, address;      // who sent, was asked, answered or acted; empty where it is not known
  std::string operator_name, reason;
  bool commit = false;                 // Refused: the verdict that was
  std::int64_t count = 0;              // AnsweredUnknown, Refused: the count-th
  std::int64_t due_ms = 0;             // Committed: delivered then; 0: at once
};

enum class HistoryBegin : std::uint8_t {
  Complete,        // with the sending
  NotRetained,     // what came before lay in a segment that is gone
  NotRecorded,     // an earlier build wrote it
  Cut,             // there is more than was asked for
};
struct TransactionHistory {
  std::vector<TransactionEvent> events;  // in order; Sent first, unless the half message itself is not retained any more
  HistoryBegin begin = HistoryBegin::Complete;  // says whether anything is missing between Sent and the rest
};

/// What stands in a half message's record.
struct TransactionMessage {
  std::string unique_key, topic, group, tags, keys;
  std::int32_t queue_id = 0;
  std::int64_t body_bytes = 0;
  std::int64_t born_ms = 0, stored_ms = 0;
  model::HostAddress born_host, store_host;
};

/// Reads what the log holds about half messages, for one thread; does not enter the core.
class TransactionReader {
 public:
  virtual ~TransactionReader() = default;
  /// Errors: NotFound (no half message there, or not any more), Corrupt, Io.
  virtual Result<TransactionMessage> message(std::int64_t half_position) = 0;
  /// From TransactionInfo::last_event backwards, at most `events_max` of them. Errors: Corrupt, Io.
  virtual Result<TransactionHistory> history(std::int64_t half_position, std::int64_t last_event, std::size_t events_max) = 0;
};

class TransactionOperations {
 public:
  virtual ~TransactionOperations() = default;
  /// Half messages that match, at most `limit`. A call looks at a bounded number of them, so a page may hold few or none although there are
  /// more: go on from its cursor. `cursor`: 0, or what the last page gave; good while the process lives. What is sent or decided between two calls
  /// may be missed or seen twice. A unique key is compared by its hash: a whole scan finds it.
  virtual TransactionPage list_transactions(const TransactionFilter& filter, std::int64_t cursor, std::size_t limit) = 0;
  /// At once, by position. Errors: NotFound.
  virtual Result<TransactionInfo> transaction(std::int64_t half_position) = 0;
  /// Answered when the verdict is safe, also when it is given again. Errors: NotFound, InvalidArgument (another unique key; no operator, no
  /// reason, or too long), IllegalOperation (the contrary verdict is final; kept in the history).
  virtual void decide_transaction(const OperatorRequest& request, Verdict verdict, Reply<Done> reply) = 0;
  /// A parked half message is asked about again. Errors: NotFound, InvalidArgument, IllegalOperation (not parked).
  virtual void resume_transaction(const OperatorRequest& request, Reply<Done> reply) = 0;
  /// A reader for the calling thread to keep. Any thread.
  virtual std::unique_ptr<TransactionReader> make_transaction_reader() = 0;
};

// ------------------------------------------------------------------------------------------------------------- consuming

/// Where a message's bytes are; MessageReader::render turns it into an image.
struct Extent {
  std::int64_t position = 0;
  std::int64_t queue_offset = 0;
  bool operator==(const Extent&) const = default;
};

struct PullRequest {
  std::string_view group;
  std::string_view topic;
  std::int32_t queue_id = 0;
  std::int64_t offset = 0;
  std::int32_t count_max = 32;
  std::int64_t bytes_max = 0;               // 0: the broker's own limit (256 KiB); the first message always fits
  std::optional<std::int64_t> commit_offset;  // stored for the group before anything else
  std::int64_t suspend_ms = 0;              // wait so long (10 min at most) for a message if there is none; 0: answer at once
  const model::Subscription* subscription = nullptr;  // given with the request; null: the group's own from its heartbeat
  std::int64_t subscription_version = 0;
  ChannelId channel{};
};

enum class PullStatus : std::uint8_t {
  Found,
  NoNewMessage,      // also when the wait ended without one
  NoMatch,           // messages there, none matches; ask again from next_offset
  OffsetMoved,       // the asked offset does not exist; ask again from next_offset
};

struct PullResult {
  PullStatus status = PullStatus::NoNewMessage;
  std::int64_t next_offset = 0;
  std::int64_t min_offset = 0;
  std::int64_t max_offset = 0;
  std::int32_t topic_sys_flag = 0;
  std::int32_t group_sys_flag = 0;
  std::vector<Extent> extents;
};

struct QueueRef {
  std::string_view topic;
  std::int32_t queue_id = 0;
};

enum class Boundary : std::uint8_t { Lower, Upper };

struct LockRequest {
  std::string_view group;
  std::string_view client_id;
  std::vector<QueueRef> queues;
};

class Consuming {
 public:
  virtual ~Consuming() = default;
  /// Answered at once, or within suspend_ms when a message comes. Errors: NoPermission, GroupNotFound, TopicNotFound, InvalidArgument
  /// (queue id), SubscriptionNotFound, SubscriptionOutdated, NotSupported (filter type).
  virtual void pull(const PullRequest& request, Reply<PullResult> reply) = 0;

  /// The group's next offset. NotFound if it has none: see specification 3.4, code 14; `set_zero_if_absent` as there.
  virtual Result<std::int64_t> committed_offset(std::string_view group, QueueRef queue, bool set_zero_if_absent) = 0;
  /// Stores it when it is larger than the one stored; answered when safe. A smaller one is ignored and counted, a pending reset wins.
  /// Errors: GroupNotFound, TopicNotFound, InvalidArgument.
  virtual void commit_offset(std::string_view group, QueueRef queue, std::int64_t offset, Reply<Done> reply) = 0;
  virtual Result<std::int64_t> max_offset(QueueRef queue) = 0;   // what consumers may see
  virtual Result<std::int64_t> min_offset(QueueRef queue) = 0;
  virtual Result<std::int64_t> offset_at_time(QueueRef queue, std::int64_t wall_ms, Boundary boundary) = 0;
  virtual Result<std::int64_t> earliest_store_time(QueueRef queue) = 0;  // -1 for an empty queue

  /// Queues that `client_id` holds now (specification 4.6); a lock lives 60 s without renewal.
  virtual std::vector<QueueRef> lock_queues(const LockRequest& request) = 0;
  virtual void unlock_queues(const LockRequest& request) = 0;
};

// --------------------------------------------------------------------------------------------------------------- clients

struct ConsumerData {
  std::string group;
  model::ConsumeType type = model::ConsumeType::Passively;
  model::MessageModel message_model = model::MessageModel::Clustering;
  model::ConsumeFrom from = model::ConsumeFrom::LastOffset;
  bool unit_mode = false;
  std::vector<model::Subscription> subscriptions;
};

/// How a client names itself.
struct ClientInfo {
  std::string client_id;
  std::string language = "JAVA";
  std::int32_t version = 0;
  std::string remote_address;   // "ip:port"
};

struct Heartbeat {
  ChannelId channel{};
  ClientInfo client;
  std::vector<std::string> producer_groups;
  std::vector<ConsumerData> consumers;
  bool without_subscriptions = false;   // V2: keep what is known
};

struct ConsumerConnections {
  std::vector<ClientInfo> clients;
  std::vector<model::Subscription> subscriptions;
  model::ConsumeType type{};
  model::MessageModel message_model{};
  model::ConsumeFrom from{};
};

class Clients {
 public:
  virtual ~Clients() = default;
  /// Registers or renews; creates groups and their %RETRY% topics. Errors: InvalidArgument (a group's name). GroupNotFound is not an error here:
  /// a group that may not be created is left out.
  virtual Status heartbeat(const Heartbeat& beat) = 0;
  virtual void unregister(ChannelId channel, std::string_view client_id, std::string_view producer_group, std::string_view consumer_group) = 0;
  virtual void channel_closed(ChannelId channel) = 0;
  /// Client ids of the group's live consumers, sorted. NotFound if there are none.
  virtual Result<std::vector<std::string>> consumer_ids(std::string_view group) = 0;
  virtual Result<ConsumerConnections> consumer_connections(std::string_view group) = 0;   // ConsumerOffline
  virtual Result<std::vector<ClientInfo>> producer_connections(std::string_view group) = 0;  // NotFound
  /// The channel of a live consumer, to relay an operator's request (codes 307, 309). ConsumerOffline.
  virtual Result<ChannelId> consumer_channel(std::string_view group, std::string_view client_id) = 0;
};

/// What the core says to clients without being asked. Implemented outside; a call never blocks and never enters the core again.
struct TransactionCheck {
  ChannelId channel{};
  std::int64_t half_position = 0;
  std::int64_t half_offset = 0;
  std::int32_t times = 0;        // how often it was asked before
};
struct PushedReply {
  ChannelId channel{};
  SendRequest message;           // views live for the call
  std::int64_t store_ms = 0;
};
struct OffsetReset {
  ChannelId channel{};
  std::string group, topic;
  std::int64_t wall_ms = 0;
  std::map<std::int32_t, std::int64_t> offsets;  // queue -> offset
};

class Outbound {
 public:
  virtual ~Outbound() = default;
  virtual void check_transaction(const TransactionCheck& check) = 0;
  virtual void consumer_ids_changed(ChannelId channel, const std::string& group) = 0;
  /// `reply` when the client took it. Errors: NotFound (connection gone), Busy (no answer in time).
  virtual void push_reply(const PushedReply& message, Reply<Done> reply) = 0;
  virtual void reset_offset(const OffsetReset& reset) = 0;
};

/// Told whenever the set of topics changes, so that name servers learn of it before the answer leaves.
class TopicListener {
 public:
  virtual ~TopicListener() = default;
  virtual void topic_changed(const model::TopicConfig& config, const model::DataVersion& version) = 0;
  virtual void topic_deleted(const std::string& topic, const model::DataVersion& version) = 0;
};

// -------------------------------------------------------------------------------------------------------- administration

struct QueueStats {
  std::int32_t queue_id = 0;
  std::int64_t min_offset = 0, max_offset = 0, last_store_ms = 0;
};
struct ConsumeProgress {
  std::string topic;
  std::int32_t queue_id = 0;
  std::int64_t broker_offset = 0, consumer_offset = 0, pull_offset = 0, last_store_ms = 0;
};
struct ResetRequest {
  std::string_view topic, group;
  std::int64_t wall_ms = 0;                 // -1: the end
  std::int32_t queue_id = -1;               // -1: all
  std::optional<std::int64_t> offset;       // else by time
};

class Admin {
 public:
  virtual ~Admin() = default;
  /// Answered when safe. `attributes` in `config` are those to be (adapter parses `+a=b`). Errors: InvalidArgument.
  virtual void put_topic(const model::TopicConfig& config, Reply<Done> reply) = 0;
  virtual void delete_topic(std::string_view topic, Reply<Done> reply) = 0;
  virtual Result<model::TopicConfig> topic(std::string_view name) = 0;
  virtual std::vector<model::TopicConfig> topics() = 0;
  virtual model::DataVersion topics_version() = 0;
  virtual void put_group(const model::GroupConfig& config, Reply<Done> reply) = 0;
  virtual void delete_group(std::string_view group, bool clean_offsets, Reply<Done> reply) = 0;
  virtual Result<model::GroupConfig> group(std::string_view name) = 0;
  virtual std::vector<model::GroupConfig> groups() = 0;
  virtual model::DataVersion groups_version() = 0;
  virtual Result<std::vector<QueueStats>> topic_stats(std::string_view topic) = 0;
  /// `topic` empty: all topics for which the group has offsets.
  virtual Result<std::vector<ConsumeProgress>> consume_progress(std::string_view group, std::string_view topic) = 0;
  /// Groups that subscribe to the topic or have offsets on it.
  virtual std::vector<std::string> groups_of_topic(std::string_view topic) = 0;
  /// Moves the group's offsets; until a client pulls from the new place, pulls are sent there (OffsetMoved) and commits ignored. Returns
  /// queue -> offset. Errors: TopicNotFound, GroupNotFound, InvalidArgument.
  virtual Result<std::map<std::int32_t, std::int64_t>> reset_offsets(const ResetRequest& request) = 0;
};

/// Name -> value, in order, for RocketMQ's runtime info (code 28), the log, and later /metrics. Counters only grow.
struct CoreCounters {
  std::int64_t messages_in = 0, bytes_in = 0, messages_out = 0, bytes_out = 0;
  std::int64_t halves = 0, committed = 0, rolled_back = 0, parked = 0, halves_pending = 0;
  std::int64_t verdicts_repeated = 0, verdicts_refused = 0, checks_sent = 0, checks_answered = 0;
  std::int64_t delayed = 0, fired = 0, delayed_pending = 0, retried = 0, dead_lettered = 0;
  std::int64_t offsets_committed = 0, offsets_backwards = 0;
  std::int64_t pulls = 0, pulls_parked = 0, refused = 0;
  std::int64_t topics = 0, groups = 0, queues = 0, producers = 0, consumers = 0;
  std::int64_t offsets = 0, pulls_waiting = 0, subscription_bytes = 0;
  // Limits that were met. `refused` counts sends and pulls with any reason.
  std::int64_t refused_topics = 0, refused_groups = 0, refused_offsets = 0, refused_heartbeats = 0, pulls_not_parked = 0, refused_disk_full = 0, refused_busy = 0;
};

// --------------------------------------------------------------------------------------------------------------- reading

/// A message with everything that happened to it applied, as a consumer would see it.
struct StoredMessage {
  std::int64_t body_position = 0;   // the record that holds the body
  bool visible = true;              // false: a half or delayed message that no consumer may see yet
  model::MessageFields fields;      // views into memory that lives as long as `storage`
  std::string properties;           // what fields.properties views
  std::string topic;                // what fields.topic views
  std::string body;                 // what fields.body views
};

/// Reads messages for one thread. Does not enter the core: what it reads is immutable.
class MessageReader {
 public:
  virtual ~MessageReader() = default;
  /// Appends the message's image to `out`, with offset, position, time and the broker's constant properties filled in.
  /// Errors: NotFound, Corrupt, Io; Busy: see wait_at_most. On error `out` is as before.
  virtual Status render(Extent extent, std::string& out) = 0;
  /// From now on render(), and nothing else, waits for the disk no longer than this for one record, and then says Busy: the record is on its way, and to be
  /// asked for again. Negative, as in the beginning: as long as it takes.
  virtual void wait_at_most(std::int64_t patience_ns) = 0;
  /// The image of a half message as a producer is asked about it.
  virtual Status render_half(std::int64_t half_position, std::string& out) = 0;
  /// The names of the half message at `half_position`, where the core may have had a verdict for it and forgotten them. nullptr: the core
  /// knows by itself, or there is no half message at that place of the log. Errors: Corrupt, Io.
  virtual Result<std::unique_ptr<HalfNames>> forgotten_half(std::int64_t half_position) = 0;
  /// The message that became visible at `position` (or the half, delayed message there). For positions that come from clients:
  /// anything but a message record is NotFound.
  virtual Result<std::unique_ptr<StoredMessage>> find(std::int64_t position) = 0;
};

class MessageReaders {
 public:
  virtual ~MessageReaders() = default;
  /// A reader for the calling thread to keep.
  virtual std::unique_ptr<MessageReader> make_reader() = 0;
};

}  // namespace halfmoon::broker
