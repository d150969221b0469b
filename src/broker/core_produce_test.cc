// SPDX-License-Identifier: Apache-2.0
#include "testkit/core_fixture.h"

namespace halfmoon::testkit {
namespace {

using broker::PullStatus;
using Names = std::vector<std::string>;

class Produce : public CoreFixture {};

TEST_F(Produce, StoresAndServes) {
  const auto sent = send("T", "hello", {{"TAGS", "TagA"}, {"UNIQ_KEY", "K1"}});
  ASSERT_TRUE(sent.ok()) << sent.error().text;
  EXPECT_EQ(sent->queue_offset, 0);
  const auto seen = drain("T");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].body, "hello");
  EXPECT_EQ(seen[0].topic, "T");
  EXPECT_EQ(seen[0].position, sent->position);
  EXPECT_EQ(seen[0].property("TAGS"), "TagA");
  EXPECT_EQ(seen[0].property("CLUSTER"), "DefaultCluster");
  EXPECT_EQ(seen[0].property("MSG_REGION"), "DefaultRegion");
}

TEST_F(Produce, AnswersOnlyWhenDurableAndShowsOnlyThen) {
  send("T", "first");
  auto_flush = false;
  const auto sent = send_later("T", "second");
  EXPECT_FALSE(sent->has_value());
  EXPECT_EQ(bodies("T"), (Names{"first"}));
  flush();
  ASSERT_TRUE(sent->has_value());
  EXPECT_TRUE((*sent)->ok());
  EXPECT_EQ(bodies("T"), (Names{"first", "second"}));
}

TEST_F(Produce, UnacknowledgedIsLostInAPowerCutAndItsOffsetIsReusedByNobodyWhoSawIt) {
  send("T", "kept");
  auto_flush = false;
  send_later("T", "lost");
  auto_flush = true;
  crash(SimDisk::Loss::Everything);
  EXPECT_EQ(bodies("T"), (Names{"kept"}));
  EXPECT_EQ(send("T", "next")->queue_offset, 1);
}

TEST_F(Produce, CreatesATopicFromTheTemplate) {
  broker::SendRequest r;
  EXPECT_TRUE(send("Auto", "x").ok());
  EXPECT_EQ(core->topic("Auto")->write_queues, 4);  // what the client asked for
  EXPECT_TRUE(topics.topics.contains("Auto"));
}

TEST_F(Produce, ToldOfManySendsItOnlyLooks) {
  std::vector<std::string> names;
  for (int i = 0; i < 300; i++) names.push_back("Many" + std::to_string(i));
  for (const std::string& name : names) ASSERT_TRUE(send(name, "first").ok());
  const storage::Position end = log->end();
  const std::string before = core->snapshot().payload;
  std::vector<broker::SendPlace> places;
  for (const std::string& name : names)
    for (const std::int32_t queue : {-1, 0, 3, 4, 1 << 30}) places.push_back({.topic = name, .queue_id = queue});
  places.push_back({.topic = "NoSuchTopic", .queue_id = 0});
  places.push_back({.topic = "", .queue_id = 0});
  core->foresee(places);
  core->foresee({});
  EXPECT_EQ(log->end(), end);
  EXPECT_EQ(core->snapshot().payload, before);
  EXPECT_FALSE(core->topic("NoSuchTopic").ok());
  EXPECT_EQ(send(names[7], "second")->queue_offset, 1);
}

TEST_F(Produce, RefusesWithoutATopicWhereCreationIsOff) {
  options.auto_create_topics = false;
  restart();
  const auto sent = send("Nope", "x");
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code, ErrorCode::TopicNotFound);
  EXPECT_NE(sent.error().text.find("topic[Nope] not exist"), std::string::npos);
}

