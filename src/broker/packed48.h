// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace halfmoon::broker {

/// An integer of 0 .. 2^48 - 1 in six bytes: enough for milliseconds of 8900 years. What lies outside is held at the nearer end.
class Packed48 {
 public:
  static constexpr std::int64_t kMax = (std::int64_t{1} << 48) - 1;
  constexpr Packed48() = default;
  constexpr Packed48(std::int64_t value) { *this = value; }  // NOLINT: implicit on purpose
  constexpr Packed48& operator=(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value < 0 ? 0 : value > kMax ? kMax : value);
    part_[0] = static_cast<std::uint16_t>(bits);
    part_[1] = static_cast<std::uint16_t>(bits >> 16);
    part_[2] = static_cast<std::uint16_t>(bits >> 32);
    return *this;
  }
  constexpr operator std::int64_t() const {  // NOLINT: implicit on purpose
    return static_cast<std::int64_t>(part_[0] | std::uint64_t{part_[1]} << 16 | std::uint64_t{part_[2]} << 32);
  }

 private:
  std::uint16_t part_[3]{};
};

}  // namespace halfmoon::broker
