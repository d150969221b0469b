// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "adapter/remoting/handlers.h"
#include "wire/remoting/codes.h"

namespace halfmoon::adapter {

/// Whose port a request is translated to.
enum class Port : std::uint8_t { Producing, Transactions, Consuming, Clients, Admin, Readers, Operations, NameServer };

struct Route {
  wire::RequestCode code;
  Port port;
  CoreStep (*handler)(const Request&, Ticket);
};

/// Every code that is served, by code. docs/protocol-matrix.md says the same to people.
std::span<const Route> routes();
/// nullptr: not served.
const Route* find_route(std::int32_t code);
/// The remark of code 3 (specification 1.6); known codes are named.
std::string unsupported_text(std::int32_t code);

}  // namespace halfmoon::adapter
