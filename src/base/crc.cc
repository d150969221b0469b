// SPDX-License-Identifier: Apache-2.0
#include "base/crc.h"

#include <libdeflate.h>

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
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
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(const std::byte* p, std::size_t n, std::uint32_t c) {
  std::uint64_t c64 = c;
  for (; n >= 8; n -= 8, p += 8) c64 = _mm_crc32_u64(c64, load_le<std::uint64_t>(p));
  c = static_cast<std::uint32_t>(c64);
  for (; n > 0; n--, p++) c = _mm_crc32_u8(c, static_cast<std::uint8_t>(*p));
  return c;
}
const bool kHasSse42 = __builtin_cpu_supports("sse4.2") != 0;
#endif

}  // namespace

std::uint32_t crc32c(Bytes bytes, std::uint32_t seed) {
  const std::uint32_t c = ~seed;
#if defined(__x86_64__)
  if (kHasSse42) return ~crc32c_sse42(bytes.data(), bytes.size(), c);
#endif
  return ~crc32c_portable(bytes.data(), bytes.size(), c);
}

std::uint32_t crc32_ieee(Bytes bytes) { return libdeflate_crc32(0, bytes.data(), bytes.size()); }

}  // namespace halfmoon
