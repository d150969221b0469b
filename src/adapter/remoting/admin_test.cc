// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting_world.h"
#include "adapter/remoting/topic_attributes.h"
#include "nameserver/route_table.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

class AdminTest : public RemotingWorld<nameserver::RouteTable> {
 protected:
  static Ext topic_fields(const std::string& name, const std::string& attributes = "") {
    return {{"topic", name}, {"defaultTopic", "TBW102"}, {"readQueueNums", "3"}, {"writeQueueNums", "2"}, {"perm", "6"},
            {"topicFilterType", "SINGLE_TAG"}, {"topicSysFlag", "0"}, {"order", "false"}, {"attributes", attributes}};
  }
};

TEST_F(AdminTest, TopicsAreMadeAndShown) {
  Client client = connect();
  EXPECT_EQ(client.ask(17, topic_fields("T", "+message.type=TRANSACTION")).code, 0);
  EXPECT_EQ(broker.topic_table.at("T").read_queues, 3);
  EXPECT_EQ(broker.topic_table.at("T").write_queues, 2);
  EXPECT_EQ(broker.topic_table.at("T").attributes.at("message.type"), "TRANSACTION");
  EXPECT_EQ(client.ask(17, topic_fields("T", "-message.type")).code, 0);
  EXPECT_TRUE(broker.topic_table.at("T").attributes.empty());
  Ext cpp = topic_fields("U");
  cpp[5].second = "0";
  EXPECT_EQ(client.ask(17, cpp).code, 0);
  EXPECT_NE(client.ask(351, {{"topic", "T"}}).body.find(R"("readQueueNums":3)"), std::string::npos);
  EXPECT_EQ(client.ask(351, {{"topic", "V"}}).remark, "No topic in this broker. topic: V");
  EXPECT_EQ(client.ask(351, {{"topic", "V"}}).code, 17);
}

TEST_F(AdminTest, RefusedTopics) {
  Client client = connect();
  Answer answer = client.ask(17, topic_fields("TBW102"));
  EXPECT_EQ(answer.code, 29);
  EXPECT_EQ(answer.remark, "The topic[TBW102] is conflict with system topic.");
  EXPECT_EQ(client.ask(17, topic_fields("a b")).code, 29);
  EXPECT_EQ(client.ask(17, topic_fields("c1_REPLY_TOPIC")).code, 29) << "the cluster is c1";
  EXPECT_EQ(client.ask(215, {{"topic", "c1_REPLY_TOPIC"}}).code, 29);
  answer = client.ask(17, topic_fields("T", "+nope=1"));
  EXPECT_EQ(answer.code, 1);
  EXPECT_EQ(answer.remark, "unsupported key: nope");
  EXPECT_EQ(client.ask(215, {{"topic", ""}}).remark, "The specified topic is blank.");
  EXPECT_EQ(client.ask(215, {{"topic", "TBW102"}}).code, 29);
  EXPECT_EQ(client.ask(215, {{"topic", "T"}}).code, 0);
  EXPECT_EQ(broker.calls, std::vector<std::string>{"delete_topic T"});
}

TEST_F(AdminTest, AllTopicsWholeOrInPages) {
  Client client = connect();
  EXPECT_EQ(client.ask(21, {}).remark, "No topic in this broker");
  for (const char* name : {"A", "B", "C"}) broker.topic_table[name].name = name;
  Answer answer = client.ask(21, {});
  EXPECT_EQ(answer.ext.at("totalTopicNum"), "3");
  for (const char* name : {"\"A\"", "\"B\"", "\"C\""}) EXPECT_NE(answer.body.find(name), std::string::npos);
  answer = client.ask(21, {{"topicSeq", "1"}, {"maxTopicNum", "1"}, {"dataVersion", R"({"counter":3,"stateVersion":1,"timestamp":2})"}});
  EXPECT_EQ(answer.body.find("\"A\""), std::string::npos);
  EXPECT_NE(answer.body.find("\"B\""), std::string::npos);
  EXPECT_EQ(answer.body.find("\"C\""), std::string::npos);
  answer = client.ask(21, {{"topicSeq", "1"}, {"maxTopicNum", "1"}});
  EXPECT_NE(answer.body.find("\"A\""), std::string::npos) << "another table is read from its start";
  EXPECT_EQ(client.ask(21, {{"topicSeq", "-5"}, {"maxTopicNum", "-1"}}).code, 0);
  EXPECT_EQ(client.ask(21, {{"topicSeq", "99"}, {"maxTopicNum", "9"}, {"dataVersion", R"({"counter":3,"stateVersion":1,"timestamp":2})"}}).code, 0);
  EXPECT_EQ(client.ask(201, {}).ext.at("totalGroupNum"), "2");
}

