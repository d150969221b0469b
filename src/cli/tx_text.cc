// SPDX-License-Identifier: Apache-2.0
#include "cli/tx_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace halfmoon::cli {
namespace {

constexpr std::int64_t kSecond = 1000, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;

/// Bytes of a name that would move a terminal's cursor, or break the table, are shown as '?'.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out.empty() ? "-" : out;
}

std::string next_check_text(const wire::TransactionBody& t, std::int64_t now_ms) {
  if (t.state == "waiting") return "no producer";
  if (!t.next_check_ms) return "-";
  return *t.next_check_ms <= now_ms ? "now" : "in " + duration_text(*t.next_check_ms - now_ms);
}

using Row = std::array<std::string, 9>;

std::string table(const std::vector<Row>& rows) {
  std::array<std::size_t, std::tuple_size_v<Row>> width{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); i++) width[i] = std::max(width[i], row[i].size());
  std::string out;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++) {
      out += row[i];
      if (i + 1 < row.size()) out.append(width[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

void line(std::string& out, std::string_view name, const std::string& value) {
  out += "  ";
  out += name;
  out.append(name.size() < 16 ? 16 - name.size() : 1, ' ');
  out += value + '\n';
}

std::string who(const wire::TransactionEventBody& e) {
  if (!e.client.empty()) return shown(e.client) + (e.address.empty() ? "" : " (" + shown(e.address) + ")");
  return e.address.empty() ? "a client that is not known any more" : shown(e.address);
}

std::string operator_text(const wire::TransactionEventBody& e) {
  std::string out = "operator " + shown(e.operator_name);
  if (!e.address.empty()) out += " from " + shown(e.address);
  if (!e.reason.empty()) out += ": " + shown(e.reason);
  return out;
}

std::string actor_text(const wire::TransactionEventBody& e) {
  if (e.actor == "operator") return "by " + operator_text(e);
  return (e.actor == "check" ? "by an answer to a check, from " : "by the producer, from ") + who(e);
}

std::string event_text(const wire::TransactionEventBody& e) {
  if (e.event == "sent") return "half message stored, sent from " + who(e);
  if (e.event == "asked") return "asked " + who(e);
  if (e.event == "answered-unknown") return "answered unknown (" + std::to_string(e.count) + ") by " + who(e);
  if (e.event == "parked") return "parked: checks exhausted";
  if (e.event == "resumed") return "resumed by " + operator_text(e);
  if (e.event == "committed") return "committed " + actor_text(e) + (e.deliver_ms > 0 ? ", to be delivered at " + time_text(e.deliver_ms) : "");
  if (e.event == "rolled-back") return "rolled back " + actor_text(e);
  if (e.event == "refused") return "refused (" + std::to_string(e.count) + "): " + shown(e.verdict) + " " + actor_text(e);
  return shown(e.event);
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || number > 100000000) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(stop - text.data()));
  if (unit == "ms") return number;
  if (unit == "s") return number * kSecond;
  if (unit == "m") return number * kMinute;
  if (unit == "h") return number * kHour;
  if (unit == "d") return number * kDay;
  return std::nullopt;
}

std::string duration_text(std::int64_t ms) {
  struct Unit {
    std::int64_t ms;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits = {{{kDay, "d"}, {kHour, "h"}, {kMinute, "m"}, {kSecond, "s"}}};
  ms = std::max<std::int64_t>(ms, 0);
  for (std::size_t i = 0; i < kUnits.size(); i++) {
    if (ms < kUnits[i].ms) continue;
    std::string out = std::to_string(ms / kUnits[i].ms) + kUnits[i].name;
    const std::int64_t rest = ms % kUnits[i].ms;
    if (i + 1 < kUnits.size() && rest >= kUnits[i + 1].ms) out += " " + std::to_string(rest / kUnits[i + 1].ms) + kUnits[i + 1].name;
    return out;
  }
  return std::to_string(ms) + "ms";
}

std::string time_text(std::int64_t wall_ms) {
  const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02d %02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                parts.tm_min, parts.tm_sec, static_cast<int>(wall_ms % 1000));
  return text.data();
}

std::string transaction_table(const std::vector<wire::TransactionBody>& transactions, std::int64_t now_ms) {
  std::vector<Row> rows = {{"STATE", "AGE", "TOPIC", "QUEUE", "GROUP", "UNKNOWN", "NEXT CHECK", "POSITION", "UNIQUE KEY"}};
  for (const wire::TransactionBody& t : transactions)
    rows.push_back({shown(t.state), duration_text(t.age_ms), shown(t.topic), std::to_string(t.queue_id), shown(t.group), std::to_string(t.unknown_answers),
                    next_check_text(t, now_ms), std::to_string(t.position), shown(t.unique_key)});
  return table(rows);
}

std::string transaction_page(const wire::TransactionViewBody& view, std::int64_t now_ms) {
  const wire::TransactionBody& t = view.transaction;
  std::string out = "half message " + shown(t.unique_key) + "\n";
  line(out, "state", shown(t.state) + (t.state == "waiting" ? " for a producer of its group to come" : ""));
  line(out, "topic", shown(t.topic) + ", queue " + std::to_string(t.queue_id));
  line(out, "group", shown(t.group));
  line(out, "message id", shown(t.message_id));
  line(out, "position", std::to_string(t.position) + ", half offset " + std::to_string(t.half_offset));
  line(out, "tags, keys", shown(t.tags) + ", " + shown(t.keys));
  line(out, "body", std::to_string(t.body_bytes) + " bytes");
  line(out, "sent", time_text(t.born_ms) + " by its producer's clock, from " + shown(t.born_host));
  line(out, "stored", time_text(t.stored_ms) + ", " + duration_text(t.age_ms) + " ago");
  line(out, "unknown answers", std::to_string(t.unknown_answers));
  if (t.next_check_ms || t.state == "waiting") line(out, "next check", next_check_text(t, now_ms));
  if (t.refused_verdicts > 0) line(out, "refused", "contrary verdicts: " + std::to_string(t.refused_verdicts));
  out += "history\n";
  bool first = true;
  for (const wire::TransactionEventBody& e : view.history) {
    out += "  " + time_text(e.at_ms) + "  " + event_text(e) + "\n";
    if (first && view.history_begins == "not-retained") out += "  (earlier history is no longer retained)\n";
    if (first && view.history_begins == "not-recorded") out += "  (earlier history was not recorded)\n";
    if (first && view.history_begins == "cut") out += "  (more: ask for it with --events)\n";
    first = false;
  }
  return out;
}

}  // namespace halfmoon::cli
