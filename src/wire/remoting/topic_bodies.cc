// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/topic_bodies.h"

#include "wire/remoting/json_writer.h"
#include "wire/remoting/topic_json.h"

namespace halfmoon::wire {
namespace {

void write_topic(JsonWriter& json, const TopicConfig& topic) {
  json.begin_object();
  json.key("attributes");
  json.begin_object();
  for (const auto& [name, value] : topic.attributes) json.member(name, value);
  json.end_object();
  json.member("order", topic.order);
  json.member("perm", topic.perm);
  json.member("readQueueNums", topic.read_queue_nums);
  json.member("topicFilterType", topic.topic_filter_type);
  json.member("topicName", topic.name);
  json.member("topicSysFlag", topic.topic_sys_flag);
  json.member("writeQueueNums", topic.write_queue_nums);
  json.end_object();
}

void write_version(JsonWriter& json, const DataVersion& version) {
  json.begin_object();
  json.member("counter", version.counter);
  json.member("stateVersion", version.state_version);
  json.member("timestamp", version.timestamp_ms);
  json.end_object();
}

}  // namespace

DataVersion read_data_version(JsonCursor& cursor) {
  DataVersion version;
  if (cursor.null()) return version;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "counter") version.counter = cursor.int64(0);
    else if (key == "stateVersion") version.state_version = cursor.int64(0);
    else if (key == "timestamp") version.timestamp_ms = cursor.int64(0);
    else cursor.skip();
  }
  return version;
}

TextMap read_text_map(JsonCursor& cursor) {
  TextMap map;
  if (cursor.null()) return map;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) map.emplace_back(key, cursor.text());
  return map;
}

TopicConfig read_topic_config(JsonCursor& cursor) {
  TopicConfig topic;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "topicName") topic.name = cursor.text();
    else if (key == "readQueueNums") topic.read_queue_nums = cursor.int32(topic.read_queue_nums);
    else if (key == "writeQueueNums") topic.write_queue_nums = cursor.int32(topic.write_queue_nums);
    else if (key == "perm") topic.perm = cursor.int32(topic.perm);
    else if (key == "topicFilterType" && !cursor.null()) topic.topic_filter_type = cursor.text();
    else if (key == "topicSysFlag") topic.topic_sys_flag = cursor.int32(0);
    else if (key == "order") topic.order = cursor.boolean(false);
    else if (key == "attributes") topic.attributes = read_text_map(cursor);
    else if (key != "topicFilterType") cursor.skip();  // "$ref" among them (trap 16): the topic then has its defaults
  }
  return topic;
}

Result<DataVersion> parse_data_version(Bytes body) {
  if (body.empty()) return DataVersion{};
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  DataVersion version = read_data_version(cursor);
  if (!cursor.finish()) return cursor.failure("the data version");
  return version;
}

void append_data_version(std::string& out, const DataVersion& version) {
  JsonWriter json(out);
  write_version(json, version);
}

void append_topic_config(std::string& out, const TopicConfig& topic) {
  JsonWriter json(out);
  write_topic(json, topic);
}

void append_topic_configs(std::string& out, std::span<const TopicConfig> topics, const DataVersion& version) {
  JsonWriter json(out);
  json.begin_object();
  json.key("dataVersion");
  write_version(json, version);
  json.key("mappingDataVersion");
  write_version(json, DataVersion{});
  json.key("topicConfigTable");
  json.begin_object();
  for (const TopicConfig& topic : topics) {
    json.key(topic.name);
    write_topic(json, topic);
  }
  json.end_object();
  for (const std::string_view unused : {"topicQueueMappingDetailMap", "topicQueueMappingInfoMap"}) {
    json.key(unused);
    json.begin_object();
    json.end_object();
  }
  json.end_object();
}

}  // namespace halfmoon::wire