TEST_F(AdminTest, StatisticsOfTopicsAndGroups) {
  Client client = connect();
  Answer answer = client.ask(202, {{"topic", "T"}});
  EXPECT_NE(answer.body.find(R"({"brokerName":"b1","queueId":1,"topic":"T"}:{"lastUpdateTimestamp":77,"maxOffset":9,"minOffset":2})"), std::string::npos);
  EXPECT_NE(answer.body.find(R"({"brokerName":"b1","queueId":0,"topic":"T"}:)"), std::string::npos) << "an empty queue is listed too";
  answer = client.ask(208, {{"consumerGroup", "G"}, {"topic", "T"}});
  EXPECT_NE(answer.body.find(R"("brokerOffset":9,"consumerOffset":0)"), std::string::npos);
  client.ask(208, {{"consumerGroup", "G"}, {"topic", "T"}, {"topicList", "X;Y"}});
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"progress G T", "progress G X", "progress G Y"}));
  EXPECT_EQ(client.ask(300, {{"topic", "T"}}).body, R"({"groupList":["G1"]})");
  broker.error = Error{ErrorCode::TopicNotFound, ""};
  answer = client.ask(202, {{"topic", "T"}});
  EXPECT_EQ(answer.code, 17);
  EXPECT_EQ(answer.remark, "topic[T] not exist");
}

TEST_F(AdminTest, Groups) {
  Client client = connect();
  EXPECT_EQ(client.ask(200, {}, R"({"groupName":"G","retryMaxTimes":3})").code, 0);
  EXPECT_EQ(client.ask(200, {}, R"({"groupName":"a b"})").code, 29);
  EXPECT_EQ(client.ask(200, {}, "{}").code, 1);
  EXPECT_EQ(client.ask(207, {{"groupName", "G"}, {"cleanOffset", "true"}}).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"put_group G retry 3", "delete_group G clean"}));
  EXPECT_NE(client.ask(352, {{"group", "G"}}).body.find(R"("groupName":"G")"), std::string::npos);
  broker.error = Error{ErrorCode::GroupNotFound, ""};
  EXPECT_EQ(client.ask(352, {{"group", "G"}}).code, 26);
}

TEST_F(AdminTest, OffsetsAreReset) {
  Client client = connect();
  const Ext by_time = {{"topic", "T"}, {"group", "G"}, {"timestamp", "-1"}, {"isForce", "true"}};
  EXPECT_EQ(client.ask(222, by_time).body,
            R"({"offsetTable":{{"brokerName":"b1","queueId":0,"topic":"T"}:5,{"brokerName":"b1","queueId":1,"topic":"T"}:6}})");
  Ext to_offset = by_time;
  to_offset.insert(to_offset.end(), {{"queueId", "1"}, {"offset", "6"}});
  client.ask(222, to_offset);
  to_offset.back().second = "-1";
  client.ask(222, to_offset);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"reset T G -1 q-1 to time", "reset T G -1 q1 to 6", "reset T G -1 q1 to time"}));
  broker.error = Error{ErrorCode::InvalidArgument, "Target offset 6 not in consume queue range [0-5]"};
  EXPECT_EQ(client.ask(222, by_time).code, 1);
}

TEST_F(AdminTest, TheBrokerItself) {
  Client client = connect();
  const Answer info = client.ask(28, {});
  EXPECT_NE(info.body.find(R"("brokerVersionDesc":"V5_3_3")"), std::string::npos);
  EXPECT_NE(info.body.find(R"("sendThreadPoolQueueSize":"0")"), std::string::npos);
  const Answer config = client.ask(26, {});
  EXPECT_EQ(config.code, 0);
  EXPECT_NE(config.ext.at("version").find("counter"), std::string::npos);
}

TEST(TopicAttributes, ReadLikeRocketMq) {
  const auto refusal = [](std::string_view text, const Attributes* current = nullptr) {
    const auto changes = parse_attribute_changes(text);
    if (!changes.ok()) return changes.error().text;
    const auto result = changed_attributes(*changes, current);
    return result.ok() ? std::string("fine") : result.error().text;
  };
  const Attributes known = {{"queue.type", "SimpleCQ"}, {"message.type", "FIFO"}};
  EXPECT_EQ(refusal(""), "fine");
  EXPECT_EQ(refusal("+message.type=TRANSACTION,+reserve.time=-1"), "fine");
  EXPECT_EQ(refusal("+a=b=c"), "kv string format wrong.");
  EXPECT_EQ(refusal("+message.type="), "kv string format wrong.");
  EXPECT_EQ(refusal("message.type=FIFO"), "wrong format key: message.type");
  EXPECT_EQ(refusal("message.type"), "wrong format key: message.type");
  EXPECT_EQ(refusal("+nope=1"), "unsupported key: nope");
  EXPECT_EQ(refusal("+message.type=FIFO,-message.type"), "alter duplication key. key: message.type");
  EXPECT_EQ(refusal("-message.type"), "only add attribute is supported while creating topic. key: message.type");
  EXPECT_EQ(refusal("-reserve.time", &known), "attempt to delete a nonexistent key: reserve.time");
  EXPECT_EQ(refusal("-queue.type", &known), "attempt to update an unchangeable attribute. key: queue.type");
  EXPECT_EQ(refusal("+queue.type=BatchCQ", &known), "attempt to update an unchangeable attribute. key: queue.type");
  EXPECT_EQ(refusal("+queue.type=SimpleCQ", &known), "fine");
  EXPECT_EQ(refusal("+cleanup.policy=NONE"), "value is not in set: [COMPACTION, DELETE]");
  EXPECT_EQ(refusal("+reserve.time=-2"), "value is not in range(-1, 9223372036854775807)");
}

}  // namespace
}  // namespace halfmoon::adapter
