// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

namespace {

// An id in END_TRANSACTION names the message by its unique key or by its offset id, or is left out.
bool names(std::string_view id, std::uint64_t key_hash, storage::Position position) {
  if (id.empty() || stable_hash(id) == key_hash) return true;
  return model::position_of_message_id(id) == position;
}

constexpr std::int64_t kImmunityMaxSeconds = 100LL * 24 * 3600;

// What the commit of a half message has to add: an absolute time stays one, everything else counts from the commit.
std::int64_t half_delay(const model::KnownProperties& known, std::int64_t stored_ms, const DelayPolicy& policy) {
  const auto due = due_time(known, stored_ms, policy);
  if (!due.ok() || !*due) return 0;
  const bool level = !known.delay_level.empty() && known.delay_level != "0";
  const bool absolute = !level && known.timer_delay_sec.empty() && known.timer_delay_ms.empty();
  return absolute ? **due : stored_ms - **due;
}

}  // namespace

std::uint32_t Core::Impl::producer_group_id(std::string_view name) {
  const auto it = producer_group_ids.find(name);
  if (it != producer_group_ids.end()) return it->second;
  const auto id = static_cast<std::uint32_t>(producer_groups.size());
  producer_groups.push_back({std::string(name), {}});
  producer_group_ids[std::string(name)] = id;
  return id;
}

void Core::Impl::add_half(storage::Position position, const model::MessageFields& fields, const model::KnownProperties& known, std::uint32_t bytes,
                          const Topic& topic, ChannelId sender) {
  Half& half = halves[position];
  half.key_hash = stable_hash(known.unique_key);
  half.half_offset = fields.queue_offset;
  half.created_ms = fields.store_ms;
  half.delay = half_delay(known, fields.store_ms, {options.delay_levels_ms, options.delay_max_ms});
  half.sender = sender;
  half.topic = topic.id;
  half.group = producer_group_id(known.producer_group);
  half.bytes = bytes;
  half.queue_id = fields.queue_id;
  half.tag_hash = model::tag_hash(known.tags);
  next_half_offset = fields.queue_offset + 1;
  const auto immunity = model::parse_integer(known.check_immunity);
  const bool own_time = immunity && *immunity > 0 && *immunity <= kImmunityMaxSeconds;
  half.next_check_ms = fields.store_ms + (own_time ? *immunity * 1000 : options.check_after_ms);
  if (started) schedule_check(position, half, half.next_check_ms);
}

// --------------------------------------------------------------------------------------------------------------- verdicts

void Core::Impl::end_transaction(const EndTransactionRequest& request, Reply<Done> reply) {
  const auto answer = [&](Result<Done> result) {
    if (!result.ok()) count.verdicts_refused++;
    if (reply) reply(std::move(result));
  };
  const auto check_names = [&](std::uint32_t group, std::int64_t half_offset, std::uint64_t key_hash) -> Status {
    if (producer_groups[group].name != request.producer_group) return Error{ErrorCode::InvalidArgument, "The producer group wrong"};
    if (half_offset != request.half_offset) return Error{ErrorCode::InvalidArgument, "The transaction state table offset wrong"};
    if (!names(request.message_id, key_hash, request.half_position) || !names(request.transaction_id, key_hash, request.half_position))
      return Error{ErrorCode::InvalidArgument, "The message id names another message than the one at that offset"};
    return Done{};
  };
  if (auto writable = may_write(); !writable.ok()) return answer(std::move(writable).error());

  const auto it = halves.find(request.half_position);
  if (it == halves.end()) {
    const auto final = ended.find(request.half_position);
    if (final == ended.end()) return answer(Error{ErrorCode::NotFound, "Find prepared transaction message failed"});
    if (auto same = check_names(final->second.group, final->second.half_offset, final->second.key_hash); !same.ok()) return answer(std::move(same).error());
    if (request.verdict == Verdict::Unknown) return answer(Done{});
    const auto event = request.verdict == Verdict::Commit ? HalfEvent::Commit : HalfEvent::Rollback;
    if (next_state(final->second.state, event).outcome == HalfOutcome::Repeated) {
      count.verdicts_repeated++;
      return answer_when_all_is_safe(std::move(reply));
    }
    return answer(Error{ErrorCode::IllegalOperation, final->second.state == HalfState::Committed
                                                         ? "the transaction was committed already; a verdict is final"
                                                         : "the transaction was rolled back already; a verdict is final"});
  }
  Half& half = it->second;
  if (auto same = check_names(half.group, half.half_offset, half.key_hash); !same.ok()) return answer(std::move(same).error());
  if (request.verdict == Verdict::Unknown) {
    // From the local transaction itself it says nothing new; from a check it is the answer, and counts.
    if (request.from_check && half.state == HalfState::Pending && half.asked != ChannelId{}) answered_unknown(request.half_position, half);
    return answer(Done{});
  }
  const std::uint32_t group = half.group;
  auto record = write_verdict(request.half_position, half, request.verdict == Verdict::Commit, request.from_check ? 2 : 1);
  if (!record.ok()) return answer(std::move(record).error());
  dispatch_checks(group);
  answer_when_safe(*record, std::move(reply));
}

