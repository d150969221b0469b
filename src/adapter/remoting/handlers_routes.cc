// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "adapter/remoting/handlers.h"
#include "adapter/remoting/translate.h"
#include "wire/remoting/bodies.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

/// A client that asks for its own zone sees the brokers of that zone, and those that have no master.
void keep_zone(nameserver::Route& route, std::string_view zone) {
  std::erase_if(route.brokers, [&](const nameserver::BrokerData& broker) {
    return broker.zone != zone && broker.addresses.contains(nameserver::kMasterId);
  });
  std::erase_if(route.queues, [&](const nameserver::QueueData& queues) {
    return std::none_of(route.brokers.begin(), route.brokers.end(),
                        [&](const nameserver::BrokerData& broker) { return broker.broker_name == queues.broker_name; });
  });
}

void answer_names(Ticket& ticket, std::vector<std::string> names) {
  answer_body(ticket, [names = std::move(names)](std::string& out) { wire::append_topic_list(out, names); });
}

}  // namespace

CoreStep route_of_topic(const Request& request, Ticket ticket) {
  auto header = wire::decode_get_route(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [asked = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    auto route = turn.context.name_server.route(asked.topic);
    if (!route.ok()) return ticket.fail(route.error());
    if (asked.zone_mode && !asked.zone_name.empty()) keep_zone(*route, asked.zone_name);
    auto body = std::make_unique<wire::TopicRouteData>(to_wire(*route, ticket.channel()));
    answer_body(ticket, [body = std::move(body)](std::string& out) { wire::append_topic_route(out, *body); });
  };
}

CoreStep cluster_info(const Request&, Ticket ticket) {
  return [ticket = std::move(ticket)](Turn& turn) mutable {
    wire::ClusterInfo info;
    std::map<std::string, std::vector<std::string>> clusters;
    for (const nameserver::BrokerData& broker : turn.context.name_server.brokers()) {
      info.brokers.push_back(to_wire(broker, ticket.channel()));
      clusters[broker.cluster].push_back(broker.broker_name);
    }
    info.clusters.assign(clusters.begin(), clusters.end());
    answer_body(ticket, [info = std::move(info)](std::string& out) { wire::append_cluster_info(out, info); });
  };
}

CoreStep topic_names(const Request&, Ticket ticket) {
  return [ticket = std::move(ticket)](Turn& turn) mutable { answer_names(ticket, turn.context.name_server.topics()); };
}

CoreStep topic_names_of_cluster(const Request& request, Ticket ticket) {
  auto header = wire::decode_topics_by_cluster(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [cluster = header->cluster, ticket = std::move(ticket)](Turn& turn) mutable {
    answer_names(ticket, turn.context.name_server.topics_of_cluster(cluster));
  };
}

CoreStep cluster_and_broker_names(const Request&, Ticket ticket) {
  return [ticket = std::move(ticket)](Turn& turn) mutable {
    std::vector<std::string> names;
    std::string address;
    for (const nameserver::BrokerData& broker : turn.context.name_server.brokers()) {
      names.push_back(broker.cluster);
      names.push_back(broker.broker_name);
      if (address.empty()) address = to_wire(broker, ticket.channel()).addrs.front().second;
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    answer_body(ticket, [names = std::move(names), address](std::string& out) { wire::append_topic_list(out, names, address); });
  };
}

CoreStep delete_topic_route(const Request& request, Ticket ticket) {
  auto header = wire::decode_topic(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [asked = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.context.name_server.delete_topic(asked.topic, asked.cluster_name);
    ticket.finish();
  };
}

CoreStep put_kv(const Request& request, Ticket ticket) {
  auto header = wire::decode_put_kv(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [kv = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    const Status status = turn.context.name_server.put_config(kv.kv_namespace, kv.key, kv.value);
    if (!status.ok()) return ticket.fail(status.error(), kPlainStyle);
    ticket.finish();
  };
}

CoreStep get_kv(const Request& request, Ticket ticket) {
  auto header = wire::decode_kv_key(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [kv = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    auto value = turn.context.name_server.config(kv.kv_namespace, kv.key);
    if (!value)
      return ticket.finish(wire::ResponseCode::QueryNotFound,
                           "No config item, Namespace: " + std::string(kv.kv_namespace) + " Key: " + std::string(kv.key));
    ticket.answer([value = std::move(*value)](const Ticket& to, std::string& out) {
      wire::FrameWriter frame(out, to.start());
      frame.text("value", value);
      frame.finish();
    });
  };
}

CoreStep delete_kv(const Request& request, Ticket ticket) {
  auto header = wire::decode_kv_key(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [kv = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.context.name_server.delete_config(kv.kv_namespace, kv.key);
    ticket.finish();
  };
}

CoreStep list_kv(const Request& request, Ticket ticket) {
  auto header = wire::decode_kv_namespace(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [space = header->kv_namespace, ticket = std::move(ticket)](Turn& turn) mutable {
    const auto table = turn.context.name_server.configs(space);
    if (table.empty()) return ticket.finish(wire::ResponseCode::QueryNotFound, "No config item, Namespace: " + std::string(space));
    answer_body(ticket, [values = wire::TextMap(table.begin(), table.end())](std::string& out) { wire::append_kv_table(out, values); });
  };
}

}  // namespace halfmoon::adapter
