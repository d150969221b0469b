// SPDX-License-Identifier: Apache-2.0
#include "cli/tx_arguments.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/tx_commands.h"

namespace halfmoon::cli {
namespace {

constexpr const char* kExitCodes =
    "\nExit codes: 0 done; 1 no broker there, or it did not answer; 2 the command line, or a confirmation without a terminal;\n"
    "3 a half message was not found, or refused (its verdict is final, it is not parked); 4 not confirmed.";

void add_filters(CLI::App* sub, const std::shared_ptr<TxOptions>& o, const std::string& default_states) {
  sub->add_option("--state", o->states, "pending, waiting, parked, committed, rolled-back, several with commas, or all; default " + default_states);
  sub->add_option("--group", o->group, "Producer group");
  sub->add_option("--topic", o->topic, "Topic");
  sub->add_option("--older-than", o->older_than, "Stored at least so long ago: 90s, 10m, 2h, 3d")->type_name("DURATION");
  sub->add_option("--younger-than", o->younger_than, "Stored at most so long ago")->type_name("DURATION");
  sub->add_option("--limit", o->limit, "At most so many; 0: all")->check(CLI::NonNegativeNumber)->capture_default_str();
  sub->add_option("--cursor", o->cursor, "Go on where an earlier list ended")->check(CLI::NonNegativeNumber);
}

CLI::App* add_verb(CLI::App* command, std::function<int()>& action, TxVerb verb, const std::string& name, const std::string& help,
                   const std::shared_ptr<TxOptions>& o) {
  auto* sub = command->add_subcommand(name, help);
  sub->add_option("-b,--broker", o->broker, "Broker, HOST:PORT")->capture_default_str();
  sub->add_flag("--json", o->json, "Print JSON (docs/transactions.md)");
  sub->callback([o, verb, &action] {
    o->verb = verb;
    action = [o] { return run_tx(*o); };
  });
  return sub;
}

void add_act(CLI::App* command, std::function<int()>& action, TxVerb verb, const std::string& name, const std::string& help, const std::string& examples) {
  auto o = std::make_shared<TxOptions>();
  auto* sub = add_verb(command, action, verb, name, help, o);
  sub->add_option("ID", o->ids, "Half messages: position, message id, or unique key; or choose by filters");
  add_filters(sub, o, verb == TxVerb::Resume ? "parked" : "pending,waiting,parked");
  sub->add_option("--reason", o->reason, "Why; kept in the half message's history");
  sub->add_option("--operator", o->operator_name, "Who; kept as well; default your login name");
  sub->add_flag("--dry-run", o->dry_run, "Say what would be done, and do nothing");
  sub->add_flag("--yes", o->yes, "Do not ask, however many");
  sub->footer("Examples:\n" + examples + kExitCodes);
}

}  // namespace

void add_tx(CLI::App& app, std::function<int()>& action) {
  auto* command = app.add_subcommand("tx", "Look at half messages of a running broker, decide and resume them");
  command->require_subcommand(1);
  auto list_options = std::make_shared<TxOptions>();
  auto* list = add_verb(command, action, TxVerb::List, "list", "List half messages, oldest first", list_options);
  add_filters(list, list_options, "pending,waiting,parked");
  list->footer(std::string("Examples:\n"
                           "  halfmoon tx list                                     those without a verdict\n"
                           "  halfmoon tx list --state parked --group shipping\n"
                           "  halfmoon tx list --state all --topic orders --older-than 1h --json | jq '.transactions[].uniqueKey'\n"
                           "\nCommitted and rolled-back ones are listed as far back as the broker remembers verdicts: the newest 100,000, and only while their\n"
                           "half message is in the log.\n") +
               kExitCodes);
  auto show_options = std::make_shared<TxOptions>();
  auto* show = add_verb(command, action, TxVerb::Show, "show", "Show half messages with their history", show_options);
  show->add_option("ID", show_options->ids, "Position or message id (found at once), or unique key (found by a scan of the table)")->required();
  show->add_option("--events", show_options->events, "The newest so many events of the history")->check(CLI::Range(0, 10000))->capture_default_str();
  show->footer(std::string("Examples:\n"
                           "  halfmoon tx show 248\n"
                           "  halfmoon tx show 7F00000100002A9F00000000000000F8 --json\n") +
               kExitCodes);
  add_act(command, action, TxVerb::Commit, "commit", "Commit half messages: consumers get them",
          "  halfmoon tx commit 248 --reason 'order 17 is in the database'\n"
          "  halfmoon tx commit --state parked --topic orders --dry-run\n"
          "  halfmoon tx commit --state parked --topic orders --reason 'ticket 4711' --yes\n");
  add_act(command, action, TxVerb::Rollback, "rollback", "Roll half messages back: consumers never get them",
          "  halfmoon tx rollback 248 --reason 'order 17 was cancelled'\n"
          "  halfmoon tx rollback --group shipping --older-than 7d --reason 'service is gone, ticket 4711'\n");
  add_act(command, action, TxVerb::Resume, "resume", "Ask the producers of parked half messages again, from the first check on",
          "  halfmoon tx resume 248 --reason 'the database is back'\n"
          "  halfmoon tx resume --state parked --group shipping --limit 0 --reason 'the database is back'\n");
  command->footer("`halfmoon tx COMMAND --help` says more, with examples.");
}

}  // namespace halfmoon::cli
