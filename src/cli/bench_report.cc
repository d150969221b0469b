// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_report.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "wire/remoting/json_cursor.h"
#include "wire/remoting/json_writer.h"

namespace halfmoon::cli {

namespace {

template <class... Args>
void print_to(std::string& out, const char* format, Args... args) {
  char line[512];
  const int n = std::snprintf(line, sizeof line, format, args...);
  if (n > 0) out.append(line, std::min(static_cast<std::size_t>(n), sizeof line - 1));
}

double microseconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

double generator_us(const BenchResult& r) {
  return r.messages > 0 ? r.generator_cpu_s * 1e6 / static_cast<double>(r.messages) : 0;
}

struct Stored {
  std::string scenario;
  std::string setting;
  std::string invalid;
  std::vector<std::pair<std::string, double>> figures;
};

Result<Stored> read_result(std::string_view text, std::string_view which) {
  wire::TextArena arena;
  wire::JsonCursor cursor(text, arena);
  Stored stored;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "scenario") {
      stored.scenario = cursor.text();
    } else if (key == "setting") {
      stored.setting = cursor.text();
    } else if (key == "invalid") {
      stored.invalid = cursor.text();
    } else if (cursor.peek() == wire::JsonCursor::Kind::Number) {
      const std::string name(key);
      stored.figures.emplace_back(name, std::strtod(std::string(cursor.text()).c_str(), nullptr));
    } else {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure(which);
  if (stored.scenario.empty()) {
    return Error{ErrorCode::InvalidArgument, std::string(which) + " is no result: write one with `halfmoon bench ... --json FILE`"};
  }
  return stored;
}

}  // namespace

std::vector<std::pair<std::string, double>> figures(const BenchResult& r) {
  std::vector<std::pair<std::string, double>> out = {
      {"messages", static_cast<double>(r.messages)},
      {"seconds", r.seconds},
      {"rate_per_s", r.rate_per_s()},
      {"payload_mb_per_s", r.seconds > 0 ? r.payload_bytes / r.seconds / 1e6 : 0},
      {"p50_us", microseconds(r.latency.quantile(0.5))},
      {"p99_us", microseconds(r.latency.quantile(0.99))},
      {"p99_9_us", microseconds(r.latency.quantile(0.999))},
      {"p99_99_us", microseconds(r.latency.quantile(0.9999))},
      {"max_us", microseconds(r.latency.max())},
      {"refused", static_cast<double>(r.refused)},
      {"generator_cpu_share", r.seconds > 0 ? r.generator_cpu_s / r.seconds : 0},
      {"generator_us_per_message", generator_us(r)},
  };
  if (r.broker_cpu_s && r.messages > 0) {
    out.emplace_back("broker_cpu_s_per_million", *r.broker_cpu_s * 1e6 / static_cast<double>(r.messages));
    out.emplace_back("broker_cpu_share", r.seconds > 0 ? *r.broker_cpu_s / r.seconds : 0);
  }
  for (const auto& figure : r.more) out.push_back(figure);
  return out;
}

std::string to_text(const BenchResult& r) {
  std::string out;
  print_to(out, "%s: %s\n", r.scenario.c_str(), r.setting.c_str());
  if (r.messages > 0) print_to(out, "  rate       %.0f messages/s, %.1f MB/s of bodies (%llu messages in %.2f s)\n", r.rate_per_s(),
           r.seconds > 0 ? r.payload_bytes / r.seconds / 1e6 : 0.0, static_cast<unsigned long long>(r.messages), r.seconds);
  if (r.latency.count() > 0) print_to(out, "  latency    p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us\n", microseconds(r.latency.quantile(0.5)),
           microseconds(r.latency.quantile(0.99)), microseconds(r.latency.quantile(0.999)), microseconds(r.latency.max()));
  if (r.broker_cpu_s && r.messages > 0) {
    print_to(out, "  broker     %.2f CPU seconds per million messages, %.2f of a core\n",
             *r.broker_cpu_s * 1e6 / static_cast<double>(r.messages), r.seconds > 0 ? *r.broker_cpu_s / r.seconds : 0.0);
  }
  print_to(out, "  generator  %.2f of a core, %.2f us of CPU a message\n", r.seconds > 0 ? r.generator_cpu_s / r.seconds : 0.0,
           generator_us(r));
  for (const auto& [name, value] : r.more) print_to(out, "  %-26s %.3f\n", name.c_str(), value);
  if (r.refused == 0) {
    out += "  errors     none\n";
  } else {
    print_to(out, "  errors     %llu\n", static_cast<unsigned long long>(r.refused));
    for (const auto& [code, count] : r.refused_by_code) {
      print_to(out, "    code %d: %llu", code, static_cast<unsigned long long>(count));
      const auto remark = r.remark_by_code.find(code);
      if (remark != r.remark_by_code.end() && !remark->second.empty()) out += ", the first: " + remark->second;
      out += '\n';
    }
  }
  if (!r.invalid.empty()) out += "  INVALID    " + r.invalid + '\n';
  return out;
}

std::string to_json(const BenchResult& r) {
  std::string out;
  wire::JsonWriter json(out);
  json.begin_object();
  json.member("scenario", r.scenario);
  json.member("setting", r.setting);
  json.member("invalid", r.invalid);
  for (const auto& [name, value] : figures(r)) json.member(name, value);
  json.key("refused_by_code");
  json.begin_object();
  for (const auto& [code, count] : r.refused_by_code) json.member(std::to_string(code), static_cast<std::int64_t>(count));
  json.end_object();
  json.key("latency_ns");
  json.begin_array();
  for (const auto& [least, count] : r.latency.buckets()) {
    json.begin_array();
    json.integer(static_cast<std::int64_t>(least));
    json.integer(static_cast<std::int64_t>(count));
    json.end_array();
  }
  json.end_array();
  json.end_object();
  out += '\n';
  return out;
}

Result<std::string> compare_results(std::string_view a, std::string_view b) {
  HM_TRY(Stored, first, read_result(a, "result A"));
  HM_TRY(Stored, second, read_result(b, "result B"));
  std::string out;
  out += "A  " + first.scenario + ": " + first.setting + '\n';
  out += "B  " + second.scenario + ": " + second.setting + '\n';
  if (!first.invalid.empty()) out += "A is INVALID: " + first.invalid + '\n';
  if (!second.invalid.empty()) out += "B is INVALID: " + second.invalid + '\n';
  print_to(out, "%-26s %14s %14s %10s\n", "", "A", "B", "B / A");
  for (const auto& [name, value] : first.figures) {
    for (const auto& [other, other_value] : second.figures) {
      if (other != name) continue;
      print_to(out, "%-26s %14.2f %14.2f", name.c_str(), value, other_value);
      if (value != 0) print_to(out, " %10.3f", other_value / value);
      out += '\n';
    }
  }
  return out;
}

}  // namespace halfmoon::cli
