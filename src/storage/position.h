// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace halfmoon::storage {

/// A byte of the log, counted from 0; never reused, never moves. RocketMQ calls it commit-log offset. Not an *offset*, which is a
/// queue's n-th message.
using Position = std::int64_t;
inline constexpr Position kNoPosition = -1;

/// Record types of docs/formats/log.md. The numbers are on disk: never change one.
enum class RecordType : std::uint8_t {
  Batch = 1,
  Message = 2,
  Half = 3,
  Delayed = 4,
  Verdict = 5,
  Checked = 6,
  Parked = 7,
  Resumed = 8,
  Reference = 9,
  Fire = 10,
  Offsets = 11,
  Topic = 12,
  TopicDeleted = 13,
  Group = 14,
  GroupDeleted = 15,
  Carried = 16,
  EpochStart = 17,
  Asked = 18,
  Client = 19,
  Refused = 20,
};

}  // namespace halfmoon::storage
