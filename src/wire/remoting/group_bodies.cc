// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/group_bodies.h"

#include "wire/remoting/json_writer.h"
#include "wire/remoting/topic_json.h"

namespace halfmoon::wire {
namespace {

void append_texts(std::string& out, std::string_view key, std::span<const std::string> texts) {
  JsonWriter json(out);
  json.begin_object();
  json.key(key);
  json.begin_array();
  for (const std::string& text : texts) json.text(text);
  json.end_array();
  json.end_object();
}

void read_group_member(JsonCursor& cursor, std::string_view key, SubscriptionGroupConfig& out) {
  if (key == "groupName") out.group = cursor.text();
  else if (key == "consumeEnable") out.consume_enable = cursor.boolean(true);
  else if (key == "consumeFromMinEnable") out.consume_from_min_enable = cursor.boolean(true);
  else if (key == "consumeBroadcastEnable") out.consume_broadcast_enable = cursor.boolean(true);
  else if (key == "consumeMessageOrderly") out.consume_message_orderly = cursor.boolean(false);
  else if (key == "notifyConsumerIdsChangedEnable") out.notify_consumer_ids_changed_enable = cursor.boolean(true);
  else if (key == "retryQueueNums") out.retry_queue_nums = cursor.int32(out.retry_queue_nums);
  else if (key == "retryMaxTimes") out.retry_max_times = cursor.int32(out.retry_max_times);
  else if (key == "consumeTimeoutMinute") out.consume_timeout_minutes = cursor.int32(out.consume_timeout_minutes);
  else if (key == "brokerId") out.broker_id = cursor.int64(out.broker_id);
  else if (key == "whichBrokerWhenConsumeSlowly") out.which_broker_when_consume_slowly = cursor.int64(out.which_broker_when_consume_slowly);
  else if (key == "groupSysFlag") out.group_sys_flag = cursor.int32(0);
  else if (key == "attributes") out.attributes = read_text_map(cursor);
  else if (key == "groupRetryPolicy" && !cursor.null()) out.retry_policy_json = cursor.raw();
  else if (key != "groupRetryPolicy") cursor.skip();
}

void write_group(JsonWriter& json, const SubscriptionGroupConfig& config) {
  json.begin_object();
  json.key("attributes");
  json.begin_object();
  for (const auto& [name, value] : config.attributes) json.member(name, value);
  json.end_object();
  json.member("brokerId", config.broker_id);
  json.member("consumeBroadcastEnable", config.consume_broadcast_enable);
  json.member("consumeEnable", config.consume_enable);
  json.member("consumeFromMinEnable", config.consume_from_min_enable);
  json.member("consumeMessageOrderly", config.consume_message_orderly);
  json.member("consumeTimeoutMinute", config.consume_timeout_minutes);
  json.member("groupName", config.group);
  json.key("groupRetryPolicy");
  json.raw(config.retry_policy_json.empty() ? std::string_view(R"({"type":"CUSTOMIZED"})") : std::string_view(config.retry_policy_json));
  json.member("groupSysFlag", config.group_sys_flag);
  json.member("notifyConsumerIdsChangedEnable", config.notify_consumer_ids_changed_enable);
  json.member("retryMaxTimes", config.retry_max_times);
  json.member("retryQueueNums", config.retry_queue_nums);
  json.member("whichBrokerWhenConsumeSlowly", config.which_broker_when_consume_slowly);
  json.end_object();
}

void write_connections(JsonWriter& json, std::span<const Connection> connections) {
  json.key("connectionSet");
  json.begin_array();
  for (const Connection& connection : connections) {
    json.begin_object();
    json.member("clientAddr", connection.client_addr);
    json.member("clientId", connection.client_id);
    json.member("language", language_name(connection.language));
    json.member("version", connection.version);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

void append_consumer_ids(std::string& out, std::span<const std::string> client_ids) { append_texts(out, "consumerIdList", client_ids); }

void append_group_list(std::string& out, std::span<const std::string> groups) { append_texts(out, "groupList", groups); }

Result<SubscriptionGroupConfig> parse_subscription_group(Bytes body) {
  if (body.size() > kClientBodyBytesMax) return Error{ErrorCode::InvalidArgument, "the group's configuration is too large"};
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  SubscriptionGroupConfig out;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) read_group_member(cursor, key, out);
  if (!cursor.finish()) return cursor.failure("the group's configuration");
  if (out.group.empty()) return Error{ErrorCode::InvalidArgument, "the group's configuration has no groupName"};
  return out;
}

void append_subscription_group(std::string& out, const SubscriptionGroupConfig& config) {
  JsonWriter json(out);
  write_group(json, config);
}

void append_subscription_groups(std::string& out, std::span<const SubscriptionGroupConfig> configs, const DataVersion& version) {
  JsonWriter json(out);
  json.begin_object();
  json.key("dataVersion");
  append_data_version(json.place(), version);
  json.key("forbiddenTable");
  json.begin_object();
  json.end_object();
  json.key("subscriptionGroupTable");
  json.begin_object();
  for (const SubscriptionGroupConfig& config : configs) {
    json.key(config.group);
    write_group(json, config);
  }
  json.end_object();
  json.end_object();
}

void append_consumer_connection(std::string& out, const ConsumerConnection& group) {
  JsonWriter json(out);
  json.begin_object();
  write_connections(json, group.connections);
  json.member("consumeFromWhere", wire_name(group.consume_from_where));
  json.member("consumeType", wire_name(group.consume_type));
  json.member("messageModel", wire_name(group.message_model));
  json.key("subscriptionTable");
  json.begin_object();
  for (const SubscriptionData& subscription : group.subscriptions) {
    json.key(subscription.topic);
    append_subscription_data(json.place(), subscription);
  }
  json.end_object();
  json.end_object();
}

void append_producer_connection(std::string& out, std::span<const Connection> connections) {
  JsonWriter json(out);
  json.begin_object();
  write_connections(json, connections);
  json.end_object();
}

}  // namespace halfmoon::wire
