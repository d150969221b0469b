// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace halfmoon::cli {

// Exit codes of `halfmoon tx`.
inline constexpr int kTxDone = 0;
inline constexpr int kTxNoAnswer = 1;       // the broker is not there, or answered with an error
inline constexpr int kTxUsage = 2;          // the command line is wrong, or a confirmation is needed and there is no terminal
inline constexpr int kTxNotAll = 3;         // a half message was not found, or refused what was asked of it
inline constexpr int kTxNotConfirmed = 4;   // the operator said no

enum class TxVerb : std::uint8_t { List, Show, Commit, Rollback, Resume };

struct TxOptions {
  TxVerb verb = TxVerb::List;
  std::string broker = "127.0.0.1:10911";
  bool json = false;
  // ---- which half messages
  std::vector<std::string> ids;             // message id, position, or unique key
  std::string states;                       // empty: what the verb can do something about
  std::string group, topic;
  std::string older_than, younger_than;     // durations: 90s, 10m, 2h, 3d
  std::int64_t limit = 100;                 // 0: all
  std::int64_t cursor = 0;
  std::int64_t events = 1000;               // of the history, the newest
  // ---- verdicts
  std::string operator_name;                // empty: the login name
  std::string reason;
  bool dry_run = false;
  bool yes = false;
};

/// Does what one of `halfmoon tx list|show|commit|rollback|resume` says; prints to stdout, complains on stderr.
int run_tx(const TxOptions& options);

}  // namespace halfmoon::cli
