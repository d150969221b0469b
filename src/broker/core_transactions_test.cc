// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_state.h"
#include "testkit/transaction_fixture.h"

namespace halfmoon::testkit {
namespace {

using broker::HalfEvent;
using broker::HalfOutcome;
using broker::HalfState;
using broker::Verdict;
using Names = std::vector<std::string>;

TEST(TransactionTable, CellByCell) {
  struct Cell {
    HalfState state;
    HalfEvent event;
    HalfState next;
    HalfOutcome outcome;
  };
  using S = HalfState;
  using E = HalfEvent;
  using O = HalfOutcome;
  const Cell cells[] = {
      {S::Pending, E::Commit, S::Committed, O::Applied},        {S::Pending, E::Rollback, S::RolledBack, O::Applied},
      {S::Pending, E::AnsweredUnknown, S::Pending, O::Applied}, {S::Pending, E::ChecksExhausted, S::Parked, O::Applied},
      {S::Pending, E::Resume, S::Pending, O::Refused},          {S::Parked, E::Commit, S::Committed, O::Applied},
      {S::Parked, E::Rollback, S::RolledBack, O::Applied},      {S::Parked, E::Resume, S::Pending, O::Applied},
      {S::Parked, E::AnsweredUnknown, S::Parked, O::Refused},   {S::Parked, E::ChecksExhausted, S::Parked, O::Refused},
      {S::Committed, E::Commit, S::Committed, O::Repeated},     {S::Committed, E::Rollback, S::Committed, O::Refused},
      {S::Committed, E::AnsweredUnknown, S::Committed, O::Refused}, {S::Committed, E::ChecksExhausted, S::Committed, O::Refused},
      {S::Committed, E::Resume, S::Committed, O::Refused},      {S::RolledBack, E::Rollback, S::RolledBack, O::Repeated},
      {S::RolledBack, E::Commit, S::RolledBack, O::Refused},    {S::RolledBack, E::AnsweredUnknown, S::RolledBack, O::Refused},
      {S::RolledBack, E::ChecksExhausted, S::RolledBack, O::Refused}, {S::RolledBack, E::Resume, S::RolledBack, O::Refused},
  };
  for (const Cell& cell : cells) {
    const auto t = broker::next_state(cell.state, cell.event);
    EXPECT_EQ(t.state, cell.next);
    EXPECT_EQ(t.outcome, cell.outcome);
  }
}

TEST_F(Transaction, IsInvisibleUntilCommittedAndThenThereOnce) {
  const auto h = half("T", "h", {{"TAGS", "TagA"}});
  EXPECT_EQ(bodies("T"), (Names{}));
  ASSERT_TRUE(commit(h).ok());
  const auto seen = drain("T");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].body, "h");
  EXPECT_EQ(seen[0].property("TRAN_MSG"), "<none>");
  EXPECT_EQ(seen[0].property("__transactionId__"), "KEY-h");
  EXPECT_EQ(seen[0].prepared_position, h.position);
  EXPECT_EQ(seen[0].sys_flag & 0xC, 8);
  EXPECT_NE(seen[0].position, h.position);
}

TEST_F(Transaction, RolledBackIsNeverDelivered) {
  const auto h = half("T", "h");
  ASSERT_TRUE(rollback(h).ok());
  EXPECT_EQ(bodies("T"), (Names{}));
  crash();
  EXPECT_EQ(bodies("T"), (Names{}));
}

TEST_F(Transaction, SameVerdictAgainSucceedsAndDoesNothing) {
  const auto h = half("T", "h");
  for (int i = 0; i < 8; i++) EXPECT_TRUE(commit(h).ok());
  EXPECT_EQ(bodies("T"), (Names{"h"}));
  EXPECT_EQ(core->counters().verdicts_repeated, 7);
}

