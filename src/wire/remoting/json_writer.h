// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/remoting/json_text.h"

namespace halfmoon::wire {

/// Appends compact JSON (no blanks, trap 4) to a string; commas come by themselves. The caller keeps the nesting right.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  /// The key of the next value.
  void key(std::string_view name) {
    comma();
    append_json_string(out_, name);
    out_.push_back(':');
    fresh_ = true;
  }
  /// An object as a key is written as a value and followed by this (trap 5).
  void end_object_key() {
    out_.push_back(':');
    fresh_ = true;
  }

  void text(std::string_view value) {
    comma();
    append_json_string(out_, value);
  }
  void integer(std::int64_t value) {
    comma();
    out_.append(std::to_string(value));
  }
  void boolean(bool value) {
    comma();
    out_.append(value ? "true" : "false");
  }
  /// As Java writes it: always with a point, null for what is no number.
  void real(double value);
  /// A value that is JSON already.
  void raw(std::string_view json) {
    comma();
    out_.append(json);
  }
  /// Where another function appends the next value.
  std::string& place() {
    comma();
    return out_;
  }

  void member(std::string_view name, std::string_view value) { key(name), text(value); }
  void member(std::string_view name, const std::string& value) { key(name), text(value); }
  void member(std::string_view name, const char* value) { key(name), text(value); }
  void member(std::string_view name, std::int64_t value) { key(name), integer(value); }
  void member(std::string_view name, std::int32_t value) { key(name), integer(value); }
  void member(std::string_view name, bool value) { key(name), boolean(value); }
  void member(std::string_view name, double value) { key(name), real(value); }

 private:
  void comma() {
    if (!fresh_) out_.push_back(',');
    fresh_ = false;
  }
  void open(char bracket) {
    comma();
    out_.push_back(bracket);
    fresh_ = true;
  }
  void close(char bracket) {
    out_.push_back(bracket);
    fresh_ = false;
  }

  std::string& out_;
  bool fresh_ = true;  // the next value needs no comma before it
};

}  // namespace halfmoon::wire
