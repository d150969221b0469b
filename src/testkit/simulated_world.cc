// SPDX-License-Identifier: Apache-2.0
// The life of a simulated broker: opening, turns, flushes, snapshots, crashes, and how it ends.
#include "testkit/simulated_world.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "base/bytes.h"
#include "base/crc.h"

namespace halfmoon::testkit {

using storage::Position;

namespace {

constexpr const char* kNames[] = {
    "turns", "records", "processes killed", "power cuts", "failed disk calls", "crashes in recovery", "unsafe batches lost", "answers lost by ASYNC_FLUSH",
    "torn tails", "snapshots", "segments released", "records carried", "clock set forward", "clock set back",
    "half messages", "half messages with a delay", "commits", "rollbacks", "verdicts repeated", "verdicts contrary", "verdicts misnamed", "verdicts of nobody's",
    "verdicts late", "verdicts on what is not retained", "verdicts looked up in the log", "unknowns counted", "unknowns ignored", "checks", "checks to another than the sender", "checks again",
    "checks that waited for a producer", "parked by count or age", "parked without an answer", "resumed", "resumes refused", "producers came", "producers by sending", "producers went", "producers restarted", "delayed commits",
    "delivered",
    "plain messages", "batches", "delayed messages", "fired", "retries", "dead letters", "retries sent by clients", "retries sent by clients, dead",
    "offsets committed", "offsets behind", "offsets kept for a deleted group", "topics deleted", "topics changed", "groups deleted", "groups changed", "consumers came",
    "locks granted", "locks refused", "locks of others that expired", "disk full", "disk levels set", "pulls that waited", "pulls woken", "pulls that waited in vain",
    "pulls whose messages went"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Tally::Count));

std::uint64_t store_seed(std::uint64_t seed) { return seed * 0x9E3779B97F4A7C15u + 0x5eed; }

}  // namespace

const char* name_of(Tally tally) { return kNames[static_cast<std::size_t>(tally)]; }

bool expected_in(Scenario scenario, Tally tally) {
  return scenario == Scenario::General || tally < Tally::Batches || tally == Tally::Fired;
}

SimulatedWorld::SimulatedWorld(Scenario scenario, std::uint64_t seed) : scenario_(scenario), dice_(seed), random_(store_seed(seed)) {
  const bool general = scenario == Scenario::General;
  const storage::Safety async = seed % 4 == 0 ? storage::Safety::Written : storage::Safety::Kept;
  log_options_ = {.safety = dice_.one_in(3) ? async : storage::Safety::Durable,
                  .segment_bytes = general ? 16 << 10 : 8 << 10,
                  .first_segment_bytes = 4 << 10,
                  .ring_bytes = storage::Log::kRingBytesMin};
  options_.default_queues = 1;
  options_.check_max = 1 + static_cast<std::int32_t>(dice_.below(4));
  options_.checks_outstanding_max = 1 + static_cast<std::int32_t>(dice_.below(4));
  options_.check_after_ms = 2000 + 1000 * static_cast<std::int64_t>(dice_.below(5));
  options_.check_interval_ms = 5000 + 5000 * static_cast<std::int64_t>(dice_.below(4));
  options_.check_age_max_ms = dice_.one_in(4) ? 10000 + static_cast<std::int64_t>(dice_.below(60000)) : 0;
  options_.verdicts_remembered = dice_.one_in(4) ? 3 : 1000;
  options_.client_timeout_ms = std::int64_t{1} << 40;
  options_.lock_ms = 5000;
  model_.check_interval_ms = options_.check_interval_ms;
  disk_.support_direct(!dice_.one_in(4));
}

SimulatedWorld::~SimulatedWorld() { close(); }

void SimulatedWorld::fail(const std::string& what) {
  if (trace_) say("VIOLATION " + what);
  if (violation_.empty()) violation_ = "life " + std::to_string(life_) + ": " + what;
}

void SimulatedWorld::say(const std::string& what) const {
  std::fprintf(stderr, "%d  wall +%lld  mono %lld  %s\n", life_, static_cast<long long>(wall_ms_ - 1'700'000'000'000),
               static_cast<long long>(mono_ms()), what.c_str());
}

