// SPDX-License-Identifier: Apache-2.0
#include "nameserver/route_table.h"

#include <algorithm>

#include "model/names.h"

namespace halfmoon::nameserver {
namespace {

constexpr std::int64_t kDefaultTimeoutMs = 120000;
constexpr std::string_view kOrderConfigSpace = "ORDER_TOPIC_CONFIG";

}  // namespace

std::optional<Error> RouteTable::refusal(const Registration& registration, const Broker* known) const {
  const auto invalid = [](std::string text) { return Error{ErrorCode::InvalidArgument, std::move(text)}; };
  if (registration.broker_name.empty() || registration.cluster.empty()) return invalid("a broker's registration needs brokerName and clusterName");
  if (registration.address == kOwnAddress && !registration.own) return invalid("a broker's registration needs brokerAddr");
  if (known == nullptr && brokers_.size() >= limits_.broker_names)
    return invalid("the name server knows " + std::to_string(limits_.broker_names) + " broker names and takes no more");

  const auto member = known == nullptr ? decltype(known->members.end()){} : known->members.find(registration.broker_id);
  const bool seen = known != nullptr && member != known->members.end();
  // A restarted broker whose tables were lost says one topic; believing it would make its other topics vanish for everybody.
  if (!seen && registration.topics.size() == 1) return invalid("register broker failed");
  if (!seen && known != nullptr && known->members.size() >= limits_.members)
    return invalid("the name server knows " + std::to_string(limits_.members) + " brokers of that name and takes no more");
  if (!seen) return std::nullopt;
  if (member->second.own && !registration.own)
    return Error{ErrorCode::IllegalOperation, "broker " + registration.broker_name + " with this id runs in the name server's own process"};
  if (member->second.address != registration.address && member->second.version.state_version > registration.version.state_version)
    return Error{ErrorCode::IllegalOperation, "a newer broker " + registration.broker_name + " with this id is registered at " + member->second.address};
  return std::nullopt;
}

Result<RegistrationResult> RouteTable::register_broker(const Registration& registration, Now now) {
  const auto known = brokers_.find(registration.broker_name);
  if (auto error = refusal(registration, known == brokers_.end() ? nullptr : &known->second)) return *std::move(error);

  Broker& broker = brokers_[registration.broker_name];
  broker.cluster = registration.cluster;
  broker.zone = registration.zone;
  broker.acting_master = registration.acting_master;
  // A slave that was promoted, or a master that became a slave: the same address under another id.
  std::erase_if(broker.members, [&](const auto& entry) {
    return entry.first != registration.broker_id && entry.second.address == registration.address && !entry.second.own;
  });

  const bool first = !broker.members.contains(registration.broker_id);
  Member& member = broker.members[registration.broker_id];
  const bool changed = first || member.version != registration.version;
  member = {.address = registration.address,
            .ha_address = registration.ha_address,
            .timeout_ms = registration.timeout_ms.value_or(kDefaultTimeoutMs),
            .seen_mono_ms = now.mono_ms,
            .own = registration.own,
            .connection = registration.connection,
            .version = registration.version};

  const bool master = registration.broker_id == kMasterId;
  const bool stands_in = registration.acting_master && broker.members.begin()->first == registration.broker_id;
  if (master || stands_in) take_topics(registration, changed, master);

  RegistrationResult result;
  if (const auto found = broker.members.find(kMasterId); !master && found != broker.members.end()) {
    result.master_address = found->second.address;
    result.master_ha_address = found->second.ha_address;
  }
  return result;
}

void RouteTable::take_topics(const Registration& registration, bool all, bool writable) {
  std::size_t entries = 0;
  if (!registration.own)
    for (const auto& [name, brokers] : topics_) entries += brokers.size();
  for (const model::TopicConfig& topic : registration.topics) {
    auto place = topics_.find(topic.name);
    if (place == topics_.end()) {
      if (topics_.size() >= limits_.topics || entries >= limits_.entries) continue;
      place = topics_.try_emplace(topic.name).first;
    } else if (!all && place->second.contains(registration.broker_name)) {
      continue;
    } else if (!registration.own && entries >= limits_.entries && !place->second.contains(registration.broker_name)) {
      continue;
    }
    if (!registration.own) ++entries;
    const std::int32_t permission = writable ? topic.permission : topic.permission & ~model::permission::kWrite;
    place->second[registration.broker_name] = {registration.broker_name, topic.read_queues, topic.write_queues, permission, topic.sys_flag};
  }
}

template <class Gone>
void RouteTable::remove_members(Gone gone) {
  for (auto broker = brokers_.begin(); broker != brokers_.end();) {
    std::erase_if(broker->second.members, [&](const auto& entry) { return gone(*broker, entry.first, entry.second); });
    if (!broker->second.members.empty()) {
      ++broker;
      continue;
    }
    forget_topics_of(broker->first);
    broker = brokers_.erase(broker);
  }
}

void RouteTable::forget_topics_of(std::string_view broker_name) {
  for (auto topic = topics_.begin(); topic != topics_.end();) {
    if (const auto found = topic->second.find(broker_name); found != topic->second.end()) topic->second.erase(found);
    topic = topic->second.empty() ? topics_.erase(topic) : std::next(topic);
  }
}

void RouteTable::unregister_broker(std::string_view cluster, std::string_view address, std::string_view name, std::int64_t id) {
  remove_members([&](const auto& broker, std::int64_t member_id, const Member& member) {
    return broker.first == name && broker.second.cluster == cluster && member_id == id && member.address == address && !member.own;
  });
}

void RouteTable::connection_closed(std::uint64_t connection) {
  if (connection == 0) return;
  remove_members([&](const auto&, std::int64_t, const Member& member) { return member.connection == connection && !member.own; });
}

void RouteTable::tick(Now now) {
  remove_members([&](const auto&, std::int64_t, const Member& member) {
    return !member.own && now.mono_ms - member.seen_mono_ms > member.timeout_ms;
  });
}

std::optional<model::DataVersion> RouteTable::touch_broker(std::string_view cluster, std::string_view address, Now now) {
  for (auto& [name, broker] : brokers_) {
    if (broker.cluster != cluster) continue;
    for (auto& [id, member] : broker.members) {
      if (member.address != address || member.own) continue;
      member.seen_mono_ms = now.mono_ms;
      return member.version;
    }
  }
  return std::nullopt;
}

BrokerData RouteTable::data_of(const std::string& name, const Broker& broker) const {
  BrokerData data{.cluster = broker.cluster, .broker_name = name, .zone = broker.zone, .addresses = {}, .acting_master = broker.acting_master};
  for (const auto& [id, member] : broker.members) data.addresses.emplace(id, member.address);
  return data;
}

Result<Route> RouteTable::route(std::string_view topic) {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) {
    if (auto coming = coming_retry_route(topic)) return *std::move(coming);
    return Error{ErrorCode::TopicNotFound, "No topic route info in name server for the topic: " + std::string(topic)};
  }
  Route route;
  route.order_config = config(kOrderConfigSpace, topic).value_or("");
  for (const auto& [broker_name, queues] : found->second) {
    route.queues.push_back(queues);
    if (const auto broker = brokers_.find(broker_name); broker != brokers_.end()) route.brokers.push_back(data_of(broker->first, broker->second));
  }
  return route;
}

