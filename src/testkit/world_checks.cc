// SPDX-License-Identifier: Apache-2.0
// What must be true after each turn: every answer, every record and every check has its cause, and every cause its effect.
#include <algorithm>
#include <limits>

#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;
using storage::RecordType;

namespace {

bool is_offset_id(const std::string& id, Position position) {
  // Upper-case hex of host (4 bytes), port (4) and position (8).
  static constexpr char kHex[] = "0123456789ABCDEF";
  if (id.size() != 32) return false;
  std::string tail;
  for (int shift = 60; shift >= 0; shift -= 4) tail += kHex[(static_cast<std::uint64_t>(position) >> shift) & 15];
  return id.substr(16) == tail;
}

}  // namespace

std::shared_ptr<Answer> SimulatedWorld::new_answer(const char* of, std::int32_t message) {
  auto answer = std::make_shared<Answer>();
  answer->number = next_answer_++;
  answer->of = of;
  answer->message = message;
  return answer;
}

void SimulatedWorld::take_answer(Answer& answer) {
  if (closing_) return;
  if (answer.given) return fail(std::string(answer.of) + " is answered twice");
  answer.given = true;
  mix(static_cast<std::uint64_t>(answer.number) * 64 + (answer.error ? static_cast<std::uint64_t>(answer.error->code) + 1 : 0));
  if (answer.not_before != storage::kNoPosition) {  // it had to wait
    if (answer.not_before >= log_->safe() && !(answer.error && log_->poisoned()))
      fail(std::string(answer.of) + " is answered and the record at " + std::to_string(answer.not_before) + " is not safe");
    if (answer.error ? answer.error->code != answer.wanted : answer.wanted.has_value()) fail(std::string(answer.of) + " is answered otherwise than it must be");
  }
  if (answer.message >= 0 && std::string_view(answer.of) != "verdict") {
    Message& m = messages_[static_cast<std::size_t>(answer.message)];
    m.outcome = answer.error ? Message::Outcome::Refused : Message::Outcome::Ok;
    if (answer.result) {
      m.position = answer.result->position;
      m.offset = answer.result->queue_offset;
      const Record* r = model_.find(m.position);
      if (!r || r->message != answer.message) fail("message " + std::to_string(answer.message) + " is acknowledged at a position that is not its own");
      else if (m.kind != Message::Kind::Delayed && m.offset != r->queue_offset) fail("a message is acknowledged with another offset than it has");
      if (m.kind == Message::Kind::Half) known_halves_.push_back(answer.message);
    }
  }
  tell_answer(answer);
}

std::string SimulatedWorld::about(const Step& step) const {
  std::string text = step.answer->of;
  if (step.message >= 0) text += " of message " + std::to_string(step.message);
  if (step.kind == Step::Kind::EndTransaction) {
    text += step.verdict.verdict == broker::Verdict::Commit ? " (commit)" : step.verdict.verdict == broker::Verdict::Rollback ? " (rollback)" : " (unknown)";
    text += " naming " + std::to_string(step.verdict.half_position);
  }
  return text + ": ";
}

/// Records that only tell who was asked and who was refused come wherever they come; nothing rests on them but what an operator reads.
void SimulatedWorld::skip_history() {
  for (; next_record_ < model_.journal.size(); ++next_record_) {
    const Record& r = model_.journal[next_record_];
    if (r.type != RecordType::Asked && r.type != RecordType::Client && r.type != RecordType::Refused) return;
    const std::string wrong = model_.apply(r, messages_);
    if (!wrong.empty()) fail(wrong);
  }
}

/// The turn's next record if it is of that type.
const Record* SimulatedWorld::next(RecordType type) {
  skip_history();
  if (next_record_ >= model_.journal.size() || model_.journal[next_record_].type != type) return nullptr;
  return &model_.journal[next_record_];
}

