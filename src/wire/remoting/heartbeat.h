// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace halfmoon::wire {

/// The largest body that a client may send with 34, 41, 42 or 46.
inline constexpr std::size_t kClientBodyBytesMax = 1u << 20;

// The enums of heartbeats, with Java's ordinals (trap 12).
enum class ConsumeType : std::uint8_t { Actively = 0, Passively = 1, Pop = 2 };
enum class MessageModel : std::uint8_t { Broadcasting = 0, Clustering = 1 };
enum class ConsumeFromWhere : std::uint8_t {
  LastOffset = 0,
  LastOffsetAndFromMinWhenBootFirst = 1,
  MinOffset = 2,
  MaxOffset = 3,
  FirstOffset = 4,
  Timestamp = 5,
};

/// The names on the wire, e.g. "CONSUME_PASSIVELY". Static.
std::string_view wire_name(ConsumeType type);
std::string_view wire_name(MessageModel model);
std::string_view wire_name(ConsumeFromWhere where);

struct SubscriptionData {
  std::string topic{};
  std::string sub_string{};              // "*", "TagA || TagB" or an SQL expression
  std::vector<std::string> tags{};
  std::vector<std::int32_t> codes{};     // hash codes of the tags
  std::int64_t sub_version = 0;
  std::string expression_type = "TAG";   // absent, null and "" become TAG (trap 13)
  bool class_filter_mode = false;
};

struct ConsumerData {
  std::string group{};
  ConsumeType consume_type = ConsumeType::Passively;
  MessageModel message_model = MessageModel::Clustering;
  ConsumeFromWhere consume_from_where = ConsumeFromWhere::LastOffset;
  std::vector<SubscriptionData> subscriptions{};
  bool unit_mode = false;
};

struct HeartbeatData {
  std::string client_id{};
  std::vector<std::string> producer_groups{};
  std::vector<ConsumerData> consumers{};
  std::int32_t fingerprint = 0;  // 0: version 1 of the heartbeat
  bool without_sub = false;
};

/// The body of 34 (App. A.1). Enums as names or ordinals, an unknown name or null gives the default shown above; numbers as
/// text; missing and null lists are empty. InvalidArgument: not JSON, too large or too deep, a list where a text belongs, an
/// ordinal that no enum has, no clientID.
Result<HeartbeatData> parse_heartbeat(Bytes body);

struct CheckClientConfig {
  std::string client_id{};
  std::string group{};
  std::string client_namespace{};
  std::optional<SubscriptionData> subscription{};
};

/// The body of 46. An empty body is a check of nothing.
Result<CheckClientConfig> parse_check_client_config(Bytes body);

/// {"classFilterMode":false,"codeSet":[],...}, compact.
void append_subscription_data(std::string& out, const SubscriptionData& data);

}  // namespace halfmoon::wire
