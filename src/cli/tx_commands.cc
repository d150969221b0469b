// SPDX-License-Identifier: Apache-2.0
#include "cli/tx_commands.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "cli/tx_link.h"
#include "cli/tx_text.h"
#include "model/message_image.h"
#include "wire/remoting/json_writer.h"

namespace halfmoon::cli {
namespace {

constexpr std::int64_t kPage = 200;

int complain(int code, const std::string& text) {
  std::fflush(stdout);
  std::fprintf(stderr, "halfmoon: %s\n", text.c_str());
  return code;
}

int exit_code_of(const Error& error) {
  if (error.code == ErrorCode::InvalidArgument) return kTxUsage;
  return error.code == ErrorCode::NotFound ? kTxNotAll : kTxNoAnswer;
}
int complain(const Error& error) { return complain(exit_code_of(error), error.text); }

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string login_name() {
  if (const passwd* entry = getpwuid(geteuid()); entry != nullptr && entry->pw_name[0] != '\0') return entry->pw_name;
  return "uid " + std::to_string(geteuid());
}

std::string states_of(const TxOptions& o) {
  if (o.states == "all") return "";
  if (!o.states.empty()) return o.states;
  return o.verb == TxVerb::Resume ? "parked" : "pending,waiting,parked";
}

bool has_filter(const TxOptions& o) {
  return !o.states.empty() || !o.group.empty() || !o.topic.empty() || !o.older_than.empty() || !o.younger_than.empty();
}

Error refusal(const TxLink::Reply& reply) {
  const auto not_found = static_cast<std::int32_t>(wire::ResponseCode::QueryNotFound);
  return {reply.code == not_found ? ErrorCode::NotFound : ErrorCode::IllegalOperation, reply.remark};
}

Result<TxLink::Fields> filter_fields(const TxOptions& o) {
  TxLink::Fields fields;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) fields.emplace_back(name, value);
  };
  add("states", states_of(o));
  add("group", o.group);
  add("topic", o.topic);
  for (const auto& [name, text] : {std::pair("olderThanMs", o.older_than), std::pair("youngerThanMs", o.younger_than)}) {
    if (text.empty()) continue;
    const auto ms = parse_duration(text);
    if (!ms) return Error{ErrorCode::InvalidArgument, "'" + text + "' is no duration; write a number with ms, s, m, h or d, for example 10m"};
    fields.emplace_back(name, std::to_string(*ms));
  }
  return fields;
}

struct Selection {
  std::vector<wire::TransactionBody> transactions;
  std::optional<std::int64_t> next_cursor;
};

/// Pages through the broker's list until `limit` (0: none) or the end.
Result<Selection> list_all(TxLink& link, TxLink::Fields filter, std::int64_t cursor, std::int64_t limit) {
  Selection all;
  all.next_cursor = cursor;
  while (all.next_cursor && (limit == 0 || static_cast<std::int64_t>(all.transactions.size()) < limit)) {
    const std::int64_t left = limit == 0 ? kPage : std::min(kPage, limit - static_cast<std::int64_t>(all.transactions.size()));
    TxLink::Fields fields = filter;
    fields.emplace_back("cursor", std::to_string(*all.next_cursor));
    fields.emplace_back("limit", std::to_string(left));
    HM_TRY(const auto, reply, link.ask(wire::RequestCode::ListTransactions, fields));
    // The filter's words are the operator's: what the broker says of them is a wrong command line.
    if (reply.code != 0) return Error{ErrorCode::InvalidArgument, reply.remark};
    HM_TRY(auto, page, wire::parse_transaction_list(as_bytes(reply.body)));
    all.next_cursor = page.next_cursor;
    for (wire::TransactionBody& t : page.transactions) all.transactions.push_back(std::move(t));
  }
  return all;
}

Result<wire::TransactionViewBody> view(TxLink& link, std::int64_t position, std::int64_t events) {
  HM_TRY(const auto, reply, link.ask(wire::RequestCode::ViewTransaction, {{"position", std::to_string(position)}, {"events", std::to_string(events)}}));
  if (reply.code != 0) return refusal(reply);
  return wire::parse_transaction_view(as_bytes(reply.body));
}

