// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace halfmoon::wire {

namespace detail {
/// The first `n` (1 to 7) bytes at `p`, the first one lowest, zeros above.
inline std::uint64_t load_short(const char* p, std::size_t n) {
  if (n >= 4) {
    std::uint32_t low, high;
    std::memcpy(&low, p, sizeof low);
    std::memcpy(&high, p + n - 4, sizeof high);
    return low | std::uint64_t{high} << (8 * (n - 4));  // where they overlap they are equal
  }
  const auto byte = [p](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(p[i])} << (8 * i); };
  return byte(0) | byte(n / 2) | byte(n - 1);
}

/// Each byte that JSON does not let stand for itself sets its high bit. The lowest set bit is always right; those above it may
/// come from a borrow.
inline std::uint64_t special_bytes(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t slash = word ^ (kOnes * '\\');
  return (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) | ((word - kOnes * 0x20) & ~word) | word) & (kOnes * 0x80);
}

#if defined(__SSE2__)
/// A bit for each byte that JSON does not let stand for itself.
inline unsigned special_bytes(__m128i bytes) {
  const __m128i below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));  // signed: what is above 0x7F too
  const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(below, marks)));
}
#endif
}  // namespace detail

/// The first byte in [p, end) that JSON does not let stand for itself in a string without a second look: a quote, a backslash, a
/// control character, or a byte of a multi-byte UTF-8 sequence; `end` if there is none. Sixteen or eight bytes at a time.
inline const char* scan_plain(const char* p, const char* end) {
#if defined(__SSE2__)
  while (end - p >= 16) {
    const unsigned hits = detail::special_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    if (hits != 0) return p + std::countr_zero(hits);
    p += 16;
  }
#endif
  if constexpr (std::endian::native == std::endian::little) {
    while (end - p >= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, sizeof word);
      const std::uint64_t hits = detail::special_bytes(word);
      if (hits != 0) return p + std::countr_zero(hits) / 8;
      p += 8;
    }
    const auto left = static_cast<std::size_t>(end - p);
    if (left == 0) return end;
    const std::uint64_t hits = detail::special_bytes(detail::load_short(p, left));
    const auto at = static_cast<std::size_t>(std::countr_zero(hits)) / 8;  // a zero above the bytes is a hit as well
    return at < left ? p + at : end;
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
/// No byte above 0x7F.
bool is_ascii(std::string_view text);

/// Room for any escaped form of `n` bytes.
constexpr std::size_t json_escaped_max(std::size_t n) { return 6 * n; }

/// Writes `text` without quotes, escaped for a JSON string, to `to`, which has json_escaped_max(text.size()) bytes; gives the end.
/// What is not UTF-8 becomes U+FFFD, so that the result is always JSON.
char* write_json_escaped(char* to, std::string_view text);

/// Appends `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace halfmoon::wire
