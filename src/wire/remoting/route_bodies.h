// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/remoting/topic_bodies.h"

namespace halfmoon::wire {

// What name servers answer (App. A.3): compact standard JSON, map keys quoted and sorted by the caller, because Go splits the text of
// brokerAddrs by hand (trap 4).

struct QueueData {
  std::string broker_name{};
  std::int32_t read_queue_nums = 0;
  std::int32_t write_queue_nums = 0;
  std::int32_t perm = 0;
  std::int32_t topic_sys_flag = 0;
};

struct BrokerData {
  std::string cluster{};
  std::string broker_name{};
  std::vector<std::pair<std::int64_t, std::string>> addrs{};  // broker id (0 = master) -> "host:port"
  std::string zone_name{};                                      // empty: not written
  bool enable_acting_master = false;
};

struct TopicRouteData {
  std::vector<QueueData> queues{};
  std::vector<BrokerData> brokers{};
  std::string order_topic_conf{};  // "b1:4;b2:4"; empty: not written
};
/// The answer to 105.
void append_topic_route(std::string& out, const TopicRouteData& route);

struct ClusterInfo {
  std::vector<BrokerData> brokers{};
  std::vector<std::pair<std::string, std::vector<std::string>>> clusters{};  // cluster -> names of its brokers
};
/// The answer to 106.
void append_cluster_info(std::string& out, const ClusterInfo& info);

/// The answer to 206, 224, 304, 305, 311 to 313 and 343; an empty `broker_addr` is not written.
void append_topic_list(std::string& out, std::span<const std::string> topics, std::string_view broker_addr = {});

/// {"table":{...}}: the answer to 28, 103 and 219.
void append_kv_table(std::string& out, const TextMap& table);

/// The answer to 901.
void append_broker_member_group(std::string& out, const BrokerData& members);

/// `key=value` lines: the answer to 26 and 319. Line breaks in a value are written as blanks.
void append_properties_text(std::string& out, const TextMap& properties);

}  // namespace halfmoon::wire
