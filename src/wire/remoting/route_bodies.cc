// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/route_bodies.h"

#include "wire/remoting/json_writer.h"

namespace halfmoon::wire {
namespace {

void write_addrs(JsonWriter& json, const BrokerData& broker) {
  json.key("brokerAddrs");
  json.begin_object();
  for (const auto& [id, addr] : broker.addrs) json.member(std::to_string(id), addr);
  json.end_object();
}

void write_broker(JsonWriter& json, const BrokerData& broker) {
  json.begin_object();
  write_addrs(json, broker);
  json.member("brokerName", broker.broker_name);
  json.member("cluster", broker.cluster);
  json.member("enableActingMaster", broker.enable_acting_master);
  if (!broker.zone_name.empty()) json.member("zoneName", broker.zone_name);
  json.end_object();
}

template <class Texts>
void write_texts(JsonWriter& json, const Texts& texts) {
  json.begin_array();
  for (const std::string& text : texts) json.text(text);
  json.end_array();
}

}  // namespace

void append_topic_route(std::string& out, const TopicRouteData& route) {
  JsonWriter json(out);
  json.begin_object();
  json.key("brokerDatas");
  json.begin_array();
  for (const BrokerData& broker : route.brokers) write_broker(json, broker);
  json.end_array();
  json.key("filterServerTable");
  json.begin_object();
  json.end_object();
  if (!route.order_topic_conf.empty()) json.member("orderTopicConf", route.order_topic_conf);
  json.key("queueDatas");
  json.begin_array();
  for (const QueueData& queue : route.queues) {
    json.begin_object();
    json.member("brokerName", queue.broker_name);
    json.member("perm", queue.perm);
    json.member("readQueueNums", queue.read_queue_nums);
    json.member("topicSysFlag", queue.topic_sys_flag);
    json.member("writeQueueNums", queue.write_queue_nums);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void append_cluster_info(std::string& out, const ClusterInfo& info) {
  JsonWriter json(out);
  json.begin_object();
  json.key("brokerAddrTable");
  json.begin_object();
  for (const BrokerData& broker : info.brokers) {
    json.key(broker.broker_name);
    write_broker(json, broker);
  }
  json.end_object();
  json.key("clusterAddrTable");
  json.begin_object();
  for (const auto& [cluster, names] : info.clusters) {
    json.key(cluster);
    write_texts(json, names);
  }
  json.end_object();
  json.end_object();
}

void append_topic_list(std::string& out, std::span<const std::string> topics, std::string_view broker_addr) {
  JsonWriter json(out);
  json.begin_object();
  if (!broker_addr.empty()) json.member("brokerAddr", broker_addr);
  json.key("topicList");
  write_texts(json, topics);
  json.end_object();
}

void append_kv_table(std::string& out, const TextMap& table) {
  JsonWriter json(out);
  json.begin_object();
  json.key("table");
  json.begin_object();
  for (const auto& [key, value] : table) json.member(key, value);
  json.end_object();
  json.end_object();
}

void append_broker_member_group(std::string& out, const BrokerData& members) {
  JsonWriter json(out);
  json.begin_object();
  json.key("brokerMemberGroup");
  json.begin_object();
  write_addrs(json, members);
  json.member("brokerName", members.broker_name);
  json.member("cluster", members.cluster);
  json.end_object();
  json.end_object();
}

void append_properties_text(std::string& out, const TextMap& properties) {
  for (const auto& [key, value] : properties) {
    out.append(key).push_back('=');
    for (const char c : value) out.push_back(c == '\n' || c == '\r' ? ' ' : c);
    out.push_back('\n');
  }
}

}  // namespace halfmoon::wire