void SimulatedWorld::mix(std::uint64_t value) { fingerprint_ = (fingerprint_ ^ value) * 0x100000001b3u + (fingerprint_ >> 29); }
void SimulatedWorld::mix(std::string_view text) { mix(crc32c(as_bytes(text))); }

bool SimulatedWorld::run() {
  if (!open()) return false;
  const int lives = 1 + static_cast<int>(dice_.below(4));
  for (int l = 0; l < lives && !failed(); l++) {
    const std::uint64_t steps = 8 + dice_.below(scenario_ == Scenario::General ? 60 : 40);
    if (dice_.one_in(3)) arm_fault();
    for (std::uint64_t i = 0; i < steps && !failed() && !poisoned_; i++) act();
    if (!failed()) crash_somehow();
  }
  if (!failed()) settle();
  close();
  return !failed();
}

// ------------------------------------------------------------------------------------------------------------------ life

void SimulatedWorld::close() {
  closing_ = true;  // what comes from now on is nobody's answer
  reader_.reset();
  core_.reset();
  log_.reset();
  closing_ = false;
  awaited_.clear();
  pulls_.clear();
  locks_.clear();
  steps_.clear();
  checks_.clear();
  offset_waits_.clear();
  turn_depth_ = 0;
}

bool SimulatedWorld::open_once() {
  auto opened = storage::Log::open(disk_, random_, log_options_);
  if (!opened.ok()) {
    if (opened.error().code == ErrorCode::Corrupt) fail("opening: " + opened.error().text);
    return false;
  }
  log_ = std::move(*opened);
  core_ = std::make_unique<broker::Core>(*log_, random_, *this, *this, options_);
  snapshots_ = std::make_unique<storage::SnapshotStore>(disk_, log_->store_id());
  auto snapshot = snapshots_->newest(std::numeric_limits<Position>::max());
  if (!snapshot.ok()) return false;
  Position from = log_->first_position();
  recovered_from_ = storage::kNoPosition;
  std::int64_t wall = 0;
  if (*snapshot) {
    const Status restored = core_->restore(**snapshot);
    if (!restored.ok()) fail("restoring: " + restored.error().text);
    from = (*snapshot)->position;
    recovered_from_ = from;
    snapshot_crc_ = crc32c(as_bytes((*snapshot)->payload));
    wall = load_le<std::int64_t>((*snapshot)->payload.data() + 4);  // behind its version: the broker's clock
  }
  auto expected = std::lower_bound(model_.journal.begin(), model_.journal.end(), from, [](const Record& r, Position p) { return r.position < p; });
  std::string wrong;
  const auto report = log_->recover(from, [&](const storage::RecordView& r, std::int64_t batch_wall_ms) -> Status {
    wall = std::max(wall, batch_wall_ms);
    const std::uint32_t crc = crc32c(r.payload, static_cast<std::uint32_t>(r.type));
    if (expected == model_.journal.end() || expected->position != r.position || expected->crc != crc)
      wrong = "recovery finds a record at " + std::to_string(r.position) + " that nobody wrote there";
    else ++expected;
    return wrong.empty() ? core_->replay(r, batch_wall_ms) : Status(Error{ErrorCode::Internal, wrong});
  });
  if (!wrong.empty()) fail(wrong);
  if (!report.ok()) {
    if (report.error().code == ErrorCode::Corrupt) fail("recovering: " + report.error().text);
    return false;
  }
  if (trace_) say("recovered from " + std::to_string(from) + " to " + std::to_string(report->end) + ", torn " + std::to_string(report->torn_bytes) + ", batches " + std::to_string(report->batches));
  if (report->torn_bytes > 0) tally(Tally::TornTails);
  const Position end = report->end;
  if (expected != model_.journal.end() && expected->batch_end <= end && expected->position >= from)
    fail("recovery ends at " + std::to_string(end) + " and leaves out the record at " + std::to_string(expected->position));
  while (!model_.journal.empty() && model_.journal.back().batch_end > end) {
    const Record& lost = model_.journal.back();
    if (lost.position < snapshot_at_) fail("a record at " + std::to_string(lost.position) + " is lost, and a snapshot knew it");
    model_.journal.pop_back();
  }
  if (snapshot->has_value() == false && !model_.journal.empty() && model_.journal.front().position < log_->first_position())
    fail("segments are gone and there is no snapshot");
  wall_ms_ = std::max(wall, clock_.now().wall_ms);
  reader_ = core_->make_reader();
  return !failed();
}

