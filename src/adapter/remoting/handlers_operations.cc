// SPDX-License-Identifier: Apache-2.0
// Halfmoon's own requests 29001 to 29004: an operator looks at half messages and decides them.
#include "adapter/remoting/context.h"
#include "adapter/remoting/handlers.h"
#include "wire/remoting/transaction_bodies.h"

namespace halfmoon::adapter {
namespace {

constexpr std::int32_t kPageMax = 1000;
constexpr std::int32_t kEventsMax = 10000;

std::string_view state_text(broker::TransactionState state) {
  switch (state) {
    case broker::TransactionState::Pending: return "pending";
    case broker::TransactionState::Waiting: return "waiting";
    case broker::TransactionState::Parked: return "parked";
    case broker::TransactionState::Committed: return "committed";
    case broker::TransactionState::RolledBack: return "rolled-back";
  }
  return "";
}

Result<std::uint8_t> states_of(std::string_view text) {
  using S = broker::TransactionState;
  std::uint8_t bits = 0;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const std::uint8_t before = bits;
    for (const S state : {S::Pending, S::Waiting, S::Parked, S::Committed, S::RolledBack})
      if (word == state_text(state)) bits = static_cast<std::uint8_t>(bits | broker::state_bit(state));
    if (bits == before) return Error{ErrorCode::InvalidArgument, "a state is pending, waiting, parked, committed or rolled-back, each at most once, not '" + std::string(word) + "'"};
  }
  return bits == 0 ? broker::TransactionFilter{}.states : bits;
}

std::string_view event_text(broker::TransactionEventKind kind) {
  using K = broker::TransactionEventKind;
  switch (kind) {
    case K::Sent: return "sent";
    case K::Asked: return "asked";
    case K::AnsweredUnknown: return "answered-unknown";
    case K::Parked: return "parked";
    case K::Resumed: return "resumed";
    case K::Committed: return "committed";
    case K::RolledBack: return "rolled-back";
    case K::Refused: return "refused";
  }
  return "";
}

std::string_view actor_text(broker::TransactionActor actor) {
  switch (actor) {
    case broker::TransactionActor::Broker: return "broker";
    case broker::TransactionActor::Producer: return "producer";
    case broker::TransactionActor::Check: return "check";
    case broker::TransactionActor::Operator: return "operator";
  }
  return "";
}

std::string_view begin_text(broker::HistoryBegin begin) {
  switch (begin) {
    case broker::HistoryBegin::Complete: return "complete";
    case broker::HistoryBegin::NotRetained: return "not-retained";
    case broker::HistoryBegin::NotRecorded: return "not-recorded";
    case broker::HistoryBegin::Cut: return "cut";
  }
  return "";
}

/// What the core said and what the log holds. A record that cannot be read leaves its fields empty: the rest is still worth showing.
wire::TransactionBody body_of(const broker::TransactionInfo& info, broker::TransactionReader& reader) {
  wire::TransactionBody body;
  body.position = info.position;
  body.half_offset = info.half_offset;
  body.state = state_text(info.state);
  body.topic = info.topic;
  body.queue_id = info.queue_id;
  body.group = info.group;
  body.stored_ms = info.stored_ms;
  body.age_ms = info.age_ms;
  body.unknown_answers = info.answered;
  body.next_check_ms = info.next_check_ms;
  body.refused_verdicts = info.refused;
  if (const auto message = reader.message(info.position); message.ok()) {
    body.message_id = model::offset_message_id(message->store_host, info.position);
    body.unique_key = message->unique_key;
    if (body.topic.empty()) body.topic = message->topic;
    body.tags = message->tags;
    body.keys = message->keys;
    body.body_bytes = message->body_bytes;
    body.born_host = model::to_string(message->born_host);
    body.born_ms = message->born_ms;
    body.stored_ms = message->stored_ms;  // as it was written; the core counts by another clock
  }
  return body;
}

wire::TransactionEventBody body_of(const broker::TransactionEvent& event) {
  wire::TransactionEventBody body;
  body.event = event_text(event.kind);
  body.at_ms = event.wall_ms;
  body.actor = actor_text(event.actor);
  body.client = event.client_id;
  body.address = event.address;
  body.operator_name = event.operator_name;
  body.reason = event.reason;
  if (event.kind == broker::TransactionEventKind::Refused) body.verdict = event.commit ? "commit" : "rollback";
  body.count = event.count;
  body.deliver_ms = event.due_ms;
  return body;
}

/// Runs on the connection's thread after the turn, outside the core: it reads the log.
template <class F>
void answer_later(Ticket ticket, F append) {
  if (ticket.one_way() || ticket.channel().gone()) return;
  Channel& channel = ticket.channel();
  channel.post([ticket = std::move(ticket), append = std::move(append)]() mutable {
    std::string* out = ticket.channel().out();
    if (out == nullptr) return;
    const auto reader = ticket.channel().context().ports->operations.make_transaction_reader();
    auto body = append(*reader);
    if (!body.ok()) return ticket.fail(body.error(), kQueryStyle);
    answer_body(ticket, [&](std::string& to) { to.append(*body); });
  });
}

broker::OperatorRequest operator_request(const wire::OperateTransactionHeader& header, const Ticket& ticket) {
  return {.half_position = header.position,
          .unique_key = header.unique_key,
          .operator_name = header.operator_name,
          .reason = header.reason,
          .channel = ticket.channel().id(),
          .address = ticket.channel().remote_text()};
}

}  // namespace

