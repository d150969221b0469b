// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace halfmoon::cli {

/// Adds `halfmoon tx` and its subcommands; the one that is named leaves in `action` what is to be done.
void add_tx(CLI::App& app, std::function<int()>& action);

}  // namespace halfmoon::cli