bool SimulatedWorld::open() {
  for (int tries = 0;; tries++) {
    const bool faulty = tries < 2 && dice_.one_in(6);
    if (faulty) {
      disk_.fail({.call = {}, .nth = 1 + static_cast<std::int64_t>(dice_.below(8)), .bytes_done = static_cast<std::int64_t>(dice_.below(9000)),
                  .repeat = SimDisk::Fault::Repeat::Forever});
    }
    const bool up = open_once();
    disk_.heal();
    if (failed()) return false;
    if (up) break;
    if (!faulty) {
      fail("the broker does not start on a healthy disk");
      return false;
    }
    tally(Tally::CrashesInRecovery);
    close();
    crash(dice_.one_in(3) ? SimDisk::Loss::Everything : SimDisk::Loss::RandomSectors);
  }
  poisoned_ = false;
  disk_.set_capacity(std::int64_t{1} << 40);
  disk_tight_ = false;
  disk_level_ = broker::DiskLevel::Ok;
  fires_again_mono_ms_ = 0;
  const std::string wrong = model_.rebuild(recovered_from_, snapshot_crc_, messages_);
  if (!wrong.empty()) fail("after a restart: " + wrong);
  offsets_.clear();
  dirty_offsets_.clear();
  offset_records_.clear();  // all of them are safe
  for (const auto& [group, of_group] : model_.offsets)
    for (const auto& [queue, offset] : of_group) offsets_[{group, queue.first, queue.second}] = offset;
  journal_end_ = log_->end();
  shown_ = journal_end_;
  if (trace_) say("OPEN, end " + std::to_string(shown_));
  next_record_ = model_.journal.size();
  start_wall_ms_ = wall_ms_;
  start_mono_ms_ = mono_ms();
  begin();
  const Status started = core_->start();
  if (!started.ok() && !log_->poisoned()) fail("starting: " + started.error().text);
  Step step;
  step.kind = Step::Kind::PutTopic;
  step.count = 16;
  step.answer = std::make_shared<Answer>();
  step.answer->given = true;
  steps_.push_back(step);
  end();
  flush();
  if (!failed() && !poisoned_) check_tables();
  if (life_ > 0 || failed()) return !failed();
  for (const char* name : {"T0", "T1"}) {
    model::TopicConfig config;
    config.name = name;
    config.read_queues = config.write_queues = 1 + static_cast<std::int32_t>(dice_.below(2));
    begin();
    core_->put_topic(config, [](Result<Done>&&) {});
    step.topic = name;
    step.count = 1;
    steps_.push_back(step);
    end();
  }
  flush();
  return !failed();
}

void SimulatedWorld::crash(SimDisk::Loss loss) {
  tally(loss == SimDisk::Loss::Nothing ? Tally::KilledProcesses : Tally::PowerCuts);
  disk_.crash(loss, random_);
  if (trace_) say("CRASH, loss " + std::to_string(static_cast<int>(loss)));
}

