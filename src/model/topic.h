// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace halfmoon::model {

/// Bits of a topic's permission (specification 2.3).
namespace permission {
inline constexpr std::int32_t kInherit = 1;  // others may be created after it
inline constexpr std::int32_t kWrite = 2;
inline constexpr std::int32_t kRead = 4;
}  // namespace permission

/// Attribute of a topic: after so many seconds without a verdict a half message's producer is asked, where the message says nothing itself.
inline constexpr std::string_view kCheckImmunityAttribute = "transaction.check.immunity.time";

/// A topic as an administrator sees it.
struct TopicConfig {
  std::string name;
  std::int32_t read_queues = 8;
  std::int32_t write_queues = 8;
  std::int32_t permission = permission::kRead | permission::kWrite;
  std::int32_t sys_flag = 0;
  bool order = false;
  bool multi_tag = false;                          // topicFilterType MULTI_TAG
  std::map<std::string, std::string> attributes;   // "message.type" -> "TRANSACTION", ... (specification 4.9)

  bool operator==(const TopicConfig&) const = default;
  std::int32_t queues() const { return read_queues > write_queues ? read_queues : write_queues; }
};

/// RocketMQ's version stamp of a table: clients and name servers compare it to see whether something changed.
struct DataVersion {
  std::int64_t state_version = 0;  // the epoch
  std::int64_t timestamp_ms = 0;
  std::int64_t counter = 0;

  bool operator==(const DataVersion&) const = default;
};

}  // namespace halfmoon::model
