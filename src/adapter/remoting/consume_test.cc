// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting_world.h"
#include "nameserver/route_table.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

class ConsumeTest : public RemotingWorld<nameserver::RouteTable> {
 protected:
  static Ext pull_fields(std::int32_t sys_flag) {
    return {{"topic", "GoT"}, {"consumerGroup", "CG"}, {"queueId", "0"}, {"queueOffset", "5"}, {"maxMsgNums", "32"},
            {"sysFlag", std::to_string(sys_flag)}, {"commitOffset", "4"}, {"suspendTimeoutMillis", "20000"},
            {"subscription", "TagA || TagB"}, {"subVersion", "9"}, {"expressionType", "TAG"}, {"bname", "b1"}};
  }
  static broker::PullResult found() {
    return {.status = broker::PullStatus::Found, .next_offset = 7, .min_offset = 1, .max_offset = 9, .topic_sys_flag = 0, .group_sys_flag = 0,
            .extents = {{100, 5}, {200, 6}}};
  }
};

TEST_F(ConsumeTest, TheBitsOfAPullSayWhatCounts) {
  Client client = connect();
  broker.pull_result = found();
  client.ask(11, pull_fields(2));
  client.ask(361, pull_fields(1 | 4));
  client.ask(11, pull_fields(0));
  ASSERT_EQ(broker.pulls.size(), 3u);
  EXPECT_EQ(broker.pulls[0].group, "CG");
  EXPECT_EQ(broker.pulls[0].topic, "GoT");
  EXPECT_EQ(broker.pulls[0].request.suspend_ms, 20000);
  EXPECT_EQ(broker.pulls[0].request.commit_offset, std::nullopt);
  EXPECT_FALSE(broker.pulls[0].subscription);
  EXPECT_EQ(broker.pulls[0].request.channel, broker::ChannelId{1});
  EXPECT_EQ(broker.pulls[1].request.suspend_ms, 0);
  EXPECT_EQ(broker.pulls[1].request.commit_offset, 4);
  ASSERT_TRUE(broker.pulls[1].subscription);
  EXPECT_EQ(broker.pulls[1].subscription->tags, (std::vector<std::string>{"TagA", "TagB"}));
  EXPECT_EQ(broker.pulls[1].subscription->version, 9);
  EXPECT_EQ(broker.pulls[2].request.suspend_ms, 0);
}

TEST_F(ConsumeTest, PullsAreServedTogetherUnlessOthersWait) {
  broker.pull_result = found();
  Client client = connect();
  std::string read;
  for (int i = 0; i < 10; ++i) read += frame(11, i, pull_fields(0));
  client.feed(read);
  EXPECT_EQ(turns, 1);
  client.connection->others_wait = true;
  client.feed(read);
  EXPECT_EQ(turns, 1 + 10);
  EXPECT_EQ(broker.pulls.size(), 20u);
  EXPECT_EQ(client.answers().size(), 20u);
}

TEST_F(ConsumeTest, FoundMessagesAreTheBody) {
  Client client = connect();
  broker.pull_result = found();
  const Answer answer = client.ask(11, pull_fields(2));
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.remark, "FOUND");
  EXPECT_EQ(answer.body, "<100><200>");
  EXPECT_EQ(answer.ext, (std::map<std::string, std::string>{{"suggestWhichBrokerId", "0"},
                                                            {"nextBeginOffset", "7"},
                                                            {"minOffset", "1"},
                                                            {"maxOffset", "9"},
                                                            {"topicSysFlag", "0"},
                                                            {"groupSysFlag", "0"}}));
}

