// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "broker/core.h"
#include "storage/log.h"
#include "storage/snapshot_store.h"
#include "testkit/lasting_pieces.h"
#include "testkit/manual_clock.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"
#include "testkit/world_model.h"

namespace halfmoon::testkit {

/// What a simulated life may consist of.
enum class Scenario : std::uint8_t {
  Transactions,  // half messages and all that can happen to them
  General,       // everything that the core does
};

/// What a seed (or many) has exercised. Names for the report are in simulated_world.cc; order is the report's.
enum class Tally : std::uint8_t {
  Turns, Records, KilledProcesses, PowerCuts, FailedDiskCalls, CrashesInRecovery, LostUnsafeBatches, LostAsyncAnswers, TornTails, Snapshots,
  SegmentsReleased, RecordsCarried, ClockForward, ClockBack,
  Halves, HalvesDelayed, CommitsApplied, RollbacksApplied, VerdictsRepeated, VerdictsContrary, VerdictsMisnamed, VerdictsOfNobody, VerdictsLate,
  VerdictsForgotten, VerdictsLookedUp, UnknownCounted, UnknownIgnored, ChecksSent, ChecksToAnother, ChecksAgain, ChecksWaited, Parked, ParkedByAge, Resumed, ResumesRefused, ProducersCame, ProducersBySending,
  ProducersWent, ProducersRestarted, DelayedCommits, Delivered,
  Plain, Batches, Delayed, Fired, Retries, DeadLetters, RetriesSent, RetriesSentDead, OffsetsCommitted, OffsetsBackwards, OffsetsKept, TopicsDeleted, TopicsChanged,
  GroupsDeleted, GroupsChanged, ConsumersCame, LocksGranted, LocksRefused, LocksTaken, DiskFull, DiskLevels, PullsParked, PullsWoken, PullsExpired, PullsMoved,
  Count
};
using Tallies = std::array<std::int64_t, static_cast<std::size_t>(Tally::Count)>;
const char* name_of(Tally tally);
/// Whether a long run of the scenario must have seen the event at least once.
bool expected_in(Scenario scenario, Tally tally);

/// One seed's life of the real core on the real log: random requests, ticks, flushes, snapshots, clock jumps and crashes, and beside it
/// a model that says what every answer, every record in the log, every check and every delivered message must be (world_model.h).
/// The same seed gives the same run, byte by byte. The first broken promise ends the run and is told in `violation()`.
class SimulatedWorld : public broker::Outbound, public broker::TopicListener {
 public:
  SimulatedWorld(Scenario scenario, std::uint64_t seed);
  ~SimulatedWorld() override;

  /// Lives the whole life; false: a promise was broken.
  bool run();
  /// Whether acknowledged means durable in this life (SYNC_FLUSH).
  bool durable() const { return log_options_.safety == storage::Safety::Durable; }
  const std::string& violation() const { return violation_; }
  const Tallies& tallies() const { return tallies_; }
  /// Of all records, answers, checks and deliveries in order: equal for equal runs.
  std::uint64_t fingerprint() const { return fingerprint_; }
  /// The files as the disk has them at the end.
  std::map<std::string, std::string> disk_image() const { return disk_.image(); }
  /// Prints every turn, record, check and crash to stderr, to find out why a seed fails.
  void trace() { trace_ = true; }
  /// If set before run(): what clients asked and saw, one JSON object a line, for tests/sim/check_histories.py.
  void keep_history(std::string* lines) { history_ = lines; }

 private:
  // What was asked of the core within a turn; checked against the journal when the turn has ended.
  struct Step {
    enum class Kind : std::uint8_t { Send, Batch, EndTransaction, Resume, Heartbeat, Disconnect, CommitOffset, SendBack, DeleteTopic, PutTopic, ChangeTopic,
                                     ChangeGroup, DeleteGroup, Pull, Lock, ConsumerBeat, Release, Tick } kind = Kind::Tick;
    std::int32_t message = -1;            // Send, EndTransaction: which
    std::int32_t count = 1;               // Batch: so many from `message` on
    Verdict verdict;                      // EndTransaction
    std::string group;                    // Heartbeat, CommitOffset, SendBack, DeleteGroup
    std::string topic;                    // CommitOffset, DeleteTopic, ChangeTopic, Lock, Pull
    std::int32_t queue = 0;               // CommitOffset, Pull; SendBack: deliveries; ChangeTopic: so many queues
    std::int64_t value = 0;               // offset, position, time; Pull: the offset that it commits, -1 for none
    std::int32_t level = 0;               // SendBack
    std::int32_t limit = -1;              // SendBack, ChangeGroup: deliveries; -1: as the group says
    std::string client;                   // Lock
    bool unlock = false;
    std::uint32_t granted = 0;            // Lock: bits of queues
    std::int64_t seen = -1;               // CommitOffset: the group's offset right after it
    std::string retry_of;                 // Send: the group whose retry topic it was sent to
    bool clean = false;                   // DeleteGroup
    bool awaited = true;
    std::string only_group;               // Disconnect: the producer left this group only
    broker::ChannelId channel{};
    std::shared_ptr<Answer> answer;
    std::size_t checks_end = 0;           // checks_[..checks_end) were sent by then
  };
  struct Producer {
    broker::ChannelId channel{};
    std::string group;
    std::int32_t program = 0;             // survives its connections; 0: the connection of a dead process, not yet noticed, or one that only sent
  };
  struct Asked {
    std::int32_t message = -1;
    storage::Position half_position = 0;
    std::int64_t half_offset = 0;
  };
  struct WaitingPull {
    std::string topic;
    std::int32_t queue = 0;
    std::int64_t offset = 0;
    std::int64_t until_mono_ms = 0;
    std::shared_ptr<std::optional<Result<broker::PullResult>>> result;
  };
  using OffsetKey = std::tuple<std::string, std::string, std::int32_t>;  // group, topic, queue
  struct OffsetWait {
    const Step* step = nullptr;
    OffsetKey key;
    std::optional<storage::Position> record;
  };
  struct Lock {
    std::string client;
    std::int64_t renewed_mono_ms = 0;
  };

