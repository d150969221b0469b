// SPDX-License-Identifier: Apache-2.0
#include "broker/clients.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace halfmoon::broker {
namespace {

using Names = std::vector<std::string>;
constexpr std::int64_t kTimeoutMs = 120'000;

ChannelId channel(std::uint64_t number) { return ChannelId{number}; }

model::Subscription topic(std::string name, std::int64_t version = 1, std::string expression = "*") {
  model::Subscription s;
  s.topic = std::move(name);
  s.version = version;
  s.expression = std::move(expression);
  return s;
}

class ClientRegistryTest : public testing::Test {
 protected:
  Heartbeat from(std::uint64_t number, std::string client_id) {
    Heartbeat beat;
    beat.channel = channel(number);
    beat.client.client_id = std::move(client_id);
    return beat;
  }
  Names consume(std::uint64_t number, std::string client_id, std::string group, std::vector<model::Subscription> topics = {topic("T")},
                model::MessageModel message_model = model::MessageModel::Clustering) {
    Heartbeat beat = from(number, std::move(client_id));
    ConsumerData data;
    data.group = std::move(group);
    data.subscriptions = std::move(topics);
    data.message_model = message_model;
    beat.consumers.push_back(std::move(data));
    return clients_.heartbeat(beat, now_);
  }
  Names broadcast(std::uint64_t number, std::string client_id, std::string group) {
    return consume(number, std::move(client_id), std::move(group), {topic("T")}, model::MessageModel::Broadcasting);
  }
  Names produce(std::uint64_t number, std::string client_id, Names groups) {
    Heartbeat beat = from(number, std::move(client_id));
    beat.producer_groups = std::move(groups);
    return clients_.heartbeat(beat, now_);
  }
  Names expire() { return clients_.expire(now_, kTimeoutMs); }
  void advance(std::int64_t ms) { now_ += ms; }
  /// "T@version U@version".
  std::string topics_of(std::string_view group) {
    std::string text;
    const auto connections = clients_.consumer_connections(group);
    if (!connections) return "none";
    for (const auto& s : connections->subscriptions) text += (text.empty() ? "" : " ") + s.topic + "@" + std::to_string(s.version);
    return text;
  }
  void expect_nobody() {
    EXPECT_EQ(clients_.producer_count(), 0);
    EXPECT_EQ(clients_.consumer_count(), 0);
    EXPECT_EQ(clients_.next_expiry(kTimeoutMs), std::numeric_limits<std::int64_t>::max());
  }

