// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/settings.h"

namespace halfmoon::server {

inline constexpr std::string_view kVersion = HALFMOON_VERSION;

struct ServerRequest {
  std::string config_file;                // empty: none
  std::vector<Property> command_line;     // over file and environment
  std::string program = "halfmoon";       // as it was called, for the commands that are suggested
};

/// Exit codes of `halfmoon server`; 74 is a store that refused a write or sync (the process ends by itself).
inline constexpr int kExitOk = 0;
inline constexpr int kExitCannotStart = 1;
inline constexpr int kExitBadConfiguration = 2;

/// Runs until SIGTERM, SIGINT or SIGHUP; returns the exit code. Takes over those signals for the whole process.
int run_server(const ServerRequest& request);

/// Prints the findings of one file as a table; 0 if a server would start with it, else 1.
int check_config(const std::string& file);

}  // namespace halfmoon::server