CoreStep list_transactions(const Request& request, Ticket ticket) {
  auto header = wire::decode_list_transactions(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  const auto states = states_of(header->states);
  if (!states.ok()) return refuse(ticket, states.error());
  if (header->limit < 1 || header->limit > kPageMax)
    return refuse(ticket, {ErrorCode::InvalidArgument, "limit lies between 1 and " + std::to_string(kPageMax) + ", not " + std::to_string(header->limit)});
  const broker::TransactionFilter filter{.states = *states,
                                         .group = header->group,
                                         .topic = header->topic,
                                         .unique_key = header->unique_key,
                                         .older_than_ms = header->older_than_ms,
                                         .younger_than_ms = header->younger_than_ms};
  return [filter, cursor = header->cursor, limit = header->limit, ticket = std::move(ticket)](Turn& turn) mutable {
    auto page = turn.ports().operations.list_transactions(filter, cursor, static_cast<std::size_t>(limit));
    answer_later(std::move(ticket), [page = std::move(page), key = std::string(filter.unique_key)](broker::TransactionReader& reader) -> Result<std::string> {
      wire::TransactionListBody list{{}, page.next_cursor};
      for (const broker::TransactionInfo& info : page.transactions) {
        wire::TransactionBody body = body_of(info, reader);
        if (!key.empty() && body.unique_key != key) continue;  // the core compares hashes
        list.transactions.push_back(std::move(body));
      }
      std::string out;
      wire::append_transaction_list(out, list);
      return out;
    });
  };
}

CoreStep view_transaction(const Request& request, Ticket ticket) {
  auto header = wire::decode_view_transaction(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  if (header->events < 0 || header->events > kEventsMax)
    return refuse(ticket, {ErrorCode::InvalidArgument, "events lies between 0 and " + std::to_string(kEventsMax) + ", not " + std::to_string(header->events)});
  return [position = header->position, events = header->events, ticket = std::move(ticket)](Turn& turn) mutable {
    auto info = turn.ports().operations.transaction(position);
    if (!info.ok()) return ticket.fail(info.error(), kQueryStyle);
    answer_later(std::move(ticket), [info = *std::move(info), events](broker::TransactionReader& reader) -> Result<std::string> {
      HM_TRY(const auto, history, reader.history(info.position, info.last_event, static_cast<std::size_t>(events)));
      wire::TransactionViewBody view{body_of(info, reader), {}, std::string(begin_text(history.begin))};
      for (const broker::TransactionEvent& event : history.events) view.history.push_back(body_of(event));
      std::string out;
      wire::append_transaction_view(out, view);
      return out;
    });
  };
}

CoreStep decide_transaction(const Request& request, Ticket ticket) {
  auto header = wire::decode_operate_transaction(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  const bool commit = header->verdict == "commit";
  if (!commit && header->verdict != "rollback")
    return refuse(ticket, {ErrorCode::InvalidArgument, "verdict is commit or rollback, not '" + std::string(header->verdict) + "'"});
  return [header = *header, commit, ticket = std::move(ticket)](Turn& turn) mutable {
    const auto act = operator_request(header, ticket);
    turn.ports().operations.decide_transaction(act, commit ? broker::Verdict::Commit : broker::Verdict::Rollback, plain_reply(std::move(ticket), kQueryStyle));
  };
}

CoreStep resume_transaction(const Request& request, Ticket ticket) {
  auto header = wire::decode_operate_transaction(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [header = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    const auto act = operator_request(header, ticket);
    turn.ports().operations.resume_transaction(act, plain_reply(std::move(ticket), kQueryStyle));
  };
}

}  // namespace halfmoon::adapter
