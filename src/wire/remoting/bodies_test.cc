// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/bodies.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace halfmoon::wire {
namespace {

/// What `append(out, arguments...)` appends.
template <class Append, class... Args>
std::string written(Append append, const Args&... args) {
  std::string out = "x";
  append(out, args...);
  return out.substr(1);
}

const MessageQueue kQueue{.topic = "t", .broker_name = "b", .queue_id = 0};
const BrokerData kBroker{.cluster = "c1", .broker_name = "b1", .addrs = {{0, "127.0.0.1:20911"}, {1, "127.0.0.1:20921"}}};

TEST(RouteBodies, RouteThatSatisfiesGo) {
  TopicRouteData route;
  route.brokers.push_back({.cluster = "c1", .broker_name = "b1", .addrs = {{0, "127.0.0.1:20911"}}});
  route.queues.push_back({.broker_name = "b1", .read_queue_nums = 4, .write_queue_nums = 4, .perm = 6});
  EXPECT_EQ(written(append_topic_route, route),
            R"({"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:20911"},"brokerName":"b1","cluster":"c1","enableActingMaster":false}],)"
            R"("filterServerTable":{},"queueDatas":[{"brokerName":"b1","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]})");
  route.order_topic_conf = "b1:4";
  route.brokers[0].zone_name = "z";
  const std::string more = written(append_topic_route, route);
  EXPECT_NE(more.find(R"(,"orderTopicConf":"b1:4",)"), std::string::npos);
  EXPECT_NE(more.find(R"("zoneName":"z"})"), std::string::npos);
}

TEST(RouteBodies, ClusterInfo) {
  EXPECT_EQ(written(append_cluster_info, ClusterInfo{{kBroker}, {{"c1", {"b1"}}, {"c2", {}}}}),
            R"({"brokerAddrTable":{"b1":{"brokerAddrs":{"0":"127.0.0.1:20911","1":"127.0.0.1:20921"},"brokerName":"b1","cluster":"c1",)"
            R"("enableActingMaster":false}},"clusterAddrTable":{"c1":["b1"],"c2":[]}})");
  EXPECT_EQ(written(append_cluster_info, ClusterInfo{}), R"({"brokerAddrTable":{},"clusterAddrTable":{}})");
  EXPECT_EQ(written(append_broker_member_group, kBroker),
            R"({"brokerMemberGroup":{"brokerAddrs":{"0":"127.0.0.1:20911","1":"127.0.0.1:20921"},"brokerName":"b1","cluster":"c1"}})");
}

TEST(RouteBodies, ListsAndTables) {
  const std::vector<std::string> names = {"a", "b\"c"};
  EXPECT_EQ(written([](std::string& out, const auto& list) { append_topic_list(out, list); }, names), R"({"topicList":["a","b\"c"]})");
  EXPECT_EQ(written([](std::string& out, const auto& list) { append_topic_list(out, list, "h:1"); }, names),
            R"({"brokerAddr":"h:1","topicList":["a","b\"c"]})");
  EXPECT_EQ(written(append_consumer_ids, names), R"({"consumerIdList":["a","b\"c"]})");
  EXPECT_EQ(written(append_group_list, std::vector<std::string>{}), R"({"groupList":[]})");
  EXPECT_EQ(written(append_kv_table, TextMap{{"k", "1"}, {"\n", ""}}), R"({"table":{"k":"1","\n":""}})");
  EXPECT_EQ(written(append_properties_text, TextMap{{"a", "1"}, {"b", "x\ny"}}), "a=1\nb=x y\n");
}

TEST(QueueBodies, QueuesAsKeys) {
  EXPECT_EQ(written(append_topic_stats, std::vector<QueueStats>{{kQueue, 1, 5, 9}, {kQueue, 0, 0, 0}}, 0.0),
            R"({"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:{"lastUpdateTimestamp":9,"maxOffset":5,"minOffset":1},)"
            R"({"brokerName":"b","queueId":0,"topic":"t"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}},"topicPutTps":0.0})");
  EXPECT_EQ(written(append_consume_stats, std::vector<QueueConsumeStats>{{kQueue, 5, 4, 3, 2}}, 1.25),
            R"({"consumeTps":1.25,"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:)"
            R"({"brokerOffset":5,"consumerOffset":4,"lastTimestamp":2,"pullOffset":3}}})");
  const std::vector<QueueOffset> offsets = {{kQueue, 7}};
  EXPECT_EQ(written(append_reset_offsets, offsets, ResetOffsetForm::ObjectKeys), R"({"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:7}})");
  EXPECT_EQ(written(append_reset_offsets, offsets, ResetOffsetForm::List), R"({"offsetTable":[{"brokerName":"b","offset":7,"queueId":0,"topic":"t"}]})");
}

TEST(QueueBodies, RealNumbersAsJavaWritesThem) {
  const auto tps = [](double value) { return written(append_topic_stats, std::vector<QueueStats>{}, value); };
  EXPECT_EQ(tps(3), R"({"offsetTable":{},"topicPutTps":3.0})");
  EXPECT_EQ(tps(std::numeric_limits<double>::quiet_NaN()), R"({"offsetTable":{},"topicPutTps":null})");
  EXPECT_EQ(tps(std::numeric_limits<double>::infinity()), R"({"offsetTable":{},"topicPutTps":null})");
}

