// SPDX-License-Identifier: Apache-2.0
#pragma once

// The core's tables and steps, shared by the core_*.cc files, which hold one subject each: core_produce, core_consume,
// core_transactions, core_schedule (delays, retries), core_admin, core_replay, core_snapshot, core_release.

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_map.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/clients.h"
#include "broker/core.h"
#include "broker/delay.h"
#include "broker/ended_halves.h"
#include "broker/fifo.h"
#include "broker/queue_index.h"
#include "broker/queue_locks.h"
#include "broker/records.h"
#include "broker/tag_filter.h"
#include "broker/transaction_book.h"
#include "broker/transaction_state.h"
#include "broker/verdict_bits.h"
#include "model/names.h"
#include "model/properties.h"
#include "storage/carried.h"

namespace halfmoon::broker {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using ByName = boost::unordered_map<std::string, T, TextHash, std::equal_to<>>;

// So many refused verdicts of one half message are written; then those whose number is a power of two.
inline constexpr std::uint32_t kRefusedWritten = 16;
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// A half message takes more than so much of the log: its number is never above its position divided by this.
inline constexpr std::int64_t kHalfBytesMin = 64;

/// A time that can be added to and subtracted from others. A stored one that is not was not written by a broker.
inline bool is_time(std::int64_t ms) { return ms > -(1LL << 47) && ms < 1LL << 47; }

/// A pull that waits on a queue. Everything visible there was looked at for it.
struct WaitingPull {
  std::uint32_t slot = 0;                 // of its ParkedPull
  std::optional<std::int32_t> only_tag;   // a message with another tag is none for it
};

/// A queue and the pulls that wait on it.
struct Queue {
  QueueIndex index;
  std::int64_t visible = 0;               // consumers see offsets below it
  bool unshown = false;                   // listed in Tables::unshown: has entries at or above `visible`
  std::vector<WaitingPull> parked;
};

struct Topic {
  std::uint32_t id = 0;                   // never reused while the process lives
  model::TopicConfig config;
  std::vector<std::unique_ptr<Queue>> queues;
  std::int32_t next_queue = 0;            // where the broker puts the next message that names no queue
  bool system = false;
  bool may_send = true;
  std::optional<std::int64_t> check_after_ms;  // attribute transaction.check.immunity.time

  bool holds(std::int32_t id_) const { return id_ >= 0 && static_cast<std::size_t>(id_) < queues.size(); }
  Queue* queue(std::int32_t id_) const { return holds(id_) ? queues[static_cast<std::size_t>(id_)].get() : nullptr; }
};

struct OffsetState {
  std::int64_t offset = -1;               // next to be consumed; -1: none
  std::int64_t pulled = -1;               // last asked offset, for the lag that tools show
  bool reset_pending = false;             // an operator moved it; until a client pulls from there, pulls are sent there and commits ignored
  bool dirty = false;                     // not yet in the log
  bool worth_keeping() const { return offset >= 0 || reset_pending; }
};

/// An offset that is not in the log yet, and what the log says instead.
struct DirtyOffset {
  std::string group;
  std::uint32_t topic = 0;
  std::int32_t queue_id = 0;
  std::int64_t logged = -1;
  bool logged_reset = false;
};

struct Group {
  model::GroupConfig config;
  bool deleted = false;                   // only its offsets are left, for when it is created again
  using OffsetKey = std::pair<std::uint32_t, std::int32_t>;  // topic id, queue
  std::map<OffsetKey, OffsetState> offsets;
};

/// Something that becomes visible later; ordered by due time, then position.
struct Timer {
  std::int64_t due_ms = 0;
  storage::Position target = 0;           // DELAYED, VERDICT or REFERENCE record
  storage::Position body = 0;
  std::uint32_t topic = 0;
  std::int32_t queue_id = 0;
  std::int32_t tag_hash = 0;
  std::uint32_t bytes = 0;
  bool operator<(const Timer& o) const { return due_ms != o.due_ms ? due_ms > o.due_ms : target > o.target; }  // for a min-heap
};

struct ParkedPull {
  std::uint32_t generation = 0;
  bool used = false;
  std::uint32_t topic = 0;
  std::int32_t queue_id = 0;
  std::int64_t asked_offset = 0;
  std::int32_t count_max = 0;
  std::int64_t bytes_max = 0;
  std::int32_t group_sys_flag = 0;
  TagFilter filter;
  Reply<PullResult> reply;
};
struct PullDeadline {
  std::int64_t at_mono_ms = 0;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator<(const PullDeadline& o) const { return at_mono_ms > o.at_mono_ms; }
};

struct WaitingSend {
  storage::Position position = 0;         // answered when log.safe() is above it
  Reply<SendResult> reply;
  SendResult result;
};
struct WaitingDone {
  storage::Position position = 0;
  Reply<Done> reply;
  Result<Done> result = Done{};
};

/// A visible record whose body lies in an older segment: the body must outlive its segment.
struct CrossReference {
  storage::Position by = 0;
  storage::Position body = 0;
};

struct Core::Impl {
  Impl(storage::Log& log_, Random& random_, Outbound& outbound_, TopicListener& listener_, CoreOptions options_);