/// By position or message id at once; by unique key with a scan of what the broker remembers.
Result<wire::TransactionViewBody> find(TxLink& link, const std::string& id, std::int64_t events) {
  std::int64_t position = 0;
  const auto [stop, error] = std::from_chars(id.data(), id.data() + id.size(), position);
  const bool decimal = error == std::errc() && stop == id.data() + id.size() && id.size() < 20;
  if (decimal) {
    auto found = view(link, position, events);
    if (found.ok() || found.error().code != ErrorCode::NotFound) return found;
  }
  if (const auto named = model::position_of_message_id(id)) {
    auto found = view(link, *named, events);
    if (!found.ok() && found.error().code != ErrorCode::NotFound) return found;
    if (found.ok() && found->transaction.message_id == id) return found;  // else it only looked like one: unique keys have the same length
  }
  HM_TRY(const auto, matching, list_all(link, {{"uniqueKey", id}}, 0, 2));
  if (matching.transactions.empty())
    return Error{ErrorCode::NotFound, "no half message has the position, message id or unique key " + id +
                                          "; the broker remembers those without a verdict and the newest that have one (see `halfmoon tx list --state all`)"};
  if (matching.transactions.size() > 1)
    return Error{ErrorCode::NotFound, "more than one half message has the unique key " + id + "; name one by its position: " +
                                          std::to_string(matching.transactions[0].position) + ", " + std::to_string(matching.transactions[1].position)};
  return view(link, matching.transactions[0].position, events);
}

int run_list(const TxOptions& o, TxLink& link) {
  const auto filter = filter_fields(o);
  if (!filter.ok()) return complain(filter.error());
  const auto found = list_all(link, *filter, o.cursor, o.limit);
  if (!found.ok()) return complain(found.error());
  if (o.json) {
    std::string out;
    wire::append_transaction_list(out, {found->transactions, found->next_cursor});
    print(out + "\n");
    return kTxDone;
  }
  if (!found->transactions.empty()) print(transaction_table(found->transactions, wall_ms()));
  std::fflush(stdout);
  std::fprintf(stderr, "%zu half message%s%s\n", found->transactions.size(), found->transactions.size() == 1 ? "" : "s",
               found->next_cursor ? ("; there may be more: --cursor " + std::to_string(*found->next_cursor) + ", or a larger --limit").c_str() : "");
  return kTxDone;
}

int run_show(const TxOptions& o, TxLink& link) {
  int code = kTxDone;
  bool first = true;
  for (const std::string& id : o.ids) {
    const auto found = find(link, id, o.events);
    if (!found.ok()) {
      code = std::max(code, complain(found.error()));
      if (code == kTxNoAnswer) return code;
      continue;
    }
    if (o.json) {
      std::string out;
      wire::append_transaction_view(out, *found);
      print(out + "\n");
    } else {
      print((first ? "" : "\n") + transaction_page(*found, wall_ms()));
    }
    first = false;
  }
  return code;
}

// ---------------------------------------------------------------------------------------------------- verdicts and resuming

struct Outcome {
  wire::TransactionBody transaction;
  std::string result;    // committed, rolled-back, resumed, would-..., refused
  std::string error;
};

std::string done_word(TxVerb verb) {
  switch (verb) {
    case TxVerb::Commit: return "committed";
    case TxVerb::Rollback: return "rolled-back";
    default: return "resumed";
  }
}

std::string verb_word(TxVerb verb) {
  switch (verb) {
    case TxVerb::Commit: return "commit";
    case TxVerb::Rollback: return "roll back";
    default: return "resume";
  }
}

Result<Outcome> act(const TxOptions& o, TxLink& link, const wire::TransactionBody& t) {
  TxLink::Fields fields = {{"position", std::to_string(t.position)}, {"operator", o.operator_name}, {"reason", o.reason}};
  if (!t.unique_key.empty()) fields.emplace_back("uniqueKey", t.unique_key);
  if (o.verb != TxVerb::Resume) fields.emplace_back("verdict", o.verb == TxVerb::Commit ? "commit" : "rollback");
  HM_TRY(const auto, reply, link.ask(o.verb == TxVerb::Resume ? wire::RequestCode::ResumeTransaction : wire::RequestCode::DecideTransaction, fields));
  if (reply.code != 0) return Outcome{t, "refused", reply.remark};
  return Outcome{t, done_word(o.verb), ""};
}

bool confirmed(const TxOptions& o, std::size_t count) {
  std::fprintf(stderr, "%s these %zu half messages as %s, because: %s\nType yes to go on: ", verb_word(o.verb).c_str(), count, o.operator_name.c_str(), o.reason.c_str());
  std::string answer;
  return std::getline(std::cin, answer) && answer == "yes";
}