// A consumer asks for its group's retry topic before the heartbeat that creates it, and then not again for 30 s, in which its retries would
// wait (specification 0, trap 22). The broker of this process will have the topic by the time anybody pulls from it.
std::optional<Route> RouteTable::coming_retry_route(std::string_view topic) const {
  if (!model::is_retry_topic(topic) || !model::validate_group(topic.substr(model::kRetryPrefix.size())).ok()) return std::nullopt;
  for (const auto& [name, broker] : brokers_) {
    const auto master = broker.members.find(kMasterId);
    if (master == broker.members.end() || !master->second.own) continue;
    constexpr std::int32_t kReadWrite = model::permission::kRead | model::permission::kWrite;
    return Route{"", {{.broker_name = name, .read_queues = 1, .write_queues = 1, .permission = kReadWrite, .sys_flag = 0}}, {data_of(name, broker)}};
  }
  return std::nullopt;
}

std::vector<BrokerData> RouteTable::brokers() {
  std::vector<BrokerData> all;
  for (const auto& [name, broker] : brokers_) all.push_back(data_of(name, broker));
  return all;
}

std::vector<std::string> RouteTable::topics() {
  std::vector<std::string> names;
  for (const auto& [name, queues] : topics_) names.push_back(name);
  return names;
}

std::vector<std::string> RouteTable::topics_of_cluster(std::string_view cluster) {
  std::vector<std::string> names;
  for (const auto& [name, queues] : topics_) {
    const bool there = std::any_of(queues.begin(), queues.end(), [&](const auto& entry) {
      const auto broker = brokers_.find(entry.first);
      return broker != brokers_.end() && broker->second.cluster == cluster;
    });
    if (there) names.push_back(name);
  }
  return names;
}