  std::int64_t now_ = 1'000;
  ClientRegistry clients_;
};

// ------------------------------------------------------------------------------------------------------- what changes a group

TEST_F(ClientRegistryTest, NewChannelChangesTheGroupARenewalDoesNot) {
  EXPECT_EQ(consume(1, "a", "g"), Names{"g"});
  EXPECT_EQ(consume(1, "a", "g"), Names{});
  EXPECT_EQ(consume(2, "b", "g"), Names{"g"});
}

TEST_F(ClientRegistryTest, ChangedGroupsAreToldOnceAndSorted) {
  Heartbeat beat = from(1, "a");
  for (const char* group : {"h", "g", "h"}) {
    ConsumerData data;
    data.group = group;
    data.subscriptions = {topic(group + std::to_string(beat.consumers.size()))};
    beat.consumers.push_back(data);
  }
  EXPECT_EQ(clients_.heartbeat(beat, now_), (Names{"g", "h"}));
}

TEST_F(ClientRegistryTest, AddedAndRemovedTopicsChangeTheGroup) {
  consume(1, "a", "g", {topic("T")});
  EXPECT_EQ(consume(1, "a", "g", {topic("T"), topic("U")}), Names{"g"});
  EXPECT_EQ(topics_of("g"), "T@1 U@1");
  EXPECT_EQ(consume(1, "a", "g", {topic("U")}), Names{"g"});
  EXPECT_EQ(topics_of("g"), "U@1");
}

TEST_F(ClientRegistryTest, NewerVersionReplacesSilently) {
  consume(1, "a", "g", {topic("T", 5, "x")});
  EXPECT_EQ(consume(1, "a", "g", {topic("T", 6, "y")}), Names{});
  EXPECT_EQ(clients_.subscription("g", "T")->expression, "y");
}

TEST_F(ClientRegistryTest, OlderAndEqualVersionsAreIgnored) {
  consume(1, "a", "g", {topic("T", 5, "x")});
  consume(1, "a", "g", {topic("T", 5, "y")});
  EXPECT_EQ(clients_.subscription("g", "T")->expression, "x");
  consume(1, "a", "g", {topic("T", 4, "z")});
  EXPECT_EQ(clients_.subscription("g", "T")->version, 5);
}

TEST_F(ClientRegistryTest, DifferentTopicSetsOverwriteEachOther) {
  consume(1, "a", "g", {topic("T")});
  EXPECT_EQ(consume(2, "b", "g", {topic("U")}), Names{"g"});
  EXPECT_EQ(consume(1, "a", "g", {topic("T")}), Names{"g"});
  EXPECT_EQ(topics_of("g"), "T@1");
}

TEST_F(ClientRegistryTest, BeatWithoutSubscriptionsKeepsThem) {
  consume(1, "a", "g", {topic("T")});
  Heartbeat beat = from(2, "b");
  beat.without_subscriptions = true;
  beat.consumers.emplace_back().group = "g";
  EXPECT_EQ(clients_.heartbeat(beat, now_), Names{"g"}) << "a new channel all the same";
  EXPECT_EQ(clients_.heartbeat(beat, now_), Names{});
  EXPECT_EQ(topics_of("g"), "T@1");
}

TEST_F(ClientRegistryTest, LastHeartbeatSetsTheGroupsWays) {
  consume(1, "a", "g");
  Heartbeat beat = from(2, "b");
  ConsumerData data;
  data.group = "g";
  data.type = model::ConsumeType::Pop;
  data.message_model = model::MessageModel::Broadcasting;
  data.from = model::ConsumeFrom::FirstOffset;
  beat.consumers.push_back(data);
  clients_.heartbeat(beat, now_);
  const auto connections = clients_.consumer_connections("g");
  EXPECT_EQ(connections->type, model::ConsumeType::Pop);
  EXPECT_EQ(connections->message_model, model::MessageModel::Broadcasting);
  EXPECT_EQ(connections->from, model::ConsumeFrom::FirstOffset);
  EXPECT_EQ(clients_.message_model("g"), model::MessageModel::Broadcasting);
}

TEST_F(ClientRegistryTest, BroadcastingGroupsAreNeverTold) {
  EXPECT_EQ(broadcast(1, "a", "g"), Names{});
  EXPECT_EQ(broadcast(2, "b", "g"), Names{});
  EXPECT_EQ(clients_.channel_closed(channel(1)), Names{});
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"b"});
  EXPECT_EQ(clients_.unregister(channel(2), "b", "", "g"), Names{});
  EXPECT_FALSE(clients_.has_consumers("g"));
}

TEST_F(ClientRegistryTest, ChangedClientIdOnAChannelReplaces) {
  consume(1, "a", "g");
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"a"});
  EXPECT_EQ(consume(1, "b", "g"), Names{});
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"b"});
  EXPECT_EQ(clients_.consumer_channel("g", "a"), std::nullopt);
  EXPECT_EQ(clients_.consumer_count(), 1);
}

// ----------------------------------------------------------------------------------------------------------------- leaving

TEST_F(ClientRegistryTest, LastMemberTakesTheGroupAlong) {
  consume(1, "a", "g");
  consume(2, "b", "g");
  EXPECT_EQ(clients_.unregister(channel(1), "a", "", "g"), Names{"g"});
  EXPECT_NE(clients_.subscription("g", "T"), nullptr);
  EXPECT_EQ(clients_.unregister(channel(2), "b", "", "g"), Names{"g"});
  EXPECT_EQ(clients_.subscription("g", "T"), nullptr);
  EXPECT_EQ(clients_.message_model("g"), std::nullopt);
  EXPECT_EQ(clients_.consumer_connections("g"), std::nullopt);
  EXPECT_FALSE(clients_.has_consumers("g"));
  expect_nobody();
}