void SimulatedWorld::crash_somehow() {
  if (!poisoned_ && dice_.one_in(2)) read_queues();  // whatever a consumer has seen must still be there
  if (failed()) return;
  const auto loss = dice_.one_in(4) ? SimDisk::Loss::Nothing : dice_.one_in(3) ? SimDisk::Loss::Everything : SimDisk::Loss::RandomSectors;
  // What clients were told survives. With ASYNC_FLUSH that holds for a killed process; a power cut takes what was not synced since.
  const bool durable_only = log_options_.safety != storage::Safety::Durable;
  const Position durable = log_->durable();
  const Position told = durable_only ? std::max(durable, std::min(shown_, log_->safe())) : shown_;
  const std::int64_t power_cuts_before = tallies_[static_cast<std::size_t>(Tally::PowerCuts)];
  const bool disk_failed = poisoned_;
  if (disk_failed) tally(Tally::FailedDiskCalls);
  close();
  crash(loss);
  asked_.clear();
  producers_.clear();
  life_++;
  std::vector<std::pair<Position, std::uint32_t>> before;
  before.reserve(model_.journal.size());
  for (const Record& r : model_.journal) before.emplace_back(r.position, r.crc);
  if (!open()) return;
  // A failed sync leaves the disk without what the cache believes that it has: what was not synced is lost as in a power cut.
  const bool power = disk_failed || tallies_[static_cast<std::size_t>(Tally::PowerCuts)] > power_cuts_before;
  const Position kept = power && durable_only ? durable : told;
  bool lost = false;
  for (const auto& [position, crc] : before) {
    const Record* now = model_.find(position);
    if (now && now->crc == crc) continue;
    if (position < kept) return fail("the record at " + std::to_string(position) + " is lost, though everything before " + std::to_string(kept) + " was safe");
    if (position < told) tally(Tally::LostAsyncAnswers);
    lost = true;
  }
  if (lost) tally(Tally::LostUnsafeBatches);
  for (Message& m : messages_) {
    if (m.outcome == Message::Outcome::Open) m.outcome = Message::Outcome::Lost;
  }
  if (dice_.one_in(2)) read_queues();
}

// ----------------------------------------------------------------------------------------------------------------- turns

void SimulatedWorld::begin() {
  if (turn_depth_++ > 0) return;  // one turn for several requests
  wall_ms_ = std::max(wall_ms_, clock_.now().wall_ms);
  core_->begin(clock_.now());
  model_.ahead_ms = book_ms() - wall_ms_;
  tally(Tally::Turns);
}

void SimulatedWorld::end() {
  if (--turn_depth_ > 0) return;
  core_->tick();
  core_->end();
  read_journal();
  if (log_->poisoned()) {  // the turn was cut short by the disk; what it still wrote nobody will hear of
    poisoned_ = true;
    steps_.clear();
    checks_.clear();
    offset_waits_.clear();
    next_record_ = model_.journal.size();
    return;
  }
  if (!failed()) check_turn();
  if (log_->flush_pending_bytes() > 16 << 10) flush();
  if (log_->safety() == storage::Safety::Kept) answer_kept();
}

// As the program: what is closed is safe, and written when enough of it has come together.
void SimulatedWorld::answer_kept() {
  if (failed()) return;
  if (shown_ < log_->safe()) safe_advanced();
  if ((log_->unwritten_bytes() > 16 << 10 || dice_.one_in(8)) && !log_->write_out().ok()) poisoned_ = true;
}

void SimulatedWorld::flush() {
  if (log_->safety() == storage::Safety::Kept) {
    if (!log_->write_out().ok() || (dice_.one_in(3) && !log_->sync_written().ok())) poisoned_ = true;
    else safe_advanced();
    return;
  }
  for (int i = 0; i < 8 && log_->flush_pending() && !failed(); i++) {
    const auto flushed = log_->safety() == storage::Safety::Durable ? log_->flush() : log_->write_out();
    if (!flushed.ok()) {
      poisoned_ = true;
      return;
    }
    if (log_->safety() == storage::Safety::Written && dice_.one_in(3) && !log_->sync_written().ok()) poisoned_ = true;
    safe_advanced();
  }
}

void SimulatedWorld::safe_advanced() {
  wall_ms_ = std::max(wall_ms_, clock_.now().wall_ms);
  core_->begin(clock_.now());
  core_->safe_advanced();
  core_->end();
  shown_ = log_->safe();
  if (trace_) say("safe " + std::to_string(shown_) + ", durable " + std::to_string(log_->durable()));
  check_answers_given();
}

void SimulatedWorld::take_snapshot() {
  const storage::Snapshot snapshot = core_->snapshot();
  model_.note_snapshot(crc32c(as_bytes(snapshot.payload)), noted_book_ms_);
  flush();
  if (poisoned_ || !log_->sync_written().ok()) {
    poisoned_ = true;
    return;
  }
  if (!snapshots_->write(lasting_.draft(snapshot)).ok()) return;
  snapshot_at_ = snapshot.position;
  tally(Tally::Snapshots);
  if (trace_) say("snapshot " + std::to_string(snapshot.position));
}

