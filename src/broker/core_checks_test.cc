// SPDX-License-Identifier: Apache-2.0
// When producers are asked about half messages, whom, how often, and what ends the asking.
#include "testkit/transaction_fixture.h"

namespace halfmoon::testkit {
namespace {

using broker::Verdict;
using Names = std::vector<std::string>;

TEST_F(Transaction, SilentProducerIsAskedThenAgainAfterTheInterval) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(5999);
  EXPECT_TRUE(outbound.checks.empty());
  advance(1);
  ASSERT_EQ(outbound.checks.size(), 1u);
  EXPECT_EQ(outbound.checks[0].half_position, h.position);
  EXPECT_EQ(outbound.checks[0].half_offset, h.queue_offset);
  EXPECT_EQ(outbound.checks[0].channel, static_cast<broker::ChannelId>(1));
  advance(29999);
  EXPECT_EQ(outbound.checks.size(), 1u);
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 2u);
  std::string image;
  ASSERT_TRUE(reader->render_half(h.position, image).ok());
  const auto f = model::decode_image(as_bytes(image));
  EXPECT_EQ(f->topic, "T");
  EXPECT_EQ(model::find_property(f->properties, "TRAN_MSG"), "true");
  EXPECT_TRUE(commit(h).ok());
  advance(100000);
  EXPECT_EQ(outbound.checks.size(), 2u);
}

TEST_F(Transaction, ImmunityOfTheMessageDelaysTheFirstCheck) {
  producer(1);
  half("T", "h", {{"CHECK_IMMUNITY_TIME_IN_SECONDS", "20"}}, 1);
  advance(19999);
  EXPECT_TRUE(outbound.checks.empty());
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 1u);
}

TEST_F(Transaction, ImmunityOfTheTopicComesBeforeTheBrokersAndAfterTheMessages) {
  producer(1);
  turn([&] {
    model::TopicConfig topic;
    topic.name = "T";
    topic.attributes = {{"transaction.check.immunity.time", "12"}};
    core->put_topic(topic, [](Result<Done>&&) {});
  });
  half("T", "of-the-topic", {}, 1);
  half("T", "its-own", {{"CHECK_IMMUNITY_TIME_IN_SECONDS", "3"}}, 1);
  half("Other", "of-the-broker", {}, 1);
  advance(2999);
  EXPECT_EQ(outbound.checks.size(), 0u);
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 1u);
  advance(3000);
  EXPECT_EQ(outbound.checks.size(), 2u);
  crash();  // the attribute is in the log
  producer(1);
  half("T", "again", {}, 1);
  const std::size_t asked = outbound.checks.size();
  advance(11999);
  advance(1);
  EXPECT_GT(outbound.checks.size(), asked);
}

class TransactionByAge : public CoreFixture {
 public:
  TransactionByAge() {  // the profile aliyun-http
    options.check_after_ms = options.check_interval_ms = 10000;
    options.check_max = 0;
    options.check_age_max_ms = 24 * 3600 * 1000;
    options.immunity_min_s = 10;
    options.immunity_max_s = 300;
  }
};

TEST_F(TransactionByAge, IsAskedUntilItIsTooOldHoweverOften) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  int asked = 0;
  for (int s = 10; s < 24 * 3600; s += 10) {
    producer(1);
    advance(10000);
    ASSERT_EQ(static_cast<int>(outbound.checks.size()), ++asked);
    ASSERT_TRUE(answer_unknown(h).ok());
    ASSERT_EQ(core->counters().parked, 0) << s;
  }
  producer(1);
  advance(10000);
  EXPECT_EQ(core->counters().parked, 0) << "asked once more: somebody may know by now";
  ASSERT_TRUE(answer_unknown(h).ok());
  EXPECT_EQ(core->counters().parked, 1);
  EXPECT_EQ(bodies("TRANS_CHECK_MAX_TIME_TOPIC"), (Names{"h"}));
  EXPECT_TRUE(commit(h).ok());
  EXPECT_EQ(bodies("T"), (Names{"h"}));
}

