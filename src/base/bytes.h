// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace halfmoon {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

namespace detail {
template <std::integral T>
constexpr T byte_swapped(T v) {
  if constexpr (sizeof(T) == 1) return v;
  else if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(v)));
  else if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(v)));
  else return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(v)));
}
}  // namespace detail

/// Reads/writes an integer at an unaligned address. `_be`: network order, as on the wire; `_le`: as in our own files.
/// The caller has checked that sizeof(T) bytes are there.
template <std::integral T>
T load_be(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return std::endian::native == std::endian::little ? detail::byte_swapped(v) : v;
}
template <std::integral T>
T load_le(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return std::endian::native == std::endian::little ? v : detail::byte_swapped(v);
}
template <std::integral T>
void store_be(void* p, T v) {
  if constexpr (std::endian::native == std::endian::little) v = detail::byte_swapped(v);
  std::memcpy(p, &v, sizeof v);
}
template <std::integral T>
void store_le(void* p, T v) {
  if constexpr (std::endian::native != std::endian::little) v = detail::byte_swapped(v);
  std::memcpy(p, &v, sizeof v);
}

}  // namespace halfmoon
