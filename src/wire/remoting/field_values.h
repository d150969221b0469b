// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <concepts>
#include <limits>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace halfmoon::wire {

// How the text of an ext field becomes a value, and what is said when it does not (spec 1.5).

/// `the custom field <key> is null`
Error missing_field(std::string_view key);
/// `the field <key> is not a number: "value"`, the value cut to 64 bytes.
Error not_a_number(std::string_view key, std::string_view value);

/// All of `text` as an integer; nullopt if it is none or out of range.
template <std::integral T>
std::optional<T> parse_integer(std::string_view text) {
  // Most are a digit or two, or a time in milliseconds: digits that cannot exceed T.
  if (!text.empty() && text.size() <= std::numeric_limits<T>::digits10) {
    T sum = 0;
    std::size_t i = 0;
    for (; i < text.size() && static_cast<unsigned char>(text[i] - '0') <= 9; ++i) sum = static_cast<T>(sum * 10 + (text[i] - '0'));
    if (i == text.size()) return sum;
  }
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// "true" in any case, and "1".
bool is_true(std::string_view text);

}  // namespace halfmoon::wire
