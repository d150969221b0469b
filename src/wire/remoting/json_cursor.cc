// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/json_cursor.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <string>

namespace halfmoon::wire {
namespace {

constexpr auto kHexValue = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 10; ++i) values[static_cast<std::size_t>('0' + i)] = static_cast<std::int8_t>(i);
  for (int i = 0; i < 6; ++i) {
    values[static_cast<std::size_t>('a' + i)] = static_cast<std::int8_t>(10 + i);
    values[static_cast<std::size_t>('A' + i)] = static_cast<std::int8_t>(10 + i);
  }
  return values;
}();

/// Four hexadecimal digits at `p`, or a negative number.
std::int32_t hex4(const char* p, const char* end) {
  if (end - p < 4) return -1;
  const auto digit = [p](std::size_t i) { return std::int32_t{kHexValue[static_cast<unsigned char>(p[i])]}; };
  const std::int32_t a = digit(0), b = digit(1), c = digit(2), d = digit(3);
  return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

char* write_utf8(char* to, std::uint32_t c) {
  const auto put = [&to](std::uint32_t byte) { *to++ = static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
  return to;
}

/// Reads the escape whose backslash stands before `p`, writes what it means to `to`; nullptr if it means nothing.
const char* unescape(const char* p, const char* end, char*& to) {
  if (p == end) return nullptr;
  switch (*p) {
    case '"':
    case '\\':
    case '/': *to++ = *p; return p + 1;
    case 'b': *to++ = '\b'; return p + 1;
    case 'f': *to++ = '\f'; return p + 1;
    case 'n': *to++ = '\n'; return p + 1;
    case 'r': *to++ = '\r'; return p + 1;
    case 't': *to++ = '\t'; return p + 1;
    case 'u': break;
    default: return nullptr;
  }
  if (end - p >= 5 && p[1] == '0' && p[2] == '0') {  // what separates properties
    const std::int32_t high = kHexValue[static_cast<unsigned char>(p[3])], low = kHexValue[static_cast<unsigned char>(p[4])];
    if ((high | low) >= 0 && high < 8) {
      *to++ = static_cast<char>(high << 4 | low);
      return p + 5;
    }
  }
  const std::int32_t unit = hex4(++p, end);
  if (unit < 0) return nullptr;
  p += 4;
  auto c = static_cast<std::uint32_t>(unit);
  if (c >= 0xD800 && c < 0xE000) {
    if (c >= 0xDC00 || end - p < 6 || p[0] != '\\' || p[1] != 'u') return nullptr;  // a surrogate without its pair
    const std::int32_t low = hex4(p + 2, end);
    if (low < 0xDC00 || low >= 0xE000) return nullptr;
    c = 0x10000 + ((c - 0xD800) << 10) + (static_cast<std::uint32_t>(low) - 0xDC00);
    p += 6;
  }
  to = write_utf8(to, c);
  return p;
}

constexpr std::size_t kCopiedAtOnce = 16;

/// Copies what stands for itself, from `p` to `to`, which has room for all until `end` and kCopiedAtOnce bytes; gives what comes then.
const char* copy_plain(const char* p, const char* end, char*& to) {
#if defined(__SSE2__)
  for (; end - p >= 16; p += 16, to += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    if (const unsigned hits = detail::special_bytes(bytes); hits != 0) {
      to += std::countr_zero(hits);
      return p + std::countr_zero(hits);
    }
  }
#endif
  const char* const stop = scan_plain(p, end);
  if (stop != p) std::memcpy(to, p, static_cast<std::size_t>(stop - p));
  to += stop - p;
  return stop;
}

/// The quote that ends the string `p` is in, or `end`.
const char* find_quote(const char* p, const char* end) {
  for (;;) {
    p = scan_plain(p, end);
    if (p == end || *p == '"') return p;
    p += *p == '\\' && end - p > 1 ? 2 : 1;
  }
}

}  // namespace

Error JsonCursor::failure(std::string_view what) const {
  return {ErrorCode::InvalidArgument, std::string(what) + " is not readable: " + (error_ != nullptr ? error_ : "it is not complete") +
                                          " at byte " + std::to_string(error_at_)};
}

std::string_view JsonCursor::string_with_specials(const char* begin, const char* stop) {
  for (const char* p = stop;; p = scan_plain(p, end_)) {
    p_ = p;
    if (p == end_) return fail("a string does not end"), std::string_view();
    if (*p == '"') break;
    if (*p == '\\') return unescaped_string(begin, p);
    p = beyond_utf8(p);
    if (p == nullptr) return std::string_view();
  }
  const char* const quote = p_++;
  return {begin, static_cast<std::size_t>(quote - begin)};
}

std::string_view JsonCursor::unescaped_string(const char* begin, const char* p) {
  // Looking for the end of a short header costs more than room for all of it.
  constexpr std::ptrdiff_t kShort = 4096;
  const char* const last = end_ - begin <= kShort ? end_ : find_quote(p, end_);
  char* const unescaped = arena_.reserve(static_cast<std::size_t>(last - begin) + kCopiedAtOnce);
  char* to = unescaped;
  std::memcpy(to, begin, static_cast<std::size_t>(p - begin));
  for (to += p - begin;; p = copy_plain(p, end_, to)) {
    p_ = p;
    if (p == end_) return fail("a string does not end"), std::string_view();
    if (*p == '"') break;
    if (*p == '\\') {
      p = unescape(p + 1, end_, to);
      if (p == nullptr) return fail("an escape means nothing"), std::string_view();
      continue;
    }
    const char* const from = p;
    p = beyond_utf8(p);
    if (p == nullptr) return std::string_view();
    std::memcpy(to, from, static_cast<std::size_t>(p - from));
    to += p - from;
  }
  ++p_;
  const auto size = static_cast<std::size_t>(to - unescaped);
  arena_.commit(size);
  return {unescaped, size};
}

const char* JsonCursor::beyond_utf8(const char* p) {
  const std::size_t n = static_cast<unsigned char>(*p) < 0x20 ? 0 : utf8_length(p, end_);
  if (n == 0) return fail("a string is not UTF-8, or has a control character"), nullptr;
  return p + n;
}

JsonCursor::Kind JsonCursor::peek() {
  skip_blanks();
  if (p_ == end_) return Kind::Nothing;
  switch (*p_) {
    case '{': return Kind::Object;
    case '[': return Kind::Array;
    case '"': return Kind::String;
    case 't': return Kind::True;
    case 'f': return Kind::False;
    case 'n': return Kind::Null;
    default: return *p_ == '-' || (*p_ >= '0' && *p_ <= '9') ? Kind::Number : Kind::Nothing;
  }
}

bool JsonCursor::finish() {
  skip_blanks();
  if (p_ != end_) fail("something follows its end");
  if (depth_ != 0) fail("it ends too early");
  return ok();
}

std::string_view JsonCursor::string() {
  if (peek() != Kind::String) return fail("a string was expected"), std::string_view();
  ++p_;
  return string_body();
}

std::string_view JsonCursor::literal(std::string_view word) {
  const auto left = static_cast<std::size_t>(end_ - p_);
  if (left < word.size() || std::memcmp(p_, word.data(), word.size()) != 0) return fail("a value was expected"), std::string_view();
  const std::string_view found(p_, word.size());
  p_ += word.size();
  return found;
}

std::string_view JsonCursor::number() {
  const char* const begin = p_;
  const char* p = p_;
  const auto digits = [&] {
    const char* const first = p;
    while (p != end_ && *p >= '0' && *p <= '9') ++p;
    return p != first;
  };
  if (*p == '-') ++p;
  const bool leading_zero = p != end_ && *p == '0';
  const char* const whole = p;
  bool good = digits() && !(leading_zero && p - whole > 1);
  if (good && p != end_ && *p == '.') {
    ++p;
    good = digits();
  }
  if (good && p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p != end_ && (*p == '+' || *p == '-')) ++p;
    good = digits();
  }
  if (!good) return fail("a number is malformed"), std::string_view();
  p_ = p;
  return {begin, static_cast<std::size_t>(p - begin)};
}

