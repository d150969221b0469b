// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting_world.h"
#include "nameserver/route_table.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

class RoutesTest : public RemotingWorld<nameserver::RouteTable> {
 protected:
  RoutesTest() {
    inside([&](Now) { remoting.register_own({topic("T", 4), topic("TBW102", 8)}, {1, 1, 1}); });
  }
  static model::TopicConfig topic(std::string name, std::int32_t queues) {
    return {.name = std::move(name), .read_queues = queues, .write_queues = queues, .attributes = {}};
  }
  static Ext registration(const std::string& name, const std::string& address) {
    return {{"brokerName", name}, {"brokerAddr", address}, {"clusterName", "c1"}, {"haServerAddr", "h:1"}, {"brokerId", "0"}, {"compressed", "false"}, {"bodyCrc32", "0"}};
  }
  static std::string registration_body(std::int64_t counter) {
    return R"({"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":)" + std::to_string(counter) +
           R"(,"stateVersion":0,"timestamp":1},"topicConfigTable":{"X":{"topicName":"X","readQueueNums":2,"writeQueueNums":2,"perm":6},)"
           R"("Y":{"topicName":"Y","readQueueNums":2,"writeQueueNums":2,"perm":6}}}})";
  }
};

TEST_F(RoutesTest, TheOwnBrokerIsWhereTheClientFoundIt) {
  Client client = connect();
  EXPECT_EQ(client.ask(105, {{"topic", "T"}}).body,
            R"({"brokerDatas":[{"brokerAddrs":{"0":"198.51.100.3:10911"},"brokerName":"b1","cluster":"c1","enableActingMaster":false}],)"
            R"("filterServerTable":{},"queueDatas":[{"brokerName":"b1","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]})");
  Client other;
  other.connection = std::make_shared<FakeConnection>();
  other.connection->local_address.ip = "127.0.0.1";
  other.session = remoting.name_server_sessions()(other.connection);
  EXPECT_NE(other.ask(105, {{"topic", "T"}}).body.find("127.0.0.1:10911"), std::string::npos);
  EXPECT_NE(other.ask(106, {}).body.find(R"("clusterAddrTable":{"c1":["b1"]})"), std::string::npos);
}

TEST_F(RoutesTest, UnknownTopicsAreCode17) {
  Client client = connect();
  const Answer answer = client.ask(105, {{"topic", "Nope"}});
  EXPECT_EQ(answer.code, 17);
  EXPECT_EQ(answer.remark, "No topic route info in name server for the topic: Nope");
}

TEST_F(RoutesTest, TopicsComeAndGoWithTheBroker) {
  Client client = connect();
  inside([&](Now) { remoting.topic_changed(topic("New", 1), {1, 1, 2}); });
  EXPECT_EQ(client.ask(105, {{"topic", "New"}}).code, 0);
  EXPECT_EQ(client.ask(105, {{"topic", "T"}}).code, 0);
  inside([&](Now) { remoting.topic_deleted("New", {1, 1, 3}); });
  EXPECT_EQ(client.ask(105, {{"topic", "New"}}).code, 17);
}

TEST_F(RoutesTest, OtherBrokersRegisterAndVanishWithTheirConnection) {
  Client stranger = connect();
  EXPECT_EQ(stranger.ask(103, registration("b2", "192.0.2.9:10911"), registration_body(1)).code, 0);
  Client client = connect();
  EXPECT_NE(client.ask(105, {{"topic", "X"}}).body.find("192.0.2.9:10911"), std::string::npos);
  const Ext asked = {{"brokerName", "b2"}, {"brokerAddr", "192.0.2.9:10911"}, {"clusterName", "c1"}, {"brokerId", "0"}};
  EXPECT_EQ(stranger.ask(322, asked, R"({"counter":1,"stateVersion":0,"timestamp":1})").ext.at("changed"), "false");
  EXPECT_EQ(stranger.ask(322, asked, R"({"counter":2,"stateVersion":0,"timestamp":1})").ext.at("changed"), "true");
  EXPECT_EQ(stranger.ask(904, asked).code, 0);
  EXPECT_NE(client.ask(901, {{"clusterName", "c1"}, {"brokerName", "b2"}}).body.find("192.0.2.9:10911"), std::string::npos);
  stranger.session->on_closed();
  EXPECT_EQ(client.ask(105, {{"topic", "X"}}).code, 17);
}

