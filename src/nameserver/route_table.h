// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>

#include "nameserver/api.h"

namespace halfmoon::nameserver {

/// What strangers may make the table grow to.
struct RouteLimits {
  std::size_t broker_names = 1024;
  std::size_t topics = 200000;
  std::size_t entries = 400000;        // topics of brokers: a topic on three brokers is three
  std::size_t members = 64;            // processes under one broker name
  std::size_t configs = 10000;
  std::size_t config_bytes = 16 << 10; // of one: name space, key and value
};

/// Which brokers there are and which topics they hold (specification 3.5), in memory only: brokers tell it again every 30 s. Owned by the
/// process, called inside the core; knows no clock, no thread and no disk. The broker of this process (`own`) neither expires nor can
/// be displaced by a stranger that claims its name.
class RouteTable final : public NameServer {
 public:
  explicit RouteTable(RouteLimits limits = {}) : limits_(limits) {}

  Result<RegistrationResult> register_broker(const Registration& registration, Now now) override;
  void unregister_broker(std::string_view cluster, std::string_view address, std::string_view name, std::int64_t id) override;
  void connection_closed(std::uint64_t connection) override;
  std::optional<model::DataVersion> touch_broker(std::string_view cluster, std::string_view address, Now now) override;
  Result<Route> route(std::string_view topic) override;
  std::vector<BrokerData> brokers() override;
  std::vector<std::string> topics() override;
  std::vector<std::string> topics_of_cluster(std::string_view cluster) override;
  void delete_topic(std::string_view topic, std::string_view cluster) override;
  void delete_topic_of_broker(std::string_view topic, std::string_view broker_name) override;
  Status put_config(std::string_view space, std::string_view key, std::string_view value) override;
  std::optional<std::string> config(std::string_view space, std::string_view key) override;
  std::map<std::string, std::string> configs(std::string_view space) override;
  void delete_config(std::string_view space, std::string_view key) override;
  std::int32_t set_write_permission(std::string_view broker_name, bool writable) override;
  void tick(Now now) override;

 private:
  /// One process of a broker: the master (id 0) or a slave.
  struct Member {
    std::string address, ha_address;
    std::int64_t timeout_ms = 0;
    std::int64_t seen_mono_ms = 0;
    bool own = false;
    std::uint64_t connection = 0;
    model::DataVersion version;
  };
  /// All processes that share a broker name.
  struct Broker {
    std::string cluster, zone;
    bool acting_master = false;
    std::map<std::int64_t, Member> members;
  };
  using Brokers = std::map<std::string, Broker, std::less<>>;
  using TopicQueues = std::map<std::string, QueueData, std::less<>>;  // by broker name

  std::optional<Error> refusal(const Registration& registration, const Broker* known) const;
  void take_topics(const Registration& registration, bool all, bool writable);
  /// Removes the members for which `gone(member)`; a broker without members takes its topics with it.
  template <class Gone>
  void remove_members(Gone gone);
  void forget_topics_of(std::string_view broker_name);
  BrokerData data_of(const std::string& name, const Broker& broker) const;
  std::optional<Route> coming_retry_route(std::string_view topic) const;

  RouteLimits limits_;
  Brokers brokers_;
  std::map<std::string, TopicQueues, std::less<>> topics_;
  std::map<std::string, std::map<std::string, std::string, std::less<>>, std::less<>> configs_;
  std::size_t config_count_ = 0;
};

}  // namespace halfmoon::nameserver