TEST_F(ConsumeTest, GroupsThatFollowTheSameQueueShareTheBody) {
  broker.pull_result = found();
  broker.reader.images[100] = std::string(20'000, 'm');
  const std::string body = broker.reader.images[100] + "<200>";
  for (int group = 0; group < 4; ++group) {
    Client client = connect();
    const Answer answer = client.ask(11, pull_fields(2));
    EXPECT_EQ(answer.ext.at("nextBeginOffset"), "7");
    EXPECT_TRUE(answer.body == body) << group;
    EXPECT_EQ(client.ask(9999, {}).code, 3);  // what comes behind it is a frame of its own
    if (group == 1) broker.reader.images[100] = "read no more";
  }
  broker.pull_result->extents.pop_back();
  EXPECT_EQ(connect().ask(11, pull_fields(2)).body, "read no more");
}

TEST_F(ConsumeTest, EmptyHandedPullsSayWhy) {
  Client client = connect();
  const auto outcome = [&](broker::PullStatus status, std::int64_t next, std::int64_t min, std::int64_t max) {
    broker.pull_result = broker::PullResult{.status = status, .next_offset = next, .min_offset = min, .max_offset = max, .extents = {}};
    const Answer answer = client.ask(11, pull_fields(2));
    EXPECT_EQ(answer.ext.at("nextBeginOffset"), std::to_string(next));
    return std::pair(answer.code, answer.remark);
  };
  using Outcome = std::pair<std::int32_t, std::string>;
  EXPECT_EQ(outcome(broker::PullStatus::NoNewMessage, 9, 0, 9), Outcome(19, "OFFSET_OVERFLOW_ONE"));
  EXPECT_EQ(outcome(broker::PullStatus::NoNewMessage, 0, 0, 0), Outcome(19, "NO_MESSAGE_IN_QUEUE"));
  EXPECT_EQ(outcome(broker::PullStatus::NoMatch, 8, 0, 9), Outcome(20, "NO_MATCHED_MESSAGE"));
  EXPECT_EQ(outcome(broker::PullStatus::OffsetMoved, 3, 3, 9), Outcome(21, "OFFSET_TOO_SMALL"));
  EXPECT_EQ(outcome(broker::PullStatus::OffsetMoved, 9, 3, 9), Outcome(21, "OFFSET_OVERFLOW_BADLY"));
  EXPECT_EQ(outcome(broker::PullStatus::OffsetMoved, 5, 3, 9), Outcome(21, "OFFSET_RESET"));
  const std::vector<std::pair<ErrorCode, std::int32_t>> refusals = {{ErrorCode::SubscriptionNotFound, 24}, {ErrorCode::SubscriptionOutdated, 25},
                                                                    {ErrorCode::SubscriptionInvalid, 23}, {ErrorCode::GroupNotFound, 26},
                                                                    {ErrorCode::NoPermission, 16}, {ErrorCode::InvalidArgument, 29},
                                                                    {ErrorCode::NotSupported, 1}, {ErrorCode::TopicNotFound, 17}};
  for (const auto& [error, code] : refusals) {
    broker.error = Error{error, "why"};
    EXPECT_EQ(client.ask(11, pull_fields(2)).code, code);
  }
}

TEST_F(ConsumeTest, ALongPollIsAnsweredLaterFromAnotherThread) {
  Client client = connect();
  client.feed(frame(11, 3, pull_fields(2)));
  EXPECT_TRUE(client.connection->written.empty());
  ASSERT_EQ(broker.held_pulls.size(), 1u);
  client.connection->own_thread = false;
  broker.held_pulls[0](found());
  EXPECT_TRUE(client.connection->written.empty()) << "bodies are read on the connection's own thread";
  const auto answers = client.answers();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].opaque, 3);
  EXPECT_EQ(answers[0].body, "<100><200>");
}

TEST_F(ConsumeTest, AnotherSessionsTurnDoesNotWaitForBodies) {
  Client consumer = connect();
  consumer.feed(frame(11, 3, pull_fields(2)));
  inside([&](Now) { broker.held_pulls[0](found()); });  // the same thread, but somebody else's turn
  EXPECT_TRUE(consumer.connection->written.empty());
  EXPECT_EQ(consumer.answers().size(), 1u);
}

TEST_F(ConsumeTest, AMessageThatCannotBeReadEndsTheAnswerBeforeIt) {
  Client client = connect();
  broker.pull_result = found();
  broker.reader.failures[200] = ErrorCode::Corrupt;
  Answer answer = client.ask(11, pull_fields(2));
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.body, "<100>");
  EXPECT_EQ(answer.ext.at("nextBeginOffset"), "6");
  broker.reader.failures[100] = ErrorCode::Corrupt;
  answer = client.ask(11, pull_fields(2));
  EXPECT_EQ(answer.code, 1);
  EXPECT_EQ(answer.remark, "unreadable");
  broker.reader.failures[100] = ErrorCode::NotFound;
  answer = client.ask(11, pull_fields(2));
  EXPECT_EQ(answer.code, 20);
  EXPECT_EQ(answer.ext.at("nextBeginOffset"), "5");
}

