// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace halfmoon::cli {

/// Adds `halfmoon bench` and its scenarios; the one that is named leaves in `action` what is to be done.
void add_bench(CLI::App& app, std::function<int()>& action);

}  // namespace halfmoon::cli
