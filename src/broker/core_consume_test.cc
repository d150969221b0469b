// SPDX-License-Identifier: Apache-2.0
#include "testkit/core_fixture.h"

namespace halfmoon::testkit {
namespace {

using broker::PullStatus;
using Names = std::vector<std::string>;

class Consume : public CoreFixture {};

TEST_F(Consume, WhatIsSafeIsShownAndWhatCameAfterItIsNot) {
  send("T", "a");
  auto_flush = false;
  const auto send_late = [&](std::string_view body) {
    broker::SendRequest r;
    r.topic = "T";
    r.queue_id = 0;
    r.body = body;
    core->send(r, [](Result<broker::SendResult>&&) {});
  };
  turn([&] { send_late("b"); });
  ASSERT_TRUE(log->flush().ok());
  core->begin(clock.now());
  send_late("c");  // stored in the same queue before the core hears that "b" is safe
  core->safe_advanced();
  core->end();
  EXPECT_EQ(bodies("T"), (Names{"a", "b"}));
  flush();
  EXPECT_EQ(bodies("T"), (Names{"a", "b", "c"}));
}

TEST_F(Consume, PullWaitsForAMessageAndGetsIt) {
  send("T", "first");
  const auto got = pull_later("T", 1, 15000);
  EXPECT_FALSE(got->has_value());
  send("T", "second");
  ASSERT_TRUE(got->has_value());
  EXPECT_EQ((*got)->value().status, PullStatus::Found);
  EXPECT_EQ(render((*got)->value().extents).at(0).body, "second");
}

TEST_F(Consume, PullThatWaitsEndsInTime) {
  send("T", "first");
  const auto got = pull_later("T", 1, 15000);
  advance(14999);
  EXPECT_FALSE(got->has_value());
  advance(1);
  ASSERT_TRUE(got->has_value());
  EXPECT_EQ((*got)->value().status, PullStatus::NoNewMessage);
  EXPECT_EQ((*got)->value().next_offset, 1);
}

TEST_F(Consume, NoPullWaitsLongerThanTenMinutes) {
  send("T", "x");
  const auto got = pull_later("T", 1, INT64_MAX);
  advance(599'999);
  EXPECT_FALSE(*got);
  advance(1);
  EXPECT_TRUE(*got);
}

TEST_F(Consume, WaitingPullIsWokenByItsTagsOnly) {
  send("T", "first", {{"TAGS", "TagB"}});
  const auto got = pull_later("T", 1, 15000, "TagA || TagC");
  send("T", "second", {{"TAGS", "TagB"}});
  EXPECT_FALSE(got->has_value());
  send("T", "third", {{"TAGS", "TagC"}});
  ASSERT_TRUE(got->has_value());
  EXPECT_EQ(render((*got)->value().extents).at(0).body, "third");
  EXPECT_EQ((*got)->value().next_offset, 3);
}

TEST_F(Consume, PullsThatWaitForDifferentTagsAreWokenEachByItsOwn) {
  send("T", "first");
  std::vector<decltype(pull_later("T", 1, 1))> got;
  for (int i = 0; i < 100; i++) got.push_back(pull_later("T", 1, 15000, "Tag" + std::to_string(i % 10)));
  const auto any = pull_later("T", 1, 15000, "*");
  send("T", "other", {{"TAGS", "TagOther"}});
  EXPECT_TRUE(any->has_value());
  for (const auto& pull : got) EXPECT_FALSE(pull->has_value());
  send("T", "seven", {{"TAGS", "Tag7"}});
  for (int i = 0; i < 100; i++) ASSERT_EQ(got[static_cast<std::size_t>(i)]->has_value(), i % 10 == 7) << i;
  EXPECT_EQ(render((*got[7])->value().extents).at(0).body, "seven");
  // More than a waiting pull looks at in one step, visible all at once, the one that matches behind them.
  auto_flush = false;
  for (int i = 0; i < 1000; i++) send_later("T", "other", {{"TAGS", "TagOther"}});
  send_later("T", "three", {{"TAGS", "Tag3"}});
  EXPECT_FALSE(got[3]->has_value());
  auto_flush = true;
  send("T", "last", {{"TAGS", "TagOther"}});
  ASSERT_TRUE(got[3]->has_value());
  EXPECT_EQ(render((*got[3])->value().extents).at(0).body, "three");
  EXPECT_FALSE(got[4]->has_value());
  advance(15000);
  ASSERT_TRUE(got[4]->has_value());
  EXPECT_EQ((*got[4])->value().status, PullStatus::NoMatch);
  EXPECT_EQ((*got[4])->value().next_offset, 1005);
}

TEST_F(Consume, FilterThatMatchesNothingTellsWhereToGoOn) {
  for (int i = 0; i < 10; i++) send("T", "x", {{"TAGS", "TagB"}});
  const auto got = pull("T", 0, "TagA");
  EXPECT_EQ(got->status, PullStatus::NoMatch);
  EXPECT_EQ(got->next_offset, 10);
}

TEST_F(Consume, OffsetsOutsideTheQueueAreCorrected) {
  send("T", "x");
  EXPECT_EQ(pull("T", 1)->status, PullStatus::NoNewMessage);
  EXPECT_EQ(pull("T", 5)->status, PullStatus::OffsetMoved);
  EXPECT_EQ(pull("T", 5)->next_offset, 1);
  EXPECT_EQ(pull("T", -3)->next_offset, 0);
}

TEST_F(Consume, RefusesUnknownTopicQueueAndFilter) {
  send("T", "x");
  EXPECT_EQ(pull("Nope").error().code, ErrorCode::TopicNotFound);
  EXPECT_EQ(pull("T", 0, "*", 77).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(pull("T", 0, "||").error().code, ErrorCode::SubscriptionInvalid);
}

TEST_F(Consume, UsesTheHeartbeatsSubscriptionWhenThePullBringsNone) {
  send("T", "a", {{"TAGS", "TagA"}});
  send("T", "b", {{"TAGS", "TagB"}});
  std::optional<Result<broker::PullResult>> got;
  const auto ask = [&](std::int64_t version) {
    turn([&] {
      broker::PullRequest r;
      r.group = "CG";
      r.topic = "T";
      r.subscription_version = version;
      core->pull(r, [&](Result<broker::PullResult>&& result) { got.emplace(std::move(result)); });
    });
  };
  ask(0);
  EXPECT_EQ(got->error().code, ErrorCode::SubscriptionNotFound);
  consumer(1, "CG", "T", "TagB");
  ask(0);
  EXPECT_EQ(render(got->value().extents).at(0).body, "b");
  ask(99);
  EXPECT_EQ(got->error().code, ErrorCode::SubscriptionOutdated);
}

TEST_F(Consume, OffsetsAreDurableAndNeverGoBack) {
  for (int i = 0; i < 5; i++) send("T", "x");
  EXPECT_EQ(committed("CG", "T").error().code, ErrorCode::NotFound);
  EXPECT_TRUE(commit_offset("CG", "T", 3).ok());
  EXPECT_TRUE(commit_offset("CG", "T", 2).ok());
  EXPECT_EQ(*committed("CG", "T"), 3);
  EXPECT_EQ(core->counters().offsets_backwards, 1);
  crash();
  EXPECT_EQ(*committed("CG", "T"), 3);
}

TEST_F(Consume, OneWayCommitsBecomeDurableWithinASecond) {
  for (int i = 0; i < 5; i++) send("T", "x");
  turn([&] { core->commit_offset("CG", {"T", 0}, 4, {}); });
  advance(1000);
  crash();
  EXPECT_EQ(*committed("CG", "T"), 4);
}

TEST_F(Consume, NewGroupReadsAYoungQueueFromItsBeginning) {
  send("T", "x");
  EXPECT_EQ(*core->committed_offset("NEW", {"T", 0}, true), 0);
  EXPECT_EQ(core->committed_offset("NEW", {"T", 0}, false).error().code, ErrorCode::NotFound);
}

TEST_F(Consume, ResetSendsTheNextPullThereAndIgnoresCommitsUntilThen) {
  for (int i = 0; i < 5; i++) send("T", "x");
  consumer(1, "CG", "T");
  commit_offset("CG", "T", 5);
  turn([&] {
    const auto moved = core->reset_offsets({.topic = "T", .group = "CG", .wall_ms = 0, .queue_id = -1, .offset = std::nullopt});
    ASSERT_TRUE(moved.ok());
    EXPECT_EQ(moved->at(0), 0);
  });
  commit_offset("CG", "T", 5);
  EXPECT_EQ(*committed("CG", "T"), 0);
  crash();
  EXPECT_EQ(*committed("CG", "T"), 0);
  for (int i = 0; i < 2; i++) {  // a client may pull on from where it was, and commit it, before it moves
    const auto got = pull("T", 5);
    EXPECT_EQ(got->status, PullStatus::OffsetMoved);
    EXPECT_EQ(got->next_offset, 0);
    commit_offset("CG", "T", 5);
  }
  EXPECT_EQ(*committed("CG", "T"), 0);
  EXPECT_EQ(pull("T", 0)->status, PullStatus::Found);
  commit_offset("CG", "T", 2);
  EXPECT_EQ(*committed("CG", "T"), 2);
}

TEST_F(Consume, OffsetsByTimeFollowTheBoundaryRules) {
  std::vector<std::int64_t> times;
  for (int i = 0; i < 3; i++) {
    send("T", "x");
    times.push_back(clock.now().wall_ms);
    clock.advance(100);
  }
  const auto lower = [&](std::int64_t t) { return *core->offset_at_time({"T", 0}, t, broker::Boundary::Lower); };
  const auto upper = [&](std::int64_t t) { return *core->offset_at_time({"T", 0}, t, broker::Boundary::Upper); };
  EXPECT_EQ(lower(times[0] - 1), 0);
  EXPECT_EQ(lower(times[1]), 1);
  EXPECT_EQ(lower(times[1] + 1), 2);
  EXPECT_EQ(lower(times[2] + 1), 3);
  EXPECT_EQ(upper(times[0] - 1), 0);
  EXPECT_EQ(upper(times[1]), 1);
  EXPECT_EQ(upper(times[2] + 1), 2);
  EXPECT_EQ(*core->earliest_store_time({"T", 0}), times[0]);
}

TEST_F(Consume, SentBackMessageReturnsInTheRetryTopicWithItsLevelsDelay) {
  send("T", "x", {{"TAGS", "TagA"}, {"UNIQ_KEY", "K"}});
  consumer(1, "CG", "T");
  const Seen first = drain("T").at(0);
  ASSERT_TRUE(send_back(first.position, "CG").ok());
  advance(10000);
  EXPECT_TRUE(drain("%RETRY%CG").empty());
  crash();
  advance(1);
  const Seen again = drain("%RETRY%CG").at(0);
  EXPECT_EQ(again.body, "x");
  EXPECT_EQ(again.reconsume_times, 1);
  EXPECT_EQ(again.property("RETRY_TOPIC"), "T");
  EXPECT_EQ(again.property("UNIQ_KEY"), "K");
  EXPECT_EQ(again.property("ORIGIN_MESSAGE_ID"), model::offset_message_id({}, first.position));
  ASSERT_TRUE(send_back(again.position, "CG").ok());
  advance(30001);
  EXPECT_EQ(drain("%RETRY%CG").at(1).reconsume_times, 2);
  EXPECT_EQ(drain("%RETRY%CG").at(1).property("RETRY_TOPIC"), "T");
}

TEST_F(Consume, AfterTheMaximumItIsADeadLetter) {
  send("T", "x");
  consumer(1, "CG", "T");
  ASSERT_TRUE(send_back(drain("T").at(0).position, "CG", 1, 1).ok());
  advance(1001);
  ASSERT_TRUE(send_back(drain("%RETRY%CG").at(0).position, "CG", 1, 1).ok());
  EXPECT_EQ(bodies("%DLQ%CG"), (Names{"x"}));
  advance(100000);
  EXPECT_EQ(bodies("%RETRY%CG"), (Names{"x"}));
  EXPECT_EQ(core->counters().dead_lettered, 1);
  crash();
  EXPECT_EQ(bodies("%DLQ%CG"), (Names{"x"}));
}

TEST_F(Consume, HalfMessageCannotBeSentBack) {
  const auto h = half("T", "h");
  EXPECT_FALSE(send_back(h.position, "CG").ok());
}

TEST_F(Consume, SendingToTheRetryTopicOfAnUnknownGroupIsRefused) {
  EXPECT_EQ(send("%RETRY%NOBODY", "x").error().code, ErrorCode::GroupNotFound);
}

TEST_F(Consume, ClientsOwnRetryBeyondTheMaximumIsADeadLetter) {
  consumer(1, "CG", "T");
  EXPECT_TRUE(send("%RETRY%CG", "again", {}, 0, 0, 16).ok());
  EXPECT_TRUE(send("%RETRY%CG", "enough", {}, 0, 0, 17).ok());
  EXPECT_EQ(bodies("%RETRY%CG"), (Names{"again"}));
  EXPECT_EQ(bodies("%DLQ%CG"), (Names{"enough"}));
}

TEST_F(Consume, MembersAreToldWhenTheGroupChanges) {
  consumer(1, "CG", "T");
  outbound.changed.clear();
  consumer(2, "CG", "T");
  EXPECT_EQ(outbound.changed.size(), 2u);
  EXPECT_EQ(core->consumer_ids("CG")->size(), 2u);
  outbound.changed.clear();
  disconnect(2);
  ASSERT_EQ(outbound.changed.size(), 1u);
  EXPECT_EQ(core->consumer_ids("CG")->at(0), "consumer-1");
  advance(121000);
  EXPECT_EQ(core->consumer_ids("CG").error().code, ErrorCode::NotFound);
}

TEST_F(Consume, DeletedTopicTakesItsOffsetsAndDelayedMessagesAlong) {
  send("T", "x");
  send("T", "d", {{"DELAY", "1"}});
  commit_offset("CG", "T", 1);
  turn([&] { core->delete_topic("T", [](Result<Done>&& r) { EXPECT_TRUE(r.ok()); }); });
  EXPECT_FALSE(topics.topics.contains("T"));
  EXPECT_EQ(pull("T").error().code, ErrorCode::TopicNotFound);
  send("T", "new");
  advance(5000);
  EXPECT_EQ(bodies("T"), (Names{"new"}));
  EXPECT_EQ(committed("CG", "T").error().code, ErrorCode::NotFound);
  restart();
  EXPECT_EQ(bodies("T"), (Names{"new"}));
}

TEST_F(Consume, DeletedGroupKeepsItsOffsetsUnlessAskedNotTo) {
  send("T", "x");
  commit_offset("CG", "T", 1);
  turn([&] { core->delete_group("CG", false, [](Result<Done>&&) {}); });
  EXPECT_FALSE(core->group("CG").ok());
  restart();
  consumer(1, "CG", "T");
  EXPECT_EQ(*committed("CG", "T"), 1);
  turn([&] { core->delete_group("CG", true, [](Result<Done>&&) {}); });
  consumer(1, "CG", "T");
  EXPECT_FALSE(committed("CG", "T").ok());
}

TEST_F(Consume, ReplyGoesToTheRequesterByItsClientId) {
  producer(5);
  Result<broker::SendResult> answer = Error{};
  const auto reply_to = [&](const std::string& client) {
    turn([&] {
      const std::string text = encode({{"REPLY_TO_CLIENT", client}, {"CORRELATION_ID", "c"}});
      broker::SendRequest r;
      r.topic = "DefaultCluster_REPLY_TOPIC";
      r.properties = text;
      r.body = "pong";
      core->send_reply(r, [&](Result<broker::SendResult>&& result) { answer = std::move(result); });
    });
  };
  reply_to("producer-5");
  EXPECT_TRUE(answer.ok());
  EXPECT_EQ(outbound.replies.at(0).second, "pong");
  reply_to("nobody");
  EXPECT_EQ(answer.error().code, ErrorCode::NotFound);
}

TEST_F(Consume, RecordsOfStrangePositionsAreNotMessages) {
  const auto sent = send("T", "x");
  for (const std::int64_t position : {std::int64_t{-1}, std::int64_t{0}, sent->position + 1, sent->position - 8, log->end(), std::int64_t{1} << 60})
    EXPECT_FALSE(reader->find(position).ok()) << position;
  EXPECT_EQ((*reader->find(sent->position))->body, "x");
}

// A GROUP record's lengths have 16 bits: what did not fit was written all the same, and the next start could not read it.
TEST_F(Consume, AttributesThatDoNotFitInTheirRecordAreRefused) {
  const auto put = [&](std::map<std::string, std::string> attributes) {
    Result<Done> group = Error{ErrorCode::Internal, "not answered"}, topic = group;
    turn([&] {
      core->put_group({.name = "CG", .attributes = attributes}, [&group](Result<Done>&& r) { group = std::move(r); });
      model::TopicConfig config;
      config.name = "T";
      config.attributes = attributes;
      core->put_topic(config, [&topic](Result<Done>&& r) { topic = std::move(r); });
    });
    EXPECT_EQ(group.ok(), topic.ok());
    return group.ok() ? ErrorCode{} : group.error().code;
  };
  std::map<std::string, std::string> many;
  for (int i = 0; i < 65; i++) many["a" + std::to_string(i)] = "v";
  EXPECT_EQ(put({{"a", std::string(70'000, 'v')}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(put({{std::string(256, 'a'), "v"}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(put(many), ErrorCode::InvalidArgument);
  EXPECT_EQ(put({{"a", std::string(4096, 'v')}}), ErrorCode{});
  restart();
  EXPECT_EQ(core->group("CG")->attributes.at("a").size(), 4096u);
}

TEST_F(Consume, MadeUpNamesMeetTheirLimits) {
  close();
  options.groups_max = 4;
  options.offsets_max = 2;
  options.queues_max = 60;
  options.parked_pulls_max = 1;
  open();
  send("T", "x");
  for (int g = 0; g < 10; g++) (void)pull("T", 0, "*", 0, "made-up-" + std::to_string(g));
  EXPECT_EQ(core->counters().groups, 4);
  EXPECT_EQ(core->counters().refused_groups, 6);
  EXPECT_EQ(core->counters().offsets, 2);
  EXPECT_EQ(core->counters().refused_offsets, 2);
  EXPECT_EQ(pull("T", 0, "*", 0, "made-up-9").error().code, ErrorCode::NotWritable);
  EXPECT_TRUE(pull("T", 0, "*", 0, "made-up-3").ok()) << "reads on, its place is not kept";
  EXPECT_EQ(commit_offset("made-up-3", "T", 1).error().code, ErrorCode::NotWritable);
  EXPECT_TRUE(commit_offset("made-up-1", "T", 1).ok());
  const std::int64_t queues = core->counters().queues;
  for (int t = 0; t < 20; t++) (void)send("made-up-" + std::to_string(t), "x");
  EXPECT_EQ(core->counters().queues, queues + (60 - queues) / 4 * 4);
  EXPECT_GT(core->counters().refused_topics, 0);
  const auto waits = pull_later("T", 1, 5000, "*", 0, "made-up-0");
  const auto does_not = pull_later("T", 1, 5000, "*", 0, "made-up-0");
  EXPECT_FALSE(*waits);
  ASSERT_TRUE(*does_not);
  EXPECT_EQ((**does_not)->status, PullStatus::NoNewMessage);
  EXPECT_EQ(core->counters().pulls_not_parked, 1);
  crash();
  EXPECT_EQ(core->counters().offsets, 1) << "those that were committed";
  EXPECT_EQ(core->counters().queues, queues + (60 - queues) / 4 * 4);
}

TEST_F(Consume, AHeartbeatMayNotFillTheTables) {
  close();
  options.memberships_max = 20;
  options.memberships_per_connection_max = 8;
  options.subscriptions_max = 3;
  options.subscription_bytes_max = 4000;
  open();
  const auto beat = [&](std::uint64_t channel, int producers, int subscriptions, const std::string& expression = "*", const std::string& group = "G") {
    broker::Heartbeat b;
    b.channel = static_cast<broker::ChannelId>(channel);
    b.client.client_id = "client";
    for (int i = 0; i < producers; i++) b.producer_groups.push_back("P" + std::to_string(i));
    broker::ConsumerData data;
    data.group = group;
    for (int i = 0; i < subscriptions; i++) data.subscriptions.push_back({.topic = "T" + std::to_string(i), .expression = expression, .tags = {}});
    if (subscriptions > 0) b.consumers.push_back(data);
    Status status{Done{}};
    turn([&] { status = core->heartbeat(b); });
    return status;
  };
  EXPECT_FALSE(beat(1, 9, 0).ok());
  EXPECT_TRUE(beat(1, 8, 0).ok());
  EXPECT_TRUE(beat(1, 8, 0).ok()) << "who is in stays in";
  EXPECT_TRUE(beat(2, 8, 0).ok());
  EXPECT_FALSE(beat(3, 5, 0).ok());
  EXPECT_TRUE(beat(3, 2, 0).ok());
  EXPECT_FALSE(beat(4, 0, 4).ok());
  EXPECT_TRUE(beat(4, 0, 3).ok());
  EXPECT_FALSE(beat(5, 0, 1, std::string(4000, 'x'), "H").ok());
  EXPECT_EQ(core->counters().refused_heartbeats, 4);
  for (std::uint64_t channel = 1; channel <= 5; channel++) disconnect(channel);
  EXPECT_EQ(core->counters().subscription_bytes, 0);
  EXPECT_TRUE(beat(6, 7, 3).ok()) << "those who left made room";
}

}  // namespace
}  // namespace halfmoon::testkit