TEST_F(ClientRegistryTest, UnregisterLeavesTheNamedGroupsOnly) {
  consume(1, "a", "g");
  consume(1, "a", "h");
  produce(1, "a", {"p", "q"});
  EXPECT_EQ(clients_.unregister(channel(1), "a", "p", ""), Names{});
  EXPECT_FALSE(clients_.has_producers("p"));
  EXPECT_TRUE(clients_.has_producers("q"));
  EXPECT_EQ(clients_.unregister(channel(1), "a", "q", "h"), Names{"h"});
  EXPECT_TRUE(clients_.has_consumers("g"));
  EXPECT_FALSE(clients_.has_producers("q"));
}

TEST_F(ClientRegistryTest, UnregisterOfAStrangerDoesNothing) {
  consume(1, "a", "g");
  EXPECT_EQ(clients_.unregister(channel(2), "a", "g", "g"), Names{});
  EXPECT_EQ(clients_.unregister(channel(1), "a", "nobody", "nobody"), Names{});
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"a"});
}

TEST_F(ClientRegistryTest, ClosedChannelLeavesEverywhere) {
  consume(1, "a", "h");
  consume(1, "a", "g");
  produce(1, "a", {"p"});
  consume(2, "b", "g");
  EXPECT_EQ(clients_.channel_closed(channel(1)), (Names{"g", "h"}));
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"b"});
  EXPECT_FALSE(clients_.has_consumers("h"));
  EXPECT_FALSE(clients_.has_producers("p"));
  EXPECT_EQ(clients_.channel_closed(channel(1)), Names{});
}

TEST_F(ClientRegistryTest, MixedLeavingKeepsTheBooks) {
  produce(1, "a", {"p", "q", "r", "s"});
  clients_.unregister(channel(1), "a", "p", "");
  clients_.unregister(channel(1), "a", "s", "");
  EXPECT_TRUE(clients_.has_producers("q"));
  EXPECT_EQ(clients_.producer_count(), 2);
  clients_.channel_closed(channel(1));
  EXPECT_FALSE(clients_.has_producers("q"));
  EXPECT_FALSE(clients_.has_producers("r"));
  expect_nobody();
}

// ------------------------------------------------------------------------------------------------------------------- expiry

TEST_F(ClientRegistryTest, SilentLongerThanTheTimeoutIsGone) {
  consume(1, "a", "g");
  advance(kTimeoutMs);
  EXPECT_EQ(expire(), Names{});
  EXPECT_EQ(clients_.next_expiry(kTimeoutMs), now_ + 1);
  advance(1);
  EXPECT_EQ(expire(), Names{"g"});
  expect_nobody();
}