TEST_F(RoutesTest, NobodyTakesTheOwnBrokersPlace) {
  Client stranger = connect();
  EXPECT_EQ(stranger.ask(103, registration("b1", "203.0.113.66:10911"), registration_body(1)).code, 0) << "told yes, and ignored";
  EXPECT_NE(stranger.ask(105, {{"topic", "T"}}).body.find("198.51.100.3:10911"), std::string::npos);
  EXPECT_EQ(stranger.ask(105, {{"topic", "X"}}).code, 17);
}

TEST_F(RoutesTest, UnregisteredBrokersAreGone) {
  Client client = connect();
  client.ask(103, registration("b2", "192.0.2.9:10911"), registration_body(1));
  EXPECT_EQ(client.ask(104, {{"brokerName", "b2"}, {"brokerAddr", "192.0.2.9:10911"}, {"clusterName", "c1"}, {"brokerId", "0"}}).code, 0);
  EXPECT_EQ(client.ask(105, {{"topic", "X"}}).code, 17);
}

TEST_F(RoutesTest, NamesForTools) {
  Client client = connect();
  EXPECT_EQ(client.ask(206, {}).body, R"({"topicList":["T","TBW102"]})");
  EXPECT_EQ(client.ask(224, {{"cluster", "c1"}}).body, R"({"topicList":["T","TBW102"]})");
  EXPECT_EQ(client.ask(224, {{"cluster", "c2"}}).body, R"({"topicList":[]})");
  const std::string names = client.ask(304, {}).body;
  EXPECT_NE(names.find(R"("topicList":["b1","c1"])"), std::string::npos);
  EXPECT_NE(names.find("198.51.100.3:10911"), std::string::npos);
  EXPECT_EQ(client.ask(216, {{"topic", "T"}}).code, 0);
  EXPECT_EQ(client.ask(105, {{"topic", "T"}}).code, 17);
}

TEST_F(RoutesTest, WritePermission) {
  Client client = connect();
  EXPECT_EQ(client.ask(205, {{"brokerName", "b1"}}).ext.at("wipeTopicCount"), "2");
  EXPECT_NE(client.ask(105, {{"topic", "T"}}).body.find(R"("perm":4)"), std::string::npos);
  EXPECT_EQ(client.ask(327, {{"brokerName", "b1"}}).ext.at("addTopicCount"), "2");
}

TEST_F(RoutesTest, Configs) {
  Client client = connect();
  const Ext key = {{"namespace", "NS"}, {"key", "K"}};
  Answer answer = client.ask(101, key);
  EXPECT_EQ(answer.code, 22);
  EXPECT_EQ(answer.remark, "No config item, Namespace: NS Key: K");
  EXPECT_EQ(client.ask(100, {{"namespace", "NS"}, {"key", "K"}, {"value", "V"}}).code, 0);
  EXPECT_EQ(client.ask(101, key).ext.at("value"), "V");
  EXPECT_EQ(client.ask(219, {{"namespace", "NS"}}).body, R"({"table":{"K":"V"}})");
  EXPECT_EQ(client.ask(102, key).code, 0);
  EXPECT_EQ(client.ask(219, {{"namespace", "NS"}}).code, 22);
  EXPECT_EQ(client.ask(100, {{"namespace", "ORDER_TOPIC_CONFIG"}, {"key", "T"}, {"value", "b1:4"}}).code, 0);
  EXPECT_NE(client.ask(105, {{"topic", "T"}}).body.find(R"("orderTopicConf":"b1:4")"), std::string::npos);
}

TEST(AdvertisedHost, BrokerIp1Wins) {
  FakeClock clock;
  runtime::Monitor monitor{clock, {[](Now) {}, [] {}}};
  nameserver::RouteTable name_server;
  RemotingOptions options;
  options.broker_name = "b1";
  options.advertised_host = "203.0.113.5";
  Remoting remoting(monitor, name_server, options);
  remoting.set_broker_port(12345);
  monitor.enter([&](Now) { remoting.register_own({{.name = "T", .attributes = {}}, {.name = "U", .attributes = {}}}, {1, 1, 1}); });
  auto connection = std::make_shared<FakeConnection>();
  const auto session = remoting.name_server_sessions()(connection);
  session->on_data(as_bytes(frame(105, 1, {{"topic", "T"}})));
  EXPECT_NE(parse_answers(std::exchange(connection->written, {})).at(0).body.find(R"({"0":"203.0.113.5:12345"})"), std::string::npos);
  session->on_data(as_bytes(frame(310, 1, {})));  // no broker behind this one
  EXPECT_EQ(parse_answers(connection->written).at(0).code, 3);
  session->on_closed();
}

}  // namespace
}  // namespace halfmoon::adapter
