// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/broken_header.h"

#include <charconv>

#include "base/cursor.h"
#include "wire/remoting/header.h"

namespace halfmoon::adapter {
namespace {

/// The integer member `key`, found by its text alone: what stands around it may be anything.
std::optional<std::int32_t> json_number(std::string_view json, std::string_view quoted_key) {
  const std::size_t at = json.find(quoted_key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = json.substr(at + quoted_key.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n:\""), rest.size()));
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int32_t> opaque_of_broken_header(wire::SerializeType type, Bytes header) {
  std::optional<std::int32_t> opaque;
  std::int32_t flag = 0;
  if (type == wire::SerializeType::Binary) {
    Reader reader(header);
    reader.be<std::int16_t>();  // code
    reader.be<std::uint8_t>();  // language
    reader.be<std::int16_t>();  // version
    const auto value = reader.be<std::int32_t>();
    flag = reader.be<std::int32_t>();
    if (reader.ok()) opaque = value;
  } else {
    opaque = json_number(as_text(header), "\"opaque\"");
    flag = json_number(as_text(header), "\"flag\"").value_or(0);
  }
  if ((flag & (wire::kFlagResponse | wire::kFlagOneWay)) != 0) return std::nullopt;
  return opaque;
}

}  // namespace halfmoon::adapter
