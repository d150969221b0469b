// SPDX-License-Identifier: Apache-2.0
// What happens in a simulated life: clients, operators, the clock and the disk, as the dice fall.
#include <algorithm>

#include "base/crc.h"
#include "model/message_image.h"
#include "model/properties.h"
#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;

namespace {

constexpr int kPrograms = 5;       // 1 and 2 are of group PG1, 3 and 4 of PG2

std::string group_of(std::int32_t program) { return program <= 2 ? "PG1" : "PG2"; }

}  // namespace

void SimulatedWorld::act() {
  if (scenario_ == Scenario::General && dice_.one_in(2)) return act_general();
  act_transactions();
}

void SimulatedWorld::act_transactions() {
  switch (dice_.below(28)) {
    case 0: case 1: case 2: case 3: case 4: return send_half();
    case 5: case 6: case 7: case 8: case 9: case 10: return give_verdict();
    case 11: case 12: return deliver_late_verdict();
    case 13: case 14: case 15: return answer_checks();
    case 16: case 25: return producer_comes();
    case 17: return dice_.one_in(2) ? producer_goes() : producer_comes();
    case 18: case 19: case 20: return move_clock();
    case 21: return resume();
    case 22:
      if (dice_.one_in(2)) read_queues();
      else check_tables();
      return;
    case 23:
      flush();
      if (!poisoned_ && !failed() && dice_.one_in(3)) take_snapshot();
      return;
    case 24:
      if (dice_.one_in(3)) release();
      else send_plain();
      return;
    default: return flush();
  }
}

void SimulatedWorld::arm_fault() {
  // The machine stops in the middle of a change of the disk, or one call of one kind fails.
  SimDisk::Fault fault{.call = {}, .nth = 1 + static_cast<std::int64_t>(dice_.below(40)), .bytes_done = static_cast<std::int64_t>(dice_.below(9000)),
                       .repeat = SimDisk::Fault::Repeat::Forever};
  if (dice_.one_in(3)) {
    fault.call = dice_.one_in(2) ? SimDisk::Call::Sync : SimDisk::Call::Write;
    fault.repeat = SimDisk::Fault::Repeat::Once;
  }
  disk_.fail(fault);
}

void SimulatedWorld::move_clock() {
  const auto roll = dice_.below(12);
  if (roll < 9) {
    clock_.advance(static_cast<std::int64_t>(dice_.below(roll < 3 ? 300 : 8000)));
  } else if (roll == 9) {
    tally(Tally::ClockForward);
    clock_.set_wall(clock_.now().wall_ms + static_cast<std::int64_t>(dice_.below(2 * 3600 * 1000)));
  } else if (roll == 10) {
    tally(Tally::ClockBack);
    clock_.set_wall(clock_.now().wall_ms - static_cast<std::int64_t>(dice_.below(3600 * 1000)));
  } else {
    // Exactly to the next thing that is due, or one millisecond before.
    std::int64_t due = wall_ms_ + 1;
    if (!model_.timers.empty() && dice_.one_in(2)) due = model_.timers.begin()->due_ms;
    else if (!model_.halves.empty()) {
      const std::int64_t left = model_.halves.begin()->second.due_ms - book_ms();
      if (left > 0) clock_.advance(left - static_cast<std::int64_t>(dice_.below(2)));
    }
    if (due > wall_ms_) clock_.set_wall(due - static_cast<std::int64_t>(dice_.below(2)));
  }
  begin();
  end();
}

// --------------------------------------------------------------------------------------------------------------- sending

std::string SimulatedWorld::any_topic() { return dice_.one_in(2) ? "T0" : "T1"; }