/// The same, with its effect in the model.
const Record* SimulatedWorld::take(RecordType type) {
  const Record* r = next(type);
  if (!r) return nullptr;
  next_record_++;
  const std::string wrong = model_.apply(*r, messages_);
  if (!wrong.empty()) fail(wrong);
  return r;
}

const Record* SimulatedWorld::take_named(RecordType type, const std::string& name) {
  const Record* r = next(type);
  return r && r->topic == name ? take(type) : nullptr;
}

const Record* SimulatedWorld::take_message(RecordType type, std::int32_t message) {
  const Record* r = next(type);
  return r && r->message == message ? take(type) : nullptr;
}

bool SimulatedWorld::had_no_room(const Step& step) {
  if (!disk_tight_) return false;
  const bool refused = step.answer->error && (step.answer->error->code == ErrorCode::DiskFull || step.answer->error->code == ErrorCode::Busy);
  if (refused) tally(Tally::DiskFull);
  return refused || !step.awaited;
}

void SimulatedWorld::wants_error(const Step& step, ErrorCode code) {
  const Answer& a = *step.answer;
  if (!step.awaited) return;
  if (!a.given) return fail(about(step) + "no refusal comes");
  if (!a.error) return fail(about(step) + "accepted, where it should be refused");
  if (a.error->code != code && !had_no_room(step)) fail(about(step) + "refused with '" + a.error->text + "'");
}

/// A success that may come when the record at `record` is safe, and must when the one at `latest` is.
void SimulatedWorld::wants_done(const Step& step, Position record, Position latest, std::optional<ErrorCode> wanted) {
  Answer& a = *step.answer;
  if (!step.awaited) return;
  if (wanted && a.given && !a.error) return fail(about(step) + "accepted, where it should be refused");
  if (a.error && a.error->code != wanted) return fail(about(step) + "refused with '" + a.error->text + "'");
  if (a.given) {
    if (record >= log_->safe()) fail(about(step) + "acknowledged before it is safe");
    return;
  }
  a.wanted = wanted;
  a.not_before = record;
  a.latest = latest;
  awaited_.push_back(step.answer);
}

/// The turn's next record, if it is of that type and about that half message. Two in one turn may be meant, and only the second have found room.
const Record* SimulatedWorld::take_about(RecordType type, Position half) {
  const Record* r = next(type);
  return r && r->half == half ? take(type) : nullptr;
}

void SimulatedWorld::check_turn() {
  std::size_t sent = 0;
  for (Step& step : steps_) {
    check_step(step);
    if (failed()) return;
    check_sent(sent, step.checks_end);
    sent = std::max(sent, step.checks_end);
  }
  check_tick();
  check_sent(sent, checks_.size());
  skip_history();
  if (failed()) return;
  if (next_record_ < model_.journal.size()) {
    const Record& r = model_.journal[next_record_];
    return fail("a record of type " + std::to_string(static_cast<int>(r.type)) + " at " + std::to_string(r.position) + " that nothing has caused");
  }
  check_offsets_written();
  steps_.clear();
  checks_.clear();
  check_nothing_waits();
  check_pulls();
  check_alarm();
}