  storage::Log& log;
  Random& random;
  Outbound& outbound;
  TopicListener& listener;
  CoreOptions options;
  Now now;
  bool started = false;
  Now book_start;                         // of start()
  std::string stopped_why;                // not empty: nothing new is accepted
  DiskLevel disk_level = DiskLevel::Ok;
  CoreCounters count;

  // ---- tables that the log can rebuild
  ByName<std::unique_ptr<Topic>> topics;
  boost::unordered_flat_map<std::size_t, Topic*> topic_by_hash;  // of its name: what lies in one place, where `topics` has bucket, node and name; of several the first
  std::vector<Topic*> topic_by_id;        // null: deleted
  model::DataVersion topics_version;
  ByName<Group> groups;
  model::DataVersion groups_version;
  TransactionBook book;                        // half messages without a final verdict; its clock is book_ms()
  std::int64_t next_half_offset = 0;
  EndedHalves ended;                           // at most options.verdicts_remembered
  VerdictBits verdicts;                        // of all that are in the log
  std::atomic<storage::Position> halves_known_from{0};  // for readers: ended.sure_from()
  boost::unordered_flat_map<storage::Position, std::int64_t> resumed_ms;  // half messages that were resumed, and when by book_ms(): their age counts from then
  std::vector<Timer> timers;                   // heap
  std::int64_t fire_again_mono_ms = 0;         // before that none is tried
  boost::unordered_flat_map<storage::Position, Timer> replayed_timers;  // by target, until start() makes the heap
  std::deque<CrossReference> cross_references; // by `by`
  std::int64_t total_queues = 0;                // of all topics
  std::int64_t total_offsets = 0;               // of all groups, once started
  storage::CarriedPositions carried;
  /// The release under way. It is left behind when the boundary moves: what was carried stays carried.
  struct Carrying {
    storage::Position boundary = 0;
    storage::Position halves_to = 0;           // half messages below have been looked at
    std::vector<storage::Position> others;     // still to be carried, the last first
    std::int64_t records = 0, bytes = 0;
  };
  Carrying carrying;

  /// Where a channel's CLIENT record is.
  struct NamedClient {
    storage::Position record = kNobody;
    bool has_id = false;
  };

  // ---- tables of the moment
  ClientRegistry clients;
  boost::unordered_flat_map<ChannelId, NamedClient> named_clients;
  QueueLocks locks;
  std::set<std::uint32_t> groups_to_ask;       // producer groups with checks that did not fit into the last turn
  std::set<std::uint32_t> groups_stalled;      // with checks that no producer could take; looked at each second, because room may come unseen
  std::int64_t stalled_due_mono_ms = kNever;
  std::vector<std::pair<Topic*, Queue*>> unshown;
  Fifo<WaitingSend> waiting_sends;
  Fifo<WaitingDone> waiting_dones;
  std::vector<ParkedPull> parked;
  std::vector<std::uint32_t> parked_free;
  std::vector<PullDeadline> pull_deadlines;    // heap
  std::vector<DirtyOffset> dirty_offsets;
  std::vector<Reply<Done>> offset_replies;
  std::int64_t offsets_due_mono_ms = kNever;
  std::int64_t clients_due_mono_ms = kNever;
  storage::Position segment_first = 0, segment_end = 0;  // of the active segment, to see cross references
  Topic* last_topic = nullptr;            // most sends go where the last one went
  std::string scratch;