  // simulated_world.cc: life
  void fail(const std::string& what);
  void say(const std::string& what) const;
  bool failed() const { return !violation_.empty(); }
  void tally(Tally t, std::int64_t n = 1) { tallies_[static_cast<std::size_t>(t)] += n; }
  void mix(std::uint64_t value);
  void mix(std::string_view text);
  bool open();
  bool open_once();
  void close();
  void crash(SimDisk::Loss loss);
  void crash_somehow();
  void settle();
  void begin();
  void end();
  void flush();
  void answer_kept();
  void safe_advanced();
  void take_snapshot();
  void release();
  void compare_snapshots();

  // world_actions.cc, world_general.cc, world_consumers.cc: what happens
  void act();
  void act_transactions();
  void act_general();
  void send_half();
  void send_plain();
  void send_batch();
  void send_delayed();
  void send(std::int32_t message, std::string_view properties, broker::ChannelId channel);
  void give_verdict();
  void deliver_late_verdict();
  void end_transaction(const Verdict& verdict, std::int32_t message);
  void answer_checks();
  void resume(std::optional<storage::Position> wanted = std::nullopt);
  void producer_comes(std::int32_t program = -1);
  void producer_goes();
  void move_clock();
  void act_in_one_turn();
  void commit_offset();
  void send_back();
  void send_retry();
  void delete_topic();
  void change_topic();
  void delete_group();
  void change_group();
  void consumer_comes();
  void lock_something();
  void park_pull();
  void fill_disk();
  void there_is_room_again();
  void prepare_segment();
  void arm_fault();
  std::int32_t new_message(Message::Kind kind);
  std::string half_properties(Message& m);
  void delay_properties(Message& m, std::string& text);
  std::optional<Verdict> any_verdict();
  void misname(Verdict& v);
  void change_a_name(Verdict& v);
  std::string any_topic();
  std::shared_ptr<Answer> new_answer(const char* of, std::int32_t message);
  void take_answer(Answer& answer);
  void take_pull(const WaitingPull& pull, const ModelQueue& queue, bool message, bool over);

  // world_checks.cc, world_journal.cc, and beside what happens: what must be true
  void read_journal();
  void enter_journal(const storage::RecordView& view, storage::Position batch_end, std::int64_t batch_wall_ms);
  void skip_history();
  const Record* next(storage::RecordType type);
  const Record* take(storage::RecordType type);
  const Record* take_named(storage::RecordType type, const std::string& name);
  const Record* take_about(storage::RecordType type, storage::Position half);
  const Record* take_message(storage::RecordType type, std::int32_t message);
  void check_turn();
  void check_step(Step& step);
  bool had_no_room(const Step& step);
  bool fires_late() const { return disk_tight_ || mono_ms() < fires_again_mono_ms_; }
  void wants_error(const Step& step, ErrorCode code);
  void wants_done(const Step& step, storage::Position record, storage::Position latest, std::optional<ErrorCode> wanted = std::nullopt);
  void check_send(Step& step);
  void check_batch(Step& step);
  void check_end_transaction(Step& step);
  void check_unknown(const Step& step, storage::Position position);
  void check_resume(Step& step);
  void check_send_back(Step& step);
  void check_delete_topic(Step& step);
  void check_change_topic(Step& step);
  void check_delete_group(Step& step);
  void check_change_group(Step& step);
  void check_consumer_beat(Step& step);
  void check_pull(Step& step);
  void check_commit_offset(Step& step);
  void check_lock(Step& step);
  bool check_group_there(const Step& step);
  void note_commit(const OffsetKey& key, std::int64_t offset);
  void check_tick();
  void take_offsets_records();
  void check_offsets_record(const Record& r);
  void settle_offset_waits();
  void check_offsets_written();
  void check_tables();
  void check_sent(std::size_t from, std::size_t to);
  void check_nothing_waits();
  void check_alarm();
  void check_answers_given();
  void check_pulls();
  void read_queues();
  void read_queue(const std::string& topic, std::int32_t queue, const ModelQueue& model);
  void check_extent(const broker::Extent& extent, const ModelEntry& entry, const std::string& topic, std::int32_t queue);
  std::int64_t book_ms() const { return start_wall_ms_ + mono_ms() - start_mono_ms_; }   // the clock of checks
  std::int64_t mono_ms() const { return const_cast<ManualClock&>(clock_).now().mono_ms; }
  std::int64_t visible_of(const ModelQueue& queue) const;
  bool too_old(const ModelHalf& half) const;
  void note_disconnect(broker::ChannelId channel, const std::string& only_group);
  std::int32_t outstanding(broker::ChannelId channel) const;
  std::string about(const Step& step) const;

