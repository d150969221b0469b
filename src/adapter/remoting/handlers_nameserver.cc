// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/handlers.h"
#include "adapter/remoting/translate.h"
#include "wire/remoting/bodies.h"
#include "wire/remoting/request_headers.h"

/// What brokers say to a name server; what clients ask it is in handlers_routes.cc.
namespace halfmoon::adapter {
namespace {

using Registration = nameserver::Registration;

std::unique_ptr<Registration> to_registration(const wire::RegisterBrokerHeader& header, const wire::RegisterBrokerBody& body, const Channel& channel) {
  auto registration = std::make_unique<Registration>();
  registration->cluster = header.cluster_name;
  registration->broker_name = header.broker_name;
  registration->address = header.broker_addr;
  registration->ha_address = header.ha_server_addr;
  registration->zone = header.zone_name;
  registration->broker_id = header.broker_id;
  registration->timeout_ms = header.heartbeat_timeout_ms;
  registration->acting_master = header.enable_acting_master;
  registration->connection = static_cast<std::uint64_t>(channel.id());
  registration->version = to_model(body.data_version);
  for (const wire::TopicConfig& topic : body.topics) registration->topics.push_back(to_model(topic));
  return registration;
}

void answer_registration(Ticket& ticket, nameserver::RegistrationResult result, wire::TextMap order_configs) {
  ticket.answer([result = std::move(result), configs = std::move(order_configs)](const Ticket& to, std::string& out) {
    wire::FrameWriter frame(out, to.start());
    if (!result.master_address.empty()) frame.text("masterAddr", result.master_address);
    if (!result.master_ha_address.empty()) frame.text("haServerAddr", result.master_ha_address);
    frame.begin_body();
    if (!configs.empty()) wire::append_kv_table(out, configs);
    frame.finish();
  });
}

CoreStep change_write_permission(const Request& request, Ticket ticket, bool writable, std::string_view count_field) {
  auto name = request.header.ext.required_text("brokerName");
  if (!name.ok()) return refuse(ticket, name.error());
  return [name = *name, writable, count_field, ticket = std::move(ticket)](Turn& turn) mutable {
    const std::int32_t changed = turn.context.name_server.set_write_permission(name, writable);
    ticket.answer([changed, count_field](const Ticket& to, std::string& out) {
      wire::FrameWriter frame(out, to.start());
      frame.number(count_field, changed);
      frame.finish();
    });
  };
}

}  // namespace

CoreStep register_broker(const Request& request, Ticket ticket) {
  auto header = wire::decode_register_broker(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  auto body = wire::parse_register_broker_body(request.body, header->body_crc32);
  if (!body.ok()) return refuse(ticket, body.error());
  return [registration = to_registration(*header, *body, ticket.channel()), ticket = std::move(ticket)](Turn& turn) mutable {
    auto result = turn.context.name_server.register_broker(*registration, turn.now);
    // An older broker under the same name and id is told "yes" and ignored (specification 3.5).
    if (!result.ok() && result.error().code == ErrorCode::IllegalOperation) return ticket.finish();
    if (!result.ok()) return ticket.fail(result.error(), kPlainStyle);
    if (result->master_address == nameserver::kOwnAddress && registration->broker_id != nameserver::kMasterId &&
        registration->broker_name == turn.context.options.broker_name)
      result->master_address = ticket.channel().broker_address();
    const auto configs = turn.context.name_server.configs("ORDER_TOPIC_CONFIG");
    answer_registration(ticket, std::move(*result), {configs.begin(), configs.end()});
  };
}

CoreStep unregister_broker(const Request& request, Ticket ticket) {
  auto header = wire::decode_unregister_broker(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [gone = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.context.name_server.unregister_broker(gone.cluster_name, gone.broker_addr, gone.broker_name, gone.broker_id);
    ticket.finish();
  };
}

CoreStep query_data_version(const Request& request, Ticket ticket) {
  auto header = wire::decode_query_data_version(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  auto posted = wire::parse_data_version(request.body);
  if (!posted.ok()) return refuse(ticket, posted.error());
  return [asked = *header, posted = to_model(*posted), ticket = std::move(ticket)](Turn& turn) mutable {
    const auto stored = turn.context.name_server.touch_broker(asked.cluster_name, asked.broker_addr, turn.now);
    ticket.answer([stored, changed = !stored || *stored != posted](const Ticket& to, std::string& out) {
      wire::FrameWriter frame(out, to.start());
      frame.boolean("changed", changed);
      frame.begin_body();
      if (stored) wire::append_data_version(out, to_wire(*stored));
      frame.finish();
    });
  };
}

CoreStep broker_heartbeat(const Request& request, Ticket ticket) {
  const wire::ExtFields& ext = request.header.ext;
  auto cluster = ext.required_text("clusterName");
  if (!cluster.ok()) return refuse(ticket, cluster.error());
  auto address = ext.required_text("brokerAddr");
  if (!address.ok()) return refuse(ticket, address.error());
  return [cluster = *cluster, address = *address, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.context.name_server.touch_broker(cluster, address, turn.now);
    ticket.finish();
  };
}

CoreStep broker_members(const Request& request, Ticket ticket) {
  auto cluster = request.header.ext.required_text("clusterName");
  if (!cluster.ok()) return refuse(ticket, cluster.error());
  auto name = request.header.ext.required_text("brokerName");
  if (!name.ok()) return refuse(ticket, name.error());
  return [cluster = *cluster, name = *name, ticket = std::move(ticket)](Turn& turn) mutable {
    wire::BrokerData members;
    members.cluster = cluster;
    members.broker_name = name;
    for (const nameserver::BrokerData& broker : turn.context.name_server.brokers()) {
      if (broker.cluster == cluster && broker.broker_name == name) members = to_wire(broker, ticket.channel());
    }
    answer_body(ticket, [members = std::move(members)](std::string& out) { wire::append_broker_member_group(out, members); });
  };
}

CoreStep wipe_write_permission(const Request& request, Ticket ticket) {
  return change_write_permission(request, std::move(ticket), false, "wipeTopicCount");
}
CoreStep add_write_permission(const Request& request, Ticket ticket) {
  return change_write_permission(request, std::move(ticket), true, "addTopicCount");
}

}  // namespace halfmoon::adapter
