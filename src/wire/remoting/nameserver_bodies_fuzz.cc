// SPDX-License-Identifier: Apache-2.0
// Bodies of the name server: a registration reads as the same whether it comes as JSON or compressed; what is answered (topic lists, routes, key
// value tables, versions) is JSON with exactly what was put in.
#include <libdeflate.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/crc.h"
#include "base/cursor.h"
#include "testkit/fuzz_input.h"
#include "testkit/same_fields.h"
#include "wire/remoting/json_writer.h"
#include "wire/remoting/route_bodies.h"
#include "wire/remoting/topic_json.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::wire;

std::string deflated(std::string_view text) {
  libdeflate_compressor* const compressor = libdeflate_alloc_compressor(1);
  HM_CHECK(compressor != nullptr);
  std::string out(libdeflate_zlib_compress_bound(compressor, text.size()), '\0');
  out.resize(libdeflate_zlib_compress(compressor, text.data(), text.size(), out.data(), out.size()));
  libdeflate_free_compressor(compressor);
  HM_CHECK(!out.empty());
  return out;
}

std::string as_json(const RegisterBrokerBody& body) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  json.key("topicConfigSerializeWrapper");
  append_topic_configs(json.place(), body.topics, body.data_version);
  json.key("filterServerList");
  json.begin_array();
  for (const std::string& server : body.filter_servers) json.text(server);
  json.end_array();
  json.end_object();
  return text;
}

void block(std::string& out, std::string_view text) {
  Writer writer(out);
  writer.be(static_cast<std::int32_t>(text.size()));
  writer.text(text);
}

/// As brokers from 5.0.0 on send it. A topic's sys flag and order do not travel this way.
std::string as_compressed(const RegisterBrokerBody& body) {
  std::string text, version, servers;
  append_data_version(version, body.data_version);
  block(text, version);
  Writer(text).be(static_cast<std::int32_t>(body.topics.size()));
  for (const TopicConfig& topic : body.topics) {
    std::string line = topic.name + " " + std::to_string(topic.read_queue_nums) + " " + std::to_string(topic.write_queue_nums) + " " +
                       std::to_string(topic.perm) + " " + topic.topic_filter_type + " ";
    JsonWriter json(line);
    json.begin_object();
    for (const auto& [name, value] : topic.attributes) json.member(name, value);
    json.end_object();
    block(text, line);
  }
  JsonWriter json(servers);
  json.begin_array();
  for (const std::string& server : body.filter_servers) json.text(server);
  json.end_array();
  block(text, servers);
  return deflated(text);
}

bool has_blank(const TopicConfig& topic) {
  return topic.name.empty() || topic.name.find(' ') != std::string::npos || topic.topic_filter_type.find(' ') != std::string::npos;
}

void check_registration(const RegisterBrokerBody& body) {
  const std::string json = as_json(body);
  const auto crc = static_cast<std::int32_t>(crc32_ieee(as_bytes(json)) & 0x7FFF'FFFFu);
  const auto again = parse_register_broker_body(as_bytes(json), crc);
  HM_CHECK(again.ok() && testkit::same_fields(*again, body));
  if (crc != 0 && crc != 1) HM_CHECK(!parse_register_broker_body(as_bytes(json), 1).ok());
  if (std::ranges::any_of(body.topics, has_blank)) return;
  const auto inflated = parse_register_broker_body(as_bytes(as_compressed(body)), 0);
  HM_CHECK(inflated.ok());
  RegisterBrokerBody travelled = body;
  for (TopicConfig& topic : travelled.topics) {
    topic.topic_sys_flag = 0;
    topic.order = false;
  }
  HM_CHECK(testkit::same_fields(*inflated, travelled));
}

/// The value of the only member that is called `name`, read by `read`; everything else is skipped, and all of it must be JSON.
template <class F>
void read_member(const std::string& json, std::string_view name, F read) {
  TextArena arena;
  JsonCursor cursor(json, arena);
  bool found = false;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == name) {
      found = true;
      read(cursor);
    } else {
      cursor.skip();
    }
  }
  HM_CHECK(cursor.finish() && found);
}

void check_answers(const RegisterBrokerBody& body) {
  std::vector<std::string> names;
  TopicRouteData route;
  for (const TopicConfig& topic : body.topics) {
    names.push_back(topic.name);
    route.queues.push_back({topic.name, topic.read_queue_nums, topic.write_queue_nums, topic.perm, topic.topic_sys_flag});
    route.order_topic_conf += topic.name;
    std::string table;
    append_kv_table(table, topic.attributes);
    read_member(table, "table", [&](JsonCursor& cursor) { HM_CHECK(read_text_map(cursor) == topic.attributes); });
  }
  route.brokers.push_back({.cluster = names.empty() ? "" : names.front(), .broker_name = "b", .addrs = {}, .zone_name = {}});
  for (std::size_t i = 0; i < names.size(); ++i) route.brokers.front().addrs.emplace_back(static_cast<std::int64_t>(i), names[i]);

  std::string list, routes;
  append_topic_list(list, names, names.empty() ? "" : names.front());
  read_member(list, "topicList", [&](JsonCursor& cursor) {
    std::size_t i = 0;
    cursor.enter_array();
    for (; cursor.next_element(); ++i) HM_CHECK(i < names.size() && cursor.string() == names[i]);
    HM_CHECK(i == names.size());
  });
  append_topic_route(routes, route);
  read_member(routes, "queueDatas", [&](JsonCursor& cursor) {
    std::size_t i = 0;
    cursor.enter_array();
    for (; cursor.next_element(); ++i) {
      cursor.enter_object();
      for (std::string_view key; cursor.next_member(key);) {
        if (key == "brokerName") HM_CHECK(cursor.text() == names[i]);
        else if (key == "perm") HM_CHECK(cursor.int32(-1) == route.queues[i].perm);
        else cursor.skip();
      }
    }
    HM_CHECK(i == names.size());
  });
}

}  // namespace

//  | form u8: 0 as it is, 1 compress it first | body |
HM_FUZZ_TARGET() {
  const bool compress = (input.byte() & 1) != 0;
  const std::string_view given = input.rest();
  const std::string body = compress ? deflated(given) : std::string(given);
  const auto version = parse_data_version(as_bytes(body));
  if (version.ok()) {
    std::string text;
    append_data_version(text, *version);
    const auto again = parse_data_version(as_bytes(text));
    HM_CHECK(again.ok() && *again == *version);
  }
  const auto parsed = parse_register_broker_body(as_bytes(body), 0);
  if (!parsed.ok()) {
    HM_CHECK(parsed.error().code == ErrorCode::InvalidArgument && !parsed.error().text.empty());
    return;
  }
  check_registration(*parsed);
  check_answers(*parsed);
}