std::string_view JsonCursor::raw() {
  skip_blanks();
  const char* const begin = p_;
  skip();
  return ok() ? std::string_view(begin, static_cast<std::size_t>(p_ - begin)) : std::string_view();
}

void JsonCursor::skip() {  // recursion ends at kDepthMax
  switch (peek()) {
    case Kind::Object:
      enter_object();
      for (std::string_view key; next_member(key);) skip();
      return;
    case Kind::Array:
      enter_array();
      while (next_element()) skip();
      return;
    default: text();
  }
}

std::string_view JsonCursor::text_of_other() {
  switch (peek()) {
    case Kind::String:
    case Kind::Number: return number();
    case Kind::True: return literal("true");
    case Kind::False: return literal("false");
    case Kind::Null: literal("null"); return {};
    case Kind::Object:
    case Kind::Array: fail("a text or number was expected"); return {};
    case Kind::Nothing: fail("a value was expected"); return {};
  }
  return {};
}

/// A plain integer of up to 18 digits, the only one that clients write; false: read it with care.
bool JsonCursor::short_integer(std::int64_t& value) {
  constexpr std::ptrdiff_t kDigitsMax = 18;
  const char* p = p_;
  const bool negative = p != end_ && *p == '-';
  if (negative) ++p;
  const char* const first = p;
  const char* const stop = end_ - p > kDigitsMax ? p + kDigitsMax : end_;
  std::int64_t sum = 0;
  for (; p != stop && static_cast<unsigned char>(*p - '0') <= 9; ++p) sum = sum * 10 + (*p - '0');
  if (p == first || p == stop || *p == '.' || *p == 'e' || *p == 'E' || (*first == '0' && p - first > 1)) return false;
  value = negative ? -sum : sum;
  p_ = p;
  return true;
}

std::int64_t JsonCursor::int64(std::int64_t fallback) {
  skip_blanks();
  if (std::int64_t value = 0; short_integer(value)) return value;
  const std::string_view digits = text();
  if (digits.empty()) return fallback;
  std::int64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end) return fail("an integer was expected"), fallback;
  return value;
}

std::int32_t JsonCursor::int32(std::int32_t fallback) {
  const std::int64_t value = int64(fallback);
  using Limits = std::numeric_limits<std::int32_t>;
  if (value < Limits::min() || value > Limits::max()) return fail("an integer has more than 32 bits"), fallback;
  return static_cast<std::int32_t>(value);
}

bool JsonCursor::boolean(bool fallback) {
  const std::string_view word = text();
  return word.empty() ? fallback : word == "true" || word == "1";
}

}  // namespace halfmoon::wire
