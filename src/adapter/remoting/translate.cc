// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/translate.h"

#include "model/properties.h"

namespace halfmoon::adapter {
namespace {

constexpr std::string_view kMultiTag = "MULTI_TAG";
constexpr std::string_view kSingleTag = "SINGLE_TAG";

/// "TagA || TagB" -> {"TagA", "TagB"}; "*" has none.
std::vector<std::string> split_tags(std::string_view expression) {
  std::vector<std::string> tags;
  if (expression == "*") return tags;
  while (!expression.empty()) {
    const std::size_t bar = expression.find("||");
    std::string_view tag = expression.substr(0, bar);
    expression = bar == std::string_view::npos ? std::string_view() : expression.substr(bar + 2);
    const std::size_t begin = tag.find_first_not_of(" \t");
    if (begin == std::string_view::npos) continue;
    tag = tag.substr(begin, tag.find_last_not_of(" \t") - begin + 1);
    tags.emplace_back(tag);
  }
  return tags;
}

wire::Language language_of(std::string_view name) {
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(wire::Language::NodeJs); ++i) {
    if (wire::language_name(static_cast<wire::Language>(i)) == name) return static_cast<wire::Language>(i);
  }
  return wire::Language::Other;
}

}  // namespace

wire::TopicConfig to_wire(const model::TopicConfig& topic) {
  return {.name = topic.name,
          .read_queue_nums = topic.read_queues,
          .write_queue_nums = topic.write_queues,
          .perm = topic.permission,
          .topic_filter_type = std::string(topic.multi_tag ? kMultiTag : kSingleTag),
          .topic_sys_flag = topic.sys_flag,
          .order = topic.order,
          .attributes = {topic.attributes.begin(), topic.attributes.end()}};
}

model::TopicConfig to_model(const wire::TopicConfig& topic) {
  return {.name = topic.name,
          .read_queues = topic.read_queue_nums,
          .write_queues = topic.write_queue_nums,
          .permission = topic.perm,
          .sys_flag = topic.topic_sys_flag,
          .order = topic.order,
          .multi_tag = topic.topic_filter_type == kMultiTag,
          .attributes = {topic.attributes.begin(), topic.attributes.end()}};
}

wire::DataVersion to_wire(const model::DataVersion& version) {
  return {.state_version = version.state_version, .timestamp_ms = version.timestamp_ms, .counter = version.counter};
}

model::DataVersion to_model(const wire::DataVersion& version) {
  return {.state_version = version.state_version, .timestamp_ms = version.timestamp_ms, .counter = version.counter};
}

std::string data_version_text(const model::DataVersion& version) {
  std::string text;
  wire::append_data_version(text, to_wire(version));
  return text;
}

wire::SubscriptionGroupConfig to_wire(const model::GroupConfig& group) {
  return {.group = group.name,
          .consume_enable = group.consume_enable,
          .consume_from_min_enable = group.consume_from_min_enable,
          .consume_broadcast_enable = group.consume_broadcast_enable,
          .consume_message_orderly = group.consume_orderly,
          .notify_consumer_ids_changed_enable = group.notify_ids_changed,
          .retry_queue_nums = group.retry_queues,
          .retry_max_times = group.retry_max,
          .consume_timeout_minutes = group.consume_timeout_minutes,
          .broker_id = group.broker_id,
          .which_broker_when_consume_slowly = group.which_broker_when_slow,
          .group_sys_flag = group.sys_flag,
          .retry_policy_json = {},
          .attributes = {group.attributes.begin(), group.attributes.end()}};
}

model::GroupConfig to_model(const wire::SubscriptionGroupConfig& group) {
  return {.name = group.group,
          .consume_enable = group.consume_enable,
          .consume_from_min_enable = group.consume_from_min_enable,
          .consume_broadcast_enable = group.consume_broadcast_enable,
          .consume_orderly = group.consume_message_orderly,
          .retry_queues = group.retry_queue_nums,
          .retry_max = group.retry_max_times,
          .broker_id = group.broker_id,
          .which_broker_when_slow = group.which_broker_when_consume_slowly,
          .notify_ids_changed = group.notify_consumer_ids_changed_enable,
          .sys_flag = group.group_sys_flag,
          .consume_timeout_minutes = group.consume_timeout_minutes,
          .attributes = {group.attributes.begin(), group.attributes.end()}};
}

