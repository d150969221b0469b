// SPDX-License-Identifier: Apache-2.0
#include "nameserver/route_table.h"

#include <gtest/gtest.h>

namespace halfmoon::nameserver {
namespace {

class RouteTableTest : public ::testing::Test {
 protected:
  struct Broker {
    std::string name = "a", address = "h1:1";
    std::int64_t id = kMasterId;
    std::int64_t state = 0, counter = 1;
    std::vector<std::string> topics = {"T", "U"};
    bool own = false, acting = false;
    std::uint64_t connection = 0;
    std::int64_t at_ms = 0;
    std::string cluster = "c";
  };
  Result<RegistrationResult> add(const Broker& b) {
    Registration r{.cluster = b.cluster, .broker_name = b.name, .address = b.own ? std::string(kOwnAddress) : b.address, .ha_address = "ha-" + b.address,
                   .zone = "", .broker_id = b.id, .timeout_ms = {}, .own = b.own, .acting_master = b.acting, .connection = b.connection,
                   .version = {b.state, 0, b.counter}, .topics = {}};
    for (const std::string& topic : b.topics) r.topics.push_back({.name = topic, .read_queues = 4, .write_queues = 4, .attributes = {}});
    return table.register_broker(r, Now{0, b.at_ms});
  }
  std::map<std::int64_t, std::string> addresses(const std::string& topic) {
    auto route = table.route(topic);
    return route.ok() && !route->brokers.empty() ? route->brokers[0].addresses : std::map<std::int64_t, std::string>();
  }
  RouteTable table;
};

using Addresses = std::map<std::int64_t, std::string>;

TEST_F(RouteTableTest, ARouteNamesQueuesAndBrokers) {
  ASSERT_TRUE(add({}).ok());
  ASSERT_TRUE(add({.name = "b", .address = "h2:1"}).ok());
  const auto route = table.route("T");
  ASSERT_TRUE(route.ok());
  ASSERT_EQ(route->queues.size(), 2u);
  EXPECT_EQ(route->queues[0].broker_name, "a");
  EXPECT_EQ(route->queues[0].read_queues, 4);
  EXPECT_EQ(route->brokers[1].addresses, (Addresses{{0, "h2:1"}}));
  EXPECT_EQ(route->order_config, "");
  EXPECT_EQ(table.route("V").error().text, "No topic route info in name server for the topic: V");
  EXPECT_EQ(table.route("V").error().code, ErrorCode::TopicNotFound);
}

TEST_F(RouteTableTest, ARetryTopicHasARouteBeforeItsGroupsFirstHeartbeat) {
  EXPECT_FALSE(table.route("%RETRY%G").ok());
  ASSERT_TRUE(add({.name = "far"}).ok());
  EXPECT_FALSE(table.route("%RETRY%G").ok()) << "another process's broker may not make it";
  ASSERT_TRUE(add({.name = "own", .own = true}).ok());
  const auto route = table.route("%RETRY%G");
  ASSERT_TRUE(route.ok());
  EXPECT_EQ(route->queues.at(0).broker_name, "own");
  EXPECT_EQ(route->queues.at(0).read_queues, 1);
  EXPECT_FALSE(table.route("%RETRY%").ok());
  EXPECT_FALSE(table.route("%DLQ%G").ok());
}

TEST_F(RouteTableTest, ANewBrokerWithOneTopicIsRefused) {
  EXPECT_EQ(add({.topics = {"T"}}).error().text, "register broker failed");
  ASSERT_TRUE(add({}).ok());
  EXPECT_TRUE(add({.counter = 2, .topics = {"V"}}).ok()) << "a known one tells of single topics";
  EXPECT_TRUE(table.route("V").ok());
  EXPECT_TRUE(table.route("T").ok());
  EXPECT_FALSE(add({.name = ""}).ok());
  EXPECT_FALSE(add({.address = ""}).ok());
  EXPECT_FALSE(add({.cluster = ""}).ok());
}

TEST_F(RouteTableTest, AnOlderBrokerAtAnotherAddressIsRefused) {
  ASSERT_TRUE(add({.state = 5}).ok());
  const auto older = add({.address = "h9:1", .state = 4});
  EXPECT_EQ(older.error().code, ErrorCode::IllegalOperation);
  EXPECT_EQ(addresses("T"), (Addresses{{0, "h1:1"}}));
  ASSERT_TRUE(add({.address = "h9:1", .state = 5}).ok());
  EXPECT_EQ(addresses("T"), (Addresses{{0, "h9:1"}}));
}

TEST_F(RouteTableTest, SlavesLearnOfTheirMasterAndKeepTheRouteAlive) {
  ASSERT_TRUE(add({}).ok());
  const auto slave = add({.address = "h2:1", .id = 1});
  ASSERT_TRUE(slave.ok());
  EXPECT_EQ(slave->master_address, "h1:1");
  EXPECT_EQ(slave->master_ha_address, "ha-h1:1");
  table.unregister_broker("c", "h1:1", "a", 0);
  EXPECT_EQ(addresses("T"), (Addresses{{1, "h2:1"}}));
  ASSERT_TRUE(add({.address = "h2:1", .id = 0}).ok()) << "promoted: the same address under another id";
  EXPECT_EQ(addresses("T"), (Addresses{{0, "h2:1"}}));
}

TEST_F(RouteTableTest, TopicsComeFromTheMasterOnly) {
  ASSERT_TRUE(add({}).ok());
  ASSERT_TRUE(add({.address = "h2:1", .id = 1, .topics = {"V", "W"}}).ok());
  EXPECT_FALSE(table.route("V").ok());
  table.unregister_broker("c", "h1:1", "a", 0);
  ASSERT_TRUE(add({.address = "h2:1", .id = 1, .counter = 2, .topics = {"V", "W"}, .acting = true}).ok());
  ASSERT_TRUE(table.route("V").ok());
  EXPECT_EQ(table.route("V")->queues[0].permission, model::permission::kRead) << "a slave that stands in takes no messages";
}

TEST_F(RouteTableTest, AnUnchangedVersionOnlyAddsUnseenTopics) {
  ASSERT_TRUE(add({}).ok());
  ASSERT_EQ(table.set_write_permission("a", false), 2);
  ASSERT_TRUE(add({.topics = {"T", "V"}}).ok());
  EXPECT_EQ(table.route("T")->queues[0].permission, model::permission::kRead);
  EXPECT_TRUE(table.route("V").ok());
  ASSERT_TRUE(add({.counter = 2}).ok());
  EXPECT_EQ(table.route("T")->queues[0].permission, 6);
}

TEST_F(RouteTableTest, SilentBrokersExpireAndTheOwnDoesNot) {
  ASSERT_TRUE(add({.own = true}).ok());
  ASSERT_TRUE(add({.name = "b", .address = "h2:1", .topics = {"V", "W"}}).ok());
  table.tick({0, 120000});
  EXPECT_TRUE(table.route("V").ok());
  EXPECT_EQ(table.touch_broker("c", "h2:1", {0, 100000}), (model::DataVersion{0, 0, 1}));
  EXPECT_EQ(table.touch_broker("c", "h7:1", {0, 100000}), std::nullopt);
  table.tick({0, 220000});
  EXPECT_TRUE(table.route("V").ok());
  table.tick({0, 220001});
  EXPECT_FALSE(table.route("V").ok());
  EXPECT_TRUE(table.route("T").ok());
}

TEST_F(RouteTableTest, AConnectionTakesItsBrokersWithIt) {
  ASSERT_TRUE(add({.connection = 7}).ok());
  ASSERT_TRUE(add({.name = "b", .address = "h2:1", .connection = 8}).ok());
  table.connection_closed(0);
  table.connection_closed(9);
  EXPECT_EQ(table.brokers().size(), 2u);
  table.connection_closed(7);
  ASSERT_EQ(table.brokers().size(), 1u);
  EXPECT_EQ(table.brokers()[0].broker_name, "b");
}

TEST_F(RouteTableTest, TheOwnBrokerCannotBeDisplaced) {
  ASSERT_TRUE(add({.own = true}).ok());
  EXPECT_EQ(add({.address = "h9:1", .state = 99}).error().code, ErrorCode::IllegalOperation);
  table.unregister_broker("c", "", "a", 0);
  EXPECT_EQ(addresses("T"), (Addresses{{0, std::string(kOwnAddress)}}));
}

TEST_F(RouteTableTest, TopicsAreListedAndDeleted) {
  ASSERT_TRUE(add({}).ok());
  ASSERT_TRUE(add({.name = "b", .address = "h2:1", .topics = {"T", "V"}, .cluster = "d"}).ok());
  EXPECT_EQ(table.topics(), (std::vector<std::string>{"T", "U", "V"}));
  EXPECT_EQ(table.topics_of_cluster("d"), (std::vector<std::string>{"T", "V"}));
  table.delete_topic("T", "d");
  EXPECT_EQ(table.route("T")->queues.size(), 1u);
  table.delete_topic("T", "");
  EXPECT_FALSE(table.route("T").ok());
  table.delete_topic_of_broker("V", "a");
  EXPECT_TRUE(table.route("V").ok());
  table.delete_topic_of_broker("V", "b");
  EXPECT_FALSE(table.route("V").ok());
  table.delete_topic("never was", "");
}

TEST_F(RouteTableTest, Configs) {
  EXPECT_EQ(table.config("ns", "k"), std::nullopt);
  EXPECT_EQ(table.put_config("", "k", "v").error().text, "namespace or key is null");
  ASSERT_TRUE(table.put_config("ORDER_TOPIC_CONFIG", "T", "a:4").ok());
  ASSERT_TRUE(table.put_config("ORDER_TOPIC_CONFIG", "T", "a:8").ok());
  ASSERT_TRUE(add({}).ok());
  EXPECT_EQ(table.route("T")->order_config, "a:8");
  table.delete_config("ORDER_TOPIC_CONFIG", "T");
  EXPECT_TRUE(table.configs("ORDER_TOPIC_CONFIG").empty());
  EXPECT_EQ(table.route("T")->order_config, "");
}

TEST(RouteTableLimits, HoldAgainstStrangers) {
  RouteTable table({.broker_names = 1, .topics = 2, .configs = 1});
  const auto registration = [](std::string name) {
    return Registration{.cluster = "c", .broker_name = name, .address = name, .ha_address = {}, .zone = {}, .timeout_ms = {}, .version = {},
                        .topics = {{.name = "T", .attributes = {}}, {.name = "U", .attributes = {}}, {.name = "V", .attributes = {}}}};
  };
  EXPECT_TRUE(table.register_broker(registration("a"), {}).ok());
  EXPECT_EQ(table.topics().size(), 2u);
  EXPECT_FALSE(table.register_broker(registration("b"), {}).ok());
  EXPECT_TRUE(table.put_config("n", "k", "v").ok());
  EXPECT_TRUE(table.put_config("n", "k", "w").ok());
  EXPECT_EQ(table.put_config("n", "l", "v").error().code, ErrorCode::Busy);
  table.delete_config("n", "k");
  EXPECT_TRUE(table.put_config("n", "l", "v").ok());
}

TEST(RouteLimitsTest, StrangersMeetThem) {
  RouteTable table({.broker_names = 3, .topics = 100, .entries = 5, .members = 2, .configs = 10, .config_bytes = 20});
  const auto add = [&](const std::string& name, std::int64_t id, const std::vector<std::string>& topics) {
    Registration r{.cluster = "c", .broker_name = name, .address = name + std::to_string(id), .ha_address = "", .zone = "", .broker_id = id,
                   .timeout_ms = {}, .own = false, .acting_master = false, .connection = 0, .version = {0, 0, 1}, .topics = {}};
    for (const std::string& topic : topics) r.topics.push_back({.name = topic, .read_queues = 4, .write_queues = 4, .attributes = {}});
    return table.register_broker(r, Now{0, 0}).ok();
  };
  EXPECT_TRUE(add("a", 0, {"1", "2", "3"}));
  EXPECT_TRUE(add("b", 0, {"1", "2", "3", "4"}));
  EXPECT_EQ(table.route("2")->queues.size(), 2u);
  EXPECT_EQ(table.route("3")->queues.size(), 1u) << "five in all";
  EXPECT_FALSE(table.route("4").ok());
  EXPECT_TRUE(add("a", 1, {"1", "2"}));
  EXPECT_FALSE(add("a", 2, {"1", "2"}));
  EXPECT_TRUE(table.put_config("s", "k", "0123456789").ok());
  EXPECT_FALSE(table.put_config("s", "k", std::string(19, 'x')).ok());
}

}  // namespace
}  // namespace halfmoon::nameserver
