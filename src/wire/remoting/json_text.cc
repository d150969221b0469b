// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/json_text.h"

namespace halfmoon::wire {

std::size_t utf8_length(const char* p, const char* end) {
  const auto byte = [p](std::size_t i) { return static_cast<unsigned char>(p[i]); };
  const auto left = static_cast<std::size_t>(end - p);
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;  // a continuation byte, or overlong
  if (lead < 0xE0) return left >= 2 && follows(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !follows(1) || !follows(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;   // overlong
    if (lead == 0xED && byte(1) >= 0xA0) return 0;  // surrogate
    return 3;
  }
  if (lead > 0xF4 || left < 4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) >= 0x90) return 0;
  return 4;
}

bool is_ascii(std::string_view text) {
  constexpr std::uint64_t kHigh = 0x8080808080808080u;
  const char* p = text.data();
  std::size_t left = text.size();
  std::uint64_t high = 0;
#if defined(__SSE2__)
  __m128i any = _mm_setzero_si128();
  for (; left >= 16; left -= 16, p += 16) any = _mm_or_si128(any, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  high = static_cast<unsigned>(_mm_movemask_epi8(any));
#endif
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    high |= word & kHigh;
  }
  for (; left > 0; --left, ++p) high |= static_cast<unsigned char>(*p) & 0x80u;
  return high == 0;
}

bool is_utf8(std::string_view text) {
  if (is_ascii(text)) return true;
  const char* p = text.data();
  const char* const end = p + text.size();
  while ((p = scan_plain(p, end)) != end) {
    const std::size_t n = utf8_length(p, end);
    if (n == 0) return false;
    p += n;
  }
  return true;
}

char* write_json_escaped(char* to, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  const char* p = text.data();
  const char* const end = p + text.size();
  for (;;) {
    const char* const plain_end = scan_plain(p, end);
    const auto plain = static_cast<std::size_t>(plain_end - p);
    if (plain != 0) std::memcpy(to, p, plain);
    to += plain;
    p = plain_end;
    if (p == end) return to;
    const auto c = static_cast<unsigned char>(*p);
    if (c >= 0x80) {
      const std::size_t n = utf8_length(p, end);
      std::memcpy(to, n == 0 ? "\xEF\xBF\xBD" : p, n == 0 ? 3 : n);
      to += n == 0 ? 3 : n;
      p += n == 0 ? 1 : n;
      continue;
    }
    ++p;
    *to++ = '\\';
    switch (c) {
      case '"':
      case '\\': *to++ = static_cast<char>(c); break;
      case '\b': *to++ = 'b'; break;
      case '\f': *to++ = 'f'; break;
      case '\n': *to++ = 'n'; break;
      case '\r': *to++ = 'r'; break;
      case '\t': *to++ = 't'; break;
      default:
        std::memcpy(to, "u00", 3);
        to[3] = kHex[c >> 4];
        to[4] = kHex[c & 15];
        to += 5;
    }
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  const char* const end = text.data() + text.size();
  if (scan_plain(text.data(), end) == end) {
    out.append(text);
  } else {
    const std::size_t before = out.size();
    out.resize(before + json_escaped_max(text.size()));
    out.resize(static_cast<std::size_t>(write_json_escaped(out.data() + before, text) - out.data()));
  }
  out.push_back('"');
}

}  // namespace halfmoon::wire