TEST_F(ClientRegistryTest, HeartbeatRenews) {
  consume(1, "a", "g");
  produce(2, "p", {"pg"});
  advance(100);
  consume(1, "a", "g");
  EXPECT_EQ(clients_.next_expiry(kTimeoutMs), 1'000 + kTimeoutMs + 1) << "the producer's";
  advance(kTimeoutMs);
  EXPECT_EQ(expire(), Names{});
  EXPECT_FALSE(clients_.has_producers("pg"));
  EXPECT_TRUE(clients_.has_consumers("g"));
}

TEST_F(ClientRegistryTest, GroupThatBeatsNoLongerNameExpiresAlone) {
  consume(1, "a", "g");
  consume(1, "a", "h");
  advance(kTimeoutMs + 1);
  consume(1, "a", "g");
  EXPECT_EQ(expire(), Names{"h"});
  EXPECT_TRUE(clients_.has_consumers("g"));
  EXPECT_EQ(clients_.channel_closed(channel(1)), Names{"g"});
}

TEST_F(ClientRegistryTest, GroupThatLosesSeveralIsToldOnce) {
  consume(1, "a", "g");
  consume(2, "b", "h");
  consume(3, "c", "g");
  advance(kTimeoutMs + 1);
  EXPECT_EQ(expire(), (Names{"g", "h"}));
}

// ------------------------------------------------------------------------------------------------------- asking for consumers

TEST_F(ClientRegistryTest, ConsumerIdsAreSortedWithoutDuplicates) {
  consume(1, "b", "g");
  consume(2, "a", "g");
  consume(3, "b", "g");
  EXPECT_EQ(clients_.consumer_ids("g"), (Names{"a", "b"}));
  EXPECT_EQ(clients_.consumer_channels("g"), (std::vector{channel(1), channel(2), channel(3)}));
  EXPECT_EQ(clients_.consumer_ids("h"), Names{});
}

TEST_F(ClientRegistryTest, ConsumerIdsFollowTheMembers) {
  consume(1, "a", "g");
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"a"});
  consume(2, "b", "g");
  EXPECT_EQ(clients_.consumer_ids("g"), (Names{"a", "b"}));
  clients_.channel_closed(channel(1));
  EXPECT_EQ(clients_.consumer_ids("g"), Names{"b"});
}

TEST_F(ClientRegistryTest, ConsumerChannelIsTheNewest) {
  consume(1, "a", "g");
  consume(2, "b", "g");
  consume(3, "a", "g");
  EXPECT_EQ(clients_.consumer_channel("g", "a"), channel(3));
  EXPECT_EQ(clients_.consumer_channel("g", "c"), std::nullopt);
  EXPECT_EQ(clients_.consumer_channel("h", "a"), std::nullopt);
}

TEST_F(ClientRegistryTest, GroupsSubscribingToATopic) {
  consume(1, "a", "h", {topic("T"), topic("U")});
  consume(2, "b", "g", {topic("T")});
  EXPECT_EQ(clients_.groups_subscribing("T"), (Names{"g", "h"}));
  EXPECT_EQ(clients_.groups_subscribing("U"), Names{"h"});
  EXPECT_EQ(clients_.subscription("g", "U"), nullptr);
}

TEST_F(ClientRegistryTest, ConnectionsShowTheClientAsItNamedItself) {
  Heartbeat beat = from(1, "a");
  beat.client.language = "GO";
  beat.client.version = 317;
  beat.client.remote_address = "192.0.2.1:5000";
  beat.consumers.emplace_back().group = "g";
  clients_.heartbeat(beat, now_);
  const auto connections = clients_.consumer_connections("g");
  ASSERT_EQ(connections->clients.size(), 1u);
  EXPECT_EQ(connections->clients[0].language, "GO");
  EXPECT_EQ(connections->clients[0].version, 317);
  EXPECT_EQ(connections->clients[0].remote_address, "192.0.2.1:5000");
}

// ------------------------------------------------------------------------------------------------------------------ producers

TEST_F(ClientRegistryTest, ProducersAreKnownByGroupAndChannel) {
  EXPECT_EQ(produce(1, "a", {"p"}), Names{}) << "no consumer group changed";
  EXPECT_TRUE(clients_.is_producer("p", channel(1)));
  EXPECT_FALSE(clients_.is_producer("p", channel(2)));
  EXPECT_FALSE(clients_.is_producer("q", channel(1)));
  ASSERT_EQ(clients_.producers("p").size(), 1u);
  EXPECT_EQ(clients_.producers("p")[0].client_id, "a");
  EXPECT_TRUE(clients_.producers("q").empty());
  EXPECT_FALSE(clients_.has_consumers("p"));
}

