// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/clock.h"

namespace halfmoon::runtime {

/// The machine's clocks: CLOCK_REALTIME and CLOCK_BOOTTIME. Any thread.
class SystemClock final : public Clock {
 public:
  Now now() override;
};

/// The kernel's random numbers, fetched in blocks for each thread. Any thread.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace halfmoon::runtime