  // ---- core_topics.cc
  /// The topic of this name, or another one, or nullptr: a name has more than one place to look.
  Topic* likely_topic(std::string_view name) const;
  Topic* find_topic(std::string_view name);
  Topic* topic_of(std::uint32_t id) const { return id < topic_by_id.size() ? topic_by_id[id] : nullptr; }
  Topic& apply_topic(const model::TopicConfig& config);
  void apply_topic_deleted(std::string_view name);
  Group* find_group(std::string_view name);
  /// The group's entry for the queue; null if there is none and there may not be more.
  OffsetState* offset_state(Group& group, const Topic& topic, std::int32_t queue_id);
  Group& apply_group(const model::GroupConfig& config);
  void apply_group_deleted(std::string_view name, bool clean_offsets);
  /// Writes the record, applies it and tells the listener. Errors: DiskFull, Busy, Io, NotWritable (too many).
  Result<Topic*> create_topic(const model::TopicConfig& config);
  Result<Topic*> topic_for_sending(const SendRequest& request);
  Result<Topic*> ensure_plain_topic(const std::string& name, std::int32_t queues, std::int32_t permission);
  Result<Group*> ensure_group(std::string_view name);   // GroupNotFound where it may not be created
  void touch(model::DataVersion& version) const;

  // ---- core_append.cc
  Status may_write() const;
  Status may_send() const;                           // may_write, and the disk has room for messages
  void note_refusal(const Error& error);             // of a send
  Status may_grow(std::string_view what) const;      // ... and for what would stay long
  /// Appends one record with the payload; returns its position.
  Result<storage::Position> append(storage::RecordType type, std::string_view payload);
  Result<storage::Position> append(storage::RecordType type, std::string_view payload, storage::Claim claim);
  /// Makes the entry the queue's next one (not yet visible); returns its offset.
  std::int64_t index(Topic& topic, std::int32_t queue_id, const IndexEntry& entry);
  void answer_when_safe(storage::Position position, Reply<SendResult> reply, SendResult result);
  void answer_when_safe(storage::Position position, Reply<Done> reply);
  /// For an answer that changes nothing but tells of what was done before: that may not be safe yet.
  void answer_when_all_is_safe(Reply<Done> reply, Result<Done> result = Done{});
  void note_reference(storage::Position by, storage::Position body);
  void show(Topic& topic, Queue& queue);
  void safe_advanced();

  // ---- core_produce.cc
  struct Prepared;
  Result<Prepared> prepare(const SendRequest& request, std::string_view properties);
  void foresee(std::span<const SendPlace> places) const;
  void store_message(const SendRequest& request, Reply<SendResult> reply);
  void store_batch(const SendRequest& request, const std::vector<BatchItem>& items, Reply<SendResult> reply);
  Status redirect_retry(const SendRequest& request, std::string& topic, bool& dead_letter);
  void send_back(const SendBackRequest& request, Reply<Done> reply);
  void send_reply(const SendRequest& request, Reply<SendResult> reply);