TEST_F(ClientRegistryTest, ChecksGoRoundTheProducers) {
  EXPECT_EQ(clients_.next_producer("p"), std::nullopt);
  for (std::uint64_t n = 1; n <= 3; n++) produce(n, "a" + std::to_string(n), {"p"});
  EXPECT_EQ(clients_.next_producer("p"), channel(1));
  EXPECT_EQ(clients_.next_producer("p"), channel(2));
  clients_.channel_closed(channel(2));
  EXPECT_EQ(clients_.next_producer("p"), channel(3));
  EXPECT_EQ(clients_.next_producer("p"), channel(1));
}

TEST_F(ClientRegistryTest, ClientIsFoundOnItsLatestChannel) {
  produce(1, "a", {"p"});
  produce(2, "a", {"p"});
  produce(1, "a", {"p"});
  EXPECT_EQ(clients_.channel_of_client("a"), channel(2)) << "a renewal is no registration";
  produce(1, "a", {"q"});
  EXPECT_EQ(clients_.channel_of_client("a"), channel(1));
  clients_.channel_closed(channel(1));
  EXPECT_EQ(clients_.channel_of_client("a"), channel(2));
  clients_.channel_closed(channel(2));
  EXPECT_EQ(clients_.channel_of_client("a"), std::nullopt);
}

TEST_F(ClientRegistryTest, ClientInTwoGroupsIsFoundUntilItLeftBoth) {
  produce(1, "a", {"p", "q"});
  clients_.unregister(channel(1), "a", "p", "");
  EXPECT_EQ(clients_.channel_of_client("a"), channel(1));
  clients_.unregister(channel(1), "a", "q", "");
  EXPECT_EQ(clients_.channel_of_client("a"), std::nullopt);
}

TEST_F(ClientRegistryTest, RenamedProducerIsFoundByItsNewName) {
  produce(1, "a", {"p"});
  produce(1, "b", {"p"});
  EXPECT_EQ(clients_.channel_of_client("a"), std::nullopt);
  EXPECT_EQ(clients_.channel_of_client("b"), channel(1));
}

TEST_F(ClientRegistryTest, ClientWithoutANameIsNobodysReplyTarget) {
  const auto unnamed = [](std::uint64_t channel) {
    Heartbeat beat;
    beat.channel = ChannelId{channel};
    beat.producer_groups = {"P"};
    return beat;
  };
  clients_.heartbeat(unnamed(1), 0);
  clients_.heartbeat(unnamed(2), 0);
  EXPECT_EQ(clients_.channel_of_client(""), std::nullopt);
  EXPECT_TRUE(clients_.is_producer("P", ChannelId{1}));
  clients_.channel_closed(ChannelId{1});
  EXPECT_FALSE(clients_.is_producer("P", ChannelId{1}));
  EXPECT_EQ(clients_.producer_count(), 1);
}

TEST_F(ClientRegistryTest, RenewalOfAProducerIsASignOfLife) {
  Heartbeat beat;
  beat.channel = ChannelId{1};
  beat.producer_groups = {"P"};
  clients_.heartbeat(beat, 0);
  EXPECT_TRUE(clients_.renew_producer("P", ChannelId{1}, 900));
  EXPECT_FALSE(clients_.renew_producer("P", ChannelId{2}, 900));
  EXPECT_FALSE(clients_.renew_producer("Q", ChannelId{1}, 900));
  clients_.expire(1900, 1000);
  EXPECT_TRUE(clients_.is_producer("P", ChannelId{1}));
  clients_.expire(1901, 1000);
  EXPECT_FALSE(clients_.is_producer("P", ChannelId{1}));
}

TEST_F(ClientRegistryTest, ConsumersAreNotFoundAsReplyTargets) {
  consume(1, "a", "g");
  EXPECT_EQ(clients_.channel_of_client("a"), std::nullopt);
}

TEST_F(ClientRegistryTest, CountsAreMemberships) {
  produce(1, "a", {"p", "q"});
  produce(1, "a", {"p"});
  consume(1, "a", "g");
  EXPECT_EQ(clients_.producer_count(), 2);
  EXPECT_EQ(clients_.consumer_count(), 1);
}

}  // namespace
}  // namespace halfmoon::broker
