// SPDX-License-Identifier: Apache-2.0
#include "testkit/core_fixture.h"

namespace halfmoon::testkit {
namespace {

using broker::HistoryBegin;
using broker::TransactionActor;
using broker::TransactionEvent;
using broker::TransactionEventKind;
using broker::TransactionFilter;
using broker::TransactionInfo;
using broker::TransactionState;
using broker::Verdict;
using Names = std::vector<std::string>;

class Operations : public CoreFixture {
 public:
  Operations() { options.check_max = 2; }

  broker::OperatorRequest act(const broker::SendResult& h, std::string_view reason = "ticket 1") {
    return {.half_position = h.position, .unique_key = {}, .operator_name = "eve", .reason = reason, .channel = broker::ChannelId{99}, .address = "192.0.2.9:9"};
  }
  Outcome<Done> decide(const broker::OperatorRequest& request, Verdict verdict) {
    Result<Done> answer = Error{ErrorCode::Internal, "not answered"};
    turn([&] { core->decide_transaction(request, verdict, [&](Result<Done>&& r) { answer = std::move(r); }); });
    return answer;
  }
  Outcome<Done> resume(const broker::OperatorRequest& request) {
    Result<Done> answer = Error{ErrorCode::Internal, "not answered"};
    turn([&] { core->resume_transaction(request, [&](Result<Done>&& r) { answer = std::move(r); }); });
    return answer;
  }
  /// Every page, as positions.
  std::vector<TransactionInfo> list(const TransactionFilter& filter, std::size_t limit = 3) {
    std::vector<TransactionInfo> all;
    std::optional<std::int64_t> cursor = 0;
    while (cursor) {
      auto page = core->list_transactions(filter, *cursor, limit);
      EXPECT_LE(page.transactions.size(), limit);
      for (TransactionInfo& info : page.transactions) all.push_back(std::move(info));
      cursor = page.next_cursor;
    }
    return all;
  }
  std::vector<std::int64_t> positions(const TransactionFilter& filter, std::size_t limit = 3) {
    std::vector<std::int64_t> all;
    for (const TransactionInfo& info : list(filter, limit)) all.push_back(info.position);
    return all;
  }
  broker::TransactionHistory history(const broker::SendResult& h, std::size_t events_max = 1000) {
    const auto info = core->transaction(h.position);
    EXPECT_TRUE(info.ok()) << info.error().text;
    if (!info.ok()) return {};
    auto read = core->make_transaction_reader()->history(h.position, info->last_event, events_max);
    EXPECT_TRUE(read.ok()) << read.error().text;
    return read.ok() ? *std::move(read) : broker::TransactionHistory{};
  }
  static std::string told(const broker::TransactionHistory& history) {
    static const char* const kKinds[] = {"sent", "asked", "unknown", "parked", "resumed", "committed", "rolled back", "refused"};
    static const char* const kActors[] = {"broker", "producer", "check", "operator"};
    std::string out;
    for (const TransactionEvent& e : history.events) {
      out += (out.empty() ? "" : ", ") + std::string(kKinds[static_cast<int>(e.kind)]) + " " + kActors[static_cast<int>(e.actor)];
      if (!e.client_id.empty()) out += " " + e.client_id;
      if (!e.operator_name.empty()) out += " " + e.operator_name;
      if (e.count > 0) out += " " + std::to_string(e.count);
    }
    return out;
  }
};

TEST_F(Operations, HistoryTellsWhoDidWhatAndSurvivesCrashes) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(6000);
  ASSERT_TRUE(answer_unknown(h).ok());  // by a client that is not known
  advance(30000);
  ASSERT_TRUE(answer_unknown(h).ok());
  ASSERT_TRUE(resume(act(h)).ok());
  ASSERT_TRUE(decide(act(h, "order 17 is there"), Verdict::Commit).ok());
  EXPECT_EQ(rollback(h).error().code, ErrorCode::IllegalOperation);
  const std::string expected =
      "sent producer, asked broker producer-1, unknown check 1, asked broker producer-1, unknown check 2, parked broker, resumed operator eve, "
      "asked broker producer-1, committed operator eve, refused producer 1";
  for (int round = 0; round < 3; round++) {
    const auto told_now = history(h);
    EXPECT_EQ(told(told_now), expected) << round;
    EXPECT_EQ(told_now.begin, HistoryBegin::Complete);
    const TransactionEvent& verdict = told_now.events.at(8);
    EXPECT_EQ(verdict.reason, "order 17 is there");
    EXPECT_EQ(verdict.address, "192.0.2.9:9");
    EXPECT_EQ(told_now.events.at(9).commit, false);
    if (round == 1) snapshot();
    crash();
  }
  EXPECT_EQ(bodies("T"), (Names{"h"}));
}

TEST_F(Operations, VerdictsByProducersAndChecksAreToldApart) {
  producer(1);
  const auto a = half("T", "a", {}, 1);
  const auto b = half("T", "b", {}, 1);
  ASSERT_TRUE(commit(a).ok());
  advance(6000);
  ASSERT_TRUE(end_transaction(b, Verdict::Rollback, true).ok());
  EXPECT_EQ(told(history(a)), "sent producer, committed producer");
  EXPECT_EQ(told(history(b)), "sent producer, asked broker producer-1, rolled back check");
}

TEST_F(Operations, OfRefusedVerdictsSixteenAreWrittenAndTheRestCounted) {
  const auto h = half("T", "h");
  ASSERT_TRUE(commit(h).ok());
  for (int i = 0; i < 100; i++) EXPECT_FALSE(rollback(h).ok());
  EXPECT_EQ(core->transaction(h.position)->refused, 100);
  const auto told_now = history(h);
  EXPECT_EQ(told_now.events.size(), 2u + 16 + 2) << "the 32nd and the 64th as well";
  EXPECT_EQ(told_now.events.back().count, 64);
  crash();
  EXPECT_EQ(core->transaction(h.position)->refused, 64) << "what was only counted is lost with the process";
  snapshot();
  crash();
  EXPECT_EQ(core->transaction(h.position)->refused, 64);
}

TEST_F(Operations, ListsByStateGroupTopicAndAgePageByPage) {
  producer(1);
  const auto committed_half = half("T", "c");
  const auto rolled_back_half = half("T", "r");
  ASSERT_TRUE(commit(committed_half).ok());
  ASSERT_TRUE(rollback(rolled_back_half).ok());
  const auto parked_half = half("T", "p", {}, 1);
  advance(6000);
  answer_unknown(parked_half);
  advance(30000);
  answer_unknown(parked_half);
  std::vector<std::int64_t> young;
  for (int i = 0; i < 7; i++) young.push_back(half("U", "u" + std::to_string(i)).position);
  const auto waiting = send("U", "w", {{"TRAN_MSG", "true"}, {"PGROUP", "OTHER"}, {"UNIQ_KEY", "KEY-w"}, {"CHECK_IMMUNITY_TIME_IN_SECONDS", "1"}});
  advance(1000);

  const auto of = [](TransactionState s) { return TransactionFilter{.states = state_bit(s), .group = {}, .topic = {}, .unique_key = {}, .older_than_ms = {}, .younger_than_ms = {}}; };
  EXPECT_EQ(positions(of(TransactionState::Committed)), (std::vector<std::int64_t>{committed_half.position}));
  EXPECT_EQ(positions(of(TransactionState::RolledBack)), (std::vector<std::int64_t>{rolled_back_half.position}));
  EXPECT_EQ(positions(of(TransactionState::Parked)), (std::vector<std::int64_t>{parked_half.position}));
  EXPECT_EQ(positions(of(TransactionState::Pending)), young);
  EXPECT_EQ(positions(of(TransactionState::Waiting)), (std::vector<std::int64_t>{waiting->position}));
  for (const std::size_t limit : {1u, 2u, 11u, 100u}) EXPECT_EQ(positions({}, limit).size(), 11u) << limit;
  EXPECT_EQ(positions({.states = 0x1f, .group = "OTHER", .topic = {}, .unique_key = {}, .older_than_ms = {}, .younger_than_ms = {}}).size(), 1u);
  EXPECT_EQ(positions({.states = 0x1f, .group = "NOBODY", .topic = {}, .unique_key = {}, .older_than_ms = {}, .younger_than_ms = {}}).size(), 0u);
  EXPECT_EQ(positions({.states = 0x1f, .group = {}, .topic = "T", .unique_key = {}, .older_than_ms = {}, .younger_than_ms = {}}).size(), 3u);
  EXPECT_EQ(positions({.states = 0x1f, .group = {}, .topic = "V", .unique_key = {}, .older_than_ms = {}, .younger_than_ms = {}}).size(), 0u);
  EXPECT_EQ(positions({.states = 0x1f, .group = {}, .topic = {}, .unique_key = {}, .older_than_ms = 30000, .younger_than_ms = {}}).size(), 3u);
  EXPECT_EQ(positions({.states = 0x1f, .group = {}, .topic = {}, .unique_key = {}, .older_than_ms = {}, .younger_than_ms = 30000}).size(), 8u);
  EXPECT_EQ(positions({.states = 0x1f, .group = {}, .topic = {}, .unique_key = "KEY-w", .older_than_ms = {}, .younger_than_ms = {}}), (std::vector<std::int64_t>{waiting->position}));
  EXPECT_EQ(positions({.states = 0x1f, .group = {}, .topic = {}, .unique_key = "KEY-c", .older_than_ms = {}, .younger_than_ms = {}}),
            (std::vector<std::int64_t>{committed_half.position}));
  const TransactionInfo w = list(of(TransactionState::Waiting)).at(0);
  EXPECT_EQ(w.topic, "U");
  EXPECT_EQ(w.group, "OTHER");
  EXPECT_EQ(w.age_ms, 1000);
  EXPECT_FALSE(w.next_check_ms.has_value());
  EXPECT_EQ(list(of(TransactionState::Pending)).at(0).next_check_ms, clock.now().wall_ms + 5000);
  // What operators see of those with a verdict is in the snapshot too.
  snapshot();
  crash();
  const TransactionInfo c = list(of(TransactionState::Committed)).at(0);
  EXPECT_EQ(c.topic, "T");
  EXPECT_EQ(c.age_ms, 37000);
}

TEST_F(Operations, AnOperatorsVerdictIsAVerdictLikeAnyOther) {
  const auto a = half("T", "a");
  const auto b = half("T", "b");
  ASSERT_TRUE(decide(act(a), Verdict::Commit).ok());
  ASSERT_TRUE(decide(act(b), Verdict::Rollback).ok());
  EXPECT_TRUE(decide(act(a), Verdict::Commit).ok()) << "again: no effect";
  EXPECT_EQ(decide(act(a), Verdict::Rollback).error().code, ErrorCode::IllegalOperation);
  EXPECT_TRUE(commit(a).ok());
  EXPECT_EQ(commit(b).error().code, ErrorCode::IllegalOperation);
  crash();
  EXPECT_EQ(bodies("T"), (Names{"a"}));
  EXPECT_EQ(told(history(a)), "sent producer, committed operator eve, refused operator eve 1");
}

TEST_F(Operations, WhatIsIncompleteOrNamesAnotherMessageTouchesNothing) {
  const auto h = half("T", "h");
  auto request = act(h);
  request.operator_name = "";
  EXPECT_EQ(decide(request, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
  request = act(h, "");
  EXPECT_EQ(decide(request, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
  request = act(h);
  request.unique_key = "KEY-other";
  EXPECT_EQ(decide(request, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(resume(request).error().code, ErrorCode::InvalidArgument);
  const std::string long_text(2000, 'x');
  request = act(h, long_text);
  EXPECT_EQ(decide(request, Verdict::Commit).error().code, ErrorCode::InvalidArgument);
  request = act(h);
  request.half_position += 8;
  EXPECT_EQ(decide(request, Verdict::Commit).error().code, ErrorCode::NotFound);
  EXPECT_EQ(resume(request).error().code, ErrorCode::NotFound);
  EXPECT_EQ(resume(act(h)).error().code, ErrorCode::IllegalOperation) << "it is not parked";
  EXPECT_EQ(decide(act(h), Verdict::Unknown).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(bodies("T"), (Names{}));
  request = act(h);
  request.unique_key = "KEY-h";
  EXPECT_TRUE(decide(request, Verdict::Commit).ok());
  EXPECT_EQ(resume(act(h)).error().code, ErrorCode::IllegalOperation) << "its verdict is final";
}

TEST_F(Operations, HistoryEndsCleanlyWhereRetentionHasTakenTheRest) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(6000);
  ASSERT_TRUE(answer_unknown(h).ok());
  const std::string filler(64 << 10, 'f');
  for (int i = 0; i < 40; i++) ASSERT_TRUE(send("F", filler).ok());
  advance(30000);  // asked once more, in a later segment
  ASSERT_GT(log->segments().size(), 1u);
  turn([&] {
    const auto released = core->release({.keep_ms = 1000000000, .keep_bytes = 2 << 20});
    ASSERT_TRUE(released.ok()) << released.error().text;
    ASSERT_GT(released->drop_before, h.position);
    ASSERT_TRUE(log->drop_before(released->drop_before).ok());
  });
  for (int round = 0; round < 2; round++) {
    const auto told_now = history(h);
    // The HALF record was carried on; what came after it was not, nor who the client was.
    EXPECT_EQ(told(told_now), "sent producer, asked broker");
    EXPECT_EQ(told_now.begin, HistoryBegin::NotRetained);
    snapshot();
    crash();
  }
  ASSERT_TRUE(decide(act(h), Verdict::Commit).ok());
  EXPECT_EQ(bodies("T"), (Names{"h"}));
}

TEST_F(Operations, HistoryIsCutWhereNoMoreIsWanted) {
  producer(1);
  const auto h = half("T", "h", {}, 1);
  advance(6000);
  for (int i = 0; i < 5; i++) advance(30000);
  const auto told_now = history(h, 2);
  EXPECT_EQ(told(told_now), "sent producer, asked broker producer-1, asked broker producer-1");
  EXPECT_EQ(told_now.begin, HistoryBegin::Cut);
}

TEST_F(Operations, APositionThatIsNoEventIsCalledDamage) {
  const auto h = half("T", "h");
  const auto other = half("T", "other");
  ASSERT_TRUE(commit(other).ok());
  const auto reader_now = core->make_transaction_reader();
  EXPECT_EQ(reader_now->history(h.position, core->transaction(other.position)->last_event, 10).error().code, ErrorCode::Corrupt);
  EXPECT_EQ(reader_now->message(12345).error().code, ErrorCode::NotFound);
  EXPECT_EQ(reader_now->message(send("T", "plain")->position).error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace halfmoon::testkit