TEST_F(Produce, RefusesWhatCannotBeRight) {
  EXPECT_EQ(send("bad/name", "x").error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(send("RMQ_SYS_TRANS_HALF_TOPIC", "x").error().code, ErrorCode::NoPermission);
  EXPECT_EQ(send("T", "x", {}, 99).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(send("T", "x", {{"REAL_TOPIC", "other"}}).error().code, ErrorCode::MessageIllegal);
  EXPECT_EQ(send("T", std::string((4u << 20) + 1, 'x')).error().code, ErrorCode::MessageIllegal);
  EXPECT_EQ(send("T", "x", {{"big", std::string(32700, 'p')}}).error().code, ErrorCode::MessageIllegal);
  EXPECT_EQ(core->counters().refused, 6);
  EXPECT_EQ(core->counters().messages_in, 0);
}

TEST_F(Produce, StripsThePopCheckpointAndMakesAMissingKey) {
  send("T", "x", {{"POP_CK", "1 2 3"}, {"A", "1"}});
  const Seen seen = drain("T").at(0);
  EXPECT_EQ(seen.property("POP_CK"), "<none>");
  EXPECT_EQ(seen.property("A"), "1");
  EXPECT_EQ(seen.property("UNIQ_KEY").size(), 32u);
}

TEST_F(Produce, BatchIsStoredInOneQueueAtConsecutiveOffsets) {
  send("T", "before");
  Result<broker::SendResult> answer = Error{};
  turn([&] {
    const std::string tags = encode({{"TAGS", "TagB"}});
    broker::SendRequest r;
    r.topic = "T";
    r.queue_id = 0;
    std::vector<broker::BatchItem> items = {{0, tags, "a", 0}, {0, "", "b", 0}, {0, "", "c", 0}};
    core->send_batch(r, items, [&](Result<broker::SendResult>&& result) { answer = std::move(result); });
  });
  ASSERT_TRUE(answer.ok()) << answer.error().text;
  EXPECT_EQ(answer->queue_offset, 1);
  EXPECT_EQ(answer->more_positions.size(), 2u);
  EXPECT_EQ(bodies("T"), (Names{"before", "a", "b", "c"}));
  EXPECT_EQ(render(pull("T", 0, "TagB")->extents).size(), 1u);
}

TEST_F(Produce, BatchWithTransactionOrDelayIsRefusedWhole) {
  send("T", "before");
  for (const Properties& bad : {Properties{{"TRAN_MSG", "true"}}, Properties{{"DELAY", "2"}}, Properties{{"TIMER_DELAY_MS", "5"}}}) {
    Result<broker::SendResult> answer = broker::SendResult{};
    turn([&] {
      const std::string text = encode(bad);
      broker::SendRequest r;
      r.topic = "T";
      r.queue_id = 0;
      core->send_batch(r, {{0, "", "a", 0}, {0, text, "b", 0}}, [&](Result<broker::SendResult>&& result) { answer = std::move(result); });
    });
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, ErrorCode::MessageIllegal);
  }
  EXPECT_EQ(bodies("T"), (Names{"before"}));
}

TEST_F(Produce, BatchWhoseHeaderAsksForATransactionOrADelayIsRefused) {
  send("T", "before");
  const auto batch = [&](const Properties& header, std::int32_t sys_flag) {
    Result<broker::SendResult> answer = Error{};
    turn([&] {
      const std::string text = encode(header);
      broker::SendRequest r;
      r.topic = "T";
      r.queue_id = 0;
      r.properties = text;
      r.sys_flag = sys_flag;
      core->send_batch(r, {{0, "", "a", 0}, {0, "", "b", 0}}, [&](Result<broker::SendResult>&& result) { answer = std::move(result); });
    });
    return answer.ok() ? "stored" : std::string(to_string(answer.error().code));
  };
  EXPECT_EQ(batch({{"TRAN_MSG", "true"}, {"PGROUP", "P"}}, 0), "message_illegal");
  EXPECT_EQ(batch({}, model::sys_flag::kTransactionPrepared), "message_illegal");
  EXPECT_EQ(batch({{"DELAY", "1"}}, 0), "message_illegal");
  EXPECT_EQ(batch({{"REAL_TOPIC", "U"}}, 0), "message_illegal");
  EXPECT_EQ(bodies("T"), (Names{"before"}));
  EXPECT_EQ(batch({{"WAIT", "true"}}, 0), "stored");
}

TEST_F(Produce, DelayedMessageComesWhenItIsDueAndNeverEarlier) {
  send("T", "now");
  ASSERT_TRUE(send("T", "later", {{"DELAY", "1"}}).ok());
  advance(1000);  // the clock shows whole milliseconds: the one that had begun does not count
  EXPECT_EQ(bodies("T"), (Names{"now"}));
  EXPECT_EQ(core->next_due_mono_ms() - clock.now().mono_ms, 1);
  advance(1);
  EXPECT_EQ(bodies("T"), (Names{"now", "later"}));
}

TEST_F(Produce, DelayedMessagesSurviveACrashWithAndWithoutASnapshot) {
  for (const bool with_snapshot : {false, true}) {
    const std::string topic = with_snapshot ? "S" : "L";
    send(topic, "second", {{"TIMER_DELAY_MS", "2000"}});
    send(topic, "first", {{"TIMER_DELAY_SEC", "1"}});
    if (with_snapshot) snapshot();
    crash();
    advance(1500);
    EXPECT_EQ(bodies(topic), (Names{"first"}));
    crash();
    advance(501);
    EXPECT_EQ(bodies(topic), (Names{"first", "second"}));
    crash();
    advance(5000);
    EXPECT_EQ(bodies(topic), (Names{"first", "second"}));
  }
}

TEST_F(Produce, StateIsTheSameAfterReplayAndAfterASnapshot) {
  send("T", "a", {{"TAGS", "x"}});
  send("T", "d", {{"DELAY", "3"}});
  const auto h = half("T", "h");
  half("T", "open");
  commit(h);
  consumer(1, "CG", "T");
  send_back(drain("T")[0].position, "CG");
  commit_offset("CG", "T", 1);
  const std::string live = core->snapshot().payload;
  restart();
  EXPECT_EQ(core->snapshot().payload, live);
  snapshot();
  restart();
  EXPECT_EQ(core->snapshot().payload, live);
}

TEST_F(Produce, AGroupThatOnlyPulledLeavesNothingInASnapshot) {  // found by fuzzing: a snapshot knew more than the log
  send("T", "a");
  ASSERT_TRUE(pull("T", 0, "*", 0, "Looker").ok());
  const std::string live = core->snapshot().payload;
  restart();
  EXPECT_EQ(core->snapshot().payload, live);
}

TEST_F(Produce, FullDiskRefusesAndHealsByItself) {
  send("T", "first");
  disk.set_capacity(1 << 20);
  bool refused = false;
  int stored = 1;
  for (int i = 0; i < 200 && !refused; i++) {
    const auto sent = send("T", std::string(16 << 10, 'x'));
    if (sent.ok()) stored++;
    else refused = sent.error().code == ErrorCode::DiskFull;
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(bodies("T").size(), static_cast<std::size_t>(stored));
  disk.set_capacity(std::int64_t{1} << 40);
  (void)log->prepare_next();
  EXPECT_TRUE(send("T", "again").ok());
}

TEST_F(Produce, OnAFullDiskVerdictsAndOffsetsStillFindRoom) {
  const auto first = half("T", "committed on a full disk");
  const auto second = half("T", "rolled back on a full disk");
  send("T", "something to consume");
  disk.set_capacity(1 << 20);
  ASSERT_FALSE(log->prepare_next().ok());
  while (send("T", std::string(4 << 10, 'x')).ok()) {
  }
  while (send("T", "x").ok()) {
  }
  EXPECT_EQ(send("T", "x").error().code, ErrorCode::DiskFull);
  EXPECT_TRUE(commit(first).ok());
  EXPECT_TRUE(rollback(second).ok());
  EXPECT_EQ(bodies("T").back(), "committed on a full disk");
  consumer(5, "CG", "T");   // a group that nobody knew
  EXPECT_TRUE(core->topic("%RETRY%CG").ok());
  EXPECT_TRUE(commit_offset("CG", "T", 1).ok());
  crash();
  EXPECT_EQ(bodies("T").back(), "committed on a full disk");
  EXPECT_EQ(*committed("CG", "T"), 1);
}

TEST_F(Produce, AFillingDiskRefusesStepByStep) {
  send("T", "before");
  const auto h = half("T", "half");
  turn([&] { core->set_disk_level(broker::DiskLevel::Tight); });
  EXPECT_TRUE(send("T", "x").ok());
  EXPECT_TRUE(send("T", "x", {{"TIMER_DELAY_SEC", "3600"}}).ok());
  EXPECT_EQ(send("T", "x", {{"TIMER_DELAY_SEC", "100000"}}).error().code, ErrorCode::DiskFull);
  EXPECT_EQ(send("New", "x").error().code, ErrorCode::DiskFull);
  turn([&] { core->set_disk_level(broker::DiskLevel::Full); });
  EXPECT_EQ(send("T", "x").error().code, ErrorCode::DiskFull);
  EXPECT_EQ(send("T", "x", {{"TRAN_MSG", "true"}, {"PGROUP", "PG"}}).error().code, ErrorCode::DiskFull);
  EXPECT_TRUE(commit(h).ok());
  turn([&] { core->set_disk_level(broker::DiskLevel::Ok); });
  EXPECT_TRUE(send("New", "x").ok());
}

TEST_F(Produce, WhatAFullDiskPutOffComesInItsOrder) {
  std::vector<std::string> all;
  for (int i = 0; i < 30; i++) {
    all.push_back("m" + std::to_string(i));
    send("T", all.back(), {{"TIMER_DELAY_MS", std::to_string(1000 + 10 * i)}});
  }
  disk.set_capacity(1 << 20);
  ASSERT_FALSE(log->prepare_next().ok());
  while (send("U", std::string(4 << 10, 'x')).ok()) {
  }
  while (send("U", "x").ok()) {
  }
  advance(1001);
  for (int i = 0; i < 20; i++) advance(10);
  EXPECT_LT(bodies("T").size(), 15u) << "there was room";
  EXPECT_GT(core->next_due_mono_ms(), clock.now().mono_ms);
  disk.set_capacity(std::int64_t{1} << 40);
  ASSERT_TRUE(log->prepare_next().ok());
  for (int i = 0; i < 20; i++) advance(10);
  EXPECT_EQ(bodies("T"), all);
}

TEST_F(Produce, RetentionMayTakeWhatWasNotShownYet) {
  const auto waiting = [&] {
    send("T", "x");
    return pull_later("T", 1, 60000);
  }();
  auto_flush = false;
  for (int i = 0; i < 63; i++) send_later("T", "x");  // a whole chunk of the queue's index
  while (log->segments().size() < 2) {
    send_later("U", std::string(16 << 10, 'x'));
    ASSERT_TRUE(log->flush().ok());  // and nobody has told the core
  }
  turn([&] { ASSERT_TRUE(core->release({.keep_ms = std::int64_t{1} << 60, .keep_bytes = 1}).ok()); });
  ASSERT_EQ(*core->min_offset({"T", 0}), 64);
  turn([&] { core->safe_advanced(); });
  EXPECT_EQ(*core->max_offset({"T", 0}), 64);
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((**waiting)->status, PullStatus::OffsetMoved);
  EXPECT_EQ((**waiting)->next_offset, 64);
}

TEST_F(Produce, StoppingRefusesWithAReason) {
  send("T", "x");
  turn([&] { core->stop_accepting("the broker is shutting down"); });
  const auto sent = send("T", "y");
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code, ErrorCode::NotWritable);
}

TEST_F(Produce, SegmentsRollAndOldOnesAreReleasedWithWhatIsStillReferredToCarriedOn) {
  send("T", "delayed", {{"TIMER_DELAY_SEC", "100000"}});
  const auto h = half("T", "half");
  send("T", "old");
  for (int i = 0; i < 150; i++) ASSERT_TRUE(send("T", std::string(16 << 10, 'x')).ok());
  EXPECT_GT(log->segments().size(), 2u);
  clock.advance(3600 * 1000);
  Result<broker::Core::Release> release = Error{};
  turn([&] { release = core->release({.keep_ms = 1000, .keep_bytes = 0}); });
  ASSERT_TRUE(release.ok()) << release.error().text;
  ASSERT_GT(release->drop_before, 0);
  ASSERT_GE(log->durable(), release->carried_until - 1);
  snapshot();
  ASSERT_TRUE(log->drop_before(release->drop_before).ok());
  EXPECT_GT(log->first_position(), 0);
  const auto first = core->min_offset({"T", 0});
  EXPECT_GT(*first, 0);
  EXPECT_EQ(pull("T", 0)->status, PullStatus::OffsetMoved);
  EXPECT_EQ(pull("T", 0)->next_offset, *first);

  crash();
  ASSERT_TRUE(commit(h).ok());
  clock.advance(100001 * 1000LL);
  tick();
  auto seen = drain("T", *first);
  ASSERT_GE(seen.size(), 2u);
  EXPECT_EQ(seen[seen.size() - 2].body, "half");
  EXPECT_EQ(seen.back().body, "delayed");
}

/// Calls release() until it has decided; returns how many turns that took, and what each of them wrote at most.
struct Steps {
  int turns = 0;
  std::int64_t bytes_max = 0;
};
class Release : public CoreFixture {
 public:
  Release() { log_options.ring_bytes = 16 << 20; }
  Steps release_and_drop() {
    Steps steps;
    Result<broker::Core::Release> release = Error{};
    do {
      const auto before = log->end();
      turn([&] { release = core->release({.keep_ms = 1000, .keep_bytes = 0}); });
      steps.turns++;
      steps.bytes_max = std::max(steps.bytes_max, log->end() - before);
    } while (release.ok() && release->unfinished);
    EXPECT_TRUE(release.ok()) << release.error().text;
    if (!release.ok()) return steps;
    snapshot();
    EXPECT_TRUE(log->drop_before(release->drop_before).ok());
    return steps;
  }
  void fill_a_segment() {
    for (int i = 0; i < 150; i++) ASSERT_TRUE(send("T", std::string(16 << 10, 'x')).ok());
    clock.advance(3600 * 1000);
    tick();
  }
};

TEST_F(Release, ManyHalfMessagesAreCarriedInStepsAndEachOnce) {
  const std::string body(10 << 10, 'h');
  std::vector<broker::SendResult> halves;
  for (int i = 0; i < 1500; i++) halves.push_back(half("T", std::to_string(i) + body));  // 15 MB, four times what one turn carries
  fill_a_segment();
  const auto first_written = log->counters().bytes;
  const Steps steps = release_and_drop();
  EXPECT_GT(log->first_position(), halves.back().position);
  EXPECT_GE(steps.turns, 4);
  EXPECT_LT(steps.bytes_max, 5 << 20);
  EXPECT_LT(log->counters().bytes - first_written, std::int64_t{1500} * (11 << 10));
  crash();
  for (const std::size_t i : {std::size_t{0}, std::size_t{700}, std::size_t{1499}}) {
    ASSERT_TRUE(commit(halves[i]).ok());
    EXPECT_TRUE(drain("T", *core->min_offset({"T", 0})).back().body == std::to_string(i) + body);
  }
}

TEST_F(Release, ADiskThatIsBehindMakesSmallerStepsAndNoError) {
  log_options.ring_bytes = 1 << 20;
  restart();
  for (int i = 0; i < 300; i++) half("T", std::to_string(i) + std::string(10 << 10, 'h'));
  fill_a_segment();
  EXPECT_GE(release_and_drop().turns, 3);
  EXPECT_GT(log->first_position(), 3 << 20);
}

TEST_F(Release, HalfMessagesThatNeedNotMoveAreLookedAtInStepsToo) {
  for (int i = 0; i < 30000; i++) half("T", std::to_string(i));
  fill_a_segment();
  release_and_drop();
  std::int64_t total = 0;
  for (const auto& segment : log->segments()) total += segment.capacity;
  const auto before = log->end();
  Result<broker::Core::Release> release = Error{};
  int turns = 0;
  do {  // one segment is to go, and few of the copies lie in it
    turn([&] { release = core->release({.keep_ms = std::int64_t{1} << 60, .keep_bytes = total - 1}); });
    turns++;
  } while (release.ok() && release->unfinished);
  ASSERT_TRUE(release.ok()) << release.error().text;
  EXPECT_GT(release->drop_before, log->first_position());
  EXPECT_LT(log->end() - before, 2 << 20);
  EXPECT_EQ(turns, 2);
}

TEST_F(Release, HalfMessageThatIsCommittedWhileOthersAreCarriedIsCarriedAsWhatItIsNow) {
  const std::string body(10 << 10, 'h');
  std::vector<broker::SendResult> halves;
  for (int i = 0; i < 1500; i++) halves.push_back(half("T", std::to_string(i) + body, i % 2 == 0 ? Properties{} : Properties{{"TIMER_DELAY_SEC", "100"}}));
  fill_a_segment();
  Result<broker::Core::Release> first = Error{};
  turn([&] { first = core->release({.keep_ms = 1000, .keep_bytes = 0}); });
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(first->unfinished);
  ASSERT_TRUE(commit(halves[1498]).ok());  // not carried yet: one is visible now, the other a timer
  ASSERT_TRUE(commit(halves[1499]).ok());
  release_and_drop();
  EXPECT_GT(log->first_position(), halves.back().position);
  crash();
  clock.advance(101 * 1000);
  tick();
  const auto seen = drain("T", *core->min_offset({"T", 0}));
  ASSERT_GE(seen.size(), 2u);
  EXPECT_TRUE(seen[seen.size() - 2].body == "1498" + body);
  EXPECT_TRUE(seen.back().body == "1499" + body);
}

}  // namespace
}  // namespace halfmoon::testkit