void SimulatedWorld::check_step(Step& step) {
  if (trace_) say("step " + about(step) + (step.answer->given ? step.answer->error ? step.answer->error->text : "done" : "waits"));
  switch (step.kind) {
    case Step::Kind::Send: return check_send(step);
    case Step::Kind::Batch: return check_batch(step);
    case Step::Kind::EndTransaction: return check_end_transaction(step);
    case Step::Kind::Resume: return check_resume(step);
    case Step::Kind::SendBack: return check_send_back(step);
    case Step::Kind::CommitOffset: return check_commit_offset(step);
    case Step::Kind::DeleteTopic: return check_delete_topic(step);
    case Step::Kind::ChangeTopic: return check_change_topic(step);
    case Step::Kind::DeleteGroup: return check_delete_group(step);
    case Step::Kind::ChangeGroup: return check_change_group(step);
    case Step::Kind::ConsumerBeat: return check_consumer_beat(step);
    case Step::Kind::Pull: return check_pull(step);
    case Step::Kind::Lock: return check_lock(step);
    case Step::Kind::PutTopic:
      for (int i = 0; i < step.count; i++)
        if (!take(RecordType::Topic)) return;
      return;
    case Step::Kind::Release:
      while (take(RecordType::Carried)) tally(Tally::RecordsCarried);
      return;
    case Step::Kind::Disconnect:  // whatever it was asked, others are asked at once
      for (auto& [position, half] : model_.halves) {
        if (half.asked != step.channel || (!step.only_group.empty() && messages_[static_cast<std::size_t>(half.message)].group != step.only_group)) continue;
        half.asked = {};
        half.due_ms = book_ms();
      }
      return;
    case Step::Kind::Heartbeat:
    case Step::Kind::Tick: return;
  }
}

void SimulatedWorld::check_send(Step& step) {
  const Message& m = messages_[static_cast<std::size_t>(step.message)];
  if (disk_level_ == broker::DiskLevel::Full) return wants_error(step, ErrorCode::DiskFull);
  if (!step.retry_of.empty() && !model_.has_group(step.retry_of)) return wants_error(step, ErrorCode::GroupNotFound);
  if (!model_.topics.contains(m.topic)) {
    if (disk_level_ == broker::DiskLevel::Tight && step.retry_of.empty()) return wants_error(step, ErrorCode::DiskFull);
    if (!take_named(RecordType::Topic, m.topic)) {
      if (!had_no_room(step)) fail(about(step) + "its topic is not created");
      return;
    }
  }
  const RecordType type = m.kind == Message::Kind::Half ? RecordType::Half : m.kind == Message::Kind::Delayed ? RecordType::Delayed : RecordType::Message;
  const Record* r = take_message(type, step.message);
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not stored" + (step.answer->error ? ": " + step.answer->error->text : ""));
    return;
  }
  if (!step.retry_of.empty()) tally(m.kind == Message::Kind::Delayed ? Tally::RetriesSent : Tally::RetriesSentDead);
  if (m.kind == Message::Kind::Delayed) {
    const std::int64_t due = m.delay == Message::Delay::Absolute ? m.delay_ms : r->wall_ms + m.delay_ms + 1;
    if (r->due_ms != due) return fail(about(step) + "due at " + std::to_string(r->due_ms) + ", not at " + std::to_string(due));
  }
  const bool known = std::any_of(producers_.begin(), producers_.end(), [&](const Producer& p) { return p.channel == m.sender && p.group == m.group; });
  if (m.kind == Message::Kind::Half && m.sender != broker::ChannelId{} && !known) {
    tally(Tally::ProducersBySending);
    producers_.push_back({.channel = m.sender, .group = m.group, .program = 0});
  }
  tally(m.kind == Message::Kind::Half ? Tally::Halves : m.kind == Message::Kind::Delayed ? Tally::Delayed : Tally::Plain);
  wants_done(step, r->position, r->position);
}

void SimulatedWorld::check_batch(Step& step) {
  const Message& first = messages_[static_cast<std::size_t>(step.message)];
  if (disk_level_ == broker::DiskLevel::Full) return wants_error(step, ErrorCode::DiskFull);
  if (!model_.topics.contains(first.topic)) {
    if (disk_level_ == broker::DiskLevel::Tight) return wants_error(step, ErrorCode::DiskFull);
    if (!take_named(RecordType::Topic, first.topic)) {
      if (!had_no_room(step)) fail(about(step) + "its topic is not created");
      return;
    }
  }
  const Record* last = nullptr;
  for (std::int32_t i = 0; i < step.count; i++) {
    const Record* r = take_message(RecordType::Message, step.message + i);
    if (!r) {
      if (i > 0 || !had_no_room(step)) fail(about(step) + "a batch is stored in part: " + std::to_string(i) + " of " + std::to_string(step.count));
      return;
    }
    if (last && (last->batch_end != r->batch_end || last->queue_offset + 1 != r->queue_offset)) return fail(about(step) + "a batch that is torn apart");
    last = r;
  }
  tally(Tally::Batches);
  wants_done(step, last->position, last->position);
}

