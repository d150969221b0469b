// SPDX-License-Identifier: Apache-2.0
// Bodies that clients send (34, 41, 42, 46, 200): what is read can be written, and reads as the same; what is written twice is the same text.
#include <string>

#include "base/check.h"
#include "testkit/fuzz_input.h"
#include "testkit/same_fields.h"
#include "wire/remoting/group_bodies.h"
#include "wire/remoting/json_writer.h"
#include "wire/remoting/queue_bodies.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::wire;

template <class T>
void expect_named_error(const Result<T>& result) {
  if (!result.ok()) HM_CHECK(result.error().code == ErrorCode::InvalidArgument && !result.error().text.empty());
}

void check_subscription(const SubscriptionData& subscription) {
  HM_CHECK(!subscription.expression_type.empty());
  std::string body = R"({"subscriptionData":)";
  append_subscription_data(body, subscription);
  body += '}';
  if (body.size() > kClientBodyBytesMax) return;
  const auto read = parse_check_client_config(as_bytes(body));
  HM_CHECK(read.ok() && read->subscription.has_value());
  HM_CHECK(testkit::same_fields(*read->subscription, subscription));
}

/// As a Java client writes it: the program only reads heartbeats.
std::string written(const HeartbeatData& data) {
  std::string body;
  JsonWriter json(body);
  json.begin_object();
  json.member("clientID", data.client_id);
  json.key("consumerDataSet");
  json.begin_array();
  for (const ConsumerData& consumer : data.consumers) {
    json.begin_object();
    json.member("consumeFromWhere", wire_name(consumer.consume_from_where));
    json.member("consumeType", wire_name(consumer.consume_type));
    json.member("groupName", consumer.group);
    json.member("messageModel", wire_name(consumer.message_model));
    json.key("subscriptionDataSet");
    json.begin_array();
    for (const SubscriptionData& subscription : consumer.subscriptions) append_subscription_data(json.place(), subscription);
    json.end_array();
    json.member("unitMode", consumer.unit_mode);
    json.end_object();
  }
  json.end_array();
  json.member("heartbeatFingerprint", data.fingerprint);
  json.key("producerDataSet");
  json.begin_array();
  for (const std::string& group : data.producer_groups) {
    json.begin_object();
    json.member("groupName", group);
    json.end_object();
  }
  json.end_array();
  json.member("withoutSub", data.without_sub);
  json.end_object();
  return body;
}

void check_heartbeat(Bytes body) {
  const auto beat = parse_heartbeat(body);
  expect_named_error(beat);
  if (!beat.ok()) return;
  const std::string again = written(*beat);
  if (again.size() > kClientBodyBytesMax) return;
  HM_CHECK(testkit::same_results(parse_heartbeat(as_bytes(again)), beat));
  for (const ConsumerData& consumer : beat->consumers) {
    for (const SubscriptionData& subscription : consumer.subscriptions) check_subscription(subscription);
  }
}

void check_client_config(Bytes body) {
  const auto config = parse_check_client_config(body);
  expect_named_error(config);
  if (config.ok() && config->subscription) check_subscription(*config->subscription);
}

void check_lock(Bytes body) {
  const auto lock = parse_lock_body(body);
  expect_named_error(lock);
  if (!lock.ok()) return;
  std::string answer;
  append_lock_ok(answer, lock->queues);
  answer.replace(answer.find("lockOKMQSet"), 11, "mqSet");  // the same list under the request's name
  if (answer.size() > kClientBodyBytesMax) return;
  const auto again = parse_lock_body(as_bytes(answer));
  HM_CHECK(again.ok() && again->queues == lock->queues);
}

void check_group(Bytes body) {
  const auto group = parse_subscription_group(body);
  expect_named_error(group);
  if (!group.ok()) return;
  std::string text;
  append_subscription_group(text, *group);
  if (text.size() > kClientBodyBytesMax) return;
  const auto again = parse_subscription_group(as_bytes(text));
  HM_CHECK(again.ok());
  std::string second;
  append_subscription_group(second, *again);
  HM_CHECK(second == text);
  HM_CHECK(again->group == group->group && again->retry_max_times == group->retry_max_times && again->attributes == group->attributes);
}

}  // namespace

/// Every body is given to every reader: they tell each other's apart by names only.
HM_FUZZ_TARGET() {
  const Bytes body = as_bytes(input.rest());
  check_heartbeat(body);
  check_client_config(body);
  check_lock(body);
  check_group(body);
}
