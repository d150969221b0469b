// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

namespace {

// An id in END_TRANSACTION names the message by its unique key or by its offset id, or is left out.
bool names(std::string_view id, std::uint64_t key_hash, storage::Position position) {
  if (id.empty() || HalfMessage::kept(stable_hash(id)) == key_hash) return true;
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

// How long a half message may be without a verdict before its producer is asked: the message's own time before the broker's.
std::int64_t check_after(const model::KnownProperties& known, const CoreOptions& options) {
  const auto immunity = model::parse_integer(known.check_immunity);
  return immunity && *immunity > 0 && *immunity <= kImmunityMaxSeconds ? *immunity * 1000 : options.check_after_ms;
}

}  // namespace

void Core::Impl::add_half(storage::Position position, const model::MessageFields& fields, const model::KnownProperties& known, std::uint32_t bytes,
                          const Topic& topic, ChannelId sender) {
  NewHalf half;
  half.position = position;
  half.half_offset = fields.queue_offset;
  half.key_hash = stable_hash(known.unique_key);
  half.created_ms = fields.store_ms + book_ahead_ms();
  half.delay = half_delay(known, fields.store_ms, {options.delay_levels_ms, options.delay_max_ms});
  half.sender = sender;
  half.topic = topic.id;
  half.queue_id = fields.queue_id;
  half.group = book.group_id(known.producer_group);
  half.bytes = bytes;
  half.tag_hash = model::tag_hash(known.tags);
  next_half_offset = fields.queue_offset + 1;
  book.schedule(book.add(half), half.created_ms + check_after(known, options));
}

// --------------------------------------------------------------------------------------------------------------- verdicts

void Core::Impl::end_transaction(const EndTransactionRequest& request, Reply<Done> reply) {
  const auto answer = [&](Result<Done> result) {
    if (!result.ok()) count.verdicts_refused++;
    if (reply) reply(std::move(result));
  };
  const auto check_names = [&](std::uint32_t group, std::int64_t half_offset, std::uint64_t key_hash) -> Status {
    if (book.group_name(group) != request.producer_group) return Error{ErrorCode::InvalidArgument, "The producer group wrong"};
    if (half_offset != request.half_offset) return Error{ErrorCode::InvalidArgument, "The transaction state table offset wrong"};
    if (!names(request.message_id, key_hash, request.half_position) || !names(request.transaction_id, key_hash, request.half_position))
      return Error{ErrorCode::InvalidArgument, "The message id names another message than the one at that offset"};
    return Done{};
  };
  if (auto writable = may_write(); !writable.ok()) return answer(std::move(writable).error());

  const HalfSlot half = book.find(request.half_position);
  if (half == kNoHalf) {
    const EndedHalf* final = ended.find(request.half_position);
    if (!final) return answer(Error{ErrorCode::NotFound, "Find prepared transaction message failed"});
    if (auto same = check_names(final->group, final->half_offset, final->key_hash); !same.ok()) return answer(std::move(same).error());
    if (request.verdict == Verdict::Unknown) return answer(Done{});
    const auto event = request.verdict == Verdict::Commit ? HalfEvent::Commit : HalfEvent::Rollback;
    if (next_state(final->state, event).outcome == HalfOutcome::Repeated) {
      count.verdicts_repeated++;
      return answer_when_all_is_safe(std::move(reply));
    }
    return answer(Error{ErrorCode::IllegalOperation, final->state == HalfState::Committed ? "the transaction was committed already; a verdict is final"
                                                                                          : "the transaction was rolled back already; a verdict is final"});
  }
  const HalfMessage& h = book.at(half);
  const std::uint32_t group = book.origin(half).group;
  if (auto same = check_names(group, h.half_offset(), h.key_hash()); !same.ok()) return answer(std::move(same).error());
  if (request.verdict == Verdict::Unknown) {
    // From the local transaction itself it says nothing new; from a check it is the answer, and counts.
    if (request.from_check && h.state() == HalfState::Pending && book.is_asked(half)) answered_unknown(half);
    return answer(Done{});
  }
  auto record = write_verdict(half, request.verdict == Verdict::Commit, request.from_check ? 2 : 1);
  if (!record.ok()) return answer(std::move(record).error());
  dispatch_checks(group);
  answer_when_safe(*record, std::move(reply));
}

Result<storage::Position> Core::Impl::write_verdict(HalfSlot half, bool commit, std::uint8_t source) {
  VerdictRecord v;
  v.half = book.at(half).position();
  v.commit = commit;
  v.source = source;
  v.wall_ms = now.wall_ms;
  Topic* topic = topic_of(book.origin(half).topic);
  if (commit && topic) {
    const std::int64_t delay = book.delay(half);
    if (delay > 0) v.due_ms = std::max(delay, now.wall_ms);
    if (delay < 0) v.due_ms = now.wall_ms - delay;
    if (v.due_ms <= now.wall_ms) v.due_ms = 0;
    if (v.due_ms == 0) v.queue_offset = topic->queue(book.origin(half).queue_id)->index.end();
  }
  HM_TRY(const storage::Position, record, append(RecordType::Verdict, encode(v)));
  apply_verdict(record, v);
  return record;
}

void Core::Impl::apply_verdict(storage::Position record, const VerdictRecord& v) {
  const HalfSlot slot = book.find(v.half);
  if (slot == kNoHalf) return;
  const HalfMessage h = book.at(slot);
  const HalfOrigin from = book.origin(slot);
  book.erase(slot);
  ended.put(v.half, {h.key_hash(), h.half_offset(), from.group, v.commit ? HalfState::Committed : HalfState::RolledBack, record});
  (v.commit ? count.committed : count.rolled_back)++;
  Topic* topic = topic_of(from.topic);
  if (!v.commit || !topic) return;
  if (v.due_ms > 0) {
    add_timer({v.due_ms, record, v.half, from.topic, from.queue_id, h.tag_hash(), h.bytes()});
    return;
  }
  const std::int64_t offset = index(*topic, from.queue_id, {record, v.wall_ms, h.bytes(), h.tag_hash()});
  HM_CHECK(offset == v.queue_offset);
  note_reference(record, v.half);
}

// ----------------------------------------------------------------------------------------------------------------- checks

void Core::Impl::answered_unknown(HalfSlot half) {
  const HalfMessage& h = book.at(half);
  const std::uint32_t group = book.origin(half).group;
  const CheckedRecord checked{h.position(), static_cast<std::uint32_t>(h.answered()) + 1, now.wall_ms};
  const auto answer = append(RecordType::Checked, encode(checked));
  if (!answer.ok()) return;  // asked again after the interval, as if it had not answered
  book.answered(half);
  apply_checked(*answer, checked);
  count.checks_answered++;
  Topic* parked_topic = find_topic(model::kParkedTopic);
  if (h.answered() >= options.check_max && parked_topic) {
    const ParkedRecord r{h.position(), parked_topic->queue(0)->index.end(), now.wall_ms};
    const auto record = append(RecordType::Parked, encode(r));
    if (record.ok()) {
      apply_parked(*record, r);
      log_event(LogLevel::Warn, "transaction.parked", {{"position", h.position()}, {"group", book.group_name(group)}, {"answered", h.answered()}});
    }
  }
  dispatch_checks(group);
}

void Core::Impl::apply_checked(storage::Position record, const CheckedRecord& r) {
  const HalfSlot half = book.find(r.half);
  if (half == kNoHalf) return;
  book.set_answered(half, r.answered);
  book.set_last_event(half, record);
  book.schedule(half, r.wall_ms + book_ahead_ms() + options.check_interval_ms);
}

void Core::Impl::apply_parked(storage::Position record, const ParkedRecord& r) {
  const HalfSlot half = book.find(r.half);
  if (half == kNoHalf) return;
  book.set_state(half, HalfState::Parked);
  book.set_last_event(half, record);
  book.unschedule(half);
  count.parked++;
  if (Topic* topic = find_topic(model::kParkedTopic)) {
    const std::int64_t offset = index(*topic, 0, {record, r.wall_ms, book.at(half).bytes(), book.at(half).tag_hash()});
    HM_CHECK(offset == r.queue_offset);
    note_reference(record, r.half);
  }
}

void Core::Impl::resume_transaction(std::int64_t half_position, Reply<Done> reply) {
  if (auto writable = may_write(); !writable.ok()) return reply(std::move(writable));
  const HalfSlot half = book.find(half_position);
  if (half == kNoHalf) return reply(Error{ErrorCode::NotFound, "there is no half message without a verdict at " + std::to_string(half_position)});
  if (next_state(book.at(half).state(), HalfEvent::Resume).outcome != HalfOutcome::Applied)
    return reply(Error{ErrorCode::IllegalOperation, "the half message is not parked: its producers are being asked"});
  const ResumedRecord resumed{half_position, now.wall_ms};
  const auto record = append(RecordType::Resumed, encode(resumed));
  if (!record.ok()) return reply(Error(record.error()));
  apply_resumed(*record, resumed);
  answer_when_safe(*record, std::move(reply));
}

void Core::Impl::apply_resumed(storage::Position record, const ResumedRecord& r) {
  const HalfSlot half = book.find(r.half);
  if (half == kNoHalf) return;
  book.set_state(half, HalfState::Pending);
  book.set_answered(half, 0);
  book.set_last_event(half, record);
  book.schedule(half, r.wall_ms + book_ahead_ms());
}

void Core::Impl::run_due_checks() {
  std::set<std::uint32_t> touched;
  while (book.next_due_ms() <= book_ms()) {
    const HalfSlot half = book.next_due();
    book.make_ready(half, TransactionBook::Line::Back);  // what was asked an interval ago and not answered does not count
    touched.insert(book.origin(half).group);
  }
  for (const std::uint32_t group : touched) dispatch_checks(group);
}

// The sender first, while it lives; else the group's producers in turn. nullopt: nobody there, or everybody has enough to answer.
std::optional<ChannelId> Core::Impl::channel_to_ask(HalfSlot half, const std::string& group) {
  const auto has_room = [&](ChannelId channel) { return book.outstanding(channel) < options.checks_outstanding_max; };
  const ChannelId sender = book.sender(half);
  if (sender != ChannelId{} && clients.is_producer(group, sender) && has_room(sender)) return sender;
  std::optional<ChannelId> first;
  for (;;) {
    const auto channel = clients.next_producer(group);
    if (!channel || channel == first) return std::nullopt;
    if (has_room(*channel)) return channel;
    if (!first) first = channel;
  }
}

void Core::Impl::dispatch_checks(std::uint32_t group) {
  for (HalfSlot half = book.first_ready(group); half != kNoHalf; half = book.first_ready(group)) {
    const auto channel = channel_to_ask(half, book.group_name(group));
    if (!channel) return;  // goes on when a producer registers, or answers
    book.asked(half, *channel);
    book.schedule(half, book_ms() + options.check_interval_ms);  // asked again if no answer comes
    count.checks_sent++;
    const HalfMessage& h = book.at(half);
    outbound.check_transaction({*channel, h.position(), h.half_offset(), h.answered()});
  }
}

}  // namespace halfmoon::broker
