// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>

namespace halfmoon {
namespace {

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return "debug";
    case LogLevel::Info: return "info";
    case LogLevel::Warn: return "warn";
    case LogLevel::Error: return "error";
  }
  return "error";
}

std::string timestamp() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  tm parts{};
  localtime_r(&t.tv_sec, &parts);
  char date[32], zone[8], out[64];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::strftime(zone, sizeof zone, "%z", &parts);  // +hhmm
  std::snprintf(out, sizeof out, "%s.%03ld%.3s:%s", date, t.tv_nsec / 1000000, zone, zone + 3);
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20) {
      char b[8];
      std::snprintf(b, sizeof b, "\\u%04x", u);
      out += b;
    } else {
      out += c;
    }
  }
  out += '"';
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=') return true;
  return false;
}

// One write a line: lines of several threads never mix, and nothing is buffered when the process dies.
void write_line(std::string line) {
  line += '\n';
  ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
  (void)n;  // nowhere to say it
}

std::atomic<LogLevel> least_level{LogLevel::Info};
LogSink& sink() {
  static LogSink instance = text_log_sink();
  return instance;
}

}  // namespace

LogSink text_log_sink() {
  return [](LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    std::string line = timestamp();
    line += ' ';
    line += name_of(level);
    line += ' ';
    line += event;
    for (const LogField& f : fields) {
      line += ' ';
      line += f.key;
      line += '=';
      if (needs_quotes(f.value)) append_quoted(line, f.value);
      else line += f.value;
    }
    write_line(std::move(line));
  };
}

LogSink json_log_sink() {
  return [](LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    std::string line = "{\"time\":\"" + timestamp() + "\",\"level\":\"";
    line += name_of(level);
    line += "\",\"event\":";
    append_quoted(line, event);
    for (const LogField& f : fields) {
      line += ',';
      append_quoted(line, f.key);
      line += ':';
      append_quoted(line, f.value);
    }
    line += '}';
    write_line(std::move(line));
  };
}

void set_log_sink(LogSink s) { sink() = std::move(s); }
void set_log_level(LogLevel level) { least_level = level; }

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  sink()(level, event, fields);
}

}  // namespace halfmoon