// Retention, as the program does it: carry, make durable, snapshot, drop.
void SimulatedWorld::release() {
  Result<broker::Core::Release> release = Error{};
  begin();
  broker::RetentionPolicy policy{.keep_ms = std::int64_t{1} << 60, .keep_bytes = (8 << 10) + static_cast<std::int64_t>(dice_.below(32 << 10))};
  if (scenario_ == Scenario::General && dice_.one_in(3)) policy = {.keep_ms = static_cast<std::int64_t>(dice_.below(20000)), .keep_bytes = 0};
  release = core_->release(policy);
  if (release.ok() && release->drop_before > log_->first_position()) model_.release(release->drop_before);
  Step step;
  step.kind = Step::Kind::Release;
  step.answer = std::make_shared<Answer>();
  step.answer->given = true;
  step.checks_end = checks_.size();
  steps_.push_back(step);
  end();
  flush();
  if (poisoned_ || failed() || !release.ok() || release->drop_before <= log_->first_position()) return;
  tell_released();
  model_.forgettable = std::max(model_.forgettable, release->drop_before);
  if (!log_->sync_written().ok()) {
    poisoned_ = true;
    return;
  }
  if (log_->durable() < release->carried_until) return;
  const Position before = snapshot_at_;
  take_snapshot();
  if (poisoned_ || snapshot_at_ == before) return;
  if (!log_->drop_before(release->drop_before).ok()) return;
  tally(Tally::SegmentsReleased);
}

// -------------------------------------------------------------------------------------------------------------- the end

/// Everybody is there and answers: every half message must end. Then one more crash, and the books are closed.
void SimulatedWorld::settle() {
  disk_.heal();
  disk_.set_capacity(std::int64_t{1} << 40);
  disk_tight_ = false;
  disk_level_ = broker::DiskLevel::Ok;
  core_->set_disk_level(disk_level_);
  there_is_room_again();
  if (poisoned_) return crash_somehow();
  late_.clear();
  flush();
  for (int program = 1; program < 3 && !failed(); program++) {
    producer_comes(2 * program - 1);
    producer_comes(2 * program);
  }
  const std::size_t rounds = 16 + 4 * model_.halves.size();
  for (std::size_t round = 0; round < rounds && !failed() && !poisoned_; round++) {
    const auto parked = std::find_if(model_.halves.begin(), model_.halves.end(), [](const auto& item) { return item.second.parked; });
    if (parked != model_.halves.end()) {
      resume(parked->first);
      continue;
    }
    if (model_.halves.empty()) break;
    clock_.advance(options_.check_interval_ms + 1);
    begin();
    end();
    while (!asked_.empty() && !failed()) {
      Verdict v;
      const Asked asked = asked_.back();
      asked_.pop_back();
      v.message = asked.message;
      v.verdict = dice_.one_in(2) ? broker::Verdict::Commit : broker::Verdict::Rollback;
      v.from_check = true;
      const Message& m = messages_[static_cast<std::size_t>(v.message)];
      v.half_position = asked.half_position;
      v.half_offset = asked.half_offset;
      v.group = m.group;
      v.message_id = m.key;
      begin();
      end_transaction(v, v.message);
      end();
    }
    flush();
  }
  for (const auto& [position, half] : model_.halves)
    if (!half.parked) fail("the half message at " + std::to_string(position) + " does not end, though its producers answer");
  for (int i = 0; i < 3 && !failed() && !model_.timers.empty(); i++) {
    clock_.advance(kFireAgainMs);
    clock_.set_wall(std::max(wall_ms_, model_.timers.rbegin()->due_ms));
    begin();
    end();
  }
  if (!failed() && !model_.timers.empty()) fail("something that was due did not fire");
  flush();
  if (!failed()) crash_somehow();
  if (failed()) return;
  final_read_ = true;
  read_queues();
  if (!failed() && dice_.one_in(8)) compare_snapshots();
}

/// Two restarts with nothing between give the same tables.
void SimulatedWorld::compare_snapshots() {
  std::string tables[2];
  for (std::string& text : tables) {
    close();
    disk_.crash(SimDisk::Loss::Nothing, random_);
    if (!open()) return;
    text = core_->snapshot().payload;
  }
  if (tables[0] != tables[1]) fail("a restart with nothing between changed the tables");
}

}  // namespace halfmoon::testkit