// -------------------------------------------------------------------------------------------------------------- verdicts

void SimulatedWorld::check_end_transaction(Step& step) {
  const Verdict& v = step.verdict;
  if (v.misnamed) tally(Tally::VerdictsMisnamed);
  const auto names = [&](std::int32_t message, std::int64_t half_offset) {
    const Message& m = messages_[static_cast<std::size_t>(message)];
    const auto one = [&](const std::string& id) { return id.empty() || id == m.key || is_offset_id(id, v.half_position); };
    return m.group == v.group && half_offset == v.half_offset && one(v.message_id) && one(v.transaction_id);
  };
  if (const auto half = model_.halves.find(v.half_position); half != model_.halves.end()) {
    if (!names(half->second.message, half->second.half_offset)) return wants_error(step, ErrorCode::InvalidArgument);
    if (v.verdict == broker::Verdict::Unknown) return check_unknown(step, v.half_position);
    const Record* r = take_about(RecordType::Verdict, v.half_position);
    if (!r) {
      if (!had_no_room(step)) fail(about(step) + "no record of it" + (step.answer->error ? ": " + step.answer->error->text : ""));
      return;
    }
    if (r->commit != (v.verdict == broker::Verdict::Commit)) return fail(about(step) + "another verdict is written");
    if (r->source != (v.from_check ? 2 : 1)) return fail(about(step) + "written with another source");
    tally(r->commit ? Tally::CommitsApplied : Tally::RollbacksApplied);
    if (r->due_ms > 0) tally(Tally::DelayedCommits);
    return wants_done(step, r->position, r->position);
  }
  const auto ended = model_.ended.find(v.half_position);
  if (ended == model_.ended.end()) {
    tally(Tally::VerdictsOfNobody);
    return wants_error(step, ErrorCode::NotFound);
  }
  const bool may_be_forgotten = v.half_position < model_.forgettable;
  if (may_be_forgotten && step.awaited && step.answer->error && step.answer->error->code == ErrorCode::NotFound) return tally(Tally::VerdictsForgotten);
  if (ended->second.number + options_.verdicts_remembered < model_.verdicts) tally(Tally::VerdictsLookedUp);
  if (!names(ended->second.message, ended->second.half_offset)) return wants_error(step, ErrorCode::InvalidArgument);
  if (v.verdict == broker::Verdict::Unknown) {
    tally(Tally::UnknownIgnored);
    return wants_done(step, -1, -1);
  }
  if ((v.verdict == broker::Verdict::Commit) != ended->second.committed) {
    tally(Tally::VerdictsContrary);
    return wants_done(step, ended->second.verdict, journal_end_ - 1, ErrorCode::IllegalOperation);
  }
  tally(Tally::VerdictsRepeated);
  wants_done(step, ended->second.verdict, journal_end_ - 1);
}

bool SimulatedWorld::too_old(const ModelHalf& half) const {
  return options_.check_age_max_ms > 0 && book_ms() - half.created_ms >= options_.check_age_max_ms;
}

void SimulatedWorld::check_unknown(const Step& step, Position position) {
  ModelHalf& half = model_.halves.find(position)->second;
  wants_done(step, -1, -1);
  if (!step.verdict.from_check || half.parked || half.asked == broker::ChannelId{}) return tally(Tally::UnknownIgnored);
  const std::int32_t answered = half.answered + 1;
  const Record* r = take_about(RecordType::Checked, position);
  if (!r) {
    if (!disk_tight_) fail(about(step) + "it answers a check and is not counted");
    return;
  }
  tally(Tally::UnknownCounted);
  if (answered < options_.check_max && !too_old(half)) return;
  if (take_about(RecordType::Parked, position)) return tally(Tally::Parked);
  if (!disk_tight_) fail(about(step) + "the last answered check does not park it");
}

