// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/remoting/header.h"
#include "wire/remoting/json_writer.h"

namespace halfmoon::wire {

// Halfmoon's own requests 29001 to 29004: what `halfmoon tx` says to a broker. The bodies are the JSON that `halfmoon tx --json` prints
// (docs/transactions.md); keys may be added, never renamed or taken away. Times are Unix ms.

/// 29001. `states` is a comma-separated list of pending, waiting, parked, committed, rolled-back; empty: all.
struct ListTransactionsHeader {
  std::string_view states;
  std::string_view group;
  std::string_view topic;
  std::string_view unique_key;
  std::optional<std::int64_t> older_than_ms, younger_than_ms;
  std::int64_t cursor = 0;
  std::int32_t limit = 100;
};
Result<ListTransactionsHeader> decode_list_transactions(const Header& header);

/// 29002. `position` is that of the half message, `events` the most of its history that is wanted.
struct ViewTransactionHeader {
  std::int64_t position = 0;
  std::int32_t events = 1000;
};
Result<ViewTransactionHeader> decode_view_transaction(const Header& header);

/// 29003 and 29004. `verdict` (29003 only): "commit" or "rollback". `unique_key`: empty, or refused if the message has another.
struct OperateTransactionHeader {
  std::int64_t position = 0;
  std::string_view verdict;
  std::string_view unique_key;
  std::string_view operator_name;
  std::string_view reason;
};
Result<OperateTransactionHeader> decode_operate_transaction(const Header& header);

struct TransactionBody {
  std::string message_id{};   // the offset message id that the sender got
  std::string unique_key{};
  std::int64_t position = 0;
  std::int64_t half_offset = 0;
  std::string state{};
  std::string topic{};
  std::int32_t queue_id = 0;
  std::string group{};
  std::string tags{};
  std::string keys{};
  std::int64_t body_bytes = 0;
  std::string born_host{};
  std::int64_t born_ms = 0;
  std::int64_t stored_ms = 0;
  std::int64_t age_ms = 0;
  std::int64_t unknown_answers = 0;
  std::optional<std::int64_t> next_check_ms{};
  std::int64_t refused_verdicts = 0;

  friend bool operator==(const TransactionBody&, const TransactionBody&) = default;
};

struct TransactionEventBody {
  std::string event{};        // sent, asked, answered-unknown, parked, resumed, committed, rolled-back, refused
  std::int64_t at_ms = 0;
  std::string actor{};        // broker, producer, check, operator
  std::string client{};
  std::string address{};
  std::string operator_name{};
  std::string reason{};
  std::string verdict{};      // of refused: commit, rollback
  std::int64_t count = 0;     // of answered-unknown, refused
  std::int64_t deliver_ms = 0;  // of committed: not before; 0: at once

  friend bool operator==(const TransactionEventBody&, const TransactionEventBody&) = default;
};

/// The answer to 29001. `next_cursor`: absent when that was all.
struct TransactionListBody {
  std::vector<TransactionBody> transactions;
  std::optional<std::int64_t> next_cursor;
};
void append_transaction_list(std::string& out, const TransactionListBody& list);
Result<TransactionListBody> parse_transaction_list(Bytes body);

/// The answer to 29002. `history_begins`: complete, not-retained, not-recorded, cut.
struct TransactionViewBody {
  TransactionBody transaction;
  std::vector<TransactionEventBody> history;
  std::string history_begins;
};
void append_transaction_view(std::string& out, const TransactionViewBody& view);
Result<TransactionViewBody> parse_transaction_view(Bytes body);

/// One of the list's, for those who write lists of their own.
void write_transaction(JsonWriter& json, const TransactionBody& transaction);

}  // namespace halfmoon::wire