Result<storage::Position> Core::Impl::write_verdict(storage::Position position, Half& half, bool commit, std::uint8_t source) {
  VerdictRecord v;
  v.half = position;
  v.commit = commit;
  v.source = source;
  v.wall_ms = now.wall_ms;
  Topic* topic = topic_of(half.topic);
  if (commit && topic) {
    if (half.delay > 0) v.due_ms = std::max(half.delay, now.wall_ms);
    if (half.delay < 0) v.due_ms = now.wall_ms - half.delay;
    if (v.due_ms <= now.wall_ms) v.due_ms = 0;
    if (v.due_ms == 0) v.queue_offset = topic->queue(half.queue_id)->index.end();
  }
  HM_TRY(const storage::Position, record, append(RecordType::Verdict, encode(v)));
  apply_verdict(record, v);
  return record;
}

void Core::Impl::apply_verdict(storage::Position record, const VerdictRecord& v) {
  const auto it = halves.find(v.half);
  if (it == halves.end()) return;
  Half half = it->second;
  check_answered(half);
  halves.erase(it);
  forget(v.half, half, v.commit ? HalfState::Committed : HalfState::RolledBack);
  (v.commit ? count.committed : count.rolled_back)++;
  Topic* topic = topic_of(half.topic);
  if (!v.commit || !topic) return;
  if (v.due_ms > 0) {
    add_timer({v.due_ms, record, v.half, half.topic, half.queue_id, half.tag_hash, half.bytes});
    return;
  }
  const std::int64_t offset = index(*topic, half.queue_id, {record, v.wall_ms, half.bytes, half.tag_hash});
  HM_CHECK(offset == v.queue_offset);
  note_reference(record, v.half);
}

void Core::Impl::forget(storage::Position position, const Half& half, HalfState state) {
  ended[position] = {half.key_hash, half.half_offset, half.group, state};
  ended_order.push_back(position);
  while (static_cast<std::int64_t>(ended_order.size()) > options.verdicts_remembered) {
    ended.erase(ended_order.front());
    ended_order.pop_front();
  }
}

// ----------------------------------------------------------------------------------------------------------------- checks

void Core::Impl::answered_unknown(storage::Position position, Half& half) {
  const std::uint32_t group = half.group;
  const CheckedRecord checked{position, static_cast<std::uint32_t>(half.answered) + 1, now.wall_ms};
  if (!append(RecordType::Checked, encode(checked)).ok()) return;  // asked again after the interval, as if it had not answered
  check_answered(half);
  half.answered++;
  count.checks_answered++;
  if (half.answered < options.check_max) {
    schedule_check(position, half, now.wall_ms + options.check_interval_ms);
  } else if (Topic* parked_topic = find_topic(model::kParkedTopic)) {
    const ParkedRecord r{position, parked_topic->queue(0)->index.end(), now.wall_ms};
    const auto record = append(RecordType::Parked, encode(r));
    if (record.ok()) {
      apply_parked(*record, r);
      log_event(LogLevel::Warn, "transaction.parked", {{"position", position}, {"group", producer_groups[group].name}, {"answered", half.answered}});
    } else {
      schedule_check(position, half, now.wall_ms + options.check_interval_ms);
    }
  }
  dispatch_checks(group);
}

void Core::Impl::apply_parked(storage::Position record, const ParkedRecord& r) {
  const auto it = halves.find(r.half);
  if (it == halves.end()) return;
  it->second.state = HalfState::Parked;
  it->second.next_check_ms = kNever;
  count.parked++;
  if (Topic* topic = find_topic(model::kParkedTopic)) {
    const std::int64_t offset = index(*topic, 0, {record, r.wall_ms, it->second.bytes, it->second.tag_hash});
    HM_CHECK(offset == r.queue_offset);
    note_reference(record, r.half);
  }
}