TEST(QueueBodies, LockAsGoSendsIt) {
  const auto lock = parse_lock_body(
      as_bytes(R"({"consumerGroup":"CGO","clientId":"192.0.2.2@CGO","mqSet":[{"topic":"GoT","brokerName":"b1","queueId":3}]})"));
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(lock->consumer_group, "CGO");
  EXPECT_EQ(lock->client_id, "192.0.2.2@CGO");
  EXPECT_EQ(lock->queues, (std::vector<MessageQueue>{{"GoT", "b1", 3}}));
  EXPECT_FALSE(lock->only_this_broker);
  EXPECT_EQ(written(append_lock_ok, lock->queues), R"({"lockOKMQSet":[{"brokerName":"b1","queueId":3,"topic":"GoT"}]})");
}

TEST(QueueBodies, LockRefusals) {
  EXPECT_TRUE(parse_lock_body(as_bytes(R"({"mqSet":null,"onlyThisBroker":true})"))->only_this_broker);
  EXPECT_FALSE(parse_lock_body({}).ok());
  EXPECT_FALSE(parse_lock_body(as_bytes(R"({"mqSet":["x"]})")).ok());
  EXPECT_FALSE(parse_lock_body(as_bytes(R"({"mqSet":[{"queueId":"x"}]})")).ok());
  EXPECT_FALSE(parse_lock_body(as_bytes(std::string(kClientBodyBytesMax + 1, ' '))).ok());
}

TEST(TopicBodies, DataVersion) {
  const DataVersion version{.state_version = 1, .timestamp_ms = 2, .counter = 3};
  const std::string json = written(append_data_version, version);
  EXPECT_EQ(json, R"({"counter":3,"stateVersion":1,"timestamp":2})");
  EXPECT_EQ(*parse_data_version(as_bytes(json)), version);
  EXPECT_EQ(*parse_data_version({}), DataVersion{});
  EXPECT_FALSE(parse_data_version(as_bytes(R"({"counter":{"value":1}})")).ok());
}

TEST(TopicBodies, TopicConfigs) {
  TopicConfig topic;
  topic.name = "T";
  topic.attributes = {{"+message.type", "NORMAL"}};
  const std::string json =
      R"({"attributes":{"+message.type":"NORMAL"},"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG",)"
      R"("topicName":"T","topicSysFlag":0,"writeQueueNums":16})";
  EXPECT_EQ(written(append_topic_config, topic), json);
  EXPECT_EQ(written(append_topic_configs, std::vector<TopicConfig>{topic}, DataVersion{.counter = 4}),
            R"({"dataVersion":{"counter":4,"stateVersion":0,"timestamp":0},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":0},)"
            R"("topicConfigTable":{"T":)" + json + R"(},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}})");
}

TEST(GroupBodies, GroupConfigRoundTrip) {
  const std::string json =
      R"({"attributes":{"a":"b"},"brokerId":0,"consumeBroadcastEnable":false,"consumeEnable":false,"consumeFromMinEnable":false,)"
      R"("consumeMessageOrderly":true,"consumeTimeoutMinute":3,"groupName":"G","groupRetryPolicy":{"type":"EXPONENTIAL","exponentialRetryPolicy":{"initial":5}},)"
      R"("groupSysFlag":1,"notifyConsumerIdsChangedEnable":false,"retryMaxTimes":5,"retryQueueNums":2,"whichBrokerWhenConsumeSlowly":4})";
  const auto config = parse_subscription_group(as_bytes(json));
  ASSERT_TRUE(config.ok()) << config.error().text;
  EXPECT_EQ(written(append_subscription_group, *config), json);
  EXPECT_EQ(written(append_subscription_groups, std::vector<SubscriptionGroupConfig>{*config}, DataVersion{}),
            R"({"dataVersion":{"counter":0,"stateVersion":0,"timestamp":0},"forbiddenTable":{},"subscriptionGroupTable":{"G":)" + json + "}}");
}

TEST(GroupBodies, GroupConfigDefaults) {
  const auto config = parse_subscription_group(as_bytes(R"({"groupName":"G","groupRetryPolicy":null,"retryMaxTimes":null,"consumeEnable":null})"));
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->consume_enable);
  EXPECT_EQ(config->retry_max_times, 16);
  EXPECT_NE(written(append_subscription_group, *config).find(R"("groupRetryPolicy":{"type":"CUSTOMIZED"})"), std::string::npos);
  EXPECT_FALSE(parse_subscription_group(as_bytes("{}")).ok());
  EXPECT_FALSE(parse_subscription_group(as_bytes(R"({"groupName":"G","groupRetryPolicy":{"x":}})")).ok());
  EXPECT_FALSE(parse_subscription_group(as_bytes(R"({"groupName":"G","retryMaxTimes":"many"})")).ok());
}

TEST(GroupBodies, Connections) {
  ConsumerConnection group;
  group.connections.push_back({.client_id = "c", .client_addr = "1.2.3.4:5", .language = Language::Go, .version = 317});
  group.subscriptions.push_back({.topic = "T", .sub_string = "*"});
  group.consume_from_where = ConsumeFromWhere::FirstOffset;
  const std::string connections = R"("connectionSet":[{"clientAddr":"1.2.3.4:5","clientId":"c","language":"GO","version":317}])";
  EXPECT_EQ(written(append_consumer_connection, group),
            "{" + connections + R"(,"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",)"
            R"("subscriptionTable":{"T":{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":0,"tagsSet":[],"topic":"T"}}})");
  EXPECT_EQ(written(append_producer_connection, group.connections), "{" + connections + "}");
}

}  // namespace
}  // namespace halfmoon::wire
