// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "wire/remoting/field_values.h"
#include "wire/remoting/header.h"

namespace halfmoon::wire {
namespace {

template <class T>
Result<T> required(const ExtFields& ext, std::string_view key) {
  const auto text = ext.find(key);
  if (!text) return missing_field(key);
  const auto value = parse_integer<T>(*text);
  if (!value) return not_a_number(key, *text);
  return *value;
}

template <class T>
Result<std::optional<T>> optional(const ExtFields& ext, std::string_view key) {
  const auto text = ext.find(key);
  if (!text || text->empty()) return std::optional<T>();
  const auto value = parse_integer<T>(*text);
  if (!value) return not_a_number(key, *text);
  return value;
}

template <class T>
T lenient(const ExtFields& ext, std::string_view key, T fallback) {
  const auto text = ext.find(key);
  return text ? parse_integer<T>(*text).value_or(fallback) : fallback;
}

}  // namespace

Error missing_field(std::string_view key) {
  return {ErrorCode::InvalidArgument, "the custom field <" + std::string(key) + "> is null"};
}

Error not_a_number(std::string_view key, std::string_view value) {
  constexpr std::size_t kShown = 64;
  return {ErrorCode::InvalidArgument,
          "the field <" + std::string(key) + "> is not a number: \"" + std::string(value.substr(0, kShown)) + "\""};
}

bool is_true(std::string_view text) {
  constexpr std::string_view kTrue = "true";
  return text == "1" || std::ranges::equal(text, kTrue, [](char a, char b) { return (a | 0x20) == b; });
}

Result<std::string_view> ExtFields::required_text(std::string_view key) const {
  const auto text = find(key);
  if (!text) return missing_field(key);
  return *text;
}

std::string_view ExtFields::text_or(std::string_view key, std::string_view fallback) const { return find(key).value_or(fallback); }

Result<std::int32_t> ExtFields::required_int32(std::string_view key) const { return required<std::int32_t>(*this, key); }
Result<std::int64_t> ExtFields::required_int64(std::string_view key) const { return required<std::int64_t>(*this, key); }
Result<std::optional<std::int32_t>> ExtFields::optional_int32(std::string_view key) const { return optional<std::int32_t>(*this, key); }
Result<std::optional<std::int64_t>> ExtFields::optional_int64(std::string_view key) const { return optional<std::int64_t>(*this, key); }
std::int32_t ExtFields::int32_or(std::string_view key, std::int32_t fallback) const { return lenient(*this, key, fallback); }
std::int64_t ExtFields::int64_or(std::string_view key, std::int64_t fallback) const { return lenient(*this, key, fallback); }

Result<bool> ExtFields::required_bool(std::string_view key) const {
  const auto text = find(key);
  if (!text) return missing_field(key);
  return is_true(*text);
}

bool ExtFields::bool_or(std::string_view key, bool fallback) const {
  const auto text = find(key);
  return text && !text->empty() ? is_true(*text) : fallback;
}

}  // namespace halfmoon::wire