std::int32_t SimulatedWorld::new_message(Message::Kind kind) {
  const auto number = static_cast<std::int32_t>(messages_.size());
  Message m;
  m.kind = kind;
  m.topic = any_topic();
  const auto topic = model_.topics.find(m.topic);
  m.queue = topic == model_.topics.end() ? 0 : static_cast<std::int32_t>(dice_.below(static_cast<std::uint64_t>(topic->second)));
  m.key = "K" + std::to_string(number);
  m.body = "m" + std::to_string(number) + "|" + std::string(dice_.one_in(8) ? dice_.below(1500) : dice_.below(40), static_cast<char>('a' + number % 26));
  m.sender_life = life_;
  m.sent_ms = std::max(wall_ms_, clock_.now().wall_ms);
  messages_.push_back(std::move(m));
  return number;
}

std::string SimulatedWorld::half_properties(Message& m) {
  std::string text;
  model::append_property(text, model::property::kUniqueKey, m.key);
  model::append_property(text, model::property::kTransactionPrepared, "true");
  m.group = group_of(1 + static_cast<std::int32_t>(dice_.below(kPrograms - 1)));
  if (!dice_.one_in(5)) model::append_property(text, model::property::kProducerGroup, m.group);
  m.first_check_ms = options_.check_after_ms;
  if (dice_.one_in(5)) {
    const std::int64_t seconds = dice_.one_in(6) ? 0 : 1 + static_cast<std::int64_t>(dice_.below(20));
    model::append_property(text, model::property::kCheckImmunity, std::to_string(seconds));
    if (seconds > 0) m.first_check_ms = seconds * 1000;
  }
  if (dice_.one_in(4)) delay_properties(m, text);
  return text;
}

void SimulatedWorld::delay_properties(Message& m, std::string& text) {
  tally(m.kind == Message::Kind::Half ? Tally::HalvesDelayed : Tally::Delayed);
  const std::int64_t ms = 1 + static_cast<std::int64_t>(dice_.below(20000));
  m.delay = Message::Delay::Relative;
  m.delay_ms = ms;
  switch (dice_.below(4)) {
    case 0: model::append_property(text, model::property::kDelayLevel, "1"); m.delay_ms = 1000; break;
    case 1: model::append_property(text, model::property::kTimerDelaySec, std::to_string(1 + ms / 1000)); m.delay_ms = (1 + ms / 1000) * 1000; break;
    case 2: model::append_property(text, model::property::kTimerDelayMs, std::to_string(ms)); break;
    default:
      m.delay = Message::Delay::Absolute;
      m.delay_ms = m.sent_ms + ms;
      model::append_property(text, model::property::kTimerDeliverMs, std::to_string(m.delay_ms));
  }
}

