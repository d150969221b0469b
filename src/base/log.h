// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace halfmoon {

enum class LogLevel : std::uint8_t { Debug, Info, Warn, Error };

/// One key=value of an event. Values are text or numbers; never a message body, never a secret.
struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  template <std::integral T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};

/// Writes one event: `log_event(LogLevel::Warn, "disk.full", {{"free_bytes", n}})`. The name is dotted and stable, the fields
/// carry what varies. Error = someone must act; warn = degraded, and counted; info = lifecycle. Any thread may call it.
void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

using LogSink = std::function<void(LogLevel, std::string_view event, std::initializer_list<LogField>)>;

/// Where events go (default: text lines on stderr) and the least level that is written. Set once, before threads start.
void set_log_sink(LogSink sink);
void set_log_level(LogLevel level);
/// The sinks that the program offers: `2026-01-02T03:04:05.678+00:00 warn disk.full free_bytes=12` and one JSON object a line.
LogSink text_log_sink();
LogSink json_log_sink();

}  // namespace halfmoon
