// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/remoting/transaction_bodies.h"

/// How `halfmoon tx` writes for people.
namespace halfmoon::cli {

/// "1500ms", "90s", "10m", "2h", "3d" in ms; nullopt if it is none of these.
std::optional<std::int64_t> parse_duration(std::string_view text);
/// The two largest units: "2h 5m", "12s".
std::string duration_text(std::int64_t ms);
/// "2026-11-22 02:31:26.123Z".
std::string time_text(std::int64_t wall_ms);

/// One line for each, under a line of headings. `now_ms`: to say when the next check is.
std::string transaction_table(const std::vector<wire::TransactionBody>& transactions, std::int64_t now_ms);
/// Everything about one, and its history.
std::string transaction_page(const wire::TransactionViewBody& view, std::int64_t now_ms);

}  // namespace halfmoon::cli