  // world_history.cc
  void tell_sent(std::int32_t number);
  void tell_verdict(const Verdict& verdict, const Answer& answer);
  void tell_answer(const Answer& answer);
  void tell_asked(std::int32_t message);
  void tell_read(const model::MessageFields& f);
  void tell_released();
  void tell_queue(const std::string& topic, std::int32_t queue, std::int64_t min, std::int64_t max);

  // broker::Outbound, broker::TopicListener
  void check_transaction(const broker::TransactionCheck& check) override;
  void consumer_ids_changed(broker::ChannelId, const std::string&) override {}
  void push_reply(const broker::PushedReply&, Reply<Done> reply) override { reply(Done{}); }
  void reset_offset(const broker::OffsetReset&) override {}
  void topic_changed(const model::TopicConfig&, const model::DataVersion&) override {}
  void topic_deleted(const std::string&, const model::DataVersion&) override {}

  const Scenario scenario_;
  SeededRandom dice_;
  SeededRandom random_;
  SimDisk disk_;
  ManualClock clock_;
  storage::LogOptions log_options_;
  broker::CoreOptions options_;
  std::unique_ptr<storage::Log> log_;
  std::unique_ptr<broker::Core> core_;
  std::unique_ptr<broker::MessageReader> reader_;
  storage::ReadBuffer buffer_;

  WorldModel model_;
  std::vector<Message> messages_;
  std::vector<Producer> producers_;
  std::vector<Verdict> late_;                      // on their way
  std::vector<Asked> asked_;                       // checks that a producer may still answer
  std::vector<std::int32_t> known_halves_;         // acknowledged ones
  std::int32_t last_verdict_on_ = -1;
  std::map<OffsetKey, std::int64_t> offsets_;      // as of the moment, not all in the log yet
  std::map<OffsetKey, std::int64_t> dirty_offsets_;         // since when, by the monotonic clock
  std::map<OffsetKey, storage::Position> offset_records_;   // where the log has them
  std::vector<OffsetWait> offset_waits_;                    // commits of this turn that want an answer
  std::map<std::tuple<std::string, std::string, std::int32_t>, Lock> locks_;  // group, topic, queue
  std::vector<WaitingPull> pulls_;
  int turn_depth_ = 0;
  bool disk_tight_ = false;
  broker::DiskLevel disk_level_ = broker::DiskLevel::Ok;
  static constexpr std::int64_t kFireAgainMs = 100;
  std::int64_t fires_again_mono_ms_ = 0;           // the disk was full: what was due is tried again by then
  std::vector<std::shared_ptr<Answer>> awaited_;   // answers that have not come
  std::vector<Step> steps_;
  std::vector<broker::TransactionCheck> checks_;
  std::size_t next_record_ = 0;                    // of the journal: the turn's first that no step has explained yet
  storage::Position journal_end_ = 0;
  storage::Position shown_ = 0;                    // safe position as of the last safe_advanced
  storage::Position snapshot_at_ = 0;
  std::unique_ptr<storage::SnapshotStore> snapshots_;   // of this life of the process
  LastingPieces lasting_{256};
  std::int64_t wall_ms_ = 0;                       // the broker's
  std::int64_t start_wall_ms_ = 0, start_mono_ms_ = 0;
  std::int64_t noted_book_ms_ = 0;                 // as of the last turn's end
  storage::Position recovered_from_ = storage::kNoPosition;
  std::uint32_t snapshot_crc_ = 0;
  std::uint64_t next_channel_ = 1;
  std::int32_t next_answer_ = 1;
  bool closing_ = false;
  int life_ = 0;
  bool poisoned_ = false;
  bool final_read_ = false;
  std::string violation_;
  Tallies tallies_{};
  std::uint64_t fingerprint_ = 0xcbf29ce484222325u;
  std::string* history_ = nullptr;
  bool trace_ = false;
  std::string image_;
};

}  // namespace halfmoon::testkit