TEST_F(TransactionByAge, AfterResumingTheAgeCountsAnewAlsoAfterACrash) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(24 * 3600 * 1000);
  ASSERT_TRUE(answer_unknown(h).ok());
  ASSERT_EQ(core->counters().parked, 1);
  turn([&] { core->resume_transaction(broker::OperatorRequest{.half_position = h.position, .unique_key = {}, .operator_name = "o", .reason = "r", .channel = {}, .address = {}}, [](Result<Done>&&) {}); });
  for (const bool with_snapshot : {false, true}) {
    if (with_snapshot) snapshot();
    crash();
    producer(1);
    const std::size_t asked = outbound.checks.size();
    advance(10000);
    EXPECT_GT(outbound.checks.size(), asked);
    ASSERT_TRUE(answer_unknown(h).ok());
    EXPECT_EQ(bodies("TRANS_CHECK_MAX_TIME_TOPIC").size(), 1u) << "parked once, not again";
  }
  producer(1);
  advance(24 * 3600 * 1000);
  ASSERT_TRUE(answer_unknown(h).ok());
  EXPECT_EQ(bodies("TRANS_CHECK_MAX_TIME_TOPIC").size(), 2u);
}

TEST_F(TransactionByAge, AMessagesOwnTimeIsBelievedBetweenTheBoundsOnly) {
  producer(1);
  half("T", "a", {{"CHECK_IMMUNITY_TIME_IN_SECONDS", "9"}}, 1);
  half("T", "b", {{"CHECK_IMMUNITY_TIME_IN_SECONDS", "301"}}, 1);
  half("T", "c", {{"CHECK_IMMUNITY_TIME_IN_SECONDS", "300"}}, 1);
  advance(9999);
  EXPECT_EQ(outbound.checks.size(), 0u);
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 2u);
  const auto c = core->counters();
  EXPECT_EQ(c.halves, 3);
}

TEST_F(Transaction, WaitsForAProducerWithoutUsingUpChecksAndAsksAsSoonAsOneRegisters) {
  const auto h = half("T", "h");
  advance(3600 * 1000);
  EXPECT_TRUE(outbound.checks.empty());
  crash();
  advance(3600 * 1000);
  producer(9);
  ASSERT_EQ(outbound.checks.size(), 1u);
  EXPECT_EQ(outbound.checks[0].times, 0);
  EXPECT_TRUE(end_transaction(h, Verdict::Commit, true).ok());
  EXPECT_EQ(bodies("T"), (Names{"h"}));
}

TEST_F(Transaction, SenderIsAskedFirstThenOthersOfItsGroup) {
  producer(1);
  producer(2);
  half("T", "h", {}, 2);
  advance(6000);
  EXPECT_EQ(outbound.checks.at(0).channel, static_cast<broker::ChannelId>(2));
  disconnect(2);
  advance(30000);
  EXPECT_EQ(outbound.checks.at(1).channel, static_cast<broker::ChannelId>(1));
}

TEST_F(Transaction, WhoeverSendsAHalfMessageIsAskedBeforeItsFirstHeartbeat) {
  half("T", "of-a-life-before");
  advance(6000);
  EXPECT_TRUE(outbound.checks.empty());
  const auto h = half("T", "h", {}, 4);
  ASSERT_EQ(outbound.checks.size(), 1u);  // what waited for a producer, at once
  EXPECT_EQ(outbound.checks[0].channel, static_cast<broker::ChannelId>(4));
  advance(6000);
  ASSERT_EQ(outbound.checks.size(), 2u);
  EXPECT_EQ(outbound.checks[1].half_position, h.position);
  EXPECT_EQ(outbound.checks[1].channel, static_cast<broker::ChannelId>(4));
}

TEST_F(Transaction, SenderWithoutAHeartbeatIsNamedByItsAddressUntilItNamesItself) {
  half("T", "h", {}, 4);
  const auto unnamed = core->producer_connections("PG");
  ASSERT_TRUE(unnamed.ok());
  ASSERT_EQ(unnamed->size(), 1u);
  EXPECT_EQ(unnamed->at(0).client_id, "");
  EXPECT_EQ(unnamed->at(0).remote_address, "0.0.0.0:0");  // what the fixture's sends come from
  EXPECT_EQ(unnamed->at(0).language, "OTHER");
  producer(4);
  const auto named = core->producer_connections("PG");
  ASSERT_TRUE(named.ok());
  ASSERT_EQ(named->size(), 1u);
  EXPECT_EQ(named->at(0).client_id, "producer-4");
}

