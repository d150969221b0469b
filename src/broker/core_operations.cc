// SPDX-License-Identifier: Apache-2.0
// The operator's port: half messages looked at and decided by people.
#include <algorithm>

#include "base/log.h"
#include "broker/core_impl.h"
#include "broker/transaction_reader.h"

namespace halfmoon::broker {

using storage::Position;

namespace {

// One call looks at so many half messages at most, so that nobody waits long behind it: about a millisecond.
constexpr std::size_t kLookedPerCall = 20000;

// A cursor is even in the table of those without a verdict (twice the position), odd in the other (twice the number, and one).
std::int64_t open_cursor(Position position) { return position * 2; }
std::int64_t ended_cursor(std::uint64_t number) { return static_cast<std::int64_t>(number) * 2 + 1; }

constexpr std::uint8_t kOpenStates = state_bit(TransactionState::Pending) | state_bit(TransactionState::Waiting) | state_bit(TransactionState::Parked);
constexpr std::uint8_t kEndedStates = state_bit(TransactionState::Committed) | state_bit(TransactionState::RolledBack);

bool age_fits(const TransactionFilter& filter, std::int64_t age_ms) {
  return (!filter.older_than_ms || age_ms >= *filter.older_than_ms) && (!filter.younger_than_ms || age_ms <= *filter.younger_than_ms);
}

}  // namespace

TransactionInfo Core::Impl::info_of(HalfSlot half) const {
  const HalfMessage& h = book.at(half);
  const HalfOrigin& from = book.origin(half);
  TransactionInfo info;
  info.position = h.position();
  info.half_offset = h.half_offset();
  info.group = book.group_name(from.group);
  info.state = h.state() == HalfState::Parked                                                    ? TransactionState::Parked
               : h.place() == HalfPlace::Ready && !clients.has_producers(book.group_name(from.group)) ? TransactionState::Waiting
                                                                                                 : TransactionState::Pending;
  if (const Topic* topic = topic_of(from.topic)) info.topic = topic->config.name;
  info.queue_id = from.queue_id;
  info.stored_ms = h.created_ms() - book_ahead_ms();
  info.age_ms = std::max<std::int64_t>(book_ms() - h.created_ms(), 0);
  info.answered = h.answered();
  if (h.place() == HalfPlace::Scheduled) info.next_check_ms = h.due_ms() - book_ahead_ms();
  info.last_event = last_event_of(half);
  return info;
}

TransactionInfo Core::Impl::info_of(Position half, const EndedHalf& e) const {
  TransactionInfo info;
  info.position = half;
  info.half_offset = e.half_offset;
  info.group = book.group_name(e.group);
  info.state = e.state == HalfState::Committed ? TransactionState::Committed : TransactionState::RolledBack;
  if (const Topic* topic = topic_of(e.topic)) info.topic = topic->config.name;
  info.queue_id = e.queue_id;
  info.stored_ms = e.created_ms - book_ahead_ms();
  info.age_ms = std::max<std::int64_t>(book_ms() - e.created_ms, 0);
  info.refused = e.refused;
  info.last_event = last_event_of(half, e);
  return info;
}

TransactionPage Core::Impl::list_transactions(const TransactionFilter& filter, std::int64_t cursor, std::size_t limit) const {
  TransactionPage page;
  std::size_t looked = 0;
  const auto full = [&] { return looked >= kLookedPerCall || page.transactions.size() >= limit; };
  const auto group = book.find_group(filter.group);
  const auto topic = topics.find(filter.topic);
  const bool nobody = (!filter.group.empty() && !group) || (!filter.topic.empty() && topic == topics.end());
  if (nobody || limit == 0) return page;
  const std::uint64_t key = HalfMessage::kept(stable_hash(filter.unique_key));
  const auto origin_fits = [&](std::uint32_t its_group, std::uint32_t its_topic) {
    return (filter.group.empty() || its_group == *group) && (filter.topic.empty() || its_topic == topic->second->id);
  };
  const auto take = [&](TransactionInfo info) {
    if ((filter.states & state_bit(info.state)) != 0 && age_fits(filter, info.age_ms)) page.transactions.push_back(std::move(info));
  };
  cursor = std::max<std::int64_t>(cursor, 0);
  if (cursor % 2 == 0) {
    std::optional<Position> next;
    if ((filter.states & kOpenStates) != 0)
      book.walk(cursor / 2, [&](HalfSlot half) {
        if (full()) {
          next = book.at(half).position();
          return false;
        }
        looked++;
        const HalfOrigin& from = book.origin(half);
        if (origin_fits(from.group, from.topic) && (filter.unique_key.empty() || book.at(half).key_hash() == key)) take(info_of(half));
        return true;
      });
    if (next) {
      page.next_cursor = open_cursor(*next);
      return page;
    }
    cursor = ended_cursor(0);
  }
  if ((filter.states & kEndedStates) == 0) return page;
  for (std::uint64_t number = std::max(static_cast<std::uint64_t>(cursor / 2), ended.first_number()); number < ended.end_number(); number++) {
    if (full()) {
      page.next_cursor = ended_cursor(number);
      return page;
    }
    looked++;
    const Position half = ended.at_number(number);
    const EndedHalf& e = *ended.find(half);
    if (origin_fits(e.group, e.topic) && (filter.unique_key.empty() || e.key_hash == key)) take(info_of(half, e));
  }
  return page;
}

Result<TransactionInfo> Core::Impl::transaction(Position position) const {
  if (const HalfSlot half = book.find(position); half != kNoHalf) return info_of(half);
  if (const EndedHalf* e = ended.find(position)) return info_of(position, *e);
  return Error{ErrorCode::NotFound, "there is no half message at " + std::to_string(position) + ", or its verdict is not remembered any more"};
}

Status Core::Impl::check_operator(const OperatorRequest& request, std::uint64_t key_hash) const {
  const auto wrong = [](std::string text) { return Error{ErrorCode::InvalidArgument, std::move(text)}; };
  if (request.operator_name.empty()) return wrong("an operator's act needs the operator's name");
  if (request.reason.empty()) return wrong("an operator's act needs a reason");
  if (request.operator_name.size() > kOperatorBytesMax) return wrong("the operator's name has more than " + std::to_string(kOperatorBytesMax) + " bytes");
  if (request.reason.size() > kReasonBytesMax) return wrong("the reason has more than " + std::to_string(kReasonBytesMax) + " bytes");
  if (!request.unique_key.empty() && HalfMessage::kept(stable_hash(request.unique_key)) != key_hash)
    return wrong("the half message at " + std::to_string(request.half_position) + " has another unique key than " + std::string(request.unique_key));
  return Done{};
}

void Core::Impl::decide_transaction(const OperatorRequest& request, Verdict verdict, Reply<Done> reply) {
  if (auto writable = may_write(); !writable.ok()) return reply(std::move(writable));
  if (verdict == Verdict::Unknown) return reply(Error{ErrorCode::InvalidArgument, "an operator commits or rolls back"});
  const Actor actor{VerdictSource::Operator, request.channel, request.address, request.operator_name, request.reason};
  const bool commit = verdict == Verdict::Commit;
  const HalfSlot half = book.find(request.half_position);
  if (half == kNoHalf) {
    const EndedHalf* final = ended.find(request.half_position);
    if (!final) return reply(Error(transaction(request.half_position).error()));
    if (auto right = check_operator(request, final->key_hash); !right.ok()) return reply(std::move(right));
    return answer_ended(request.half_position, *final, commit, actor, std::move(reply));
  }
  if (auto right = check_operator(request, book.at(half).key_hash()); !right.ok()) return reply(std::move(right));
  const std::uint32_t group = book.origin(half).group;
  const ChannelId asked = book.asked_channel(half);
  const auto record = write_verdict(half, commit, actor);
  if (!record.ok()) return reply(Error(record.error()));
  log_event(LogLevel::Warn, "transaction.decided_by_operator",
            {{"position", request.half_position}, {"verdict", commit ? "commit" : "rollback"}, {"operator", request.operator_name}, {"reason", request.reason}});
  if (asked != ChannelId{}) dispatch_checks_to(group, asked);
  answer_when_safe(*record, std::move(reply));
}

void Core::Impl::resume_transaction(const OperatorRequest& request, Reply<Done> reply) {
  if (auto writable = may_write(); !writable.ok()) return reply(std::move(writable));
  const HalfSlot half = book.find(request.half_position);
  if (half == kNoHalf) {
    const EndedHalf* final = ended.find(request.half_position);
    if (!final) return reply(Error(transaction(request.half_position).error()));
    return reply(Error{ErrorCode::IllegalOperation, std::string("the half message was ") + (final->state == HalfState::Committed ? "committed" : "rolled back") +
                                                        " already; a verdict is final"});
  }
  if (auto right = check_operator(request, book.at(half).key_hash()); !right.ok()) return reply(std::move(right));
  if (next_state(book.at(half).state(), HalfEvent::Resume).outcome != HalfOutcome::Applied)
    return reply(Error{ErrorCode::IllegalOperation, "the half message is not parked: its producers are being asked"});
  ResumedRecord resumed;
  resumed.half = request.half_position;
  resumed.wall_ms = now.wall_ms;
  resumed.previous = last_event_of(half);
  resumed.by = name_client(request.channel, request.address);
  resumed.operator_name = request.operator_name;
  resumed.reason = request.reason;
  const auto record = append(storage::RecordType::Resumed, encode(resumed));
  if (!record.ok()) return reply(Error(record.error()));
  apply_resumed(*record, resumed);
  log_event(LogLevel::Info, "transaction.resumed", {{"position", request.half_position}, {"operator", request.operator_name}, {"reason", request.reason}});
  answer_when_safe(*record, std::move(reply));
}

// ------------------------------------------------------------------------------------------------------------------- port

TransactionPage Core::list_transactions(const TransactionFilter& filter, std::int64_t cursor, std::size_t limit) {
  return impl_->list_transactions(filter, cursor, limit);
}
Result<TransactionInfo> Core::transaction(std::int64_t half_position) { return impl_->transaction(half_position); }
void Core::decide_transaction(const OperatorRequest& request, Verdict verdict, Reply<Done> reply) {
  impl_->decide_transaction(request, verdict, std::move(reply));
}
void Core::resume_transaction(const OperatorRequest& request, Reply<Done> reply) { impl_->resume_transaction(request, std::move(reply)); }
std::unique_ptr<TransactionReader> Core::make_transaction_reader() { return make_log_transaction_reader(impl_->log, impl_->carried); }

}  // namespace halfmoon::broker
