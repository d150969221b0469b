// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/session.h"

#include <random>

#include "adapter/remoting/broken_header.h"
#include "adapter/remoting/dispatch.h"
#include "adapter/remoting/remoting_world.h"
#include "nameserver/route_table.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

class SessionTest : public RemotingWorld<nameserver::RouteTable> {
 protected:
  static Ext send_fields() { return {{"a", "PG"}, {"b", "T"}, {"c", "TBW102"}, {"d", "4"}, {"e", "0"}, {"f", "0"}, {"g", "1"}, {"h", "0"}, {"i", ""}}; }
};

TEST_F(SessionTest, AHundredSendsInOneReadAreOneTurnAndOneOutput) {
  Client client = connect();
  broker.send_result = broker::SendResult{};
  std::string read;
  for (int i = 0; i < 100; ++i) read += frame(310, i, send_fields(), "body");
  client.feed(read);
  EXPECT_EQ(client.last.bytes, read.size());
  EXPECT_EQ(turns, 1);
  EXPECT_EQ(broker.sends.size(), 100u);
  const auto answers = parse_answers(client.connection->written);
  ASSERT_EQ(answers.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(answers[static_cast<std::size_t>(i)].opaque, i);
  EXPECT_TRUE(client.connection->posted.empty());
  inside([&](Now) { EXPECT_EQ(remoting.probe().requests, 100); });
}

TEST_F(SessionTest, AFrameInPiecesIsTakenWhenItIsWhole) {
  Client client = connect();
  broker.send_result = broker::SendResult{};
  const std::string whole = frame(310, 1, send_fields(), "body");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    client.feed(whole.substr(0, n));
    EXPECT_EQ(client.last.bytes, 0u);
    EXPECT_FALSE(client.last.close);
    if (n >= 8) {
      EXPECT_EQ(client.last.wanted, whole.size());
    }
  }
  EXPECT_EQ(turns, 0);
  client.feed(whole + whole.substr(0, 9));
  EXPECT_EQ(client.last.bytes, whole.size());
  EXPECT_EQ(client.answers().size(), 1u);
}

TEST_F(SessionTest, OneWayRequestsAreDoneAndNotAnswered) {
  Client client = connect();
  client.feed(frame(15, 1, {{"consumerGroup", "G"}, {"topic", "T"}, {"queueId", "0"}, {"commitOffset", "9"}}, {}, wire::SerializeType::Json, wire::kFlagOneWay));
  client.feed(frame(4711, 2, {}, {}, wire::SerializeType::Json, wire::kFlagOneWay));
  client.feed(frame(310, 3, {}, {}, wire::SerializeType::Json, wire::kFlagOneWay));
  EXPECT_EQ(broker.calls, std::vector<std::string>{"commit G T:0 9"});
  EXPECT_TRUE(client.answers().empty());
}

TEST_F(SessionTest, UnknownCodesAreNamed) {
  Client client = connect();
  const Answer pop = client.ask(200050, {});
  EXPECT_EQ(pop.code, 3);
  EXPECT_EQ(pop.remark, " request type 200050 (POP_MESSAGE) not supported");
  const Answer nothing = client.ask(4711, {});
  EXPECT_EQ(nothing.code, 3);
  EXPECT_EQ(nothing.remark, " request type 4711 not supported");
  inside([&](Now) { EXPECT_EQ(remoting.probe().unsupported, 2); });
}

TEST_F(SessionTest, BrokenFramingClosesAfterWhatCameBeforeItIsAnswered) {
  Client client = connect();
  client.feed(frame(105, 1, {{"topic", "T"}}) + std::string("\x7f\xff\xff\xff\0\0\0\0", 8));
  EXPECT_TRUE(client.last.close);
  EXPECT_EQ(client.answers().size(), 1u);
  inside([&](Now) { EXPECT_EQ(remoting.probe().bad_frames, 1); });
}

TEST_F(SessionTest, ABrokenHeaderIsAnsweredWhereItsOpaqueCanBeFound) {
  Client client = connect();
  client.feed(raw_frame(R"({"code":10,"opaque":77,"extFields":{"a":)"));
  EXPECT_FALSE(client.last.close);
  const auto answers = client.answers();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].code, 1);
  EXPECT_EQ(answers[0].opaque, 77);
  EXPECT_FALSE(answers[0].remark.empty());
  EXPECT_EQ(client.ask(105, {{"topic", "T"}}).code, 17);  // the connection goes on
  client.feed(raw_frame("{\"code\":"));
  EXPECT_TRUE(client.last.close);
  EXPECT_TRUE(client.answers().empty());
  inside([&](Now) { EXPECT_EQ(remoting.probe().bad_headers, 2); });
}

