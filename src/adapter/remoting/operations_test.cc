// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting_world.h"
#include "nameserver/route_table.h"
#include "wire/remoting/transaction_bodies.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

class OperationsTest : public RemotingWorld<nameserver::RouteTable> {
 protected:
  OperationsTest() {
    broker::TransactionInfo info;
    info.position = 248;
    info.half_offset = 1;
    info.state = broker::TransactionState::Waiting;
    info.topic = "T";
    info.group = "PG";
    info.stored_ms = 1000;
    info.age_ms = 50;
    broker.transaction_page.transactions.push_back(info);
    info.position = 404;
    info.state = broker::TransactionState::Committed;
    broker.transaction_page.transactions.push_back(info);
    broker.transaction_page.next_cursor = 77;
  }
};

TEST_F(OperationsTest, ListPassesTheFiltersOnAndAddsWhatTheLogHolds) {
  Client client = connect();
  const Answer answer = client.ask(29001, {{"states", "waiting,parked"}, {"group", "PG"}, {"topic", "T"}, {"olderThanMs", "10"}, {"cursor", "5"}, {"limit", "9"}});
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(broker.calls.at(0), "list 6 PG T  older 10 younger -1 from 5 limit 9");
  const auto list = wire::parse_transaction_list(as_bytes(answer.body));
  ASSERT_TRUE(list.ok()) << list.error().text;
  ASSERT_EQ(list->transactions.size(), 2u);
  EXPECT_EQ(list->transactions[0].state, "waiting");
  EXPECT_EQ(list->transactions[0].unique_key, "KEY-248");
  EXPECT_EQ(list->transactions[0].tags, "TagA");
  EXPECT_EQ(list->transactions[1].position, 404);
  EXPECT_EQ(list->transactions[1].unique_key, "") << "its record is gone; what the core knows is shown all the same";
  EXPECT_EQ(list->next_cursor, 77);
}

TEST_F(OperationsTest, AUniqueKeyIsComparedAsTextToo) {
  Client client = connect();
  const auto list = wire::parse_transaction_list(as_bytes(client.ask(29001, {{"uniqueKey", "KEY-248"}}).body));
  EXPECT_EQ(list->transactions.size(), 1u);
  EXPECT_TRUE(wire::parse_transaction_list(as_bytes(client.ask(29001, {{"uniqueKey", "KEY-249"}}).body))->transactions.empty());
  EXPECT_EQ(broker.calls.at(1), "list 31   KEY-249 older -1 younger -1 from 0 limit 100");
}

TEST_F(OperationsTest, WhatIsNoFilterIsRefusedWithTheCure) {
  Client client = connect();
  const Answer state = client.ask(29001, {{"states", "pending,done"}});
  EXPECT_EQ(state.code, 1);
  EXPECT_EQ(state.remark, "a state is pending, waiting, parked, committed or rolled-back, each at most once, not 'done'");
  EXPECT_EQ(client.ask(29001, {{"limit", "0"}}).remark, "limit lies between 1 and 1000, not 0");
  EXPECT_EQ(client.ask(29001, {{"olderThanMs", "x"}}).code, 1);
  EXPECT_TRUE(broker.calls.empty());
}

TEST_F(OperationsTest, ViewHasTheHistory) {
  Client client = connect();
  const auto view = wire::parse_transaction_view(as_bytes(client.ask(29002, {{"position", "248"}, {"events", "3"}}).body));
  ASSERT_TRUE(view.ok()) << view.error().text;
  EXPECT_EQ(view->transaction.state, "parked");
  EXPECT_EQ(view->history_begins, "not-retained");
  ASSERT_EQ(view->history.size(), 2u);
  EXPECT_EQ(view->history[0].event, "sent");
  EXPECT_EQ(view->history[1].operator_name, "eve");
  EXPECT_EQ(view->history[1].verdict, "commit");
  EXPECT_EQ(view->history[1].count, 3);
  EXPECT_EQ(client.ask(29002, {{"position", "404"}}).code, 22);
  broker.error = Error{ErrorCode::NotFound, "no"};
  const Answer missing = client.ask(29002, {{"position", "8"}});
  EXPECT_EQ(missing.code, 22);
  EXPECT_EQ(missing.remark, "no");
}

TEST_F(OperationsTest, VerdictsCarryOperatorReasonAndAddress) {
  Client client = connect();
  const Ext fields = {{"position", "248"}, {"verdict", "rollback"}, {"uniqueKey", "K"}, {"operator", "eve"}, {"reason", "order 7 was cancelled"}};
  EXPECT_EQ(client.ask(29003, fields).code, 0);
  EXPECT_EQ(client.ask(29004, fields).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"decide 248 key 'K' by eve because order 7 was cancelled from 192.0.2.7:40001 rollback",
                                                    "resume 248 key 'K' by eve because order 7 was cancelled from 192.0.2.7:40001"}));
  EXPECT_EQ(client.ask(29003, {{"position", "248"}, {"verdict", "perhaps"}, {"operator", "eve"}, {"reason", "r"}}).remark,
            "verdict is commit or rollback, not 'perhaps'");
  EXPECT_EQ(client.ask(29003, {{"position", "248"}, {"verdict", "commit"}, {"operator", "eve"}}).remark, "the custom field <reason> is null");
  broker.error = Error{ErrorCode::IllegalOperation, "final"};
  EXPECT_EQ(client.ask(29003, fields).code, 604);
}

TEST_F(OperationsTest, RocketMqsOwnResumeNamesItsRequest) {
  Client client = connect();
  EXPECT_EQ(client.ask(323, {{"msgId", model::offset_message_id({}, 248)}}).code, 0);
  EXPECT_EQ(broker.calls, (std::vector<std::string>{"resume 248 key '' by RESUME_CHECK_HALF_MESSAGE because request code 323 from 192.0.2.7:40001"}));
}

}  // namespace
}  // namespace halfmoon::adapter
