// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "wire/remoting/header.h"

namespace halfmoon::wire {

/// Reads a request's fields one after another and remembers the first Error, so that a decoder asks once, at the end. The Errors
/// are those of ExtFields.
class FieldReader {
 public:
  explicit FieldReader(const ExtFields& ext) : ext_(ext) {}

  std::string_view text(std::string_view key) { return keep(ext_.required_text(key)); }
  std::int32_t int32(std::string_view key) { return keep(ext_.required_int32(key)); }
  std::int64_t int64(std::string_view key) { return keep(ext_.required_int64(key)); }
  bool boolean(std::string_view key) { return keep(ext_.required_bool(key)); }
  std::optional<std::int32_t> optional_int32(std::string_view key) { return keep(ext_.optional_int32(key)); }
  std::optional<std::int64_t> optional_int64(std::string_view key) { return keep(ext_.optional_int64(key)); }
  /// Absent and empty: the fallback; any other text that is no number is an Error.
  std::int32_t int32_or(std::string_view key, std::int32_t fallback) { return optional_int32(key).value_or(fallback); }

  template <class T>
  Result<T> done(T& fields) {
    if (error_) return std::move(*error_);
    return std::move(fields);
  }

 private:
  template <class T>
  T keep(Result<T> result) {
    if (result.ok()) return *std::move(result);
    if (!error_) error_ = std::move(result).error();
    return T{};
  }

  const ExtFields& ext_;
  std::optional<Error> error_;
};

}  // namespace halfmoon::wire
