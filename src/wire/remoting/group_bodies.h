// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/remoting/header.h"
#include "wire/remoting/heartbeat.h"
#include "wire/remoting/topic_bodies.h"

namespace halfmoon::wire {

/// The answer to 38: {"consumerIdList":[...]}.
void append_consumer_ids(std::string& out, std::span<const std::string> client_ids);

/// The answer to 300: {"groupList":[...]}.
void append_group_list(std::string& out, std::span<const std::string> groups);

/// A consumer group's settings (App. A.5).
struct SubscriptionGroupConfig {
  std::string group{};
  bool consume_enable = true;
  bool consume_from_min_enable = true;
  bool consume_broadcast_enable = true;
  bool consume_message_orderly = false;
  bool notify_consumer_ids_changed_enable = true;
  std::int32_t retry_queue_nums = 1;
  std::int32_t retry_max_times = 16;
  std::int32_t consume_timeout_minutes = 15;
  std::int64_t broker_id = 0;
  std::int64_t which_broker_when_consume_slowly = 1;
  std::int32_t group_sys_flag = 0;
  std::string retry_policy_json{};  // groupRetryPolicy as it came, compact or not; empty: {"type":"CUSTOMIZED"}
  TextMap attributes{};
};

/// The body of 200. Missing and null members have the defaults shown; a config without a groupName is refused.
Result<SubscriptionGroupConfig> parse_subscription_group(Bytes body);
/// The answer to 352.
void append_subscription_group(std::string& out, const SubscriptionGroupConfig& config);
/// The answer to 201.
void append_subscription_groups(std::string& out, std::span<const SubscriptionGroupConfig> configs, const DataVersion& version);

struct Connection {
  std::string client_id{};
  std::string client_addr{};  // "ip:port"
  Language language = Language::Java;
  std::int32_t version = 0;
};

/// The answer to 203.
struct ConsumerConnection {
  std::vector<Connection> connections{};
  std::vector<SubscriptionData> subscriptions{};
  ConsumeType consume_type = ConsumeType::Passively;
  MessageModel message_model = MessageModel::Clustering;
  ConsumeFromWhere consume_from_where = ConsumeFromWhere::LastOffset;
};
void append_consumer_connection(std::string& out, const ConsumerConnection& group);

/// The answer to 204.
void append_producer_connection(std::string& out, std::span<const Connection> connections);

}  // namespace halfmoon::wire
