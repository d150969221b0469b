// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/request_headers.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace halfmoon::wire {
namespace {

using Fields = std::vector<ExtField>;

Header with(const Fields& fields) {
  Header header;
  header.ext = ExtFields(std::span<const ExtField>(fields));
  return header;
}

Fields without(Fields fields, std::string_view key) {
  std::erase_if(fields, [key](const ExtField& field) { return field.key == key; });
  return fields;
}

Fields changed(Fields fields, std::string_view key, std::string_view value) {
  for (ExtField& field : fields) {
    if (field.key == key) field.value = value;
  }
  return fields;
}

const Fields kLong = {{"producerGroup", "PG"}, {"topic", "T"}, {"defaultTopic", "TBW102"}, {"defaultTopicQueueNums", "8"}, {"queueId", "1"},
                      {"sysFlag", "4"}, {"bornTimestamp", "1700000000000"}, {"flag", "2"}, {"properties", "k\x01v\x02"},
                      {"reconsumeTimes", "3"}, {"maxReconsumeTimes", "16"}, {"unitMode", "true"}, {"batch", "True"}, {"bname", "b1"}};
const Fields kShort = {{"a", "PG"}, {"b", "T"}, {"c", "TBW102"}, {"d", "8"}, {"e", "1"}, {"f", "4"}, {"g", "1700000000000"}, {"h", "2"},
                       {"i", "k\x01v\x02"}, {"j", "3"}, {"k", "true"}, {"l", "16"}, {"m", "true"}, {"n", "b1"}};

void expect_all(const Fields& fields) {
  const auto send = decode_send(with(fields));
  ASSERT_TRUE(send.ok()) << send.error().text;
  EXPECT_EQ(send->producer_group, "PG");
  EXPECT_EQ(send->topic, "T");
  EXPECT_EQ(send->default_topic, "TBW102");
  EXPECT_EQ(send->default_topic_queue_nums, 8);
  EXPECT_EQ(send->queue_id, 1);
  EXPECT_EQ(send->sys_flag, 4);
  EXPECT_EQ(send->born_timestamp_ms, 1'700'000'000'000);
  EXPECT_EQ(send->flag, 2);
  EXPECT_EQ(send->properties, "k\x01v\x02");
  EXPECT_EQ(send->reconsume_times, 3);
  EXPECT_EQ(send->max_reconsume_times, 16);
  EXPECT_TRUE(send->unit_mode);
  EXPECT_TRUE(send->batch);
  EXPECT_EQ(send->broker_name, "b1");
}

TEST(SendHeader, LongShortAndMixedNames) {
  expect_all(kLong);
  expect_all(kShort);
  Fields mixed(kLong.begin(), kLong.begin() + 5);
  mixed.insert(mixed.end(), kShort.begin() + 5, kShort.end());
  mixed.insert(mixed.begin(), {{"AccessKey", ""}, {"~", "x"}, {"A", "x"}, {"o", "x"}, {"topics", "x"}});
  expect_all(mixed);
  expect_all({kLong.rbegin(), kLong.rend()});
}

TEST(SendHeader, GoRc3BatchHasEmptyDefaults) {
  const auto send = decode_send(with(changed(changed(kShort, "c", ""), "d", "")));
  ASSERT_TRUE(send.ok());
  EXPECT_EQ(send->default_topic, "");
  EXPECT_EQ(send->default_topic_queue_nums, 4);
}

TEST(SendHeader, OptionalFieldsHaveDefaults) {
  const auto send = decode_send(with(Fields(kLong.begin(), kLong.begin() + 8)));
  ASSERT_TRUE(send.ok());
  EXPECT_EQ(send->properties, "");
  EXPECT_EQ(send->reconsume_times, 0);
  EXPECT_EQ(send->max_reconsume_times, std::nullopt);
  EXPECT_FALSE(send->unit_mode);
  EXPECT_FALSE(send->batch);
}

TEST(SendHeader, RequiredFields) {
  for (const char* key : {"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag"}) {
    const auto send = decode_send(with(without(kLong, key)));
    ASSERT_FALSE(send.ok()) << key;
    EXPECT_EQ(send.error().text, "the custom field <" + std::string(key) + "> is null");
    EXPECT_EQ(send.error().code, ErrorCode::InvalidArgument);
  }
  EXPECT_EQ(decode_send(with(without(kShort, "b"))).error().text, "the custom field <topic> is null");
  EXPECT_EQ(decode_send(with(changed(kShort, "e", "x"))).error().text, "the field <queueId> is not a number: \"x\"");
}

const Fields kPull = {{"topic", "T"}, {"consumerGroup", "G"}, {"queueId", "2"}, {"queueOffset", "5000000000"}, {"maxMsgNums", "32"},
                      {"sysFlag", "2"}, {"commitOffset", "-1"}, {"suspendTimeoutMillis", "20000"}, {"subscription", ""}, {"subVersion", "0"},
                      {"expressionType", "TAG"}, {"bname", "b1"}};

TEST(PullHeader, GoPullAsCaptured) {
  const auto pull = decode_pull(with(kPull));
  ASSERT_TRUE(pull.ok());
  EXPECT_EQ(pull->consumer_group, "G");
  EXPECT_EQ(pull->topic, "T");
  EXPECT_EQ(pull->queue_id, 2);
  EXPECT_EQ(pull->queue_offset, 5'000'000'000);
  EXPECT_EQ(pull->max_msg_nums, 32);
  EXPECT_EQ(pull->sys_flag, 2);
  EXPECT_EQ(pull->commit_offset, -1);
  EXPECT_EQ(pull->suspend_timeout_ms, 20'000);
  EXPECT_EQ(pull->subscription, "");
  EXPECT_EQ(pull->sub_version, 0);
  EXPECT_EQ(pull->expression_type, "TAG");
  EXPECT_EQ(pull->max_msg_bytes, std::nullopt);
  EXPECT_EQ(pull->broker_name, "b1");
}

TEST(PullHeader, RequiredFields) {
  for (const char* key : {"consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset", "suspendTimeoutMillis", "subVersion"}) {
    const auto pull = decode_pull(with(without(kPull, key)));
    ASSERT_FALSE(pull.ok()) << key;
    EXPECT_EQ(pull.error().text, "the custom field <" + std::string(key) + "> is null");
  }
  EXPECT_EQ(decode_pull(with(changed(kPull, "queueId", "3000000000"))).error().text, "the field <queueId> is not a number: \"3000000000\"");
}

TEST(RequestHeaders, EndTransaction) {
  const Fields fields = {{"producerGroup", "PG"}, {"tranStateTableOffset", "0"}, {"commitLogOffset", "1089"}, {"commitOrRollback", "8"},
                         {"fromTransactionCheck", "true"}, {"msgId", "M"}, {"transactionId", "X"}};
  const auto end = decode_end_transaction(with(fields));
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->position, 1089);
  EXPECT_EQ(end->verdict, TransactionVerdict::Commit);
  EXPECT_TRUE(end->from_check);
  EXPECT_EQ(end->msg_id, "M");
  EXPECT_EQ(decode_end_transaction(with(changed(fields, "commitOrRollback", "0")))->verdict, TransactionVerdict::Unknown);
  EXPECT_EQ(decode_end_transaction(with(without(fields, "msgId"))).error().text, "the custom field <msgId> is null");
  EXPECT_EQ(decode_end_transaction(with(changed(fields, "commitLogOffset", ""))).error().text, "the field <commitLogOffset> is not a number: \"\"");
}

TEST(RequestHeaders, SendBackAndOffsets) {
  const auto back = decode_send_back(with({{"offset", "164"}, {"group", "G"}, {"delayLevel", "0"}, {"originMsgId", "M"}, {"originTopic", "T"},
                                           {"unitMode", "false"}, {"maxReconsumeTimes", "16"}}));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->position, 164);
  EXPECT_EQ(back->max_reconsume_times, 16);
  EXPECT_FALSE(decode_send_back(with({{"offset", "164"}, {"group", "G"}, {"delayLevel", "0"}, {"maxReconsumeTimes", "x"}})).ok());

  const Fields queue = {{"consumerGroup", "G"}, {"topic", "T"}, {"queueId", "1"}, {"commitOffset", "7"}};
  EXPECT_EQ(decode_update_consumer_offset(with(queue))->commit_offset, 7);
  EXPECT_TRUE(decode_query_consumer_offset(with(queue))->set_zero_if_not_found);
  EXPECT_EQ(decode_update_consumer_offset(with(without(queue, "commitOffset"))).error().text, "the custom field <commitOffset> is null");
}

TEST(RequestHeaders, TheFirstMistakeIsTold) {
  EXPECT_EQ(decode_update_consumer_offset(Header{}).error().text, "the custom field <consumerGroup> is null");
}

TEST(RequestHeaders, SearchOffsetBoundary) {
  const Fields fields = {{"topic", "T"}, {"queueId", "0"}, {"timestamp", "5"}, {"boundaryType", "UPPER"}};
  EXPECT_EQ(decode_search_offset(with(fields))->boundary, BoundaryType::Upper);
  EXPECT_EQ(decode_search_offset(with(changed(fields, "boundaryType", "Upper")))->boundary, BoundaryType::Upper);
  EXPECT_EQ(decode_search_offset(with(changed(fields, "boundaryType", "lower")))->boundary, BoundaryType::Lower);
  EXPECT_EQ(decode_search_offset(with(without(fields, "boundaryType")))->boundary, BoundaryType::Lower);
}

TEST(RequestHeaders, QueueTopicAndGroupOnes) {
  EXPECT_FALSE(decode_queue(with({{"topic", "T"}, {"queueId", "1"}, {"committed", "false"}}))->committed);
  EXPECT_EQ(decode_view_message(with({{"offset", "9"}}))->position, 9);
  EXPECT_EQ(decode_unregister_client(with({{"clientID", "c"}, {"consumerGroup", "G"}}))->consumer_group, "G");
  EXPECT_EQ(decode_consumer_list(with({{"consumerGroup", "G"}}))->consumer_group, "G");
  EXPECT_EQ(decode_consumer_connection(with({{"consumerGroup", "G"}}))->consumer_group, "G");
  EXPECT_EQ(decode_producer_connection(with({{"producerGroup", "P"}}))->producer_group, "P");
  EXPECT_TRUE(decode_delete_group(with({{"groupName", "G"}, {"cleanOffset", "true"}}))->clean_offset);
  EXPECT_EQ(decode_topic(with({{"topic", "T"}, {"clusterName", "c"}}))->cluster_name, "c");
  EXPECT_EQ(decode_topics_by_cluster(with({{"cluster", "c"}}))->cluster, "c");
  EXPECT_EQ(decode_group(with({{"group", "G"}}))->group, "G");
  EXPECT_EQ(decode_resume_check_half(with({{"msgId", "M"}}))->msg_id, "M");
  EXPECT_EQ(decode_consume_stats(with({{"consumerGroup", "G"}, {"topicList", "a;b"}}))->topic_list, "a;b");
  EXPECT_TRUE(decode_query_message(with({{"topic", "T"}, {"key", "k"}, {"maxNum", "32"}, {"beginTimestamp", "0"},
                                         {"endTimestamp", "9223372036854775807"}, {"_UNIQUE_KEY_QUERY", "true"}}))->unique_key);
}

TEST(RequestHeaders, CreateTopicAsCppSendsIt) {
  const auto create = decode_create_topic(with({{"topic", "T"}, {"defaultTopic", "D"}, {"readQueueNums", "4"}, {"writeQueueNums", "8"},
                                                {"perm", "6"}, {"topicFilterType", "0"}, {"order", "false"}}));
  ASSERT_TRUE(create.ok());
  EXPECT_EQ(create->write_queue_nums, 8);
  EXPECT_EQ(create->topic_filter_type, "0");
  EXPECT_EQ(create->topic_sys_flag, 0);
}

TEST(RequestHeaders, ResetOffsetDefaults) {
  const auto reset = decode_reset_offset(with({{"topic", "T"}, {"group", "G"}, {"timestamp", "-1"}, {"isForce", "true"}}));
  ASSERT_TRUE(reset.ok());
  EXPECT_EQ(reset->queue_id, -1);
  EXPECT_EQ(reset->offset, std::nullopt);
  EXPECT_EQ(reset->timestamp_ms, -1);
  EXPECT_TRUE(reset->force);
}

TEST(RequestHeaders, NameServerOnes) {
  const Fields broker = {{"brokerName", "b"}, {"brokerAddr", "1.2.3.4:10911"}, {"clusterName", "c"}, {"haServerAddr", "h"}, {"brokerId", "0"},
                         {"bodyCrc32", "77"}, {"compressed", "true"}, {"enableActingMaster", "true"}};
  const auto registered = decode_register_broker(with(broker));
  ASSERT_TRUE(registered.ok());
  EXPECT_EQ(registered->broker_addr, "1.2.3.4:10911");
  EXPECT_EQ(registered->body_crc32, 77);
  EXPECT_TRUE(registered->compressed);
  EXPECT_EQ(registered->heartbeat_timeout_ms, std::nullopt);
  EXPECT_EQ(decode_unregister_broker(with(broker))->cluster_name, "c");
  EXPECT_EQ(decode_query_data_version(with(without(broker, "brokerId"))).error().text, "the custom field <brokerId> is null");
  EXPECT_EQ(decode_broker_heartbeat(with(without(broker, "brokerId")))->broker_id, 0);
  EXPECT_TRUE(decode_get_route(with({{"topic", "T"}, {"acceptStandardJsonOnly", "true"}}))->accept_standard_json_only);
  EXPECT_EQ(decode_put_kv(with({{"namespace", "n"}, {"key", "k"}, {"value", "v"}}))->value, "v");
  EXPECT_EQ(decode_put_kv(with({{"namespace", "n"}, {"key", "k"}})).error().text, "the custom field <value> is null");
  EXPECT_EQ(decode_kv_key(with({{"namespace", "n"}, {"key", "k"}}))->key, "k");
  EXPECT_EQ(decode_kv_namespace(with({{"namespace", "n"}}))->kv_namespace, "n");
}

TEST(ExtFields, TypedReading) {
  const Fields fields = {{"n", "12"}, {"bad", "1x"}, {"empty", ""}, {"yes", "TRUE"}, {"one", "1"}, {"no", "whatever"}, {"long", "9000000000"}};
  const ExtFields ext = with(fields).ext;
  EXPECT_EQ(*ext.required_int32("n"), 12);
  EXPECT_EQ(*ext.required_int64("long"), 9'000'000'000);
  EXPECT_FALSE(ext.required_int32("long").ok());
  EXPECT_EQ(ext.required_int32("bad").error().text, "the field <bad> is not a number: \"1x\"");
  EXPECT_EQ(ext.required_text("gone").error().text, "the custom field <gone> is null");
  EXPECT_EQ(*ext.optional_int32("empty"), std::nullopt);
  EXPECT_EQ(*ext.optional_int64("gone"), std::nullopt);
  EXPECT_FALSE(ext.optional_int32("bad").ok());
  EXPECT_EQ(ext.int32_or("bad", 4), 4);
  EXPECT_EQ(ext.int32_or("empty", 4), 4);
  EXPECT_EQ(ext.int32_or("n", 4), 12);
  EXPECT_EQ(ext.int64_or("gone", -1), -1);
  EXPECT_TRUE(*ext.required_bool("yes"));
  EXPECT_TRUE(ext.bool_or("one", false));
  EXPECT_FALSE(ext.bool_or("no", true));
  EXPECT_TRUE(ext.bool_or("empty", true));
  EXPECT_FALSE(ext.required_bool("gone").ok());
  const std::string long_text(1000, 'z');
  EXPECT_LT(with({{"x", long_text}}).ext.required_int32("x").error().text.size(), 120u);
}

}  // namespace
}  // namespace halfmoon::wire
