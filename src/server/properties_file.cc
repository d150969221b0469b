// SPDX-License-Identifier: Apache-2.0
#include "server/properties_file.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

namespace halfmoon::server {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\f'; }

std::string_view without_leading_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

/// True if the line ends in an odd number of backslashes: the next one belongs to it.
bool goes_on(std::string_view line) {
  std::size_t n = 0;
  while (n < line.size() && line[line.size() - 1 - n] == '\\') ++n;
  return n % 2 == 1;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&out](std::uint32_t b) { out += static_cast<char>(b); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | code >> 6);
    byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | code >> 18);
    byte(0x80 | (code >> 12 & 0x3f));
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
  }
}

std::optional<std::uint32_t> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (char c : text.substr(0, 4)) {
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') digit = static_cast<std::uint32_t>(c - '0');
    else if (c >= 'a' && c <= 'f') digit = static_cast<std::uint32_t>(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F') digit = static_cast<std::uint32_t>(c - 'A') + 10;
    else return std::nullopt;
    value = value * 16 + digit;
  }
  return value;
}

/// Resolves escapes; nullopt for a malformed \uXXXX. Two of them that are a surrogate pair are one character.
std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    switch (c) {
      case 't': out += '\t'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 'f': out += '\f'; break;
      case 'u': {
        const auto unit = hex4(text.substr(i + 1));
        if (!unit) return std::nullopt;
        i += 4;
        std::uint32_t code = *unit;
        if (code >= 0xd800 && code < 0xdc00 && text.substr(i + 1, 2) == "\\u") {
          const auto low = hex4(text.substr(i + 3));
          if (low && *low >= 0xdc00 && *low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (*low - 0xdc00);
            i += 6;
          }
        }
        append_utf8(out, code);
        break;
      }
      default: out += c;
    }
  }
  return out;
}

Result<Property> parse_line(std::string_view line, int number) {
  std::size_t key_end = 0;
  while (key_end < line.size() && line[key_end] != '=' && line[key_end] != ':' && !is_blank(line[key_end])) key_end += line[key_end] == '\\' ? 2 : 1;
  key_end = std::min(key_end, line.size());
  std::string_view rest = without_leading_blanks(line.substr(key_end));
  if (!rest.empty() && (rest.front() == '=' || rest.front() == ':')) rest = without_leading_blanks(rest.substr(1));
  while (!rest.empty() && is_blank(rest.back())) rest.remove_suffix(1);  // Java keeps them; nobody ever meant them
  auto key = unescaped(line.substr(0, key_end));
  auto value = unescaped(rest);
  if (!key || !value) return Error{ErrorCode::InvalidArgument, "line " + std::to_string(number) + ": \\u needs four hexadecimal digits; write \\\\ for a backslash"};
  return Property{std::move(*key), std::move(*value), number};
}

}  // namespace

Result<std::vector<Property>> parse_properties(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark that an editor left
  std::vector<Property> out;
  std::string logical;
  int number = 0, first = 0;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    std::string_view line = text.substr(0, end);
    const std::size_t eol = end == std::string_view::npos ? 0 : (text.substr(end, 2) == "\r\n" ? 2 : 1);
    text.remove_prefix(line.size() + eol);
    ++number;
    line = without_leading_blanks(line);
    if (logical.empty()) {
      if (line.empty() || line.front() == '#' || line.front() == '!') continue;
      first = number;
    }
    const bool more = goes_on(line);
    logical += more ? line.substr(0, line.size() - 1) : line;
    if (more && !text.empty()) continue;
    HM_TRY(Property, property, parse_line(logical, first));
    if (!property.key.empty()) out.push_back(std::move(property));
    logical.clear();
  }
  return out;
}

Result<std::vector<Property>> read_properties_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{ErrorCode::Io, path + ": " + std::strerror(errno)};
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) return Error{ErrorCode::Io, path + ": cannot be read"};
  auto parsed = parse_properties(text);
  if (!parsed.ok()) return Error{parsed.error().code, path + ": " + parsed.error().text};
  return parsed;
}

}  // namespace halfmoon::server
