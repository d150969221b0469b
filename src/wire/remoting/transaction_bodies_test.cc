// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/transaction_bodies.h"

#include <gtest/gtest.h>

namespace halfmoon::wire {
namespace {

TransactionBody parked() {
  TransactionBody t;
  t.message_id = "7F00000100002A9F00000000000000F8";
  t.unique_key = "K\"1";
  t.position = 248;
  t.half_offset = 3;
  t.state = "parked";
  t.topic = "orders";
  t.queue_id = 2;
  t.group = "PG";
  t.tags = "TagA";
  t.body_bytes = 12;
  t.born_host = "127.0.0.1:5000";
  t.born_ms = 10;
  t.stored_ms = 11;
  t.age_ms = 5;
  t.unknown_answers = 15;
  return t;
}

// docs/transactions.md prints this form; programs read it.
TEST(TransactionBodies, TheListIsWrittenAsDocumented) {
  std::string out;
  append_transaction_list(out, {{parked()}, 42});
  EXPECT_EQ(out,
            R"({"transactions":[{"messageId":"7F00000100002A9F00000000000000F8","uniqueKey":"K\"1","position":248,"halfOffset":3,"state":"parked",)"
            R"("topic":"orders","queueId":2,"group":"PG","tags":"TagA","keys":"","bodyBytes":12,"bornHost":"127.0.0.1:5000","bornAt":10,"storedAt":11,)"
            R"("ageMs":5,"unknownAnswers":15,"nextCheckAt":null,"refusedVerdicts":0}],"nextCursor":42})");
}

TEST(TransactionBodies, WhatIsWrittenIsReadBack) {
  TransactionBody pending = parked();
  pending.state = "pending";
  pending.next_check_ms = 99;
  std::string out;
  append_transaction_list(out, {{parked(), pending}, std::nullopt});
  const auto list = parse_transaction_list(as_bytes(out));
  ASSERT_TRUE(list.ok()) << list.error().text;
  EXPECT_EQ(list->transactions, (std::vector<TransactionBody>{parked(), pending}));
  EXPECT_FALSE(list->next_cursor.has_value());

  TransactionViewBody view{parked(), {}, "not-retained"};
  view.history.push_back({.event = "sent", .at_ms = 11, .actor = "producer", .address = "127.0.0.1:5000"});
  view.history.push_back({.event = "refused", .at_ms = 12, .actor = "operator", .operator_name = "eve", .reason = "why", .verdict = "commit", .count = 17});
  view.history.push_back({.event = "committed", .at_ms = 13, .actor = "check", .client = "c1", .deliver_ms = 20});
  out.clear();
  append_transaction_view(out, view);
  const auto read = parse_transaction_view(as_bytes(out));
  ASSERT_TRUE(read.ok()) << read.error().text;
  EXPECT_EQ(read->transaction, view.transaction);
  EXPECT_EQ(read->history, view.history);
  EXPECT_EQ(read->history_begins, "not-retained");
}

TEST(TransactionBodies, UnknownKeysAreSkippedAndBrokenBodiesRefused) {
  const auto list = parse_transaction_list(as_bytes(std::string_view(R"({"later":{"x":[1]},"transactions":[{"new":1,"position":8}],"nextCursor":null})")));
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->transactions.at(0).position, 8);
  for (const std::string_view bad : {"", "{", R"({"transactions":[{"position":"x"}]})", "[]"}) {
    EXPECT_FALSE(parse_transaction_list(as_bytes(bad)).ok()) << bad;
    EXPECT_FALSE(parse_transaction_view(as_bytes(std::string_view(R"({"history":[)"))).ok());
  }
}

TEST(TransactionBodies, RequestsNameWhatIsMissing) {
  const ExtField fields[] = {{"position", "248"}, {"verdict", "commit"}, {"operator", "eve"}};
  Header header;
  header.ext = ExtFields(fields);
  const auto operate = decode_operate_transaction(header);
  ASSERT_FALSE(operate.ok());
  EXPECT_EQ(operate.error().text, "the custom field <reason> is null");
  EXPECT_EQ(decode_view_transaction(header)->position, 248);
  EXPECT_EQ(decode_list_transactions(header)->limit, 100);
}

}  // namespace
}  // namespace halfmoon::wire