void SimulatedWorld::check_resume(Step& step) {
  const auto half = model_.halves.find(step.value);
  if (half == model_.halves.end() || !half->second.parked) {
    tally(Tally::ResumesRefused);
    if (half != model_.halves.end()) return wants_error(step, ErrorCode::IllegalOperation);
    const auto ended = model_.ended.find(step.value);
    if (ended == model_.ended.end()) return wants_error(step, ErrorCode::NotFound);
    const bool newest = ended->second.number + options_.verdicts_remembered >= model_.verdicts && step.value >= model_.forgettable;
    const bool said_to_be_forgotten = !newest && step.answer->error && step.answer->error->code == ErrorCode::NotFound;
    return wants_error(step, said_to_be_forgotten ? ErrorCode::NotFound : ErrorCode::IllegalOperation);
  }
  const Record* r = take(RecordType::Resumed);
  if (!r || r->half != step.value) {
    if (!had_no_room(step)) fail(about(step) + "it is not resumed");
    return;
  }
  tally(Tally::Resumed);
  wants_done(step, r->position, r->position);
}

// ------------------------------------------------------------------------------------------------------------------ time

void SimulatedWorld::check_tick() {
  while (!model_.timers.empty() && model_.timers.begin()->due_ms <= wall_ms_) {
    const Position target = model_.timers.begin()->target;
    const Record* r = take(RecordType::Fire);
    if (!r) {
      if (!fires_late()) fail("what is due at " + std::to_string(model_.timers.begin()->due_ms) + " does not fire at " + std::to_string(wall_ms_));
      break;
    }
    if (r->half != target) return fail("things fire in another order than they are due");
    tally(Tally::Fired);
  }
  // What was asked an interval ago and not answered is asked again, or parked if it is too old for that.
  std::vector<std::pair<std::int64_t, Position>> due;
  for (const auto& [position, half] : model_.halves)
    if (!half.parked && half.asked != broker::ChannelId{} && half.due_ms <= book_ms()) due.emplace_back(half.due_ms, position);
  std::sort(due.begin(), due.end());
  for (const auto& [at, position] : due) {
    ModelHalf& half = model_.halves.find(position)->second;
    half.asked = {};
    if (!too_old(half)) continue;
    const Record* r = take_about(RecordType::Parked, position);
    if (!r && !disk_tight_) return fail("a half message that is too old and not answered for is not parked");
    if (r) tally(Tally::ParkedByAge);
  }
  take_offsets_records();
}

std::int32_t SimulatedWorld::outstanding(broker::ChannelId channel) const {
  std::int32_t n = 0;
  for (const auto& [position, half] : model_.halves) n += half.asked == channel;
  return n;
}

