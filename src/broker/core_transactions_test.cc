// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_state.h"
#include "testkit/core_fixture.h"

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

class Transaction : public CoreFixture {
 public:
  Transaction() { options.check_max = 3; }
};

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
  turn([&] { core->resume_transaction(h.position, [&](Result<Done>&& r) { resumed = std::move(r); }); });
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

TEST_F(Transaction, AnswerToACheckThatNobodyAskedDoesNotCount) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  for (int i = 0; i < 10; i++) EXPECT_TRUE(answer_unknown(h).ok());
  EXPECT_EQ(core->counters().checks_answered, 0);
  EXPECT_EQ(core->counters().parked, 0);
}

TEST_F(Transaction, HalfMessageGoesWithItsTopic) {
  const auto h = half("T", "h");
  turn([&] { core->delete_topic("T", [](Result<Done>&& r) { EXPECT_TRUE(r.ok()); }); });
  EXPECT_EQ(commit(h).error().code, ErrorCode::NotFound);
  EXPECT_EQ(core->counters().halves_pending, 0);
  restart();
  EXPECT_EQ(core->counters().halves_pending, 0);
}

TEST_F(Transaction, RejectedWhereConfiguredSo) {
  options.reject_transactions = true;
  restart();
  EXPECT_EQ(send("T", "h", {{"TRAN_MSG", "true"}, {"PGROUP", "PG"}}).error().code, ErrorCode::NoPermission);
}

}  // namespace
}  // namespace halfmoon::testkit