TEST_F(ConsumeTest, APullDoesNotKeepOthersWaitingForTheDisk) {
  broker.pull_result = found();
  broker.reader.not_yet[100] = 2;
  Client client = connect();
  client.feed(frame(11, 3, pull_fields(2)) + frame(30, 4, {{"topic", "T"}, {"queueId", "3"}}));
  EXPECT_GT(broker.reader.patience_ns, 0);
  EXPECT_EQ(client.connection->posted.size(), 1u);
  const std::size_t before = client.connection->written.size();
  EXPECT_GT(before, 0u);   // the other answer
  client.connection->run_posted();
  EXPECT_EQ(client.connection->written.size(), before);
  EXPECT_EQ(client.connection->posted.size(), 1u);
  const std::vector<Answer> answers = client.answers();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].opaque, 3);
  EXPECT_EQ(answers[1].body, "<100><200>");
}

TEST_F(ConsumeTest, WhatTheDiskHasBroughtIsAnsweredWithoutTheRest) {
  broker.pull_result = found();
  broker.reader.not_yet[200] = 1;
  Client client = connect();
  const Answer answer = client.ask(11, pull_fields(2));
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.body, "<100>");
  EXPECT_EQ(answer.ext.at("nextBeginOffset"), "6");
}

TEST_F(ConsumeTest, AClientWithManyPullsThatWaitForTheDiskIsNotReadOn) {
  constexpr int kPulls = 100;
  broker.pull_result = found();
  broker.reader.not_yet[100] = 1'000'000;
  Client client = connect();
  std::string read;
  for (int i = 0; i < kPulls; ++i) read += frame(11, i, pull_fields(0));
  auto consumed = client.session->on_data(as_bytes(read));
  EXPECT_TRUE(consumed.paused);
  EXPECT_LE(broker.pulls.size(), 16u);
  EXPECT_EQ(client.connection->posted.size(), broker.pulls.size());
  client.connection->run_posted();
  EXPECT_EQ(client.connection->posted.size(), broker.pulls.size());
  broker.reader.not_yet.clear();
  client.connection->run_posted();
  for (int i = 0; i < kPulls && consumed.bytes < read.size(); ++i) {
    read.erase(0, consumed.bytes);
    consumed = client.session->on_data(as_bytes(read));
  }
  EXPECT_EQ(client.answers().size(), static_cast<std::size_t>(kPulls));
}

TEST_F(ConsumeTest, OffsetsOfQueues) {
  Client client = connect();
  const Ext queue = {{"topic", "T"}, {"queueId", "3"}};
  EXPECT_EQ(client.ask(30, queue).ext.at("offset"), "42");
  EXPECT_EQ(client.ask(31, queue).ext.at("offset"), "42");
  EXPECT_EQ(client.ask(32, queue).ext.at("timestamp"), "42");
  EXPECT_EQ(client.ask(29, {{"topic", "T"}, {"queueId", "3"}, {"timestamp", "77"}}).ext.at("offset"), "42");
  EXPECT_EQ(client.ask(29, {{"topic", "T"}, {"queueId", "3"}, {"timestamp", "77"}, {"boundaryType", "upper"}}).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"max T:3", "min T:3", "earliest T:3", "at T:3 77 lower", "at T:3 77 upper"}));
}

TEST_F(ConsumeTest, OffsetsOfGroups) {
  Client client = connect();
  Ext fields = {{"consumerGroup", "CG"}, {"topic", "T"}, {"queueId", "0"}};
  EXPECT_EQ(client.ask(14, fields).ext.at("offset"), "42");
  broker.error = Error{ErrorCode::NotFound, ""};
  Answer answer = client.ask(14, fields);
  EXPECT_EQ(answer.code, 22);
  EXPECT_EQ(answer.remark, "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first");
  fields.emplace_back("setZeroIfNotFound", "false");
  answer = client.ask(14, fields);
  EXPECT_EQ(answer.code, 22);
  EXPECT_EQ(answer.remark, "Not found, do not set to zero, maybe this group boot first");
  broker.error = Error{ErrorCode::GroupNotFound, "Group CG not exist!"};
  EXPECT_EQ(client.ask(15, {{"consumerGroup", "CG"}, {"topic", "T"}, {"queueId", "0"}, {"commitOffset", "8"}}).code, 26);
}

TEST_F(ConsumeTest, LocksAreOfThisBrokersQueues) {
  Client client = connect();
  const std::string body =
      R"({"consumerGroup":"CGO","clientId":"c","mqSet":[{"topic":"T","brokerName":"b1","queueId":0},{"topic":"T","brokerName":"other","queueId":1}]})";
  EXPECT_EQ(client.ask(41, {}, body).body, R"({"lockOKMQSet":[{"brokerName":"b1","queueId":0,"topic":"T"}]})");
  EXPECT_EQ(client.ask(42, {}, body).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"lock CGO c 1", "unlock CGO 1"}));
  EXPECT_EQ(client.ask(41, {}, "{").code, 1);
}

