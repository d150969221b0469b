// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/handlers.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

std::optional<broker::Verdict> verdict_of(wire::TransactionVerdict verdict) {
  switch (verdict) {
    case wire::TransactionVerdict::Unknown: return broker::Verdict::Unknown;
    case wire::TransactionVerdict::Commit: return broker::Verdict::Commit;
    case wire::TransactionVerdict::Rollback: return broker::Verdict::Rollback;
  }
  return std::nullopt;  // any other number that a client sent
}

}  // namespace

CoreStep end_transaction(const Request& request, Ticket ticket) {
  auto header = wire::decode_end_transaction(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  const auto verdict = verdict_of(header->verdict);
  if (!verdict) {
    const auto number = static_cast<std::int32_t>(header->verdict);
    return refuse(ticket, {ErrorCode::InvalidArgument, "commitOrRollback is 8 (commit), 12 (rollback) or 0 (unknown), not " + std::to_string(number)});
  }
  // Of an old verdict the core knows no names: they are read here, outside of it.
  auto names = ticket.channel().reader().forgotten_half(header->position);
  if (!names.ok()) {
    ticket.fail(names.error(), kPlainStyle);
    return {};
  }
  const broker::EndTransactionRequest end{.producer_group = header->producer_group,
                                          .half_position = header->position,
                                          .half_offset = header->tran_state_table_offset,
                                          .verdict = *verdict,
                                          .from_check = header->from_check,
                                          .message_id = header->msg_id,
                                          .transaction_id = header->transaction_id,
                                          .channel = ticket.channel().id(),
                                          .names = names->get(),
                                          .looked_up = true,
                                          .address = ticket.channel().remote_text()};
  return [end, names = *std::move(names), ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().transactions.end_transaction(end, plain_reply(std::move(ticket), kPlainStyle));
  };
}

CoreStep resume_check(const Request& request, Ticket ticket) {
  auto header = wire::decode_resume_check_half(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  const auto position = model::position_of_message_id(header->msg_id);
  if (!position) return refuse(ticket, {ErrorCode::InvalidArgument, "msgId is not an offset message id: " + std::string(header->msg_id)});
  return [position = *position, ticket = std::move(ticket)](Turn& turn) mutable {
    // RocketMQ's request names nobody; the history shows the address that it came from.
    const broker::OperatorRequest resume{.half_position = position,
                                         .unique_key = {},
                                         .operator_name = "RESUME_CHECK_HALF_MESSAGE",
                                         .reason = "request code 323",
                                         .channel = ticket.channel().id(),
                                         .address = ticket.channel().remote_text()};
    turn.ports().operations.resume_transaction(resume, plain_reply(std::move(ticket), kPlainStyle));
  };
}

}  // namespace halfmoon::adapter