void Core::Impl::resume_transaction(std::int64_t half_position, Reply<Done> reply) {
  if (auto writable = may_write(); !writable.ok()) return reply(std::move(writable));
  const auto it = halves.find(half_position);
  if (it == halves.end()) return reply(Error{ErrorCode::NotFound, "there is no half message without a verdict at " + std::to_string(half_position)});
  if (next_state(it->second.state, HalfEvent::Resume).outcome != HalfOutcome::Applied)
    return reply(Error{ErrorCode::IllegalOperation, "the half message is not parked: its producers are being asked"});
  const auto record = append(RecordType::Resumed, encode(ResumedRecord{half_position, now.wall_ms}));
  if (!record.ok()) return reply(Error(record.error()));
  it->second.state = HalfState::Pending;
  it->second.answered = 0;
  schedule_check(half_position, it->second, now.wall_ms);
  answer_when_safe(*record, std::move(reply));
}

void Core::Impl::check_answered(Half& half) {
  if (half.asked == ChannelId{}) return;
  const auto it = checks_outstanding.find(static_cast<std::uint64_t>(half.asked));
  if (it != checks_outstanding.end() && --it->second <= 0) checks_outstanding.erase(it);
  half.asked = ChannelId{};
}

void Core::Impl::schedule_check(storage::Position position, Half& half, std::int64_t at_ms) {
  half.next_check_ms = at_ms;
  check_heap.push_back({at_ms, position});
  std::push_heap(check_heap.begin(), check_heap.end());
}

void Core::Impl::make_ready(storage::Position position, Half& half) {
  check_answered(half);  // what was asked an interval ago and not answered does not count
  half.next_check_ms = kNever;
  if (half.ready) return;
  half.ready = true;
  producer_groups[half.group].ready.push_back(position);
}

void Core::Impl::run_due_checks() {
  std::set<std::uint32_t> touched;
  while (!check_heap.empty() && check_heap.front().at_ms <= now.wall_ms) {
    const CheckDue due = check_heap.front();
    std::pop_heap(check_heap.begin(), check_heap.end());
    check_heap.pop_back();
    const auto it = halves.find(due.half);
    if (it == halves.end() || it->second.state != HalfState::Pending || it->second.next_check_ms != due.at_ms) continue;  // an outdated entry
    make_ready(due.half, it->second);
    touched.insert(it->second.group);
  }
  for (const std::uint32_t group : touched) dispatch_checks(group);
}

// The sender first, while it lives; else the group's producers in turn. nullopt: nobody there, or everybody has enough to answer.
std::optional<ChannelId> Core::Impl::channel_to_ask(const Half& half, const std::string& group) {
  const auto has_room = [&](ChannelId channel) {
    const auto it = checks_outstanding.find(static_cast<std::uint64_t>(channel));
    return it == checks_outstanding.end() || it->second < options.checks_outstanding_max;
  };
  if (half.sender != ChannelId{} && clients.is_producer(group, half.sender)) {
    if (has_room(half.sender)) return half.sender;
  }
  std::optional<ChannelId> first;
  for (;;) {
    const auto channel = clients.next_producer(group);
    if (!channel || channel == first) return std::nullopt;
    if (has_room(*channel)) return channel;
    if (!first) first = channel;
  }
}

void Core::Impl::dispatch_checks(std::uint32_t group_id) {
  ProducerGroup& group = producer_groups[group_id];
  while (!group.ready.empty()) {
    const storage::Position position = group.ready.front();
    const auto it = halves.find(position);
    if (it == halves.end() || it->second.state != HalfState::Pending || !it->second.ready) {
      if (it != halves.end()) it->second.ready = false;
      group.ready.pop_front();
      continue;
    }
    Half& half = it->second;
    const auto channel = channel_to_ask(half, group.name);
    if (!channel) return;  // goes on when a producer registers, or answers
    group.ready.pop_front();
    half.ready = false;
    half.asked = *channel;
    checks_outstanding[static_cast<std::uint64_t>(*channel)]++;
    count.checks_sent++;
    outbound.check_transaction({*channel, position, half.half_offset, half.answered});
    schedule_check(position, half, now.wall_ms + options.check_interval_ms);  // asked again if no answer comes
  }
}

}  // namespace halfmoon::broker