TEST_F(ConsumeTest, MessagesByPosition) {
  Client client = connect();
  const Answer missing = client.ask(33, {{"offset", "5"}});
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.remark, "can not find message by the offset, 5");
  broker.reader.images[5] = "stored";
  const Answer found_one = client.ask(33, {{"offset", "5"}});
  const auto fields = model::decode_image(as_bytes(found_one.body));
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->body, "stored");
  EXPECT_EQ(client.ask(12, {{"topic", "T"}, {"key", "k"}, {"maxNum", "1"}, {"beginTimestamp", "0"}, {"endTimestamp", "1"}}).code, 22);
}

TEST_F(ConsumeTest, HeartbeatsOfGoAndCpp) {
  Client client = connect();
  const Answer answer = client.ask(34, {}, R"({"clientID":"192.0.2.2@CG","producerDataSet":[{"groupName":"PG"}],"consumerDataSet":[{"groupName":"CG",)"
                                           R"("consumeType":"CONSUME_PASSIVELY","messageModel":0,"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET",)"
                                           R"("subscriptionDataSet":[{"classFilterMode":false,"topic":"GoT","subString":"TagA || TagB","subVersion":"3"}]}]})");
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.ext.at("IS_SUPPORT_HEART_BEAT_V2"), "true");
  EXPECT_EQ(answer.ext.at("IS_SUB_CHANGE"), "true");
  ASSERT_EQ(broker.beats.size(), 1u);
  const broker::Heartbeat& beat = broker.beats[0];
  EXPECT_EQ(beat.client.client_id, "192.0.2.2@CG");
  EXPECT_EQ(beat.client.remote_address, "192.0.2.7:40001");
  EXPECT_EQ(beat.producer_groups, std::vector<std::string>{"PG"});
  ASSERT_EQ(beat.consumers.size(), 1u);
  EXPECT_EQ(beat.consumers[0].message_model, model::MessageModel::Broadcasting);
  EXPECT_EQ(beat.consumers[0].from, model::ConsumeFrom::FirstOffset);
  EXPECT_EQ(beat.consumers[0].subscriptions.at(0).tags, (std::vector<std::string>{"TagA", "TagB"}));
  EXPECT_EQ(beat.consumers[0].subscriptions.at(0).version, 3);
}

TEST_F(ConsumeTest, WhoConsumes) {
  Client client = connect();
  EXPECT_EQ(client.ask(38, {{"consumerGroup", "G"}}).body, R"({"consumerIdList":["c1","c2"]})");
  EXPECT_NE(client.ask(203, {{"consumerGroup", "G"}}).body.find(R"("clientAddr":"192.0.2.7:1","clientId":"c1","language":"GO","version":317)"), std::string::npos);
  EXPECT_NE(client.ask(204, {{"producerGroup", "G"}}).body.find("p1"), std::string::npos);
  broker.error = Error{ErrorCode::NotFound, ""};
  Answer answer = client.ask(38, {{"consumerGroup", "G"}});
  EXPECT_EQ(answer.code, 1);
  EXPECT_EQ(answer.remark, "no consumer for this group, G");
  answer = client.ask(204, {{"producerGroup", "G"}});
  EXPECT_EQ(answer.code, 1);
  EXPECT_EQ(answer.remark, "the producer group[G] not exist");
  answer = client.ask(203, {{"consumerGroup", "G"}});
  EXPECT_EQ(answer.code, 206);
  EXPECT_EQ(answer.remark, "the consumer group[G] not online");
}

TEST_F(ConsumeTest, OnlyTagFiltersAreThere) {
  Client client = connect();
  EXPECT_EQ(client.ask(46, {}, "").code, 0);
  EXPECT_EQ(client.ask(46, {}, R"({"clientId":"c","group":"G","subscriptionData":{"topic":"T","subString":"*"}})").code, 0);
  const Answer sql = client.ask(46, {}, R"({"clientId":"c","group":"G","subscriptionData":{"topic":"T","subString":"a>1","expressionType":"SQL92"}})");
  EXPECT_EQ(sql.code, 1);
  EXPECT_EQ(sql.remark, "The broker does not support consumer to filter message by SQL92");
}

TEST_F(ConsumeTest, UnregisteringToleratesAbsentGroups) {
  Client client = connect();
  EXPECT_EQ(client.ask(35, {{"clientID", "c"}, {"consumerGroup", "G"}}).code, 0);
  EXPECT_EQ(broker.calls, std::vector<std::string>{"unregister c  G"});
}

}  // namespace
}  // namespace halfmoon::adapter
