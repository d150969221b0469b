// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/heartbeat.h"

#include <array>

#include "wire/remoting/field_values.h"
#include "wire/remoting/json_cursor.h"
#include "wire/remoting/json_writer.h"

namespace halfmoon::wire {
namespace {

constexpr std::array<std::string_view, 3> kConsumeTypes = {"CONSUME_ACTIVELY", "CONSUME_PASSIVELY", "CONSUME_POP"};
constexpr std::array<std::string_view, 2> kMessageModels = {"BROADCASTING", "CLUSTERING"};
constexpr std::array<std::string_view, 6> kConsumeFromWheres = {
    "CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST", "CONSUME_FROM_MIN_OFFSET",
    "CONSUME_FROM_MAX_OFFSET",  "CONSUME_FROM_FIRST_OFFSET",                             "CONSUME_FROM_TIMESTAMP"};

/// A name or an ordinal (trap 12); an unknown name is as good as null, an ordinal beyond the enum is a mistake.
template <class Enum, std::size_t N>
Enum read_enum(JsonCursor& cursor, const std::array<std::string_view, N>& names, Enum fallback) {
  const std::string_view text = cursor.text();
  for (std::size_t i = 0; i < N; ++i) {
    if (text == names[i]) return static_cast<Enum>(i);
  }
  if (const auto ordinal = parse_integer<std::int64_t>(text)) {
    if (*ordinal >= 0 && *ordinal < static_cast<std::int64_t>(N)) return static_cast<Enum>(*ordinal);
    cursor.fail("an enum has no such ordinal");
  }
  return fallback;
}

/// Enters a list; false for a null, which is as good as an empty one.
bool enter_list(JsonCursor& cursor) {
  if (cursor.null()) return false;
  cursor.enter_array();
  return true;
}

SubscriptionData read_subscription(JsonCursor& cursor) {
  SubscriptionData data;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "topic") {
      data.topic = cursor.text();
    } else if (key == "subString") {
      data.sub_string = cursor.text();
    } else if (key == "subVersion") {
      data.sub_version = cursor.int64(0);
    } else if (key == "expressionType") {
      if (const std::string_view type = cursor.text(); !type.empty()) data.expression_type = type;
    } else if (key == "classFilterMode") {
      data.class_filter_mode = cursor.boolean(false);
    } else if (key == "tagsSet") {
      if (enter_list(cursor)) {
        while (cursor.next_element()) data.tags.emplace_back(cursor.text());
      }
    } else if (key == "codeSet") {
      if (enter_list(cursor)) {
        while (cursor.next_element()) data.codes.push_back(cursor.int32(0));
      }
    } else {
      cursor.skip();
    }
  }
  return data;
}

ConsumerData read_consumer(JsonCursor& cursor) {
  ConsumerData data;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "groupName") {
      data.group = cursor.text();
    } else if (key == "consumeType") {
      data.consume_type = read_enum(cursor, kConsumeTypes, data.consume_type);
    } else if (key == "messageModel") {
      data.message_model = read_enum(cursor, kMessageModels, data.message_model);
    } else if (key == "consumeFromWhere") {
      data.consume_from_where = read_enum(cursor, kConsumeFromWheres, data.consume_from_where);
    } else if (key == "subscriptionDataSet") {
      if (enter_list(cursor)) {
        while (cursor.next_element()) data.subscriptions.push_back(read_subscription(cursor));
      }
    } else if (key == "unitMode") {
      data.unit_mode = cursor.boolean(false);
    } else {
      cursor.skip();
    }
  }
  return data;
}

std::string read_producer(JsonCursor& cursor) {
  std::string group;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "groupName") group = cursor.text();
    else cursor.skip();
  }
  return group;
}

Error too_large(std::string_view what) {
  return {ErrorCode::InvalidArgument, std::string(what) + " is larger than " + std::to_string(kClientBodyBytesMax) + " bytes"};
}

}  // namespace

std::string_view wire_name(ConsumeType type) { return kConsumeTypes[static_cast<std::size_t>(type)]; }
std::string_view wire_name(MessageModel model) { return kMessageModels[static_cast<std::size_t>(model)]; }
std::string_view wire_name(ConsumeFromWhere where) { return kConsumeFromWheres[static_cast<std::size_t>(where)]; }

Result<HeartbeatData> parse_heartbeat(Bytes body) {
  if (body.size() > kClientBodyBytesMax) return too_large("the heartbeat");
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  HeartbeatData data;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "clientID") {
      data.client_id = cursor.text();
    } else if (key == "producerDataSet") {
      if (enter_list(cursor)) {
        while (cursor.next_element()) data.producer_groups.push_back(read_producer(cursor));
      }
    } else if (key == "consumerDataSet") {
      if (enter_list(cursor)) {
        while (cursor.next_element()) data.consumers.push_back(read_consumer(cursor));
      }
    } else if (key == "heartbeatFingerprint") {
      data.fingerprint = cursor.int32(0);
    } else if (key == "withoutSub") {
      data.without_sub = cursor.boolean(false);
    } else {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure("the heartbeat");
  if (data.client_id.empty()) return Error{ErrorCode::InvalidArgument, "the heartbeat has no clientID"};
  return data;
}

Result<CheckClientConfig> parse_check_client_config(Bytes body) {
  if (body.size() > kClientBodyBytesMax) return too_large("the client configuration");
  CheckClientConfig config;
  if (body.empty()) return config;
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "clientId") {
      config.client_id = cursor.text();
    } else if (key == "group") {
      config.group = cursor.text();
    } else if (key == "namespace") {
      config.client_namespace = cursor.text();
    } else if (key == "subscriptionData") {
      if (!cursor.null()) config.subscription = read_subscription(cursor);
    } else {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure("the client configuration");
  return config;
}

void append_subscription_data(std::string& out, const SubscriptionData& data) {
  JsonWriter json(out);
  json.begin_object();
  json.member("classFilterMode", data.class_filter_mode);
  json.key("codeSet");
  json.begin_array();
  for (const std::int32_t code : data.codes) json.integer(code);
  json.end_array();
  json.member("expressionType", data.expression_type);
  json.member("subString", data.sub_string);
  json.member("subVersion", data.sub_version);
  json.key("tagsSet");
  json.begin_array();
  for (const std::string& tag : data.tags) json.text(tag);
  json.end_array();
  json.member("topic", data.topic);
  json.end_object();
}

}  // namespace halfmoon::wire
