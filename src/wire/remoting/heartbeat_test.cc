// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/heartbeat.h"

#include <gtest/gtest.h>

#include <string>

namespace halfmoon::wire {
namespace {

Result<HeartbeatData> parse(std::string_view body) { return parse_heartbeat(as_bytes(body)); }

std::string refusal(std::string_view body) {
  const auto data = parse(body);
  if (data.ok()) return "it was taken";
  EXPECT_EQ(data.error().code, ErrorCode::InvalidArgument);
  return data.error().text;
}

/// A heartbeat of one consumer group with these further members.
ConsumerData consumer(std::string_view members) {
  const auto data = parse(R"({"clientID":"c","consumerDataSet":[{"groupName":"G",)" + std::string(members) + "}]}");
  EXPECT_TRUE(data.ok()) << data.error().text;
  return data.ok() ? data->consumers.at(0) : ConsumerData{};
}

constexpr std::string_view kGo =
    R"({"clientID":"192.0.2.2@CG","producerDataSet":[],"consumerDataSet":[{"groupName":"CG","consumeType":"CONSUME_PASSIVELY",)"
    R"("messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","subscriptionDataSet":[{"classFilterMode":false,)"
    R"("topic":"GoT","subString":"TagA || TagB","tagsSet":["TagA","TagB"],"codeSet":["2598919","2598920"],"subVersion":0,)"
    R"("expressionType":"TAG"},{"topic":"%RETRY%CG","subString":"*","tagsSet":null,"codeSet":[]}],"unitMode":false}]})";

TEST(Heartbeat, GoAsCaptured) {
  const auto data = parse(kGo);
  ASSERT_TRUE(data.ok()) << data.error().text;
  EXPECT_EQ(data->client_id, "192.0.2.2@CG");
  EXPECT_TRUE(data->producer_groups.empty());
  ASSERT_EQ(data->consumers.size(), 1u);
  const ConsumerData& group = data->consumers[0];
  EXPECT_EQ(group.group, "CG");
  EXPECT_EQ(group.consume_type, ConsumeType::Passively);
  EXPECT_EQ(group.message_model, MessageModel::Clustering);
  EXPECT_EQ(group.consume_from_where, ConsumeFromWhere::FirstOffset);
  ASSERT_EQ(group.subscriptions.size(), 2u);
  EXPECT_EQ(group.subscriptions[0].sub_string, "TagA || TagB");
  EXPECT_EQ(group.subscriptions[0].tags, (std::vector<std::string>{"TagA", "TagB"}));
  EXPECT_EQ(group.subscriptions[0].codes, (std::vector<std::int32_t>{2598919, 2598920}));
  EXPECT_EQ(group.subscriptions[1].topic, "%RETRY%CG");
  EXPECT_EQ(group.subscriptions[1].expression_type, "TAG");
  EXPECT_TRUE(group.subscriptions[1].tags.empty());
}

TEST(Heartbeat, CppSendsOrdinals) {
  const ConsumerData group = consumer(R"("consumeType":0,"messageModel":0,"consumeFromWhere":5,"unitMode":true,"subscriptionDataSet":[
    {"topic":"T","subString":"*","codeSet":[-7],"subVersion":"1700000000000"}])");
  EXPECT_EQ(group.consume_type, ConsumeType::Actively);
  EXPECT_EQ(group.message_model, MessageModel::Broadcasting);
  EXPECT_EQ(group.consume_from_where, ConsumeFromWhere::Timestamp);
  EXPECT_TRUE(group.unit_mode);
  EXPECT_EQ(group.subscriptions.at(0).codes, (std::vector<std::int32_t>{-7}));
  EXPECT_EQ(group.subscriptions.at(0).sub_version, 1'700'000'000'000);
}

TEST(Heartbeat, NullsAndUnknownNamesAreDefaults) {
  const ConsumerData group = consumer(R"("consumeType":null,"messageModel":"SOMETHING","consumeFromWhere":null,"subscriptionDataSet":null,"new":{"a":[1]})");
  EXPECT_EQ(group.consume_type, ConsumeType::Passively);
  EXPECT_EQ(group.message_model, MessageModel::Clustering);
  EXPECT_EQ(group.consume_from_where, ConsumeFromWhere::LastOffset);
  EXPECT_TRUE(group.subscriptions.empty());
  EXPECT_EQ(consumer(R"("subscriptionDataSet":[{"expressionType":null},{"expressionType":""},{"expressionType":"SQL92"}])").subscriptions.at(2).expression_type,
            "SQL92");
  EXPECT_EQ(consumer(R"("subscriptionDataSet":[{"expressionType":""}])").subscriptions.at(0).expression_type, "TAG");
}

TEST(Heartbeat, OrdinalsBeyondTheEnumAreRefused) {
  EXPECT_NE(refusal(R"({"clientID":"c","consumerDataSet":[{"consumeType":3}]})").find("ordinal"), std::string::npos);
  EXPECT_NE(refusal(R"({"clientID":"c","consumerDataSet":[{"messageModel":-1}]})").find("ordinal"), std::string::npos);
}

TEST(Heartbeat, ProducersAndVersionTwo) {
  const auto data = parse(R"({"clientID":"c","consumerDataSet":null,"heartbeatFingerprint":-12,"producerDataSet":[{"groupName":"P"},{"groupName":"Q"}],"withoutSub":true})");
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(data->producer_groups, (std::vector<std::string>{"P", "Q"}));
  EXPECT_EQ(data->fingerprint, -12);
  EXPECT_TRUE(data->without_sub);
}

TEST(Heartbeat, Refusals) {
  EXPECT_NE(refusal("{}").find("no clientID"), std::string::npos);
  EXPECT_NE(refusal("").find("object"), std::string::npos);
  EXPECT_NE(refusal(R"({"clientID":["c"]})").find("text or number"), std::string::npos);
  EXPECT_NE(refusal(R"({"clientID":"c","consumerDataSet":{}})").find("list"), std::string::npos);
  EXPECT_NE(refusal(R"({"clientID":"c","consumerDataSet":[{"subscriptionDataSet":[{"codeSet":["x"]}]}]})").find("integer"), std::string::npos);
  EXPECT_NE(refusal(R"({"clientID":"c","x":)" + std::string(200, '[') + "}").find("too deeply"), std::string::npos);
  EXPECT_NE(refusal(std::string(kClientBodyBytesMax + 1, ' ')).find("larger"), std::string::npos);
  for (std::size_t n = 0; n < kGo.size(); ++n) EXPECT_NE(refusal(std::string(kGo, 0, n)), "it was taken") << n;
}

TEST(CheckClientConfig, Parses) {
  const auto config = parse_check_client_config(
      as_bytes(R"({"clientId":"c","group":"G","namespace":null,"subscriptionData":{"topic":"T","expressionType":"SQL92","subString":"a > 1"}})"));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->group, "G");
  EXPECT_EQ(config->client_namespace, "");
  ASSERT_TRUE(config->subscription.has_value());
  EXPECT_EQ(config->subscription->sub_string, "a > 1");
  EXPECT_FALSE(parse_check_client_config({})->subscription.has_value());
  EXPECT_FALSE(parse_check_client_config(as_bytes(R"({"subscriptionData":null})"))->subscription.has_value());
  EXPECT_FALSE(parse_check_client_config(as_bytes("[]")).ok());
}

TEST(SubscriptionData, Writes) {
  std::string out;
  append_subscription_data(out, {.topic = "T", .sub_string = "A || \"B\"", .tags = {"A"}, .codes = {65}, .sub_version = 3});
  EXPECT_EQ(out, R"({"classFilterMode":false,"codeSet":[65],"expressionType":"TAG","subString":"A || \"B\"","subVersion":3,"tagsSet":["A"],"topic":"T"})");
}

}  // namespace
}  // namespace halfmoon::wire
