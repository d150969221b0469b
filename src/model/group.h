// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace halfmoon::model {

/// A subscription group as an administrator sees it (specification A.5, with RocketMQ's defaults).
struct GroupConfig {
  std::string name;
  bool consume_enable = true;
  bool consume_from_min_enable = true;
  bool consume_broadcast_enable = true;
  bool consume_orderly = false;
  std::int32_t retry_queues = 1;
  std::int32_t retry_max = 16;  // deliveries after the first; then the dead-letter topic
  std::int64_t broker_id = 0;
  std::int64_t which_broker_when_slow = 1;
  bool notify_ids_changed = true;
  std::int32_t sys_flag = 0;
  std::int32_t consume_timeout_minutes = 15;
  std::map<std::string, std::string> attributes;

  bool operator==(const GroupConfig&) const = default;
};

enum class ConsumeType : std::uint8_t { Actively, Passively, Pop };           // pull, push, pop
enum class MessageModel : std::uint8_t { Broadcasting, Clustering };
enum class ConsumeFrom : std::uint8_t { LastOffset, LastOffsetMinFirst, MinOffset, MaxOffset, FirstOffset, Timestamp };

/// One consumer's interest in one topic, as its heartbeat states it.
struct Subscription {
  std::string topic;
  std::string expression = "*";      // "*", or "TagA || TagB"
  std::string expression_type = "TAG";
  std::int64_t version = 0;          // grows when the client changes it
  std::vector<std::string> tags;     // as the client split them; used when the expression is not "*"

  bool operator==(const Subscription&) const = default;
};

}  // namespace halfmoon::model
