// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/transaction_bodies.h"

#include "wire/remoting/field_reader.h"
#include "wire/remoting/json_cursor.h"

namespace halfmoon::wire {
namespace {

void write_members(JsonWriter& json, const TransactionBody& t) {
  json.member("messageId", t.message_id);
  json.member("uniqueKey", t.unique_key);
  json.member("position", t.position);
  json.member("halfOffset", t.half_offset);
  json.member("state", t.state);
  json.member("topic", t.topic);
  json.member("queueId", t.queue_id);
  json.member("group", t.group);
  json.member("tags", t.tags);
  json.member("keys", t.keys);
  json.member("bodyBytes", t.body_bytes);
  json.member("bornHost", t.born_host);
  json.member("bornAt", t.born_ms);
  json.member("storedAt", t.stored_ms);
  json.member("ageMs", t.age_ms);
  json.member("unknownAnswers", t.unknown_answers);
  json.key("nextCheckAt");
  if (t.next_check_ms) json.integer(*t.next_check_ms);
  else json.raw("null");
  json.member("refusedVerdicts", t.refused_verdicts);
}

/// True if the member belongs to a transaction and was read.
bool read_member(JsonCursor& cursor, std::string_view key, TransactionBody& t) {
  if (key == "messageId") t.message_id = cursor.text();
  else if (key == "uniqueKey") t.unique_key = cursor.text();
  else if (key == "position") t.position = cursor.int64(0);
  else if (key == "halfOffset") t.half_offset = cursor.int64(0);
  else if (key == "state") t.state = cursor.text();
  else if (key == "topic") t.topic = cursor.text();
  else if (key == "queueId") t.queue_id = cursor.int32(0);
  else if (key == "group") t.group = cursor.text();
  else if (key == "tags") t.tags = cursor.text();
  else if (key == "keys") t.keys = cursor.text();
  else if (key == "bodyBytes") t.body_bytes = cursor.int64(0);
  else if (key == "bornHost") t.born_host = cursor.text();
  else if (key == "bornAt") t.born_ms = cursor.int64(0);
  else if (key == "storedAt") t.stored_ms = cursor.int64(0);
  else if (key == "ageMs") t.age_ms = cursor.int64(0);
  else if (key == "unknownAnswers") t.unknown_answers = cursor.int64(0);
  else if (key == "nextCheckAt") t.next_check_ms = cursor.null() ? std::nullopt : std::optional(cursor.int64(0));
  else if (key == "refusedVerdicts") t.refused_verdicts = cursor.int64(0);
  else return false;
  return true;
}

void write_event(JsonWriter& json, const TransactionEventBody& e) {
  json.begin_object();
  json.member("event", e.event);
  json.member("at", e.at_ms);
  json.member("actor", e.actor);
  if (!e.client.empty()) json.member("client", e.client);
  if (!e.address.empty()) json.member("address", e.address);
  if (!e.operator_name.empty()) json.member("operator", e.operator_name);
  if (!e.reason.empty()) json.member("reason", e.reason);
  if (!e.verdict.empty()) json.member("verdict", e.verdict);
  if (e.count != 0) json.member("count", e.count);
  if (e.deliver_ms != 0) json.member("deliverAt", e.deliver_ms);
  json.end_object();
}

TransactionEventBody read_event(JsonCursor& cursor) {
  TransactionEventBody e;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "event") e.event = cursor.text();
    else if (key == "at") e.at_ms = cursor.int64(0);
    else if (key == "actor") e.actor = cursor.text();
    else if (key == "client") e.client = cursor.text();
    else if (key == "address") e.address = cursor.text();
    else if (key == "operator") e.operator_name = cursor.text();
    else if (key == "reason") e.reason = cursor.text();
    else if (key == "verdict") e.verdict = cursor.text();
    else if (key == "count") e.count = cursor.int64(0);
    else if (key == "deliverAt") e.deliver_ms = cursor.int64(0);
    else cursor.skip();
  }
  return e;
}

}  // namespace

Result<ListTransactionsHeader> decode_list_transactions(const Header& header) {
  FieldReader read(header.ext);
  ListTransactionsHeader out;
  out.states = header.ext.text_or("states", "");
  out.group = header.ext.text_or("group", "");
  out.topic = header.ext.text_or("topic", "");
  out.unique_key = header.ext.text_or("uniqueKey", "");
  out.older_than_ms = read.optional_int64("olderThanMs");
  out.younger_than_ms = read.optional_int64("youngerThanMs");
  out.cursor = read.optional_int64("cursor").value_or(0);
  out.limit = read.int32_or("limit", out.limit);
  return read.done(out);
}

Result<ViewTransactionHeader> decode_view_transaction(const Header& header) {
  FieldReader read(header.ext);
  ViewTransactionHeader out;
  out.position = read.int64("position");
  out.events = read.int32_or("events", out.events);
  return read.done(out);
}

Result<OperateTransactionHeader> decode_operate_transaction(const Header& header) {
  FieldReader read(header.ext);
  OperateTransactionHeader out;
  out.position = read.int64("position");
  out.verdict = header.ext.text_or("verdict", "");
  out.unique_key = header.ext.text_or("uniqueKey", "");
  out.operator_name = read.text("operator");
  out.reason = read.text("reason");
  return read.done(out);
}

void write_transaction(JsonWriter& json, const TransactionBody& transaction) {
  json.begin_object();
  write_members(json, transaction);
  json.end_object();
}

void append_transaction_list(std::string& out, const TransactionListBody& list) {
  JsonWriter json(out);
  json.begin_object();
  json.key("transactions");
  json.begin_array();
  for (const TransactionBody& t : list.transactions) write_transaction(json, t);
  json.end_array();
  json.key("nextCursor");
  if (list.next_cursor) json.integer(*list.next_cursor);
  else json.raw("null");
  json.end_object();
}

Result<TransactionListBody> parse_transaction_list(Bytes body) {
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  TransactionListBody list;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "nextCursor") {
      if (!cursor.null()) list.next_cursor = cursor.int64(0);
    } else if (key == "transactions") {
      cursor.enter_array();
      while (cursor.next_element()) {
        TransactionBody t;
        cursor.enter_object();
        for (std::string_view member; cursor.next_member(member);)
          if (!read_member(cursor, member, t)) cursor.skip();
        list.transactions.push_back(std::move(t));
      }
    } else {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure("the list of transactions");
  return list;
}

void append_transaction_view(std::string& out, const TransactionViewBody& view) {
  JsonWriter json(out);
  json.begin_object();
  write_members(json, view.transaction);
  json.member("historyBegins", view.history_begins);
  json.key("history");
  json.begin_array();
  for (const TransactionEventBody& e : view.history) write_event(json, e);
  json.end_array();
  json.end_object();
}

Result<TransactionViewBody> parse_transaction_view(Bytes body) {
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  TransactionViewBody view;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (read_member(cursor, key, view.transaction)) continue;
    if (key == "historyBegins") {
      view.history_begins = cursor.text();
    } else if (key == "history") {
      cursor.enter_array();
      while (cursor.next_element()) view.history.push_back(read_event(cursor));
    } else {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure("the transaction");
  return view;
}

}  // namespace halfmoon::wire
