// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "runtime/admission.h"
#include "runtime/connection.h"
#include "runtime/rate_limited_log.h"

namespace halfmoon::runtime {

/// What the connections of one listener share: how their sessions are made, and what a peer hears that speaks another protocol.
struct Entrance {
  SessionFactory sessions;
  /// Answered to a peer that speaks HTTP. Empty: first bytes are not looked at. (Set, TLS is recognised as well: both begin with a
  /// byte that as the length of a remoting frame would announce more than 350 MiB.)
  std::string http_answer;
  std::shared_ptr<Admission> admission;
  RateLimitedLog foreign_log{10000};
  RateLimitedLog slow_log{10000};
};

/// A socket that was accepted and admitted; `fd` is non-blocking and belongs to the receiver.
struct Accepted {
  int fd = -1;
  SocketAddress remote, local;
  std::shared_ptr<Entrance> entrance;
};

}  // namespace halfmoon::runtime
