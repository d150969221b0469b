// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace halfmoon::wire {

/// The first byte in [p, end) that JSON does not let stand for itself in a string without a second look: a quote, a backslash, a
/// control character, or a byte of a multi-byte UTF-8 sequence; `end` if there is none. Eight bytes at a time.
inline const char* scan_plain(const char* p, const char* end) {
  if constexpr (std::endian::native == std::endian::little) {
    constexpr std::uint64_t kOnes = 0x0101010101010101u;
    constexpr std::uint64_t kHighs = 0x8080808080808080u;
    while (end - p >= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, sizeof word);
      const std::uint64_t quote = word ^ (kOnes * '"');
      const std::uint64_t slash = word ^ (kOnes * '\\');
      // In each term the lowest set high bit marks a true hit; bits above it may be borrows.
      const std::uint64_t hits = (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) | ((word - kOnes * 0x20) & ~word) | word) & kHighs;
      if (hits != 0) return p + std::countr_zero(hits) / 8;
      p += 8;
    }
  }
  for (; p != end; ++p) {
    const auto c = static_cast<unsigned char>(*p);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') return p;
  }
  return end;
}

/// The length (1 to 4) of the UTF-8 sequence at `p` < `end`; 0 if it is cut, overlong, a surrogate or beyond U+10FFFF.
std::size_t utf8_length(const char* p, const char* end);

bool is_utf8(std::string_view text);

/// Room for any escaped form of `n` bytes.
constexpr std::size_t json_escaped_max(std::size_t n) { return 6 * n; }

/// Writes `text` without quotes, escaped for a JSON string, to `to`, which has json_escaped_max(text.size()) bytes; gives the end.
/// What is not UTF-8 becomes U+FFFD, so that the result is always JSON.
char* write_json_escaped(char* to, std::string_view text);

/// Appends `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace halfmoon::wire
