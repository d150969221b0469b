// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/handlers.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/queue_bodies.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

/// Answers with one number, or says why not.
void answer_number(Ticket& ticket, std::string_view field, Result<std::int64_t>&& value) {
  if (!value.ok()) return ticket.fail(value.error(), kQueryStyle);
  ticket.answer([field, number = *value](const Ticket& to, std::string& out) {
    wire::FrameWriter frame(out, to.start());
    frame.number(field, number);
    frame.finish();
  });
}

using QueueQuestion = Result<std::int64_t> (broker::Consuming::*)(broker::QueueRef);

/// 30, 31, 32: one question about one queue.
CoreStep ask_queue(const Request& request, Ticket ticket, std::string_view field, QueueQuestion question) {
  auto header = wire::decode_queue(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [queue = broker::QueueRef{header->topic, header->queue_id}, field, question, ticket = std::move(ticket)](Turn& turn) mutable {
    answer_number(ticket, field, (turn.ports().consuming.*question)(queue));
  };
}

/// The queues of a lock body that are ours; views into it.
broker::LockRequest to_lock_request(const wire::LockBody& body, std::string_view broker_name) {
  broker::LockRequest request{.group = body.consumer_group, .client_id = body.client_id, .queues = {}};
  for (const wire::MessageQueue& queue : body.queues) {
    if (queue.broker_name == broker_name) request.queues.push_back({queue.topic, queue.queue_id});
  }
  return request;
}

}  // namespace

CoreStep query_offset(const Request& request, Ticket ticket) {
  auto header = wire::decode_query_consumer_offset(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [asked = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    auto offset = turn.ports().consuming.committed_offset(asked.consumer_group, {asked.topic, asked.queue_id}, asked.set_zero_if_not_found);
    // Clients decide by the code alone; the texts are RocketMQ's (specification 3.4).
    if (!offset.ok() && offset.error().code == ErrorCode::NotFound)
      return ticket.finish(wire::ResponseCode::QueryNotFound, asked.set_zero_if_not_found
                                                                  ? "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"
                                                                  : "Not found, do not set to zero, maybe this group boot first");
    answer_number(ticket, "offset", std::move(offset));
  };
}

CoreStep update_offset(const Request& request, Ticket ticket) {
  auto header = wire::decode_update_consumer_offset(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [update = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().consuming.commit_offset(update.consumer_group, {update.topic, update.queue_id}, update.commit_offset, plain_reply(std::move(ticket)));
  };
}

CoreStep search_offset(const Request& request, Ticket ticket) {
  auto header = wire::decode_search_offset(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [asked = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    const auto boundary = asked.boundary == wire::BoundaryType::Upper ? broker::Boundary::Upper : broker::Boundary::Lower;
    answer_number(ticket, "offset", turn.ports().consuming.offset_at_time({asked.topic, asked.queue_id}, asked.timestamp_ms, boundary));
  };
}

CoreStep max_offset(const Request& request, Ticket ticket) { return ask_queue(request, std::move(ticket), "offset", &broker::Consuming::max_offset); }
CoreStep min_offset(const Request& request, Ticket ticket) { return ask_queue(request, std::move(ticket), "offset", &broker::Consuming::min_offset); }
CoreStep earliest_store_time(const Request& request, Ticket ticket) {
  return ask_queue(request, std::move(ticket), "timestamp", &broker::Consuming::earliest_store_time);
}

CoreStep lock_queues(const Request& request, Ticket ticket) {
  auto parsed = wire::parse_lock_body(request.body);
  if (!parsed.ok()) return refuse(ticket, parsed.error());
  return [body = std::make_unique<wire::LockBody>(std::move(*parsed)), ticket = std::move(ticket)](Turn& turn) mutable {
    const std::string& broker_name = turn.context.options.broker_name;
    std::vector<wire::MessageQueue> held;
    for (const broker::QueueRef& queue : turn.ports().consuming.lock_queues(to_lock_request(*body, broker_name)))
      held.push_back({.topic = std::string(queue.topic), .broker_name = broker_name, .queue_id = queue.queue_id});
    answer_body(ticket, [held = std::move(held)](std::string& out) { wire::append_lock_ok(out, held); });
  };
}

CoreStep unlock_queues(const Request& request, Ticket ticket) {
  auto parsed = wire::parse_lock_body(request.body);
  if (!parsed.ok()) return refuse(ticket, parsed.error());
  return [body = std::make_unique<wire::LockBody>(std::move(*parsed)), ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().consuming.unlock_queues(to_lock_request(*body, turn.context.options.broker_name));
    ticket.finish();
  };
}

}  // namespace halfmoon::adapter
