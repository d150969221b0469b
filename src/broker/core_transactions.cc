// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

namespace {

// An id in END_TRANSACTION names the message by its unique key or by its offset id, or is left out. `is_key` compares with the unique key.
template <class F>
bool names(std::string_view id, storage::Position position, F is_key) {
  return id.empty() || is_key(id) || model::position_of_message_id(id) == position;
}

/// What a half message is known by, to be compared with what a verdict names.
struct Names {
  std::string_view producer_group;
  std::int64_t half_offset = 0;
};
template <class F>
Status check_names(const Names& known, const EndTransactionRequest& request, F is_key) {
  if (known.producer_group != request.producer_group) return Error{ErrorCode::InvalidArgument, "The producer group wrong"};
  if (known.half_offset != request.half_offset) return Error{ErrorCode::InvalidArgument, "The transaction state table offset wrong"};
  if (!names(request.message_id, request.half_position, is_key) || !names(request.transaction_id, request.half_position, is_key))
    return Error{ErrorCode::InvalidArgument, "The message id names another message than the one at that offset"};
  return Done{};
}

// So many checks go out in one turn, and so many become due, so that a million of them do not keep everybody else out.
constexpr int kChecksPerTurn = 4096;
// How often a line that nobody could take is looked at again, should room have come unseen (from checks of another group on the same connection).
constexpr std::int64_t kStalledMs = 1000;

// What the commit of a half message has to add: an absolute time stays one, everything else counts from the commit.
std::int64_t half_delay(const model::KnownProperties& known, std::int64_t stored_ms, const DelayPolicy& policy) {
  const auto due = due_time(known, stored_ms, policy);
  if (!due.ok() || !*due) return 0;
  const bool level = !known.delay_level.empty() && known.delay_level != "0";
  const bool absolute = !level && known.timer_delay_sec.empty() && known.timer_delay_ms.empty();
  return absolute ? **due : stored_ms - **due;
}

// How long a half message may be without a verdict before its producer is asked: the message's own time before its topic's before the broker's.
std::int64_t check_after(const model::KnownProperties& known, const Topic& topic, const CoreOptions& options) {
  const auto immunity = model::parse_integer(known.check_immunity);
  if (immunity && *immunity >= options.immunity_min_s && *immunity <= options.immunity_max_s) return *immunity * 1000;
  return topic.check_after_ms.value_or(options.check_after_ms);
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
  verdicts.note_half(half.half_offset, position);
  book.schedule(book.add(half), half.created_ms + check_after(known, topic, options));
}

// --------------------------------------------------------------------------------------------------------------- verdicts

void Core::Impl::refuse_verdict(Error error, Reply<Done> reply) {
  count.verdicts_refused++;
  if (reply) reply(std::move(error));
}

void Core::Impl::end_transaction(const EndTransactionRequest& request, Reply<Done> reply) {
  if (auto writable = may_write(); !writable.ok()) return refuse_verdict(std::move(writable).error(), std::move(reply));
  const Actor actor{request.from_check ? VerdictSource::Check : VerdictSource::Producer, request.channel, request.address, {}, {}};
  const HalfSlot half = book.find(request.half_position);
  if (half == kNoHalf) {
    const EndedHalf* final = ended.find(request.half_position);
    if (!final) return answer_forgotten(request, std::move(reply));
    auto same = check_names({book.group_name(final->group), final->half_offset}, request,
                            [&](std::string_view id) { return HalfMessage::kept(stable_hash(id)) == final->key_hash; });
    if (!same.ok()) return refuse_verdict(std::move(same).error(), std::move(reply));
    if (request.verdict == Verdict::Unknown) return answer_decided(final->state, request, std::move(reply));
    return answer_ended(request.half_position, *final, request.verdict == Verdict::Commit, actor, std::move(reply));
  }
  const HalfMessage& h = book.at(half);
  const std::uint32_t group = book.origin(half).group;
  auto same = check_names({book.group_name(group), h.half_offset()}, request, [&](std::string_view id) { return h.has_key_hash(stable_hash(id)); });
  if (!same.ok()) return refuse_verdict(std::move(same).error(), std::move(reply));
  if (request.verdict == Verdict::Unknown) {
    // From the local transaction itself it says nothing new; from a check it is the answer, and counts.
    if (request.from_check && h.state() == HalfState::Pending && book.is_asked(half)) answered_unknown(half, actor);
    if (reply) reply(Done{});
    return;
  }
  const ChannelId asked = book.asked_channel(half);
  auto record = write_verdict(half, request.verdict == Verdict::Commit, actor);
  if (!record.ok()) return refuse_verdict(std::move(record).error(), std::move(reply));
  if (asked != ChannelId{}) dispatch_checks_to(group, asked);
  answer_when_safe(*record, std::move(reply));
}

// The first verdict may not be safe yet: then neither is what a second one is told because of it.
void Core::Impl::answer_decided(HalfState state, const EndTransactionRequest& request, Reply<Done> reply) {
  if (request.verdict == Verdict::Unknown) {
    if (reply) reply(Done{});
    return;
  }
  answer_decided(state, request.verdict == Verdict::Commit, std::move(reply));
}

void Core::Impl::answer_ended(storage::Position half, const EndedHalf& final, bool commit, const Actor& actor, Reply<Done> reply) {
  const HalfState state = final.state;
  const bool refused = next_state(state, commit ? HalfEvent::Commit : HalfEvent::Rollback).outcome == HalfOutcome::Refused;
  answer_decided(state, commit, std::move(reply));
  if (refused) note_refused(half, final, commit, actor);  // after the answer, which so does not wait for it to be safe
}

void Core::Impl::answer_decided(HalfState state, bool commit, Reply<Done> reply) {
  const auto event = commit ? HalfEvent::Commit : HalfEvent::Rollback;
  if (next_state(state, event).outcome == HalfOutcome::Repeated) {
    count.verdicts_repeated++;
    return answer_when_all_is_safe(std::move(reply));
  }
  count.verdicts_refused++;
  answer_when_all_is_safe(std::move(reply),
                          Error{ErrorCode::IllegalOperation, state == HalfState::Committed ? "the transaction was committed already; a verdict is final"
                                                                                           : "the transaction was rolled back already; a verdict is final"});
}

void Core::Impl::answer_forgotten(const EndTransactionRequest& request, Reply<Done> reply) {
  const auto state = verdicts.find(request.names ? request.names->half_offset : request.half_offset);
  if (!request.names) {
    if (request.half_position >= 0 && request.half_position < log.first_position())
      return refuse_verdict({ErrorCode::NotFound, "Find prepared transaction message failed: the log begins at position " +
                                                      std::to_string(log.first_position()) + " now, the half message at " +
                                                      std::to_string(request.half_position) + " is no longer retained"},
                            std::move(reply));
    if (state && !request.looked_up && request.half_position < ended.sure_from())
      return refuse_verdict({ErrorCode::Busy, "the verdict for this half message has just been put out of memory; ask again"}, std::move(reply));
    return refuse_verdict({ErrorCode::NotFound, "Find prepared transaction message failed"}, std::move(reply));
  }
  if (!state) return refuse_verdict({ErrorCode::NotFound, "Find prepared transaction message failed"}, std::move(reply));  // it went with its topic
  auto same = check_names({request.names->producer_group, request.names->half_offset}, request,
                          [&](std::string_view id) { return id == request.names->unique_key; });
  if (!same.ok()) return refuse_verdict(std::move(same).error(), std::move(reply));
  answer_decided(*state, request, std::move(reply));
}

Result<storage::Position> Core::Impl::write_verdict(HalfSlot half, bool commit, const Actor& actor) {
  VerdictRecord v;
  v.half = book.at(half).position();
  v.commit = commit;
  v.source = actor.source;
  v.wall_ms = now.wall_ms;
  v.previous = last_event_of(half);
  v.by = name_client(actor.channel, actor.address);
  v.operator_name = actor.operator_name;
  v.reason = actor.reason;
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
  const HalfState state = next_state(h.state(), v.commit ? HalfEvent::Commit : HalfEvent::Rollback).state;
  resumed_ms.erase(v.half);
  ended.put(v.half, {.key_hash = h.key_hash(),
                     .half_offset = h.half_offset(),
                     .group = from.group,
                     .state = state,
                     .last_event = record,
                     .topic = from.topic,
                     .queue_id = from.queue_id,
                     .created_ms = h.created_ms(),
                     .refused = 0});
  verdicts.put(h.half_offset(), state, record);
  publish_known_halves();
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

void Core::Impl::answered_unknown(HalfSlot half, const Actor& actor) {
  const HalfMessage& h = book.at(half);
  const std::uint32_t group = book.origin(half).group;
  CheckedRecord checked;
  checked.half = h.position();
  checked.answered = static_cast<std::uint32_t>(h.answered()) + 1;
  checked.wall_ms = now.wall_ms;
  checked.previous = last_event_of(half);
  checked.by = name_client(actor.channel, actor.address);
  const auto answer = append(RecordType::Checked, encode(checked));
  if (!answer.ok()) return;  // asked again after the interval, as if it had not answered
  const ChannelId asked = book.asked_channel(half);
  book.answered(half);
  apply_checked(*answer, checked);
  count.checks_answered++;
  if (checks_exhausted(half)) park(half);
  dispatch_checks_to(group, asked);
}

bool Core::Impl::checks_exhausted(HalfSlot half) const {
  const HalfMessage& h = book.at(half);
  if (options.check_max > 0 && h.answered() >= options.check_max) return true;
  return too_old(half);
}

bool Core::Impl::too_old(HalfSlot half) const {
  if (options.check_age_max_ms <= 0) return false;
  const HalfMessage& h = book.at(half);
  const auto resumed = resumed_ms.find(h.position());
  return book_ms() - (resumed == resumed_ms.end() ? h.created_ms() : resumed->second) >= options.check_age_max_ms;
}

void Core::Impl::park(HalfSlot half) {
  const HalfMessage& h = book.at(half);
  const Topic* parked_topic = find_topic(model::kParkedTopic);
  if (!parked_topic || next_state(h.state(), HalfEvent::ChecksExhausted).outcome != HalfOutcome::Applied) return;
  const ParkedRecord r{h.position(), parked_topic->queue(0)->index.end(), now.wall_ms, last_event_of(half)};
  const auto record = append(RecordType::Parked, encode(r));
  if (!record.ok()) return;  // goes on being asked about
  book.answered(half);
  apply_parked(*record, r);
  log_event(LogLevel::Warn, "transaction.parked",
            {{"position", h.position()}, {"group", book.group_name(book.origin(half).group)}, {"answered", h.answered()}});
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

void Core::Impl::apply_resumed(storage::Position record, const ResumedRecord& r) {
  const HalfSlot half = book.find(r.half);
  if (half == kNoHalf) return;
  book.set_state(half, HalfState::Pending);
  book.set_answered(half, 0);
  book.set_last_event(half, record);
  resumed_ms[r.half] = r.wall_ms + book_ahead_ms();
  book.schedule(half, r.wall_ms + book_ahead_ms());
}

void Core::Impl::run_due_checks() {
  std::set<std::uint32_t> touched;
  for (int n = 0; n < kChecksPerTurn && book.next_due_ms() <= book_ms(); n++) {
    const HalfSlot half = book.next_due();
    touched.insert(book.origin(half).group);
    // Too old: but nobody's absence ends the asking, only a question that was asked and brought no answer.
    if (book.is_asked(half) && too_old(half)) {
      park(half);
      if (book.at(half).state() != HalfState::Pending) continue;
    }
    book.make_ready(half, TransactionBook::Line::Back);  // what was asked an interval ago and not answered does not count
  }
  for (const std::uint32_t group : touched) dispatch_checks(group);
}

void Core::Impl::go_on_asking() {
  for (const std::uint32_t group : std::exchange(groups_to_ask, {})) dispatch_checks(group);
  if (now.mono_ms < stalled_due_mono_ms) return;
  stalled_due_mono_ms = kNever;
  for (const std::uint32_t group : std::exchange(groups_stalled, {}))
    if (clients.has_producers(book.group_name(group))) dispatch_checks(group);  // else the next to register begins it
}

// The sender first, while it lives; else the group's producers in turn. nullopt: nobody there, or everybody has enough to answer.
std::optional<ChannelId> Core::Impl::channel_to_ask(HalfSlot half, const std::string& group) {
  const ChannelId sender = book.sender(half);
  if (sender != ChannelId{} && has_room(sender) && clients.is_producer(group, sender)) return sender;
  std::optional<ChannelId> first;
  for (;;) {
    const auto channel = clients.next_producer(group);
    if (!channel || channel == first) return std::nullopt;
    if (has_room(*channel)) return channel;
    if (!first) first = channel;
  }
}

void Core::Impl::ask(HalfSlot half, ChannelId channel) {
  book.asked(half, channel);
  book.schedule(half, book_ms() + options.check_interval_ms);  // asked again if no answer comes
  count.checks_sent++;
  note_asked(half, channel);
  const HalfMessage& h = book.at(half);
  outbound.check_transaction({channel, h.position(), h.half_offset(), h.answered()});
}

void Core::Impl::note_stalled(std::uint32_t group) {
  groups_stalled.insert(group);
  if (stalled_due_mono_ms == kNever) stalled_due_mono_ms = now.mono_ms + kStalledMs;
}

void Core::Impl::dispatch_checks(std::uint32_t group) {
  for (int n = 0; book.first_ready(group) != kNoHalf; n++) {
    if (n == kChecksPerTurn) {
      groups_to_ask.insert(group);
      return;
    }
    const auto channel = channel_to_ask(book.first_ready(group), book.group_name(group));
    if (!channel) return note_stalled(group);  // goes on when a producer registers, or answers
    ask(book.first_ready(group), *channel);
  }
}

void Core::Impl::dispatch_checks_to(std::uint32_t group, ChannelId channel) {
  if (book.first_ready(group) == kNoHalf || !clients.is_producer(book.group_name(group), channel)) return;
  for (int n = 0; n < kChecksPerTurn && book.first_ready(group) != kNoHalf && has_room(channel); n++) ask(book.first_ready(group), channel);
  if (book.first_ready(group) == kNoHalf) return;
  if (has_room(channel)) groups_to_ask.insert(group);
  else note_stalled(group);
}

void Core::Impl::ask_others(ChannelId channel, std::optional<std::uint32_t> only_group) {
  std::set<std::uint32_t> touched;
  const std::vector<HalfSlot> open = book.close_channel(channel, only_group);
  for (auto it = open.rbegin(); it != open.rend(); ++it) {
    if (book.at(*it).state() != HalfState::Pending) continue;
    book.make_ready(*it, TransactionBook::Line::Front);
    touched.insert(book.origin(*it).group);
  }
  for (const std::uint32_t group : touched) dispatch_checks(group);
}

}  // namespace halfmoon::broker
