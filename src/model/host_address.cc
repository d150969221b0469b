// SPDX-License-Identifier: Apache-2.0
#include "model/host_address.h"

#include <arpa/inet.h>

#include <cstring>

namespace halfmoon::model {

std::string ip_text(const HostAddress& address) {
  char buffer[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.ipv6 ? AF_INET6 : AF_INET, address.ip.data(), buffer, sizeof buffer);
  return buffer;
}

std::string to_string(const HostAddress& address) {
  const std::string ip = ip_text(address);
  return (address.ipv6 ? "[" + ip + "]" : ip) + ":" + std::to_string(address.port);
}

bool parse_ip(std::string_view text, HostAddress& out) {
  const std::string copy(text);
  HostAddress parsed;
  if (inet_pton(AF_INET, copy.c_str(), parsed.ip.data()) == 1) {
    parsed.ipv6 = false;
  } else if (inet_pton(AF_INET6, copy.c_str(), parsed.ip.data()) == 1) {
    parsed.ipv6 = true;
  } else {
    return false;
  }
  parsed.port = out.port;
  out = parsed;
  return true;
}

}  // namespace halfmoon::model
