// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapter/remoting/channel.h"
#include "adapter/remoting/context.h"
#include "base/clock.h"
#include "base/inline_function.h"
#include "wire/remoting/frame.h"
#include "wire/remoting/header.h"

/// One handler per request code: decode, translate, call the port, encode. A handler runs outside the core and does there whatever is
/// slow: bodies, checksums, disk reads. What must run inside it returns as a step; all steps of one read from the socket run in
/// one turn, before on_data returns, so a step may hold views of the request. An empty step: there is nothing to do inside.
namespace halfmoon::adapter {

/// A stay inside the core.
struct Turn {
  Context& context;
  Now now;
  const BrokerPorts& ports() const { return *context.ports; }  // dispatch lets no broker request through without them
};
using CoreStep = InlineFunction<void(Turn&), 288>;

/// One request as it came; all views live until the end of the turn.
struct Request {
  const wire::Header& header;
  Bytes body;
  std::vector<broker::SendPlace>& foreseen;   // of the sends of this turn; a handler adds its own
};

/// Answers code 1 with the text: what RocketMQ says to a header or body that it cannot read (specification 1.5).
inline CoreStep refuse(Ticket& ticket, const Error& error) {
  ticket.finish(wire::ResponseCode::SystemError, error.text);
  return {};
}

/// A Reply that answers without fields.
inline Reply<Done> plain_reply(Ticket ticket, const ErrorStyle& style = {}) {
  return [ticket = std::move(ticket), style](Result<Done>&& result) mutable {
    if (result.ok()) ticket.finish();
    else ticket.fail(result.error(), style);
  };
}

/// Answers with a body: `append(out)`.
template <class F>
void answer_body(Ticket& ticket, F append) {
  ticket.answer([append = std::move(append)](const Ticket& to, std::string& out) {
    wire::FrameWriter frame(out, to.start());
    frame.begin_body();
    append(out);
    frame.finish();
  });
}

// Sending
CoreStep send_message(const Request& request, Ticket ticket);
CoreStep send_batch_message(const Request& request, Ticket ticket);
CoreStep send_reply_message(const Request& request, Ticket ticket);
CoreStep send_back(const Request& request, Ticket ticket);
// Transactions
CoreStep end_transaction(const Request& request, Ticket ticket);
CoreStep resume_check(const Request& request, Ticket ticket);
CoreStep list_transactions(const Request& request, Ticket ticket);
CoreStep view_transaction(const Request& request, Ticket ticket);
CoreStep decide_transaction(const Request& request, Ticket ticket);
CoreStep resume_transaction(const Request& request, Ticket ticket);
// Reading
CoreStep pull_message(const Request& request, Ticket ticket);
CoreStep view_message(const Request& request, Ticket ticket);
CoreStep query_message(const Request& request, Ticket ticket);
// Offsets and locks
CoreStep query_offset(const Request& request, Ticket ticket);
CoreStep update_offset(const Request& request, Ticket ticket);
CoreStep search_offset(const Request& request, Ticket ticket);
CoreStep max_offset(const Request& request, Ticket ticket);
CoreStep min_offset(const Request& request, Ticket ticket);
CoreStep earliest_store_time(const Request& request, Ticket ticket);
CoreStep lock_queues(const Request& request, Ticket ticket);
CoreStep unlock_queues(const Request& request, Ticket ticket);
// Clients
CoreStep heartbeat(const Request& request, Ticket ticket);
CoreStep unregister_client(const Request& request, Ticket ticket);
CoreStep check_client_config(const Request& request, Ticket ticket);
CoreStep consumer_list(const Request& request, Ticket ticket);
CoreStep consumer_connections(const Request& request, Ticket ticket);
CoreStep producer_connections(const Request& request, Ticket ticket);
// Administration: topics, groups, progress, the broker itself
CoreStep put_topic(const Request& request, Ticket ticket);
CoreStep delete_topic(const Request& request, Ticket ticket);
CoreStep all_topics(const Request& request, Ticket ticket);
CoreStep topic_config(const Request& request, Ticket ticket);
CoreStep topic_stats(const Request& request, Ticket ticket);
CoreStep system_topics(const Request& request, Ticket ticket);
CoreStep put_group(const Request& request, Ticket ticket);
CoreStep delete_group(const Request& request, Ticket ticket);
CoreStep all_groups(const Request& request, Ticket ticket);
CoreStep group_config(const Request& request, Ticket ticket);
CoreStep consume_stats(const Request& request, Ticket ticket);
CoreStep groups_of_topic(const Request& request, Ticket ticket);
CoreStep reset_offset(const Request& request, Ticket ticket);
CoreStep broker_config(const Request& request, Ticket ticket);
CoreStep runtime_info(const Request& request, Ticket ticket);
// Name server
CoreStep register_broker(const Request& request, Ticket ticket);
CoreStep unregister_broker(const Request& request, Ticket ticket);
CoreStep query_data_version(const Request& request, Ticket ticket);
CoreStep broker_heartbeat(const Request& request, Ticket ticket);
CoreStep broker_members(const Request& request, Ticket ticket);
CoreStep route_of_topic(const Request& request, Ticket ticket);
CoreStep cluster_info(const Request& request, Ticket ticket);
CoreStep topic_names(const Request& request, Ticket ticket);
CoreStep topic_names_of_cluster(const Request& request, Ticket ticket);
CoreStep cluster_and_broker_names(const Request& request, Ticket ticket);
CoreStep delete_topic_route(const Request& request, Ticket ticket);
CoreStep wipe_write_permission(const Request& request, Ticket ticket);
CoreStep add_write_permission(const Request& request, Ticket ticket);
CoreStep put_kv(const Request& request, Ticket ticket);
CoreStep get_kv(const Request& request, Ticket ticket);
CoreStep delete_kv(const Request& request, Ticket ticket);
CoreStep list_kv(const Request& request, Ticket ticket);

}  // namespace halfmoon::adapter