TEST_F(Transaction, SenderWithoutAHeartbeatLeavesLikeAnyProducer) {
  const auto waits = [&] { return !core->producer_connections("PG").ok(); };
  half("T", "a", {}, 4);
  disconnect(4);
  EXPECT_TRUE(waits());
  half("T", "b", {}, 5);
  turn([&] { core->unregister(static_cast<broker::ChannelId>(5), "", "PG", ""); });
  EXPECT_TRUE(waits());
  half("T", "c", {}, 6);
  advance(options.client_timeout_ms - 1);
  half("T", "d", {}, 6);  // a sign of life
  advance(options.client_timeout_ms);
  EXPECT_FALSE(waits());
  advance(1000);
  EXPECT_TRUE(waits());
}

TEST_F(Transaction, SenderThatTheLimitsKeepOutHasItsHalfMessageStoredAndOthersAsked) {
  options.memberships_per_connection_max = 1;
  options.memberships_max = 2;
  restart();
  producer(4, "Another");
  half("T", "a", {}, 4);  // its connection is full
  EXPECT_FALSE(core->producer_connections("PG").ok());
  half("T", "b", {}, 5);
  half("T", "c", {}, 6);  // everything is full
  const auto producers = core->producer_connections("PG");
  ASSERT_TRUE(producers.ok());
  EXPECT_EQ(producers->size(), 1u);
  advance(6000);
  EXPECT_EQ(outbound.checks.size(), 3u);
  for (const auto& check : outbound.checks) EXPECT_EQ(check.channel, static_cast<broker::ChannelId>(5));
}

TEST_F(Transaction, SenderThatNamedItselfForAnotherGroupIsKnownByThatName) {
  producer(4, "Another");
  half("T", "h", {}, 4);
  const auto producers = core->producer_connections("PG");
  ASSERT_TRUE(producers.ok());
  EXPECT_EQ(producers->at(0).client_id, "producer-4");
}

TEST_F(Transaction, OnlyAnsweredChecksCountAndTheLastParksTheMessageWhole) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(6000);
  for (int i = 0; i < 20; i++) {  // never answered: not counted
    producer(1);
    advance(30000);
  }
  EXPECT_EQ(outbound.checks.size(), 21u);
  for (int i = 0; i < 3; i++) {
    producer(1);
    EXPECT_TRUE(answer_unknown(h).ok());
    advance(30000);
  }
  EXPECT_EQ(core->counters().parked, 1);
  const std::size_t asked = outbound.checks.size();
  advance(300000);
  EXPECT_EQ(outbound.checks.size(), asked);
  EXPECT_EQ(bodies("T"), (Names{}));
  EXPECT_EQ(bodies("TRANS_CHECK_MAX_TIME_TOPIC"), (Names{"h"}));

  crash();
  EXPECT_EQ(bodies("TRANS_CHECK_MAX_TIME_TOPIC"), (Names{"h"}));
  producer(1);
  Result<Done> resumed = Error{};
  turn([&] { core->resume_transaction(broker::OperatorRequest{.half_position = h.position, .unique_key = {}, .operator_name = "o", .reason = "r", .channel = {}, .address = {}}, [&](Result<Done>&& r) { resumed = std::move(r); }); });
  ASSERT_TRUE(resumed.ok()) << resumed.error().text;
  EXPECT_GT(outbound.checks.size(), asked);
  EXPECT_TRUE(commit(h).ok());
  EXPECT_EQ(bodies("T"), (Names{"h"}));
}

TEST_F(Transaction, AnswerCountSurvivesACrash) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(6000);
  answer_unknown(h);
  crash();
  producer(1);
  advance(30000);
  answer_unknown(h);
  snapshot();
  crash();
  producer(1);
  advance(30000);
  answer_unknown(h);
  EXPECT_EQ(core->counters().parked, 1);
}

