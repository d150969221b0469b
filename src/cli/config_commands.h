// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace halfmoon::cli {

/// All keys with unit, range, default and help, for a terminal.
std::string keys_as_text();
/// The same as the tables of docs/operating.md, which a test compares.
std::string keys_as_markdown();

}  // namespace halfmoon::cli
