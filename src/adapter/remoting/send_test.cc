// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting_world.h"
#include "base/crc.h"
#include "nameserver/route_table.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

using SendTest = RemotingWorld<nameserver::RouteTable>;

const std::string kProperties = "TAGS\x01TagA\x02KEYS\x01k1 k2\x02UNIQ_KEY\x01" "C0000001\x02";

Ext go_head_fields() {
  return {{"producerGroup", "PG"}, {"topic", "GoT"}, {"defaultTopic", "TBW102"}, {"defaultTopicQueueNums", "4"}, {"queueId", "1"},
          {"sysFlag", "0"}, {"bornTimestamp", "1700000000000"}, {"flag", "0"}, {"properties", kProperties}, {"reconsumeTimes", "0"},
          {"maxReconsumeTimes", "0"}, {"unitMode", "false"}, {"batch", "false"}, {"bname", "b1"}};
}

TEST_F(SendTest, GoSendsWithLongNames) {
  Client client = connect();
  broker.send_result = broker::SendResult{.queue_id = 1, .queue_offset = 12, .position = 4096, .more_positions = {}, .unique_key = broker::ShortText("C0000001")};
  const Answer answer = client.ask(10, go_head_fields(), "hello");
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.ext, (std::map<std::string, std::string>{{"msgId", "C633640300002A9F0000000000001000"},
                                                            {"queueId", "1"},
                                                            {"queueOffset", "12"},
                                                            {"transactionId", "C0000001"},
                                                            {"MSG_REGION", "R1"},
                                                            {"TRACE_ON", "true"}}));
  ASSERT_EQ(broker.sends.size(), 1u);
  const SeenSend& sent = broker.sends[0];
  EXPECT_EQ(sent.group, "PG");
  EXPECT_EQ(sent.topic, "GoT");
  EXPECT_EQ(sent.default_topic, "TBW102");
  EXPECT_EQ(sent.properties, kProperties);
  EXPECT_EQ(sent.body, "hello");
  EXPECT_EQ(sent.request.body_crc, crc32_ieee(as_bytes("hello")) & 0x7FFFFFFF);
  EXPECT_EQ(sent.request.queue_id, 1);
  EXPECT_EQ(sent.request.default_queues, 4);
  EXPECT_EQ(sent.request.born_ms, 1700000000000);
  EXPECT_EQ(sent.request.max_reconsume_times, 0);
  EXPECT_EQ(model::to_string(sent.request.born_host), "192.0.2.7:40001");
  EXPECT_EQ(model::to_string(sent.request.store_host), "198.51.100.3:10911") << "over the alias port, but as the main one";
}

TEST_F(SendTest, TheCoreIsToldOfManySendsBeforeTheFirst) {
  Client client = connect();
  const auto several = [](int n) {
    std::string frames;
    for (int i = 0; i < n; i++) {
      Ext ext = go_head_fields();
      ext[1].second = "T" + std::to_string(i);        // topic
      ext[4].second = std::to_string(i - 1);          // queueId
      frames += frame(10, 100 + i, ext, "x");
    }
    return frames;
  };
  client.feed(several(7));
  EXPECT_TRUE(broker.calls.empty());
  client.feed(several(8));
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"foresee T0/-1 T1/0 T2/1 T3/2 T4/3 T5/4 T6/5 T7/6 after 7 sends"}));
  EXPECT_EQ(broker.sends.size(), 15u);
}

TEST_F(SendTest, IPv6ConnectionsGetLongIds) {
  Client client;
  client.connection = std::make_shared<FakeConnection>();
  client.connection->local_address.ip = "2001:db8::1";
  client.session = remoting.broker_sessions()(client.connection);
  broker.send_result = broker::SendResult{};
  EXPECT_EQ(client.ask(10, go_head_fields(), "hello").ext.at("msgId").size(), 56u);
  EXPECT_TRUE(broker.sends[0].request.store_host.ipv6);
}

std::string batch_body() {
  const std::string tag = "TAGS\x01TagA\x02";
  std::string body("\0\0\0\x22\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02" "b1\0\x0A", 24);
  body += tag;
  std::string second = body;
  second[21] = '2';
  return body + second;
}

TEST_F(SendTest, BatchesOfBothGoClients) {
  Client client = connect();
  broker.send_result = broker::SendResult{.queue_id = 0, .queue_offset = 5, .position = 256, .more_positions = {512}, .unique_key = {}};
  Ext head = {{"a", "PG"}, {"b", "GoT"}, {"c", "TBW102"}, {"d", "4"}, {"e", "0"}, {"f", "0"}, {"g", "1"}, {"h", "0"}, {"i", ""},
              {"j", "0"}, {"k", "false"}, {"l", "0"}, {"m", "true"}, {"n", "b1"}};
  const Answer answer = client.ask(320, head, batch_body());
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.ext.at("msgId"), "C633640300002A9F0000000000000100,C633640300002A9F0000000000000200");
  EXPECT_EQ(answer.ext.at("queueOffset"), "5");
  head[2].second = head[3].second = "";  // rc3 (trap 11)
  EXPECT_EQ(client.ask(320, head, batch_body()).code, 0);
  EXPECT_EQ(client.ask(310, head, batch_body()).code, 0) << "a batch by its flag";
  ASSERT_EQ(broker.sends.size(), 3u);
  for (const SeenSend& sent : broker.sends) {
    ASSERT_EQ(sent.items.size(), 2u);
    EXPECT_EQ(sent.items[0].first, "b1");
    EXPECT_EQ(sent.items[1].first, "b2");
    EXPECT_EQ(sent.items[1].second, "TAGS\x01TagA\x02");
  }
  EXPECT_EQ(client.ask(320, head, "nonsense").code, 13);
}

