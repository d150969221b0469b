// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/handlers.h"
#include "adapter/remoting/translate.h"
#include "wire/remoting/bodies.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

broker::Heartbeat to_heartbeat(wire::HeartbeatData&& data, const wire::Header& header, const Channel& channel) {
  broker::Heartbeat beat{.channel = channel.id(),
                         .client = {.client_id = std::move(data.client_id),
                                    .language = std::string(wire::language_name(header.language)),
                                    .version = header.version,
                                    .remote_address = channel.remote_text()},
                         .producer_groups = std::move(data.producer_groups),
                         .consumers = {},
                         .without_subscriptions = data.without_sub};
  for (const wire::ConsumerData& consumer : data.consumers) beat.consumers.push_back(to_model(consumer));
  return beat;
}

}  // namespace

CoreStep heartbeat(const Request& request, Ticket ticket) {
  auto data = wire::parse_heartbeat(request.body);
  if (!data.ok()) return refuse(ticket, data.error());
  auto beat = std::make_unique<broker::Heartbeat>(to_heartbeat(std::move(*data), request.header, ticket.channel()));
  return [beat = std::move(beat), ticket = std::move(ticket)](Turn& turn) mutable {
    if (const Status status = turn.ports().clients.heartbeat(*beat); !status.ok()) return ticket.fail(status.error());
    ticket.answer([](const Ticket& to, std::string& out) {
      wire::FrameWriter frame(out, to.start());
      // We keep no fingerprints: every heartbeat may have changed something, so the client goes on sending subscriptions.
      frame.boolean("IS_SUPPORT_HEART_BEAT_V2", true);
      frame.boolean("IS_SUB_CHANGE", true);
      frame.finish();
    });
  };
}

CoreStep unregister_client(const Request& request, Ticket ticket) {
  auto header = wire::decode_unregister_client(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [gone = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().clients.unregister(ticket.channel().id(), gone.client_id, gone.producer_group, gone.consumer_group);
    ticket.finish();
  };
}

CoreStep check_client_config(const Request& request, Ticket ticket) {
  auto config = wire::parse_check_client_config(request.body);
  if (!config.ok()) return refuse(ticket, config.error());
  if (config->subscription && config->subscription->expression_type != "TAG") {
    return refuse(ticket, {ErrorCode::NotSupported,
                           "The broker does not support consumer to filter message by " + config->subscription->expression_type});
  }
  ticket.finish();
  return {};
}

CoreStep consumer_list(const Request& request, Ticket ticket) {
  auto header = wire::decode_consumer_list(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [group = header->consumer_group, ticket = std::move(ticket)](Turn& turn) mutable {
    auto ids = turn.ports().clients.consumer_ids(group);
    if (!ids.ok()) return ticket.finish(wire::ResponseCode::SystemError, "no consumer for this group, " + std::string(group));
    answer_body(ticket, [ids = std::move(*ids)](std::string& out) { wire::append_consumer_ids(out, ids); });
  };
}

CoreStep consumer_connections(const Request& request, Ticket ticket) {
  auto header = wire::decode_consumer_connection(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [group = header->consumer_group, ticket = std::move(ticket)](Turn& turn) mutable {
    auto connections = turn.ports().clients.consumer_connections(group);
    if (!connections.ok())
      return ticket.finish(wire::ResponseCode::ConsumerNotOnline, "the consumer group[" + std::string(group) + "] not online");
    auto body = std::make_unique<wire::ConsumerConnection>(to_wire(*connections));
    answer_body(ticket, [body = std::move(body)](std::string& out) { wire::append_consumer_connection(out, *body); });
  };
}

CoreStep producer_connections(const Request& request, Ticket ticket) {
  auto header = wire::decode_producer_connection(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [group = header->producer_group, ticket = std::move(ticket)](Turn& turn) mutable {
    auto clients = turn.ports().clients.producer_connections(group);
    if (!clients.ok()) return ticket.finish(wire::ResponseCode::SystemError, "the producer group[" + std::string(group) + "] not exist");
    answer_body(ticket, [connections = to_wire(*clients)](std::string& out) { wire::append_producer_connection(out, connections); });
  };
}

}  // namespace halfmoon::adapter
