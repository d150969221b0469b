// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace halfmoon {

/// One reading of both clocks. Due times and store timestamps are wall time; lifetimes, timeouts and intervals are monotonic
/// time that goes on while the machine sleeps (CLOCK_BOOTTIME). Both in milliseconds.
struct Now {
  std::int64_t wall_ms = 0;
  std::int64_t mono_ms = 0;
};

/// Port to the machine's clocks. Only runtime, server and cli ask it; the core is told the time with each batch.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now now() = 0;
};

/// Port to randomness: 64 uniformly distributed bits a call. Tests seed it.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

}  // namespace halfmoon