TEST_F(Transaction, ContraryVerdictIsRefusedAlsoAfterACrash) {
  const auto committed_half = half("T", "c");
  const auto rolled_back_half = half("T", "r");
  commit(committed_half);
  rollback(rolled_back_half);
  for (int round = 0; round < 2; round++) {
    EXPECT_EQ(rollback(committed_half).error().code, ErrorCode::IllegalOperation);
    EXPECT_EQ(commit(rolled_back_half).error().code, ErrorCode::IllegalOperation);
    EXPECT_EQ(bodies("T"), (Names{"c"}));
    crash();
  }
}

TEST_F(Transaction, VerdictThatNamesAnotherMessageTouchesNothing) {
  const auto a = half("T", "a");
  const auto b = half("T", "b");
  auto mixed = a;
  mixed.queue_offset = b.queue_offset;
  EXPECT_EQ(end_transaction(mixed, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
  mixed = a;
  mixed.position = b.position;
  EXPECT_EQ(end_transaction(mixed, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
  mixed.position = a.position + 8;
  EXPECT_EQ(end_transaction(mixed, Verdict::Commit).error().code, ErrorCode::NotFound);
  EXPECT_EQ(end_transaction(a, Verdict::Commit, false, "OTHER").error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(end_transaction(a, Verdict::Commit, false, "PG", "KEY-b").error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(bodies("T"), (Names{}));
  EXPECT_TRUE(end_transaction(a, Verdict::Commit, false, "PG", "").ok());
  EXPECT_TRUE(end_transaction(b, Verdict::Commit, false, "PG", model::offset_message_id({}, b.position)).ok());
  EXPECT_EQ(bodies("T"), (Names{"a", "b"}));
}

TEST_F(Transaction, PlainMessagesPositionIsNoHalfMessage) {
  auto plain = send("T", "plain", {{"UNIQ_KEY", "K"}});
  EXPECT_EQ(end_transaction(*plain, Verdict::Commit).error().code, ErrorCode::NotFound);
  EXPECT_EQ(bodies("T"), (Names{"plain"}));
}

TEST_F(Transaction, DeliveredMessagesCarryIdAndTimeOfTheCommitThroughDelayRetryAndDeadLetter) {
  consumer(1, "CG", "T");
  // What the producer plants under these names is not believed.
  const auto h = half("T", "h", {{"DELAY", "1"}, {"__transactionId__", "forged"}, {"__transactionCommitTime__", "1"}});
  advance(500);
  const std::string committed_at = std::to_string(clock.now().wall_ms);
  ASSERT_TRUE(commit(h).ok());
  advance(1001);
  const auto check = [&](const Seen& seen) {
    EXPECT_EQ(seen.property("__transactionId__"), "KEY-h");
    EXPECT_EQ(seen.property("__transactionCommitTime__"), committed_at);
    EXPECT_EQ(seen.properties.find("forged"), std::string::npos);
    EXPECT_EQ(seen.property("UNIQ_KEY"), "KEY-h");
  };
  ASSERT_EQ(drain("T").size(), 1u);
  check(drain("T")[0]);
  ASSERT_TRUE(send_back(drain("T")[0].position, "CG", 1).ok());
  advance(1001);
  ASSERT_EQ(drain("%RETRY%CG").size(), 1u);
  check(drain("%RETRY%CG")[0]);
  ASSERT_TRUE(send_back(drain("%RETRY%CG")[0].position, "CG", -1).ok());
  ASSERT_EQ(drain("%DLQ%CG").size(), 1u);
  check(drain("%DLQ%CG")[0]);
  snapshot();
  crash();
  check(drain("T")[0]);
  check(drain("%DLQ%CG")[0]);
}

TEST_F(Transaction, AHalfMessageSentOneWayIsRefused) {
  const std::string properties = encode({{"TRAN_MSG", "true"}, {"PGROUP", "PG"}});
  for (const bool one_way : {true, false}) {
    Result<broker::SendResult> sent = Error{};
    turn([&] {
      broker::SendRequest r;
      r.topic = "T";
      r.default_topic = "TBW102";
      r.properties = properties;
      r.body = "h";
      r.one_way = one_way;
      core->send(r, [&](Result<broker::SendResult>&& result) { sent = std::move(result); });
    });
    EXPECT_EQ(sent.ok(), !one_way);
    if (one_way) {
      EXPECT_NE(sent.error().text.find("cannot be sent one-way"), std::string::npos);
    }
  }
  EXPECT_EQ(core->counters().halves_pending, 1);
}

TEST_F(Transaction, PlainMessagesCarryNoCommitTime) {
  ASSERT_TRUE(send("T", "plain").ok());
  EXPECT_EQ(drain("T")[0].property("__transactionCommitTime__"), "<none>");
}

TEST_F(Transaction, AHalfMessageWhosePropertiesWouldOutgrowTheWireIsRefused) {
  const std::string key(20000, 'k');
  const auto refused = send("T", "h", {{"TRAN_MSG", "true"}, {"PGROUP", "PG"}, {"UNIQ_KEY", key}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::MessageIllegal);
  // The largest that fits is served whole, with everything that is added to it on the way to a dead letter.
  consumer(1, "CG", "T");
  const std::string large(16000, 'k');
  const std::string filler(200, 'f');
  const auto taken = send("T", "h", {{"TRAN_MSG", "true"}, {"PGROUP", "PG"}, {"UNIQ_KEY", large}, {"F", filler}});
  ASSERT_TRUE(taken.ok()) << taken.error().text;
  ASSERT_TRUE(end_transaction(*taken, Verdict::Commit, false, "PG", "").ok());
  ASSERT_EQ(drain("T").size(), 1u);
  EXPECT_EQ(drain("T")[0].property("__transactionId__"), large);
  ASSERT_TRUE(send_back(drain("T")[0].position, "CG", -1).ok());
  ASSERT_EQ(drain("%DLQ%CG").size(), 1u);
  EXPECT_LE(drain("%DLQ%CG")[0].properties.size(), 32767u);
  EXPECT_EQ(drain("%DLQ%CG")[0].property("F"), filler);
}

TEST_F(Transaction, DelayLevelCountsFromTheCommit) {
  const auto h = half("T", "h", {{"DELAY", "2"}});
  advance(60000);
  ASSERT_TRUE(commit(h).ok());
  EXPECT_TRUE(commit(h).ok());
  advance(5000);
  EXPECT_EQ(bodies("T"), (Names{}));
  crash();
  advance(1);
  EXPECT_EQ(bodies("T"), (Names{"h"}));
  crash();
  advance(100000);
  EXPECT_EQ(bodies("T"), (Names{"h"}));
}

TEST_F(Transaction, DeliveryTimeIsTheLaterOfCommitAndTime) {
  const std::string at = std::to_string(clock.now().wall_ms + 10000);
  const auto early = half("T", "early", {{"TIMER_DELIVER_MS", at}});
  const auto late = half("T", "late", {{"TIMER_DELIVER_MS", at}});
  commit(early);
  advance(9999);
  EXPECT_EQ(bodies("T"), (Names{}));
  advance(1);
  EXPECT_EQ(bodies("T"), (Names{"early"}));
  advance(10000);
  commit(late);
  EXPECT_EQ(bodies("T"), (Names{"early", "late"}));
}

TEST_F(Transaction, BodyIsWrittenOnce) {
  const std::string body(64 << 10, 'b');
  const auto before = log->counters().bytes;
  const auto h = half("T", body, {{"DELAY", "1"}});
  producer(1);
  advance(6000);
  commit(h);
  advance(1001);
  ASSERT_EQ(bodies("T").size(), 1u);
  consumer(1, "CG", "T");
  ASSERT_TRUE(send_back(drain("T")[0].position, "CG", 1).ok());
  advance(1001);
  ASSERT_EQ(drain("%RETRY%CG").size(), 1u);
  EXPECT_EQ(drain("%RETRY%CG")[0].body, body);
  EXPECT_LT(log->counters().bytes - before, static_cast<std::int64_t>(body.size()) * 5 / 4);
}

// Issue 5, point 7: with bodies of 1 KiB and the properties that the Java client sends, in turns of 64.
TEST_F(Transaction, HalfMessageAndItsCommitTakeAQuarterMoreThanTheBodyAtMost) {
  const std::string body(1024, 'b');
  const std::string group = "a_producer_group";
  half("T", "first");
  const auto before = log->counters().bytes;
  std::vector<broker::SendResult> stored;
  turn([&] {
    for (int i = 0; i < 64; i++) {
      const std::string text = encode({{"UNIQ_KEY", "7F0000012C5E18B4AAC2000000000000"}, {"WAIT", "true"}, {"TAGS", "TagA"}, {"TRAN_MSG", "true"}, {"PGROUP", group}});
      broker::SendRequest r;
      r.group = group;
      r.topic = "T";
      r.queue_id = 0;
      r.properties = text;
      r.body = body;
      core->send(r, [&](Result<broker::SendResult>&& result) { stored.push_back(*std::move(result)); });
    }
  });
  ASSERT_EQ(stored.size(), 64u);
  turn([&] {
    for (const auto& h : stored) {
      broker::EndTransactionRequest r;
      r.producer_group = group;
      r.half_position = h.position;
      r.half_offset = h.queue_offset;
      r.verdict = Verdict::Commit;
      core->end_transaction(r, [](Result<Done>&& result) { EXPECT_TRUE(result.ok()); });
    }
  });
  EXPECT_EQ(drain("T").size(), 64u);
  const double each = static_cast<double>(log->counters().bytes - before) / 64 / 1024;
  std::printf("%.3f bytes written for each byte of a body\n", each);
  EXPECT_LE(each, 1.25);
}

TEST_F(Transaction, HalfMessageGoesWithItsTopic) {
  const auto h = half("T", "h");
  turn([&] { core->delete_topic("T", [](Result<Done>&& r) { EXPECT_TRUE(r.ok()); }); });
  EXPECT_EQ(commit(h).error().code, ErrorCode::NotFound);
  EXPECT_EQ(core->counters().halves_pending, 0);
  restart();
  EXPECT_EQ(core->counters().halves_pending, 0);
  snapshot();
  restart();  // now the log has to be asked whose half message it was
  EXPECT_EQ(commit(h).error().code, ErrorCode::NotFound);
  EXPECT_EQ(end_transaction(h, Verdict::Commit, false, "OTHER").error().code, ErrorCode::NotFound);
}

TEST_F(Transaction, VerdictsAreKnownForAsLongAsTheLogHasTheHalfMessage) {
  options.verdicts_remembered = 8;
  restart();
  std::vector<broker::SendResult> halves;
  for (int i = 0; i < 100; i++) {
    halves.push_back(half("T", "h" + std::to_string(i) + std::string(3000, '.')));
    ASSERT_TRUE((i % 3 == 0 ? rollback(halves.back()) : commit(halves.back())).ok());
  }
  const auto open_one = half("T", "open");
  for (int round = 0; round < 4; round++) {
    const auto before = bodies("T").size();
    for (std::size_t i = 0; i < halves.size(); i++) {
      const auto& h = halves[i];
      const auto key = std::string(h.unique_key.view());
      const bool rolled_back = i % 3 == 0;
      EXPECT_TRUE((rolled_back ? rollback(h) : commit(h)).ok()) << i;
      EXPECT_EQ((rolled_back ? commit(h) : rollback(h)).error().code, ErrorCode::IllegalOperation) << i;
      EXPECT_TRUE(end_transaction(h, Verdict::Unknown).ok());
      EXPECT_TRUE(end_transaction(h, rolled_back ? Verdict::Rollback : Verdict::Commit, false, "PG", model::offset_message_id({}, h.position)).ok());
      EXPECT_EQ(end_transaction(h, Verdict::Commit, false, "OTHER").error().code, ErrorCode::InvalidArgument);
      EXPECT_EQ(end_transaction(h, Verdict::Commit, false, "PG", "KEY-other").error().code, ErrorCode::InvalidArgument);
      auto mixed = h;
      mixed.queue_offset = halves[(i + 3) % 100].queue_offset;
      EXPECT_EQ(end_transaction(mixed, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
      mixed = h;
      mixed.position += 8;
      EXPECT_EQ(end_transaction(mixed, Verdict::Commit).error().code, ErrorCode::NotFound);
    }
    EXPECT_EQ(bodies("T").size(), before);
    if (round == 1) snapshot();
    if (round == 2) snapshot();
    if (round < 2) crash();
    else restart();
  }
  EXPECT_TRUE(commit(open_one).ok());
}

TEST_F(Transaction, VerdictOnWhatTheLogHasNoMoreIsToldSo) {
  options.verdicts_remembered = 8;
  restart();
  const auto old = half("T", "old" + std::string(100, '.'));
  const auto carried = half("T", "carried" + std::string(100, '.'));
  commit(old);
  std::vector<broker::SendResult> newer;
  for (int i = 0; i < 150; i++) {
    newer.push_back(half("T", "n" + std::to_string(i) + std::string(16 << 10, '.')));
    commit(newer.back());
  }
  snapshot();
  broker::Core::Release released;
  turn([&] { released = *core->release({.keep_ms = 1LL << 40, .keep_bytes = 1 << 20}); });
  flush();
  ASSERT_GT(released.drop_before, old.position);
  ASSERT_TRUE(log->drop_before(released.drop_before).ok());
  for (int round = 0; round < 2; round++) {
    const auto late = commit(old);
    EXPECT_EQ(late.error().code, ErrorCode::NotFound);
    EXPECT_NE(late.error().text.find("no longer retained"), std::string::npos) << late.error().text;
    EXPECT_TRUE((round == 0 ? commit(carried) : end_transaction(carried, Verdict::Commit)).ok());
    EXPECT_EQ(rollback(carried).error().code, ErrorCode::IllegalOperation);
    EXPECT_TRUE(commit(newer.back()).ok());
    // Push it out of what is remembered by name: then its copy is read.
    for (int i = 0; i < 20; i++) commit(half("T", "x" + std::to_string(i)));
    EXPECT_TRUE(commit(carried).ok());
    EXPECT_EQ(rollback(carried).error().code, ErrorCode::IllegalOperation);
    EXPECT_EQ(end_transaction(carried, Verdict::Commit, false, "OTHER").error().code, ErrorCode::InvalidArgument);
    snapshot();
    restart();
  }
}

TEST_F(Transaction, ContraryVerdictIsRefusedOnlyWhenTheFirstIsSafe) {
  const auto h = half("T", "h");
  auto_flush = false;
  std::vector<std::string> answers;
  const auto give = [&](Verdict verdict) {
    turn([&] {
      broker::EndTransactionRequest r;
      r.producer_group = "PG";
      r.half_position = h.position;
      r.half_offset = h.queue_offset;
      r.verdict = verdict;
      core->end_transaction(r, [&answers](Result<Done>&& result) {
        answers.push_back(result.ok() ? "done" : result.error().code == ErrorCode::IllegalOperation ? "refused" : result.error().text);
      });
    });
  };
  give(Verdict::Commit);
  give(Verdict::Rollback);
  give(Verdict::Commit);
  EXPECT_EQ(answers, (Names{}));
  flush();
  EXPECT_EQ(answers, (Names{"done", "refused", "done"}));
  give(Verdict::Rollback);
  EXPECT_EQ(answers.back(), "refused");
}

TEST_F(Transaction, RejectedWhereConfiguredSo) {
  options.reject_transactions = true;
  restart();
  EXPECT_EQ(send("T", "h", {{"TRAN_MSG", "true"}, {"PGROUP", "PG"}}).error().code, ErrorCode::NoPermission);
}

}  // namespace
}  // namespace halfmoon::testkit
