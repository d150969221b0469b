// SPDX-License-Identifier: Apache-2.0
#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/bench_arguments.h"
#include "cli/config_commands.h"
#include "cli/log_commands.h"
#include "cli/tx_arguments.h"
#include "server/server.h"

namespace halfmoon::cli {
namespace {

/// Each subcommand leaves here what is to be done, so that parsing ends before anything begins.
using Action = std::function<int()>;

void add_server(CLI::App& app, Action& action, const std::string& program) {
  auto* command = app.add_subcommand("server", "Run the name server and the broker in this process");
  auto request = std::make_shared<server::ServerRequest>();
  request->program = program;
  auto set = std::make_shared<std::vector<std::string>>();
  command->add_option("-c,--config", request->config_file, "Configuration in RocketMQ's properties format (broker.conf)")->check(CLI::ExistingFile);
  const auto flag = [&](const std::string& names, const std::string& key, const std::string& help) {
    command->add_option_function<std::string>(names, [request, key](const std::string& value) { request->command_line.push_back({key, value, 0}); }, help + " (" + key + ")");
  };
  flag("-d,--data", "storePathRootDir", "Data directory");
  flag("-p,--port", "listenPort", "Broker port");
  flag("--namesrv-port", "namesrvListenPort", "Name server port");
  flag("--bind", "bindAddress", "Address to listen on");
  flag("--advertise", "brokerIP1", "Address that routes name; auto: the one each client came in on");
  flag("--name", "brokerName", "Broker name");
  flag("--flush", "flushDiskType", "SYNC_FLUSH or ASYNC_FLUSH: what an acknowledgement means");
  flag("--io-threads", "ioThreads", "I/O threads");
  flag("--log-level", "logLevel", "debug, info, warn, error");
  flag("--log-format", "logFormat", "text or json");
  command->add_option("--set", *set, "Any key: --set key=value, as often as you like")->type_name("KEY=VALUE")->allow_extra_args(false);
  command->footer(
      "Flags win over HALFMOON_... variables, those over the file, the file over defaults.\n"
      "`halfmoon config keys` lists every key.\n\n"
      "Examples:\n"
      "  halfmoon server                                  data in $HOME/halfmoon-data\n"
      "  halfmoon server -c broker.conf --data /srv/mq\n"
      "  halfmoon server --flush ASYNC_FLUSH --set transactionCheckInterval=10000\n\n"
      "Exit codes: 0 stopped in order; 1 could not start; 2 configuration; 74 the disk failed a write.");
  command->callback([request, set, &action] {
    action = [request, set] {
      for (const std::string& pair : *set) {
        const std::size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0) {
          std::fprintf(stderr, "halfmoon: --set %s: write --set key=value\n", pair.c_str());
          return server::kExitBadConfiguration;
        }
        request->command_line.push_back({pair.substr(0, equals), pair.substr(equals + 1), 0});
      }
      return server::run_server(*request);
    };
  });
}

void add_config(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("config", "Look at configuration");
  command->require_subcommand(1);
  auto* check = command->add_subcommand("check", "Say of every key in FILE what it does here; exit 0 if a server starts with it");
  auto file = std::make_shared<std::string>();
  check->add_option("FILE", *file, "A properties file, for example RocketMQ's broker.conf")->required();
  check->callback([file, &action] { action = [file] { return server::check_config(*file); }; });
  auto* keys = command->add_subcommand("keys", "List every key with unit, default and cost");
  auto markdown = std::make_shared<bool>(false);
  keys->add_flag("--markdown", *markdown, "As in docs/operating.md");
  keys->callback([markdown, &action] {
    action = [markdown] {
      std::fputs((*markdown ? keys_as_markdown() : keys_as_text()).c_str(), stdout);
      return 0;
    };
  });
}

void add_log(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("log", "Look into a data directory; it is only read");
  command->require_subcommand(1);
  auto options = std::make_shared<LogDumpOptions>();
  auto* dump = command->add_subcommand("dump", "Print the log's records");
  dump->add_option("DIR", options->directory, "Data directory")->required();
  dump->add_option("--from", options->from, "Begin at this position")->check(CLI::NonNegativeNumber);
  dump->add_option("--limit", options->limit, "Stop after so many records")->check(CLI::NonNegativeNumber);
  dump->add_flag("--json", options->json, "One JSON object a line");
  dump->add_flag("--batches", options->batches, "Show the BATCH records as well");
  dump->footer("Example:\n  halfmoon log dump ~/halfmoon-data --limit 100 --json | jq 'select(.type==\"HALF\")'");
  dump->callback([options, &action] { action = [options] { return run_log_dump(*options); }; });
  auto directory = std::make_shared<std::string>();
  auto* verify = command->add_subcommand("verify", "Check every record and snapshot; exit 0 if all is in order");
  verify->add_option("DIR", *directory, "Data directory")->required();
  verify->callback([directory, &action] { action = [directory] { return run_log_verify(*directory); }; });
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app("Halfmoon: a message broker, wire-compatible with RocketMQ, with transactional messages at its heart.", "halfmoon");
  app.require_subcommand(1);
  app.set_version_flag("--version", "halfmoon " + std::string(server::kVersion));
  app.footer("`halfmoon COMMAND --help` says more, with examples.");
  Action action;
  add_server(app, action, argc > 0 ? argv[0] : "halfmoon");
  add_config(app, action);
  add_log(app, action);
  add_tx(app, action);
  add_bench(app, action);
  app.add_subcommand("version", "Print the version")->callback([&action] {
    action = [] {
      std::printf("halfmoon %s\n", std::string(server::kVersion).c_str());
      return 0;
    };
  });
  if (argc <= 1) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : server::kExitBadConfiguration;
  }
  return action ? action() : server::kExitBadConfiguration;
}

}  // namespace halfmoon::cli
