// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace halfmoon::adapter {

/// What the remoting protocol counts. Written and read inside the core's monitor; only grows, but for `channels`.
struct RemotingProbe {
  std::int64_t turns = 0;            // entries into the core
  std::int64_t requests = 0;         // frames that became a request
  std::int64_t bad_frames = 0;       // framing broken: connection closed
  std::int64_t bad_headers = 0;      // header unreadable in an intact frame
  std::int64_t unsupported = 0;      // answered with code 3
  std::int64_t stray_answers = 0;    // responses nobody waits for, or no longer
  std::int64_t pushed = 0;           // requests of ours to clients (39, 40, 220, 326)
  std::int64_t push_unreachable = 0; // ... whose connection was gone
  std::int64_t push_timeouts = 0;    // ... without an answer in time
  std::int64_t channels = 0;         // connections that have spoken and are open
};

}  // namespace halfmoon::adapter
