// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace halfmoon::model {

inline constexpr std::string_view kRetryPrefix = "%RETRY%";
inline constexpr std::string_view kDeadLetterPrefix = "%DLQ%";
inline constexpr std::string_view kDefaultTopic = "TBW102";  // the template of topics that are created by sending
inline constexpr std::string_view kParkedTopic = "TRANS_CHECK_MAX_TIME_TOPIC";

inline bool is_retry_topic(std::string_view topic) { return topic.starts_with(kRetryPrefix); }
inline bool is_dead_letter_topic(std::string_view topic) { return topic.starts_with(kDeadLetterPrefix); }
std::string retry_topic_of(std::string_view group);
std::string dead_letter_topic_of(std::string_view group);

/// Names allow `^[%|a-zA-Z0-9_-]+$`; topics up to 127 bytes, groups up to 120 (specification 2.2). Errors: InvalidArgument with
/// RocketMQ's texts (4.1), because tools show them. (RocketMQ lets retry and dead-letter topics be 255 long, which its own
/// V1 record cannot hold; with group names of at most 120 they never are.)
Status validate_topic(std::string_view topic);
Status validate_group(std::string_view group);

/// Topics that belong to the broker: no client may change or delete them.
bool is_system_topic(std::string_view topic, std::string_view cluster);
/// System topics that no client may send to (specification 3.3, step 3).
bool is_forbidden_to_send(std::string_view topic);
/// Groups of RocketMQ's own tools and services; created without being asked for.
bool is_system_group(std::string_view group);

}  // namespace halfmoon::model