/// The checks that were sent in a part of the turn: who may be asked about what, and when.
void SimulatedWorld::check_sent(std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to && !failed(); i++) {
    const broker::TransactionCheck& c = checks_[i];
    if (trace_) say("check " + std::to_string(c.half_position) + " to " + std::to_string(static_cast<std::uint64_t>(c.channel)));
    const std::string what = "a check of the half message at " + std::to_string(c.half_position) + " ";
    const auto it = model_.halves.find(c.half_position);
    if (it == model_.halves.end()) return fail(what + (model_.ended.contains(c.half_position) ? "that has ended" : "that is not there"));
    ModelHalf& half = it->second;
    const Message& m = messages_[static_cast<std::size_t>(half.message)];
    if (half.parked) return fail(what + "that is parked");
    if (half.asked != broker::ChannelId{}) return fail(what + "while another is to answer");
    if (book_ms() < half.due_ms) return fail(what + std::to_string(half.due_ms - book_ms()) + " ms too early");
    if (c.half_offset != half.half_offset || c.times != half.answered) return fail(what + "with a wrong offset or count");
    const auto live = [&](broker::ChannelId channel) {
      return std::any_of(producers_.begin(), producers_.end(), [&](const Producer& p) { return p.channel == channel && p.group == m.group; });
    };
    if (!live(c.channel)) return fail(what + "goes to a connection that is no producer of its group");
    if (outstanding(c.channel) >= options_.checks_outstanding_max) return fail(what + "goes to a producer that has enough to answer");
    const bool by_sender = c.channel == m.sender && m.sender_life == life_;
    if (!by_sender && m.sender_life == life_ && live(m.sender) && outstanding(m.sender) < options_.checks_outstanding_max)
      return fail(what + "does not go to its sender, who is there");
    tally(Tally::ChecksSent);
    if (!by_sender) tally(Tally::ChecksToAnother);
    if (half.due_ms < book_ms()) tally(Tally::ChecksWaited);
    if (half.checked) tally(Tally::ChecksAgain);
    half.checked = true;
    half.asked = c.channel;
    half.due_ms = book_ms() + options_.check_interval_ms;
    asked_.push_back({half.message, c.half_position, c.half_offset});
    mix(static_cast<std::uint64_t>(c.half_position) * 31 + static_cast<std::uint64_t>(c.channel));
    tell_asked(half.message);
  }
}

/// Whatever is due is asked about as soon as somebody can be asked.
void SimulatedWorld::check_nothing_waits() {
  noted_book_ms_ = book_ms();
  for (const auto& [position, half] : model_.halves) {
    if (half.parked || half.asked != broker::ChannelId{} || half.due_ms > book_ms()) continue;
    const std::string& group = messages_[static_cast<std::size_t>(half.message)].group;
    for (const Producer& p : producers_)
      if (p.group == group && outstanding(p.channel) < options_.checks_outstanding_max)
        return fail("the half message at " + std::to_string(position) + " is due, a producer is there, and is not asked");
  }
}

/// The broker wakes up in time for what comes next.
void SimulatedWorld::check_alarm() {
  std::int64_t left_ms = std::numeric_limits<std::int64_t>::max();
  const std::int64_t put_off_ms = disk_tight_ ? kFireAgainMs : std::max<std::int64_t>(0, fires_again_mono_ms_ - mono_ms());
  if (!model_.timers.empty()) left_ms = std::max(put_off_ms, model_.timers.begin()->due_ms - wall_ms_);
  for (const auto& [position, half] : model_.halves)
    if (!half.parked && half.due_ms > book_ms()) left_ms = std::min(left_ms, half.due_ms - book_ms());
  for (const WaitingPull& pull : pulls_) left_ms = std::min(left_ms, std::max<std::int64_t>(0, pull.until_mono_ms - mono_ms()));
  for (const auto& [key, since_mono_ms] : dirty_offsets_)
    if (!disk_tight_) left_ms = std::min(left_ms, std::max<std::int64_t>(0, since_mono_ms + options_.offset_flush_ms - mono_ms()));
  if (left_ms == std::numeric_limits<std::int64_t>::max()) return;
  const std::int64_t wake = core_->next_due_mono_ms();
  if (wake > mono_ms() + left_ms) fail("the broker would sleep " + std::to_string(wake - mono_ms()) + " ms, and something is due in " + std::to_string(left_ms));
}

void SimulatedWorld::check_answers_given() {
  std::erase_if(awaited_, [](const auto& answer) { return answer->given; });
  for (const auto& answer : awaited_)
    if (answer->latest < shown_) return fail(std::string(answer->of) + " is not answered, though its record is safe");
  check_pulls();
}

void SimulatedWorld::check_transaction(const broker::TransactionCheck& check) { checks_.push_back(check); }

}  // namespace halfmoon::testkit