  // ---- core_transactions.cc
  /// Enters a half message as its image and properties say; the same when it is sent and when it is replayed.
  void add_half(storage::Position position, const model::MessageFields& fields, const model::KnownProperties& known, std::uint32_t bytes, const Topic& topic,
                ChannelId sender);
  void end_transaction(const EndTransactionRequest& request, Reply<Done> reply);
  /// Who did something to a half message.
  struct Actor {
    VerdictSource source = VerdictSource::Producer;
    ChannelId channel{};
    std::string_view address, operator_name, reason;
  };
  /// A verdict for a half message that has one already, by what is known of that.
  void answer_decided(HalfState state, const EndTransactionRequest& request, Reply<Done> reply);
  void answer_decided(HalfState state, bool commit, Reply<Done> reply);
  /// The same where the core knows who ended it: a contrary verdict goes into its history.
  void answer_ended(storage::Position half, const EndedHalf& final, bool commit, const Actor& actor, Reply<Done> reply);
  /// The same where the core does not have the names any more.
  void answer_forgotten(const EndTransactionRequest& request, Reply<Done> reply);
  void refuse_verdict(Error error, Reply<Done> reply);
  Result<storage::Position> write_verdict(HalfSlot half, bool commit, const Actor& actor);
  void apply_verdict(storage::Position record, const VerdictRecord& verdict);
  void answered_unknown(HalfSlot half, const Actor& actor);
  void apply_checked(storage::Position record, const CheckedRecord& checked);
  void apply_parked(storage::Position record, const ParkedRecord& parked_record);
  void apply_resumed(storage::Position record, const ResumedRecord& resumed);
  /// Asked about as often, or for as long, as the policy says.
  bool checks_exhausted(HalfSlot half) const;
  bool too_old(HalfSlot half) const;
  void park(HalfSlot half);
  void run_due_checks();
  void go_on_asking();
  void ask(HalfSlot half, ChannelId channel);
  /// Asks about the group's line, as far as its producers have room.
  void dispatch_checks(std::uint32_t group);
  /// The same after `channel` got room: no other can have any.
  void dispatch_checks_to(std::uint32_t group, ChannelId channel);
  void note_stalled(std::uint32_t group);
  std::optional<ChannelId> channel_to_ask(HalfSlot half, const std::string& group);
  bool has_room(ChannelId channel) const { return book.outstanding(channel) < options.checks_outstanding_max; }
  /// What the channel was asked and will not answer is asked of others at once.
  void ask_others(ChannelId channel, std::optional<std::uint32_t> only_group);
  void publish_known_halves() { halves_known_from.store(ended.sure_from(), std::memory_order_release); }
  /// The book's clock: the wall clock of the start, carried on by the monotonic one. Before the start: the wall clock of the log.
  std::int64_t book_ms() const { return now.wall_ms + book_ahead_ms(); }
  std::int64_t book_ahead_ms() const { return started ? (book_start.wall_ms + now.mono_ms - book_start.mono_ms) - now.wall_ms : 0; }

  // ---- core_history.cc
  /// `previous` of the next event's record.
  storage::Position last_event_of(HalfSlot half) const;
  static storage::Position last_event_of(storage::Position half, const EndedHalf& ended_half);
  /// The position of a CLIENT record that names the channel's client, written now if need be; kNobody for no channel, or where the log takes none.
  storage::Position name_client(ChannelId channel, std::string_view address);
  void note_asked(HalfSlot half, ChannelId channel);
  void apply_asked(storage::Position record, const AskedRecord& asked);
  void note_refused(storage::Position half, const EndedHalf& ended_half, bool commit, const Actor& actor);
  void apply_refused(storage::Position record, const RefusedRecord& refused);

  // ---- core_operations.cc
  TransactionInfo info_of(HalfSlot half) const;
  TransactionInfo info_of(storage::Position half, const EndedHalf& e) const;
  TransactionPage list_transactions(const TransactionFilter& filter, std::int64_t cursor, std::size_t limit) const;
  Result<TransactionInfo> transaction(storage::Position position) const;
  /// InvalidArgument: no name, no reason, too long, or the half message has another unique key.
  Status check_operator(const OperatorRequest& request, std::uint64_t key_hash) const;
  void decide_transaction(const OperatorRequest& request, Verdict verdict, Reply<Done> reply);
  void resume_transaction(const OperatorRequest& request, Reply<Done> reply);

