// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/topic.h"

/// The ports of the name server: which brokers there are and which topics they hold. Called by whoever is inside the core.
namespace halfmoon::nameserver {

inline constexpr std::int64_t kMasterId = 0;

/// A broker in this process advertises this address: the adapter puts in what the asking client can reach.
inline constexpr std::string_view kOwnAddress = "";

struct QueueData {
  std::string broker_name;
  std::int32_t read_queues = 0, write_queues = 0, permission = 0, sys_flag = 0;
};
struct BrokerData {
  std::string cluster, broker_name, zone;
  std::map<std::int64_t, std::string> addresses;   // broker id -> address
  bool acting_master = false;
};
struct Route {
  std::string order_config;    // "broker:n;broker2:n", empty if none
  std::vector<QueueData> queues;
  std::vector<BrokerData> brokers;
};

/// What a broker tells a name server about itself (specification 3.5, code 103).
struct Registration {
  std::string cluster, broker_name, address, ha_address, zone;
  std::int64_t broker_id = kMasterId;
  std::optional<std::int64_t> timeout_ms;   // heartbeat; default 120 s; never for the broker of this process
  bool own = false;                         // the broker of this process: does not expire
  bool acting_master = false;
  std::uint64_t connection = 0;             // the channel it came over; its end unregisters
  model::DataVersion version;
  std::vector<model::TopicConfig> topics;
};
struct RegistrationResult {
  std::string master_address, master_ha_address;       // for a slave
};

class NameServer {
 public:
  virtual ~NameServer() = default;
  /// Errors: InvalidArgument (names), IllegalOperation (an older registration than the one known).
  virtual Result<RegistrationResult> register_broker(const Registration& registration, Now now) = 0;
  virtual void unregister_broker(std::string_view cluster, std::string_view address, std::string_view name, std::int64_t id) = 0;
  virtual void connection_closed(std::uint64_t connection) = 0;
  /// The stored version of that broker's topics; renews its life. nullopt: not known.
  virtual std::optional<model::DataVersion> touch_broker(std::string_view cluster, std::string_view address, Now now) = 0;
  virtual Result<Route> route(std::string_view topic) = 0;   // TopicNotFound with RocketMQ's text
  virtual std::vector<BrokerData> brokers() = 0;
  virtual std::vector<std::string> topics() = 0;
  virtual std::vector<std::string> topics_of_cluster(std::string_view cluster) = 0;
  virtual void delete_topic(std::string_view topic, std::string_view cluster) = 0;  // cluster empty: everywhere
  /// Forgets that one broker holds the topic; the others keep it.
  virtual void delete_topic_of_broker(std::string_view topic, std::string_view broker_name) = 0;
  /// Errors: InvalidArgument (no name), Busy (too many entries).
  virtual Status put_config(std::string_view space, std::string_view key, std::string_view value) = 0;
  virtual std::optional<std::string> config(std::string_view space, std::string_view key) = 0;
  virtual std::map<std::string, std::string> configs(std::string_view space) = 0;
  virtual void delete_config(std::string_view space, std::string_view key) = 0;
  /// Sets or clears the write permission of all topics of a broker; returns how many changed.
  virtual std::int32_t set_write_permission(std::string_view broker_name, bool writable) = 0;
  /// Drops brokers that were silent too long. Called about every 5 s.
  virtual void tick(Now now) = 0;
};

}  // namespace halfmoon::nameserver
