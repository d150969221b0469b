// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "storage/log.h"
#include "storage/second_reading.h"

namespace halfmoon::storage {

/// What the replay knows so far.
struct Replay {
  const Log::Visitor& visit;
  Position at = 0;                // all batches below are valid and visited
  Position last_batch = 0;        // where the last one began; `at` if there was none
  Position durable = 0;           // the newest durable_before; what lies below has certainly been on disk
  std::uint32_t epoch = 0;
  std::string why;                // why there is no valid batch at `at`
  RecoveryReport report;
  SecondReading second;
};

}  // namespace halfmoon::storage