TEST_F(Transaction, UnknownFromTheLocalTransactionChangesNothing) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  for (int i = 0; i < 10; i++) EXPECT_TRUE(end_transaction(h, Verdict::Unknown).ok());
  advance(6000);
  EXPECT_EQ(outbound.checks.size(), 1u);
  EXPECT_EQ(core->counters().checks_answered, 0);
}

TEST_F(Transaction, NoMoreChecksOutstandingThanAConnectionCanTake) {
  options.checks_outstanding_max = 4;
  restart();
  producer(1);
  std::vector<broker::SendResult> halves;
  for (int i = 0; i < 10; i++) halves.push_back(half("T", "h" + std::to_string(i), {}, 1));
  advance(6000);
  EXPECT_EQ(outbound.checks.size(), 4u);
  end_transaction(halves[0], Verdict::Commit, true);
  EXPECT_EQ(outbound.checks.size(), 5u);
  end_transaction(halves[1], Verdict::Unknown, true);
  EXPECT_EQ(outbound.checks.size(), 6u);
  producer(2);
  EXPECT_EQ(outbound.checks.size(), 10u);
}

TEST_F(Transaction, WhoWasAskedAboutADeletedTopicIsAskedAboutOthersAtOnce) {
  options.checks_outstanding_max = 1;
  restart();
  producer(1);
  half("T", "t", {}, 1);
  half("U", "u", {}, 1);
  advance(6000);
  ASSERT_EQ(outbound.checks.size(), 1u);
  turn([&] { core->delete_topic("T", [](Result<Done>&&) {}); });
  EXPECT_EQ(outbound.checks.size(), 2u);
}

TEST_F(Transaction, AnswerToACheckThatNobodyAskedDoesNotCount) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  for (int i = 0; i < 10; i++) EXPECT_TRUE(answer_unknown(h).ok());
  EXPECT_EQ(core->counters().checks_answered, 0);
  EXPECT_EQ(core->counters().parked, 0);
}

TEST_F(Transaction, WhatAConnectionWasAskedIsAskedOfAnotherWhenItCloses) {
  producer(1);
  producer(2);
  const auto a = half("T", "a", {}, 1);
  const auto b = half("T", "b", {}, 1);
  advance(6000);
  ASSERT_EQ(outbound.checks.size(), 2u);
  advance(100);
  disconnect(1);
  ASSERT_EQ(outbound.checks.size(), 4u);
  EXPECT_EQ(outbound.checks[2].half_position, a.position);
  EXPECT_EQ(outbound.checks[3].half_position, b.position);
  EXPECT_EQ(outbound.checks[2].channel, static_cast<broker::ChannelId>(2));
  EXPECT_EQ(outbound.checks[2].times, 0);
  disconnect(2);
  advance(3600 * 1000);
  EXPECT_EQ(outbound.checks.size(), 4u);
  producer(3);
  EXPECT_EQ(outbound.checks.size(), 6u);
  EXPECT_EQ(core->counters().checks_answered, 0);
}

TEST_F(Transaction, ProducerThatUnregistersIsNotWaitedFor) {
  producer(1);
  producer(2);
  half("T", "a", {}, 1);
  advance(6000);
  ASSERT_EQ(outbound.checks.size(), 1u);
  turn([&] { core->unregister(static_cast<broker::ChannelId>(1), "producer-1", "PG", ""); });
  ASSERT_EQ(outbound.checks.size(), 2u);
  EXPECT_EQ(outbound.checks[1].channel, static_cast<broker::ChannelId>(2));
}

TEST_F(Transaction, ClockThatJumpsNeitherHastensNorDelaysACheck) {
  producer(1);
  half("T", "forward", {}, 1);
  clock.set_wall(clock.now().wall_ms + 3600 * 1000);
  tick();
  EXPECT_TRUE(outbound.checks.empty());
  advance(5999);
  EXPECT_TRUE(outbound.checks.empty());
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 1u);
  clock.set_wall(clock.now().wall_ms - 7200 * 1000);
  half("T", "back", {}, 1);
  EXPECT_EQ(core->next_due_mono_ms(), clock.now().mono_ms + 6000);
  advance(5999);
  EXPECT_EQ(outbound.checks.size(), 1u);
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 2u);
}

