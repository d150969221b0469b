// SPDX-License-Identifier: Apache-2.0
#include "base/crc.h"

#include <libdeflate.h>

#include <algorithm>
#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

namespace halfmoon {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; i++) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; bit++) c = (c >> 1) ^ ((c & 1) ? 0x82F63B78u : 0u);
    table[i] = c;
  }
  return table;
}
constexpr auto kTable = make_table();

std::uint32_t crc32c_portable(const std::byte* p, std::size_t n, std::uint32_t c) {
  while (n--) c = (c >> 8) ^ kTable[(c ^ static_cast<std::uint32_t>(*p++)) & 0xff];
  return c;
}

#if defined(__x86_64__)
// The processor gives a crc32 of 8 bytes each cycle, but the result of one only after three: three streams side by side keep it busy. The bytes are cut
// into three parts of `words` 8-byte words, and their remainders are put together again: appending n bytes multiplies a remainder by x^8n modulo the
// polynomial. A carry-less product with x^(8n-33) followed by one more crc32, which multiplies by x^32 and reduces, does just that (the missing x is the
// reflected product's).
constexpr std::size_t kWordsMax = 256;   // of a part
constexpr std::size_t kWordsMin = 8;

constexpr std::uint32_t times_x(std::uint32_t c) { return (c >> 1) ^ ((c & 1) ? 0x82F63B78u : 0u); }

/// [n]: x^(64n - 33) modulo the polynomial, reflected; n >= 1.
constexpr std::array<std::uint32_t, 2 * kWordsMax + 1> make_shifts() {
  std::array<std::uint32_t, 2 * kWordsMax + 1> shifts{};
  std::uint32_t c = 0x80000000u;  // x^0
  for (int i = 0; i < 64 - 33; i++) c = times_x(c);
  for (std::size_t n = 1; n < shifts.size(); n++) {
    shifts[n] = c;
    for (int i = 0; i < 64; i++) c = times_x(c);
  }
  return shifts;
}
constexpr auto kShifts = make_shifts();

__attribute__((target("sse4.2,pclmul"))) std::uint32_t moved_up(std::uint32_t first, std::size_t words_behind_first, std::uint32_t second, std::size_t words_behind_second) {
  const auto product = [](std::uint32_t remainder, std::size_t n) __attribute__((target("sse4.2,pclmul"))) {
    return _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(remainder)), _mm_cvtsi32_si128(static_cast<int>(kShifts[n])), 0);
  };
  const __m128i sum = _mm_xor_si128(product(first, words_behind_first), product(second, words_behind_second));
  return static_cast<std::uint32_t>(_mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum))));
}

__attribute__((target("sse4.2,pclmul"))) std::uint32_t crc32c_three_ways(const std::byte*& p, std::size_t& n, std::uint32_t c) {
  while (n >= 3 * 8 * kWordsMin) {
    const std::size_t words = std::min(n / (3 * 8), kWordsMax);
    const std::byte* const second = p + 8 * words;
    const std::byte* const third = second + 8 * words;
    std::uint64_t a = c, b = 0, d = 0;
    for (std::size_t i = 0; i < 8 * words; i += 8) {
      a = _mm_crc32_u64(a, load_le<std::uint64_t>(p + i));
      b = _mm_crc32_u64(b, load_le<std::uint64_t>(second + i));
      d = _mm_crc32_u64(d, load_le<std::uint64_t>(third + i));
    }
    c = moved_up(static_cast<std::uint32_t>(a), 2 * words, static_cast<std::uint32_t>(b), words) ^ static_cast<std::uint32_t>(d);
    p += 3 * 8 * words;
    n -= 3 * 8 * words;
  }
  return c;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(const std::byte* p, std::size_t n, std::uint32_t c) {
  std::uint64_t c64 = c;
  for (; n >= 8; n -= 8, p += 8) c64 = _mm_crc32_u64(c64, load_le<std::uint64_t>(p));
  c = static_cast<std::uint32_t>(c64);
  for (; n > 0; n--, p++) c = _mm_crc32_u8(c, static_cast<std::uint8_t>(*p));
  return c;
}
const bool kHasPclmul = __builtin_cpu_supports("pclmul") != 0;
const bool kHasSse42 = __builtin_cpu_supports("sse4.2") != 0;
#endif

}  // namespace

std::uint32_t crc32c(Bytes bytes, std::uint32_t seed) {
  const std::uint32_t c = ~seed;
#if defined(__x86_64__)
  if (kHasSse42) {
    const std::byte* p = bytes.data();
    std::size_t n = bytes.size();
    const std::uint32_t of_most = kHasPclmul ? crc32c_three_ways(p, n, c) : c;
    return ~crc32c_sse42(p, n, of_most);
  }
#endif
  return ~crc32c_portable(bytes.data(), bytes.size(), c);
}

std::uint32_t crc32_ieee(Bytes bytes) { return libdeflate_crc32(0, bytes.data(), bytes.size()); }

}  // namespace halfmoon