void RouteTable::delete_topic(std::string_view topic, std::string_view cluster) {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return;
  std::erase_if(found->second, [&](const auto& entry) {
    const auto broker = brokers_.find(entry.first);
    return cluster.empty() || (broker != brokers_.end() && broker->second.cluster == cluster);
  });
  if (found->second.empty()) topics_.erase(found);
}

void RouteTable::delete_topic_of_broker(std::string_view topic, std::string_view broker_name) {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return;
  if (const auto queues = found->second.find(broker_name); queues != found->second.end()) found->second.erase(queues);
  if (found->second.empty()) topics_.erase(found);
}

Status RouteTable::put_config(std::string_view space, std::string_view key, std::string_view value) {
  if (space.empty() || key.empty()) return Error{ErrorCode::InvalidArgument, "namespace or key is null"};
  if (space.size() + key.size() + value.size() > limits_.config_bytes)
    return Error{ErrorCode::InvalidArgument, "a KV config has at most " + std::to_string(limits_.config_bytes) + " bytes"};
  if (config(space, key)) {
    configs_.find(space)->second.find(key)->second = value;
    return Done{};
  }
  if (config_count_ >= limits_.configs)
    return Error{ErrorCode::Busy, "the name server holds " + std::to_string(limits_.configs) + " KV configs; delete some first"};
  configs_[std::string(space)].emplace(key, value);
  ++config_count_;
  return Done{};
}

std::optional<std::string> RouteTable::config(std::string_view space, std::string_view key) {
  const auto table = configs_.find(space);
  if (table == configs_.end()) return std::nullopt;
  const auto found = table->second.find(key);
  if (found == table->second.end()) return std::nullopt;
  return found->second;
}

std::map<std::string, std::string> RouteTable::configs(std::string_view space) {
  const auto table = configs_.find(space);
  if (table == configs_.end()) return {};
  return {table->second.begin(), table->second.end()};
}

void RouteTable::delete_config(std::string_view space, std::string_view key) {
  const auto table = configs_.find(space);
  if (table == configs_.end()) return;
  if (const auto found = table->second.find(key); found != table->second.end()) {
    table->second.erase(found);
    --config_count_;
  }
  if (table->second.empty()) configs_.erase(table);
}

std::int32_t RouteTable::set_write_permission(std::string_view broker_name, bool writable) {
  std::int32_t changed = 0;
  for (auto& [topic, queues] : topics_) {
    const auto found = queues.find(broker_name);
    if (found == queues.end()) continue;
    // Giving the permission back gives "read and write", whatever there was before: that is what the tools' addWritePerm means.
    const std::int32_t wanted =
        writable ? model::permission::kRead | model::permission::kWrite : found->second.permission & ~model::permission::kWrite;
    if (wanted == found->second.permission) continue;
    found->second.permission = wanted;
    ++changed;
  }
  return changed;
}

}  // namespace halfmoon::nameserver