wire::SubscriptionData to_wire(const model::Subscription& subscription) {
  wire::SubscriptionData data{.topic = subscription.topic,
                              .sub_string = subscription.expression,
                              .tags = subscription.tags,
                              .codes = {},
                              .sub_version = subscription.version,
                              .expression_type = subscription.expression_type,
                              .class_filter_mode = false};
  for (const std::string& tag : subscription.tags) data.codes.push_back(model::tag_hash(tag));
  return data;
}

model::Subscription to_model(const wire::SubscriptionData& data) {
  model::Subscription subscription{.topic = data.topic,
                                   .expression = data.sub_string.empty() ? "*" : data.sub_string,
                                   .expression_type = data.expression_type,
                                   .version = data.sub_version,
                                   .tags = data.tags};
  // A client may send the expression alone.
  if (subscription.tags.empty() && subscription.expression_type == "TAG") subscription.tags = split_tags(subscription.expression);
  return subscription;
}

model::Subscription header_subscription(std::string_view topic, std::string_view expression, std::string_view type, std::int64_t version) {
  return to_model(wire::SubscriptionData{.topic = std::string(topic),
                                         .sub_string = std::string(expression),
                                         .tags = {},
                                         .codes = {},
                                         .sub_version = version,
                                         .expression_type = type.empty() ? "TAG" : std::string(type),
                                         .class_filter_mode = false});
}

broker::ConsumerData to_model(const wire::ConsumerData& consumer) {
  // The wire's enums and the model's have RocketMQ's ordinals both.
  broker::ConsumerData data{.group = consumer.group,
                            .type = static_cast<model::ConsumeType>(consumer.consume_type),
                            .message_model = static_cast<model::MessageModel>(consumer.message_model),
                            .from = static_cast<model::ConsumeFrom>(consumer.consume_from_where),
                            .unit_mode = consumer.unit_mode,
                            .subscriptions = {}};
  for (const wire::SubscriptionData& subscription : consumer.subscriptions) data.subscriptions.push_back(to_model(subscription));
  return data;
}

std::vector<wire::Connection> to_wire(const std::vector<broker::ClientInfo>& clients) {
  std::vector<wire::Connection> connections;
  for (const broker::ClientInfo& client : clients)
    connections.push_back({.client_id = client.client_id,
                           .client_addr = client.remote_address,
                           .language = language_of(client.language),
                           .version = client.version});
  return connections;
}

wire::ConsumerConnection to_wire(const broker::ConsumerConnections& group) {
  wire::ConsumerConnection connection{.connections = to_wire(group.clients),
                                      .subscriptions = {},
                                      .consume_type = static_cast<wire::ConsumeType>(group.type),
                                      .message_model = static_cast<wire::MessageModel>(group.message_model),
                                      .consume_from_where = static_cast<wire::ConsumeFromWhere>(group.from)};
  for (const model::Subscription& subscription : group.subscriptions) connection.subscriptions.push_back(to_wire(subscription));
  return connection;
}

wire::BrokerData to_wire(const nameserver::BrokerData& broker, const Channel& asking) {
  wire::BrokerData data{.cluster = broker.cluster,
                        .broker_name = broker.broker_name,
                        .addrs = {},
                        .zone_name = broker.zone,
                        .enable_acting_master = broker.acting_master};
  for (const auto& [id, address] : broker.addresses)
    data.addrs.emplace_back(id, address == nameserver::kOwnAddress ? asking.broker_address() : address);
  return data;
}

wire::TopicRouteData to_wire(const nameserver::Route& route, const Channel& asking) {
  wire::TopicRouteData data{.queues = {}, .brokers = {}, .order_topic_conf = route.order_config};
  for (const nameserver::QueueData& queues : route.queues)
    data.queues.push_back({.broker_name = queues.broker_name,
                           .read_queue_nums = queues.read_queues,
                           .write_queue_nums = queues.write_queues,
                           .perm = queues.permission,
                           .topic_sys_flag = queues.sys_flag});
  for (const nameserver::BrokerData& broker : route.brokers) data.brokers.push_back(to_wire(broker, asking));
  return data;
}

}  // namespace halfmoon::adapter
