// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "cli/tx_commands.h"
#include "cli/tx_link.h"
#include "cli/tx_text.h"

namespace halfmoon::cli {
namespace {

TEST(TxText, DurationsAreReadWithTheirUnit) {
  EXPECT_EQ(parse_duration("90s"), 90000);
  EXPECT_EQ(parse_duration("10m"), 600000);
  EXPECT_EQ(parse_duration("250ms"), 250);
  EXPECT_EQ(parse_duration("3d"), 3 * 86400000LL);
  for (const char* bad : {"", "10", "m", "-1s", "1h30m", "1 s", "999999999d"}) EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
}

TEST(TxText, DurationsAndTimesAreWrittenForPeople) {
  EXPECT_EQ(duration_text(999), "999ms");
  EXPECT_EQ(duration_text(61000), "1m 1s");
  EXPECT_EQ(duration_text(2 * 3600000), "2h");
  EXPECT_EQ(duration_text(25 * 3600000), "1d 1h");
  EXPECT_EQ(time_text(1795314686123), "2026-11-22 02:31:26.123Z");
}

TEST(TxText, TheTableKeepsItsColumnsAndShowsNoControlCharacters) {
  wire::TransactionBody t;
  t.state = "parked";
  t.topic = "orders\x1b[2J";
  t.group = "PG";
  t.unique_key = "K";
  t.position = 248;
  t.age_ms = 5000;
  const std::string table = transaction_table({t}, 0);
  EXPECT_EQ(table,
            "STATE   AGE  TOPIC       QUEUE  GROUP  UNKNOWN  NEXT CHECK  POSITION  UNIQUE KEY\n"
            "parked  5s   orders?[2J  0      PG     0        -           248       K\n");
}

TEST(TxText, ThePageTellsTheHistory) {
  wire::TransactionViewBody view;
  view.transaction.state = "committed";
  view.history_begins = "not-retained";
  view.history.push_back({.event = "sent", .at_ms = 0, .actor = "producer", .address = "127.0.0.1:5"});
  view.history.push_back({.event = "asked", .at_ms = 1000, .actor = "broker", .client = "c1", .address = "127.0.0.1:6"});
  view.history.push_back({.event = "committed", .at_ms = 2000, .actor = "operator", .address = "127.0.0.1:7", .operator_name = "eve", .reason = "ticket 1"});
  view.history.push_back({.event = "refused", .at_ms = 3000, .actor = "check", .client = "c1", .verdict = "rollback", .count = 1});
  const std::string page = transaction_page(view, 0);
  EXPECT_NE(page.find("  1970-01-01 00:00:00.000Z  half message stored, sent from 127.0.0.1:5\n  (earlier history is no longer retained)\n"), std::string::npos) << page;
  EXPECT_NE(page.find("asked c1 (127.0.0.1:6)\n"), std::string::npos);
  EXPECT_NE(page.find("committed by operator eve from 127.0.0.1:7: ticket 1\n"), std::string::npos);
  EXPECT_NE(page.find("refused (1): rollback by an answer to a check, from c1\n"), std::string::npos);
}

TEST(Tx, WhatIsWrongWithTheCommandLineIsSaidBeforeABrokerIsAsked) {
  TxOptions o;
  o.broker = "127.0.0.1:1";
  o.verb = TxVerb::Commit;
  o.reason = "r";
  EXPECT_EQ(run_tx(o), kTxUsage) << "nothing is named";
  o.ids = {"248"};
  o.group = "PG";
  EXPECT_EQ(run_tx(o), kTxUsage) << "both";
  o.group = "";
  o.reason = "";
  EXPECT_EQ(run_tx(o), kTxUsage) << "no reason";
  o.reason = "r";
  EXPECT_EQ(run_tx(o), kTxNoAnswer) << "nobody listens there";
  o.broker = "127.0.0.1:x";
  EXPECT_EQ(run_tx(o), kTxUsage);
}

TEST(Tx, AddressesThatAreNone) {
  for (const char* bad : {"", ":10911", "[::1", "h:0", "h:70000", "h:1x"}) {
    const auto link = TxLink::dial(bad);
    ASSERT_FALSE(link.ok()) << bad;
    EXPECT_EQ(link.error().code, ErrorCode::InvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace halfmoon::cli
