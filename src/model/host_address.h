// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace halfmoon::model {

/// An IP address and a port. IPv4 takes the first four bytes; `ipv6` says which.
struct HostAddress {
  std::array<std::uint8_t, 16> ip{};
  bool ipv6 = false;
  std::uint16_t port = 0;

  bool operator==(const HostAddress&) const = default;
};

/// "192.0.2.1:10911" or "[2001:db8::1]:10911".
std::string to_string(const HostAddress& address);
/// The address alone, without brackets and port.
std::string ip_text(const HostAddress& address);
/// Parses an IP literal; false if it is none.
bool parse_ip(std::string_view text, HostAddress& out);

}  // namespace halfmoon::model