TEST_F(Transaction, DateSetBackDuringARestartDelaysACheckByNoMoreThanItsTime) {
  half("T", "h");
  advance(3000);
  clock.set({.wall_ms = clock.now().wall_ms - 7200 * 1000, .mono_ms = 5});
  crash();
  producer(1);
  advance(6000);
  EXPECT_EQ(outbound.checks.size(), 1u);
}

TEST_F(Transaction, TimeBeforeARestartCounts) {
  half("T", "h");
  advance(3000);
  clock.set({.wall_ms = clock.now().wall_ms + 1000, .mono_ms = 5});
  snapshot();
  crash();
  producer(1);
  advance(1999);
  EXPECT_TRUE(outbound.checks.empty());
  advance(1);
  EXPECT_EQ(outbound.checks.size(), 1u);
}

TEST_F(Transaction, ParksByAgeOnceAQuestionBroughtNothing) {
  options.check_max = 0;
  options.check_age_max_ms = 60'000;
  restart();
  const auto alone = half("T", "alone");
  advance(3600 * 1000);  // old, but nobody was there to be asked
  EXPECT_EQ(core->counters().parked, 0);
  producer(1);
  EXPECT_EQ(outbound.checks.size(), 1u);
  EXPECT_EQ(core->counters().parked, 0);
  answer_unknown(alone);
  EXPECT_EQ(core->counters().parked, 1);

  half("T", "silent", {}, 1);
  for (int i = 0; i < 3; i++) advance(i == 0 ? 6000 : 30'000);  // asked at 6, 36 and 66 s: the last finds it too old
  EXPECT_EQ(outbound.checks.size(), 3u);
  EXPECT_EQ(core->counters().parked, 2);
  EXPECT_EQ(bodies("TRANS_CHECK_MAX_TIME_TOPIC"), (Names{"alone", "silent"}));

  const auto chatty = half("T", "chatty", {}, 1);
  advance(6000);
  answer_unknown(chatty);
  EXPECT_EQ(core->counters().parked, 2);
  EXPECT_TRUE(commit(chatty).ok());
}

TEST_F(Transaction, NoMaximumByCountMeansAskingForEver) {
  options.check_max = 0;
  restart();
  const auto h = half("T", "h");
  for (int i = 0; i < 40; i++) {
    producer(1);
    advance(30'000);
    EXPECT_TRUE(answer_unknown(h).ok());
  }
  EXPECT_EQ(core->counters().checks_answered, 40);
  EXPECT_EQ(core->counters().parked, 0);
}

TEST_F(Transaction, FloodOfChecksIsSpreadOverTurns) {
  options.checks_outstanding_max = 100'000;
  restart();
  for (int i = 0; i < 10'000; i++) half("T", "h" + std::to_string(i));
  producer(1);
  advance(6000);
  EXPECT_LE(outbound.checks.size(), 4096u);
  for (int i = 0; i < 2; i++) {
    EXPECT_LE(core->next_due_mono_ms(), clock.now().mono_ms);
    tick();
  }
  EXPECT_EQ(outbound.checks.size(), 10'000u);
  EXPECT_GT(core->next_due_mono_ms(), clock.now().mono_ms);
}

TEST_F(Transaction, GroupThatSharesAConnectionGetsItsTurn) {
  options.checks_outstanding_max = 1;
  restart();
  turn([&] {
    broker::Heartbeat beat;
    beat.channel = static_cast<broker::ChannelId>(1);
    beat.client.client_id = "both";
    beat.producer_groups = {"PG", "PG2"};
    EXPECT_TRUE(core->heartbeat(beat).ok());
  });
  const auto a = half("T", "a", {}, 1);
  advance(1);
  ASSERT_TRUE(send("T", "b", {{"TRAN_MSG", "true"}, {"PGROUP", "PG2"}, {"UNIQ_KEY", "KEY-b"}}).ok());
  advance(6000);
  ASSERT_EQ(outbound.checks.size(), 1u);
  EXPECT_TRUE(commit(a).ok());
  advance(1000);
  EXPECT_EQ(outbound.checks.size(), 2u);
}

}  // namespace
}  // namespace halfmoon::testkit