TEST_F(SendTest, RefusalsHaveRocketMqsCodes) {
  Client client = connect();
  const std::vector<std::pair<ErrorCode, std::int32_t>> expected = {
      {ErrorCode::Internal, 1},      {ErrorCode::InvalidArgument, 29}, {ErrorCode::MessageIllegal, 13}, {ErrorCode::TopicNotFound, 17},
      {ErrorCode::GroupNotFound, 26}, {ErrorCode::NoPermission, 16},   {ErrorCode::NotWritable, 14},    {ErrorCode::Busy, 2},
      {ErrorCode::DiskFull, 14},     {ErrorCode::Io, 1}};
  for (const auto& [error, code] : expected) {
    broker.error = Error{error, "why"};
    const Answer answer = client.ask(10, go_head_fields(), "x");
    EXPECT_EQ(answer.code, code);
    EXPECT_EQ(answer.remark, "why");
  }
}

TEST_F(SendTest, SendBackReadsTheMessageFirst) {
  Client client = connect();
  const Ext fields = {{"group", "G"}, {"offset", "164"}, {"delayLevel", "0"}, {"originMsgId", "X"}, {"originTopic", "T"},
                      {"unitMode", "false"}, {"maxReconsumeTimes", "16"}, {"bname", "b1"}};
  EXPECT_EQ(client.ask(36, fields).remark, "look message by offset failed, 164");
  broker.reader.images[164] = "stored";
  EXPECT_EQ(client.ask(36, fields).code, 0);
  EXPECT_EQ(broker.calls, std::vector<std::string>{"send_back stored G level 0 max 16"});
}

TEST_F(SendTest, ReplyMessagesHaveId0UnlessStored) {
  Client client = connect();
  broker.send_result = broker::SendResult{};
  EXPECT_EQ(client.ask(324, go_head_fields(), "x").ext.at("msgId"), "0");
  broker.send_result->position = 4096;
  EXPECT_EQ(client.ask(325, go_head_fields(), "x").ext.at("msgId"), "C633640300002A9F0000000000001000");
  broker.error = Error{ErrorCode::NotFound, "push reply message fail, channel of <c> not found."};
  EXPECT_EQ(client.ask(324, go_head_fields(), "x").code, 1);
  broker.error = Error{ErrorCode::MessageIllegal, "reply message properties[REPLY_TO_CLIENT] is null"};
  EXPECT_EQ(client.ask(324, go_head_fields(), "x").code, 1);
}

TEST_F(SendTest, VerdictsOfTransactions) {
  Client client = connect();
  Ext fields = {{"producerGroup", "PG"}, {"tranStateTableOffset", "3"}, {"commitLogOffset", "1089"}, {"commitOrRollback", "8"},
                {"fromTransactionCheck", "false"}, {"msgId", "U"}, {"transactionId", "U"}, {"bname", "b1"}};
  EXPECT_EQ(client.ask(37, fields).code, 0);
  fields[3].second = "12";
  EXPECT_EQ(client.ask(37, fields).code, 0);
  fields[3].second = "0";
  fields[4].second = "true";
  EXPECT_EQ(client.ask(37, fields).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"end PG 1089/3 verdict 1 U", "end PG 1089/3 verdict 2 U", "end PG 1089/3 verdict 0 checked U"}));
  fields[3].second = "5";
  EXPECT_EQ(client.ask(37, fields).code, 1);
  fields[3].second = "8";
  broker.error = Error{ErrorCode::InvalidArgument, "The producer group wrong"};
  EXPECT_EQ(client.ask(37, fields).code, 1);
  broker.error = Error{ErrorCode::NotFound, "Find prepared transaction message failed"};
  EXPECT_EQ(client.ask(37, fields).code, 1);
  broker.error = Error{ErrorCode::IllegalOperation, "it was rolled back"};
  EXPECT_EQ(client.ask(37, fields).code, 604);
}

TEST_F(SendTest, VerdictOnAForgottenHalfMessageBringsItsNamesAlong) {
  Client client = connect();
  broker.reader.forgotten[1089] = {"PG", "KEY", 3};
  broker.reader.failures[2000] = ErrorCode::Io;
  Ext fields = {{"producerGroup", "PG"}, {"tranStateTableOffset", "3"}, {"commitLogOffset", "1089"}, {"commitOrRollback", "8"},
                {"fromTransactionCheck", "false"}, {"msgId", "U"}, {"transactionId", "U"}, {"bname", "b1"}};
  EXPECT_EQ(client.ask(37, fields).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"end PG 1089/3 verdict 1 U stored as PG 3 KEY"}));
  fields[2].second = "2000";
  EXPECT_EQ(client.ask(37, fields).code, 1);
  EXPECT_EQ(broker.calls.size(), 1u);
}

TEST_F(SendTest, ResumeTakesAnOffsetMessageId) {
  Client client = connect();
  EXPECT_EQ(client.ask(323, {{"topic", "T"}, {"msgId", "C633640300002A9F0000000000001000"}}).code, 0);
  EXPECT_EQ(broker.calls, std::vector<std::string>{"resume 4096 key '' by RESUME_CHECK_HALF_MESSAGE because request code 323 from 192.0.2.7:40001"});
  EXPECT_EQ(client.ask(323, {{"topic", "T"}, {"msgId", "nonsense"}}).code, 1);
}

}  // namespace
}  // namespace halfmoon::adapter