std::string outcomes_json(const std::vector<Outcome>& outcomes) {
  std::string out;
  wire::JsonWriter json(out);
  json.begin_object();
  json.key("results");
  json.begin_array();
  for (const Outcome& outcome : outcomes) {
    json.begin_object();
    json.member("result", outcome.result);
    if (!outcome.error.empty()) json.member("error", outcome.error);
    json.key("transaction");
    wire::write_transaction(json, outcome.transaction);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return out + "\n";
}

/// What the ids or the filters name, before anything is done to it.
Result<Selection> select(const TxOptions& o, TxLink& link, int& code) {
  Selection selected;
  if (o.ids.empty()) {
    HM_TRY(const auto, filter, filter_fields(o));
    return list_all(link, filter, o.cursor, o.limit);
  }
  for (const std::string& id : o.ids) {
    auto found = find(link, id, 0);
    if (found.ok()) selected.transactions.push_back(std::move(found->transaction));
    else if (found.error().code == ErrorCode::NotFound) code = std::max(code, complain(found.error()));
    else return std::move(found).error();
  }
  return selected;
}

int run_act(const TxOptions& o, TxLink& link) {
  int code = kTxDone;
  const auto selected = select(o, link, code);
  if (!selected.ok()) return complain(selected.error());
  const std::vector<wire::TransactionBody>& chosen = selected->transactions;
  if (chosen.size() > 1 && !o.dry_run && !o.yes) {
    if (isatty(STDIN_FILENO) != 1)
      return complain(kTxUsage, "this would " + verb_word(o.verb) + " " + std::to_string(chosen.size()) + " half messages, and there is no terminal to ask at; look with --dry-run, then say --yes");
    std::fputs(transaction_table(chosen, wall_ms()).c_str(), stderr);
    if (!confirmed(o, chosen.size())) return complain(kTxNotConfirmed, "not confirmed; nothing was done");
  }
  std::vector<Outcome> outcomes;
  for (const wire::TransactionBody& t : chosen) {
    if (o.dry_run) {
      outcomes.push_back({t, "would-be-" + done_word(o.verb), ""});
      continue;
    }
    auto outcome = act(o, link, t);
    if (!outcome.ok()) {
      complain(outcome.error());
      code = kTxNoAnswer;
      break;
    }
    if (outcome->result == "refused") code = kTxNotAll;
    outcomes.push_back(*std::move(outcome));
  }
  if (o.json) {
    print(outcomes_json(outcomes));
    return code;
  }
  for (const Outcome& outcome : outcomes)
    print(outcome.result + "  " + std::to_string(outcome.transaction.position) + "  " + (outcome.transaction.unique_key.empty() ? "-" : outcome.transaction.unique_key) +
          (outcome.error.empty() ? "" : "  " + outcome.error) + "\n");
  if (outcomes.empty() && code == kTxDone) return complain(kTxDone, "no half message matches; nothing to do");
  if (o.ids.empty() && selected->next_cursor) complain(kTxDone, "there may be more that match: repeat the command, or give a larger --limit");
  return code;
}

/// What is wrong with the command line before a broker is asked.
std::optional<std::string> wrong_with(const TxOptions& o) {
  const bool acts = o.verb != TxVerb::List && o.verb != TxVerb::Show;
  if (!acts) return std::nullopt;
  if (o.ids.empty() && !has_filter(o))
    return "name the half messages by position, message id or unique key, or choose them by --state, --group, --topic, --older-than or --younger-than";
  if (!o.ids.empty() && has_filter(o)) return "name half messages or choose them by filters, not both";
  if (o.reason.empty() && !o.dry_run) return "--reason is missing: say why; it becomes part of the half message's history";
  return std::nullopt;
}

}  // namespace

int run_tx(const TxOptions& given) {
  TxOptions o = given;
  if (o.operator_name.empty()) o.operator_name = login_name();
  if (const auto wrong = wrong_with(o)) return complain(kTxUsage, *wrong);
  auto link = TxLink::dial(o.broker);
  if (!link.ok()) return complain(link.error());
  switch (o.verb) {
    case TxVerb::List: return run_list(o, *link);
    case TxVerb::Show: return run_show(o, *link);
    case TxVerb::Commit:
    case TxVerb::Rollback:
    case TxVerb::Resume: return run_act(o, *link);
  }
  return kTxUsage;
}

}  // namespace halfmoon::cli
