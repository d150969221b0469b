// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace halfmoon::wire {

// Bodies about queues. Where Java has a map whose keys are queues, the wire carries JSON objects as keys, which no JSON parser but
// fastjson reads (trap 5): {"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:7}}. That is what tools expect.

struct MessageQueue {
  std::string topic{};
  std::string broker_name{};
  std::int32_t queue_id = 0;

  friend bool operator==(const MessageQueue&, const MessageQueue&) = default;
};

/// 41 and 42 (App. A.2).
struct LockBody {
  std::string consumer_group{};
  std::string client_id{};
  std::vector<MessageQueue> queues{};
  bool only_this_broker = false;
};
Result<LockBody> parse_lock_body(Bytes body);

/// The answer to 41: {"lockOKMQSet":[...]}.
void append_lock_ok(std::string& out, std::span<const MessageQueue> locked);

/// 202.
struct QueueStats {
  MessageQueue queue{};
  std::int64_t min_offset = 0;
  std::int64_t max_offset = 0;
  std::int64_t last_update_ms = 0;
};
void append_topic_stats(std::string& out, std::span<const QueueStats> queues, double topic_put_tps);

/// 208.
struct QueueConsumeStats {
  MessageQueue queue{};
  std::int64_t broker_offset = 0;
  std::int64_t consumer_offset = 0;
  std::int64_t pull_offset = 0;
  std::int64_t last_timestamp_ms = 0;
};
void append_consume_stats(std::string& out, std::span<const QueueConsumeStats> queues, double consume_tps);

struct QueueOffset {
  MessageQueue queue{};
  std::int64_t offset = 0;
};

/// How a client wants the body of 220 (spec 3.8): Java and Go with queues as keys, C++ as a list.
enum class ResetOffsetForm : std::uint8_t { ObjectKeys, List };

/// The body of 220, and with ObjectKeys the answer to 222.
void append_reset_offsets(std::string& out, std::span<const QueueOffset> offsets, ResetOffsetForm form);

}  // namespace halfmoon::wire