void SimulatedWorld::send(std::int32_t number, std::string_view properties, broker::ChannelId channel) {
  Message& m = messages_[static_cast<std::size_t>(number)];
  m.properties = properties;
  m.sender = channel;
  tell_sent(number);
  Step step;
  step.kind = Step::Kind::Send;
  step.message = number;
  step.answer = new_answer("send", number);
  step.retry_of = m.retry_of;
  const std::string retry_topic = "%RETRY%" + m.retry_of;
  broker::SendRequest r;
  r.group = m.group.empty() ? std::string_view("PG1") : std::string_view(m.group);
  r.topic = m.retry_of.empty() ? m.topic : retry_topic;
  r.reconsume_times = m.deliveries;
  if (m.deliveries_max >= 0) r.max_reconsume_times = m.deliveries_max;
  r.default_topic = "TBW102";
  r.default_queues = 1;
  r.queue_id = m.queue;
  r.properties = properties;
  r.body = m.body;
  r.body_crc = crc32_ieee(as_bytes(m.body));
  r.born_ms = clock_.now().wall_ms;
  r.channel = channel;
  core_->send(r, [this, answer = step.answer](Result<broker::SendResult>&& result) {
    if (result.ok()) answer->result = std::move(result).value();
    else answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
}

void SimulatedWorld::send_half() {
  begin();
  for (std::uint64_t n = 1 + (dice_.one_in(4) ? dice_.below(4) : 0); n > 0; n--) {
    const std::int32_t number = new_message(Message::Kind::Half);
    Message& m = messages_[static_cast<std::size_t>(number)];
    const std::string properties = half_properties(m);
    broker::ChannelId channel{};
    std::vector<broker::ChannelId> live;
    for (const Producer& p : producers_)
      if (p.group == m.group) live.push_back(p.channel);
    if (!live.empty() && !dice_.one_in(5)) channel = live[dice_.below(live.size())];
    else if (dice_.one_in(2)) channel = broker::ChannelId{next_channel_++};  // a connection that never said that it is a producer: it is one now
    send(number, properties, channel);
  }
  end();
}

void SimulatedWorld::send_plain() {
  const std::int32_t number = new_message(Message::Kind::Plain);
  std::string text;
  model::append_property(text, model::property::kUniqueKey, messages_.back().key);
  begin();
  send(number, text, broker::ChannelId{next_channel_++});
  end();
}

void SimulatedWorld::send_delayed() {
  const std::int32_t number = new_message(Message::Kind::Delayed);
  std::string text;
  model::append_property(text, model::property::kUniqueKey, messages_.back().key);
  delay_properties(messages_.back(), text);
  begin();
  send(number, text, broker::ChannelId{next_channel_++});
  end();
}

void SimulatedWorld::send_batch() {
  const auto first = static_cast<std::int32_t>(messages_.size());
  const auto count = 1 + static_cast<std::int32_t>(dice_.below(4));
  const std::string topic = any_topic();
  std::vector<std::string> properties(static_cast<std::size_t>(count));
  for (std::int32_t i = 0; i < count; i++) {
    new_message(Message::Kind::Plain);
    Message& m = messages_.back();
    m.topic = topic;
    m.queue = 0;
    model::append_property(properties[static_cast<std::size_t>(i)], model::property::kUniqueKey, m.key);
    m.properties = properties[static_cast<std::size_t>(i)];
    tell_sent(first + i);
  }
  std::vector<broker::BatchItem> items;
  for (std::int32_t i = 0; i < count; i++) {
    const Message& m = messages_[static_cast<std::size_t>(first + i)];
    items.push_back({.properties = m.properties, .body = m.body, .body_crc = crc32_ieee(as_bytes(m.body))});
  }
  Step step;
  step.kind = Step::Kind::Batch;
  step.message = first;
  step.count = count;
  step.answer = new_answer("batch", first);
  begin();
  broker::SendRequest r;
  r.group = "PG1";
  r.topic = topic;
  r.default_topic = "TBW102";
  r.default_queues = 1;
  r.queue_id = 0;
  r.born_ms = clock_.now().wall_ms;
  core_->send_batch(r, items, [this, answer = step.answer](Result<broker::SendResult>&& result) {
    if (result.ok()) answer->result = std::move(result).value();
    else answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

// -------------------------------------------------------------------------------------------------------------- verdicts

void SimulatedWorld::end_transaction(const Verdict& verdict, std::int32_t message) {
  Step step;
  step.kind = Step::Kind::EndTransaction;
  step.message = message;
  step.verdict = verdict;
  step.answer = new_answer("verdict", message);
  step.answer->verdict = verdict.verdict;
  step.awaited = !dice_.one_in(4);
  broker::EndTransactionRequest r;
  r.producer_group = verdict.group;
  r.half_position = verdict.half_position;
  r.half_offset = verdict.half_offset;
  r.verdict = verdict.verdict;
  r.from_check = verdict.from_check;
  r.message_id = verdict.message_id;
  r.transaction_id = verdict.transaction_id;
  const auto looked_up = reader_->forgotten_half(verdict.half_position);  // as the adapter does
  if (!looked_up.ok()) return fail("the half message at " + std::to_string(verdict.half_position) + " cannot be looked up: " + looked_up.error().text);
  r.names = looked_up->get();
  r.looked_up = true;
  tell_verdict(verdict, *step.answer);
  if (step.awaited) {
    core_->end_transaction(r, [this, answer = step.answer](Result<Done>&& result) {
      if (!result.ok()) answer->error = std::move(result).error();
      take_answer(*answer);
    });
  } else {
    core_->end_transaction(r, {});
  }
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
}

std::optional<Verdict> SimulatedWorld::any_verdict() {
  std::vector<std::int32_t>& known = known_halves_;
  if (known.empty()) return std::nullopt;
  // Mostly a recent one, and often the one of the last verdict again.
  const std::size_t back = dice_.one_in(3) ? dice_.below(known.size()) : dice_.below(std::min<std::size_t>(known.size(), 4));
  std::int32_t number = known[known.size() - 1 - back];
  if (last_verdict_on_ >= 0 && dice_.one_in(4)) number = last_verdict_on_;
  last_verdict_on_ = number;
  const Message& m = messages_[static_cast<std::size_t>(number)];
  Verdict v;
  v.message = number;
  v.half_position = m.position;
  v.half_offset = m.offset;
  v.group = m.group;
  v.life = life_;
  if (!dice_.one_in(8)) v.message_id = dice_.one_in(3) ? model::offset_message_id({}, m.position) : m.key;
  if (!dice_.one_in(4)) v.transaction_id = m.key;
  const auto roll = dice_.below(10);
  v.verdict = roll < 5 ? broker::Verdict::Commit : roll < 8 ? broker::Verdict::Rollback : broker::Verdict::Unknown;
  v.from_check = dice_.one_in(3);
  if (dice_.one_in(8)) misname(v);
  return v;
}

void SimulatedWorld::misname(Verdict& v) {
  const Verdict right = v;
  change_a_name(v);
  v.misnamed = v.half_position != right.half_position || v.half_offset != right.half_offset || v.group != right.group ||
               v.message_id != right.message_id || v.transaction_id != right.transaction_id;
}

void SimulatedWorld::change_a_name(Verdict& v) {
  const Message& other = messages_[dice_.below(messages_.size())];
  switch (dice_.below(7)) {
    case 0: v.group = v.group == "PG1" ? "PG2" : "PG1"; return;
    case 1: v.half_offset += dice_.one_in(2) ? 1 : -1; return;
    case 2: v.message_id = other.key + "x"; return;
    case 3: v.transaction_id = other.key + "x"; return;
    case 4: v.half_position = other.position; return;  // another half message, or a plain one, or none
    case 5: v.half_position += 8 * (1 + static_cast<std::int64_t>(dice_.below(8))); return;
    default: v.message_id = model::offset_message_id({}, v.half_position + 8); return;
  }
}

void SimulatedWorld::give_verdict() {
  begin();
  for (std::uint64_t n = 1 + (dice_.one_in(4) ? dice_.below(4) : 0); n > 0; n--) {
    auto v = any_verdict();
    if (!v) break;
    if (dice_.one_in(6)) continue;                  // lost on its way
    if (dice_.one_in(5)) late_.push_back(*v);       // comes later; with luck twice
    if (dice_.one_in(8)) late_.push_back(*v);
    if (dice_.one_in(6)) continue;
    end_transaction(*v, v->message);
  }
  end();
}

void SimulatedWorld::deliver_late_verdict() {
  if (late_.empty()) return give_verdict();
  const std::size_t i = dice_.below(late_.size());
  const Verdict v = late_[i];
  if (!dice_.one_in(3)) late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(i));
  tally(Tally::VerdictsLate);
  begin();
  end_transaction(v, v.message);
  end();
}

void SimulatedWorld::answer_checks() {
  if (asked_.empty()) return move_clock();
  begin();
  for (std::uint64_t n = 1 + dice_.below(3); n > 0 && !asked_.empty(); n--) {
    const std::size_t i = dice_.below(asked_.size());
    const Asked asked = asked_[i];
    if (!dice_.one_in(4)) asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(i));
    if (dice_.one_in(6)) continue;                  // no answer
    const Message& m = messages_[static_cast<std::size_t>(asked.message)];
    Verdict v;
    v.message = asked.message;
    v.half_position = asked.half_position;
    v.half_offset = asked.half_offset;
    v.group = m.group;
    v.message_id = m.key;
    v.transaction_id = m.key;
    v.from_check = true;
    v.life = life_;
    const auto roll = dice_.below(10);
    v.verdict = roll < 7 ? broker::Verdict::Unknown : roll < 9 ? broker::Verdict::Commit : broker::Verdict::Rollback;
    if (dice_.one_in(6)) late_.push_back(v);
    else end_transaction(v, v.message);
  }
  end();
}

void SimulatedWorld::resume(std::optional<Position> wanted) {
  // Mostly a parked one; now and then one that is not, or one that has ended, or nothing at all.
  Position position = static_cast<Position>(dice_.below(4096));
  if (!model_.ended.empty() && dice_.one_in(2)) position = std::next(model_.ended.begin(), static_cast<std::ptrdiff_t>(dice_.below(model_.ended.size())))->first;
  for (const auto& [at, half] : model_.halves)
    if (dice_.one_in(half.parked ? 2 : 12)) position = at;
  if (wanted) position = *wanted;
  Step step;
  step.kind = Step::Kind::Resume;
  step.value = position;
  step.answer = new_answer("resume", -1);
  begin();
  const broker::OperatorRequest request{
      .half_position = position, .unique_key = {}, .operator_name = "operator", .reason = "resumed", .channel = {}, .address = {}};
  core_->resume_transaction(request, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

// ------------------------------------------------------------------------------------------------------------- producers

void SimulatedWorld::producer_comes(std::int32_t program) {
  if (program < 0) program = 1 + static_cast<std::int32_t>(dice_.below(kPrograms - 1));
  const auto known = std::find_if(producers_.begin(), producers_.end(), [&](const Producer& p) { return p.program == program; });
  Producer producer{.channel = {}, .group = group_of(program), .program = program};
  begin();
  if (known != producers_.end() && dice_.one_in(3)) {  // its process was started again: the old connection goes, or is not yet known to be gone
    tally(Tally::ProducersRestarted);
    if (dice_.one_in(2)) {
      core_->channel_closed(known->channel);
      const broker::ChannelId closed = known->channel;
      producers_.erase(known);
      note_disconnect(closed, "");
    } else {
      known->program = 0;
    }
  } else if (known != producers_.end()) {
    producer.channel = known->channel;
  }
  if (producer.channel == broker::ChannelId{}) {
    producer.channel = broker::ChannelId{next_channel_++};
    producers_.push_back(producer);
    tally(Tally::ProducersCame);
  }
  broker::Heartbeat beat;
  beat.channel = producer.channel;
  beat.client.client_id = "program-" + std::to_string(program);
  beat.producer_groups = {producer.group};
  if (!core_->heartbeat(beat).ok() && !log_->poisoned()) fail("a producer's heartbeat was refused");
  if (trace_) say("producer " + std::to_string(static_cast<std::uint64_t>(producer.channel)) + " of " + producer.group);
  Step step;
  step.kind = Step::Kind::Heartbeat;
  step.answer = new_answer("heartbeat", -1);
  step.answer->given = true;
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::note_disconnect(broker::ChannelId channel, const std::string& only_group) {
  Step step;
  step.kind = Step::Kind::Disconnect;
  step.channel = channel;
  step.only_group = only_group;
  step.answer = new_answer("disconnection", -1);
  step.answer->given = true;
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
}

void SimulatedWorld::producer_goes() {
  if (producers_.empty()) return;
  const std::size_t i = dice_.below(producers_.size());
  const Producer gone = producers_[i];
  producers_.erase(producers_.begin() + static_cast<std::ptrdiff_t>(i));
  tally(Tally::ProducersWent);
  if (trace_) say("producer " + std::to_string(static_cast<std::uint64_t>(gone.channel)) + " goes");
  begin();
  if (dice_.one_in(3)) {
    core_->unregister(gone.channel, "program-" + std::to_string(gone.program), gone.group, "");
    note_disconnect(gone.channel, gone.group);
  } else {
    core_->channel_closed(gone.channel);
    note_disconnect(gone.channel, "");
  }
  end();
}

}  // namespace halfmoon::testkit