TEST(BrokenHeader, FindsTheOpaqueOfRequestsOnly) {
  const auto json = [](std::string_view text) { return opaque_of_broken_header(wire::SerializeType::Json, as_bytes(text)); };
  EXPECT_EQ(json(R"({"opaque" : -5, x)"), -5);
  EXPECT_EQ(json(R"({"opaque":"12)"), 12);
  EXPECT_EQ(json(R"({"opaque":7,"flag":1,)"), std::nullopt);
  EXPECT_EQ(json(R"({"opaque":7,"flag":2,)"), std::nullopt);
  EXPECT_EQ(json(R"({"opaque":)"), std::nullopt);
  EXPECT_EQ(json(""), std::nullopt);
  const std::string binary("\0\x0A\x09\x01\x3D\0\0\0\x05\0\0\0\0", 13);
  EXPECT_EQ(opaque_of_broken_header(wire::SerializeType::Binary, as_bytes(binary)), 5);
  EXPECT_EQ(opaque_of_broken_header(wire::SerializeType::Binary, as_bytes(binary.substr(0, 12))), std::nullopt);
}

TEST_F(SessionTest, ARequiredFieldThatIsMissingIsNamed) {
  Client client = connect();
  const Answer answer = client.ask(11, {{"consumerGroup", "G"}});
  EXPECT_EQ(answer.code, 1);
  EXPECT_EQ(answer.remark, "the custom field <topic> is null");
}

TEST_F(SessionTest, BinaryHeadersAreAnsweredInKind) {
  Client client = connect();
  client.feed(frame(38, 5, {{"consumerGroup", "G"}}, {}, wire::SerializeType::Binary));
  ASSERT_GT(client.connection->written.size(), 8u);
  EXPECT_EQ(client.connection->written[4], 1);
  EXPECT_EQ(client.answers().at(0).body, R"({"consumerIdList":["c1","c2"]})");
}

TEST_F(SessionTest, AnswersFromOtherThreadsArePosted) {
  Client client = connect();
  client.feed(frame(310, 4, send_fields(), "x"));
  ASSERT_EQ(broker.held_sends.size(), 1u);
  client.connection->own_thread = false;
  broker.held_sends[0](broker::SendResult{});
  EXPECT_TRUE(client.connection->written.empty());
  EXPECT_EQ(client.connection->posted.size(), 1u);
  EXPECT_EQ(client.answers().at(0).opaque, 4);
}

TEST_F(SessionTest, AClosedConnectionIsForgottenAndLateAnswersLeadNowhere) {
  Client client = connect();
  client.feed(frame(310, 4, send_fields(), "x"));
  client.connection->is_closed = true;
  client.session->on_closed();
  EXPECT_EQ(broker.calls, std::vector<std::string>{"closed 1"});
  std::weak_ptr<FakeConnection> connection = client.connection;
  client.connection.reset();
  EXPECT_TRUE(connection.expired()) << "an answer under way keeps the connection alive";
  broker.held_sends[0](broker::SendResult{});
  inside([&](Now) { EXPECT_EQ(remoting.probe().channels, 0); });
}

TEST_F(SessionTest, AConnectionThatNeverSpokeLeavesNoTrace) {
  Client client = connect();
  client.session->on_closed();
  EXPECT_EQ(turns, 0);
  EXPECT_TRUE(broker.calls.empty());
}

TEST_F(SessionTest, EveryServedCodeAnswersSomethingToAnEmptyRequest) {
  for (const Route& route : routes()) {
    broker.send_result = broker::SendResult{};
    broker.pull_result = broker::PullResult{};
    Client client = connect();
    client.ask(static_cast<std::int32_t>(route.code), {});
    client.ask(static_cast<std::int32_t>(route.code), {}, "not what anyone expects", wire::SerializeType::Binary);
  }
}

TEST_F(SessionTest, HostileBytesNeverCrash) {
  std::mt19937 random(7);
  broker.send_result = broker::SendResult{};
  broker.pull_result = broker::PullResult{};
  const std::vector<std::string> seeds = {
      frame(310, 1, send_fields(), "body"), frame(320, 1, send_fields(), std::string("\0\0\0\x22\0\0\0\0", 8)),
      frame(34, 2, {}, R"({"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"T"}]}]})"),
      frame(41, 3, {}, R"({"consumerGroup":"G","clientId":"c","mqSet":[{"topic":"T","brokerName":"b1","queueId":0}]})", wire::SerializeType::Binary),
      frame(103, 4, {{"brokerName", "x"}, {"brokerAddr", "y"}, {"clusterName", "z"}, {"haServerAddr", ""}, {"brokerId", "0"}}, "{}")};
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = seeds[random() % seeds.size()];
    for (std::uint32_t flips = random() % 8; flips > 0; --flips) bytes[random() % bytes.size()] = static_cast<char>(random());
    Client client = connect();
    client.feed(bytes);
    EXPECT_LE(client.last.bytes, bytes.size());
    client.session->on_closed();
  }
}

}  // namespace
}  // namespace halfmoon::adapter