  // ---- core_schedule.cc
  void add_timer(const Timer& timer);
  void apply_fire(storage::Position record, const FireRecord& fire, const Timer& timer);
  void apply_reference(storage::Position record, const ReferenceRecord& reference, std::int32_t tag_hash);
  void fire_due();

  // ---- core_consume.cc
  void pull(const PullRequest& request, Reply<PullResult> reply);
  PullResult scan(const Topic& topic, const Queue& queue, std::int64_t offset, std::int32_t count_max, std::int64_t bytes_max, const TagFilter& filter,
                  std::int32_t group_sys_flag);
  void park(const PullRequest& request, const Topic& topic, Queue& queue, TagFilter filter, std::int32_t group_sys_flag,
            Reply<PullResult> reply);
  /// Offsets from `from` on have become visible.
  void wake_pulls(const Topic& topic, Queue& queue, std::int64_t from);
  void unpark(std::uint32_t slot, Result<PullResult> result);
  void answer_parked(std::uint32_t slot, Result<PullResult> result);
  void expire_pulls();
  /// The same, if it is there.
  OffsetState* known_offset(std::string_view group, std::uint32_t topic, std::int32_t queue_id);
  void commit(Group& group, std::string_view group_name, const Topic& topic, std::int32_t queue_id, std::int64_t offset, OffsetKind kind);
  /// The group's client has gone where the reset sent it: from now on its commits count again.
  void adopt_reset(OffsetState& state, std::string_view group_name, const Topic& topic, std::int32_t queue_id);
  void make_dirty(OffsetState& state, std::string_view group_name, const Topic& topic, std::int32_t queue_id);
  /// Errors: DiskFull, Busy, Io; then they are tried again later.
  Status flush_offsets();
  void apply_offset(const OffsetItem& item);
  Result<Queue*> queue_for(QueueRef ref, Topic** topic = nullptr);
  Status may_join(const Heartbeat& beat) const;
  /// Registers, and asks new producers about what waits for one. The groups exist, and the limits let the client in.
  void join(const Heartbeat& beat);
  /// Whoever sent a half message is a producer of its group from then on: its heartbeat may be half a minute away, after a restart of the broker for
  /// one. Its client id stays empty until then, unless the connection has named it for another group.
  void note_half_sender(const SendRequest& request, std::string_view producer_group);
  void tell_consumers(const std::vector<std::string>& groups_changed);

  // ---- core_replay.cc
  Status replay(const storage::RecordView& record);
  bool fits(const VerdictRecord& verdict) const;
  bool fits(const ParkedRecord& parked_record) const;
  bool fits(const ReferenceRecord& reference);
  Status replay_body(storage::RecordType type, storage::Position position, Bytes payload);

  // ---- core_snapshot.cc
  storage::SnapshotDraft draft_snapshot() const;
  static std::vector<std::pair<Group::OffsetKey, OffsetState>> logged_offsets(const Group& group, const std::map<Group::OffsetKey, const DirtyOffset*>& dirty);
  Status decode_snapshot(const storage::LoadedSnapshot& snapshot);

  // ---- core_release.cc
  Result<Release> release(const RetentionPolicy& policy);
  /// Carries some of what lies below carrying.boundary and is needed; true: nothing is left. Errors: the log's.
  Result<bool> carry_on();
  Result<bool> carry_halves(std::int64_t bytes_until);
  /// False: the disk is behind, and the log has no room for it now.
  Result<bool> carry(storage::Position original, storage::ReadBuffer& buffer);
  /// Records below carrying.boundary that something other than a half message still points at and that are not carried far enough; the last first.
  std::vector<storage::Position> others_needed() const;

  void tick();
  std::int64_t next_due_mono_ms() const;
  std::int64_t mono_of_wall(std::int64_t wall_ms) const { return wall_ms == kNever ? kNever : now.mono_ms + (wall_ms - now.wall_ms); }
};

/// FNV-1a over 64 bits: stable on disk (snapshots) and across machines.
inline std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

}  // namespace halfmoon::broker
