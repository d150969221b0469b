// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace halfmoon::model {

/// Property names that the broker gives a meaning (remoting specification, 2.5).
namespace property {
inline constexpr std::string_view kTags = "TAGS";
inline constexpr std::string_view kKeys = "KEYS";
inline constexpr std::string_view kUniqueKey = "UNIQ_KEY";
inline constexpr std::string_view kDelayLevel = "DELAY";
inline constexpr std::string_view kTimerDelaySec = "TIMER_DELAY_SEC";
inline constexpr std::string_view kTimerDelayMs = "TIMER_DELAY_MS";
inline constexpr std::string_view kTimerDeliverMs = "TIMER_DELIVER_MS";
inline constexpr std::string_view kTransactionPrepared = "TRAN_MSG";
inline constexpr std::string_view kWaitStored = "WAIT";
inline constexpr std::string_view kProducerGroup = "PGROUP";
inline constexpr std::string_view kCheckImmunity = "CHECK_IMMUNITY_TIME_IN_SECONDS";
inline constexpr std::string_view kTransactionId = "__transactionId__";
inline constexpr std::string_view kTransactionCommitTime = "__transactionCommitTime__";  // ours: Unix ms of the verdict
inline constexpr std::string_view kRetryTopic = "RETRY_TOPIC";
inline constexpr std::string_view kOriginMessageId = "ORIGIN_MESSAGE_ID";
inline constexpr std::string_view kRealTopic = "REAL_TOPIC";
inline constexpr std::string_view kRealQueueId = "REAL_QID";
inline constexpr std::string_view kReplyToClient = "REPLY_TO_CLIENT";
inline constexpr std::string_view kCorrelationId = "CORRELATION_ID";
inline constexpr std::string_view kPushReplyTime = "PUSH_REPLY_TIME";
inline constexpr std::string_view kPopCheckpoint = "POP_CK";
inline constexpr std::string_view kRegion = "MSG_REGION";
inline constexpr std::string_view kTraceOn = "TRACE_ON";
inline constexpr std::string_view kCluster = "CLUSTER";
}  // namespace property

inline constexpr char kNameSeparator = '\x01';
inline constexpr char kPropertySeparator = '\x02';

/// What the core needs of a message's properties, found in one scan. Views point into the scanned text; absent = empty.
struct KnownProperties {
  std::string_view tags, unique_key, producer_group, retry_topic, origin_message_id, reply_to_client;
  std::string_view delay_level, timer_delay_sec, timer_delay_ms, timer_deliver_ms, check_immunity;
  bool transaction_prepared = false;  // TRAN_MSG == "true"
  bool reserved = false;              // carries a name that only the broker may set (REAL_TOPIC, REAL_QID)
  bool pop_checkpoint = false;        // carries POP_CK, which is taken off (specification 2.5)
};

/// `text` is `name 0x01 value 0x02` repeated; the last 0x02 may be missing. nullopt if a part has no separator or no name.
std::optional<KnownProperties> scan_properties(std::string_view text);

/// The value of `name`, or nullopt. Of several properties with this name the last one counts, here and in scan_properties.
std::optional<std::string_view> find_property(std::string_view text, std::string_view name);

/// Appends `name 0x01 value 0x02`.
void append_property(std::string& text, std::string_view name, std::string_view value);

/// A copy of `text` without the properties named in `names`; ends with 0x02 unless empty.
std::string without_properties(std::string_view text, std::initializer_list<std::string_view> names);

/// A decimal integer, nothing else around it; nullopt otherwise or out of range.
std::optional<std::int64_t> parse_integer(std::string_view text);

/// Java's String.hashCode of a tag: what queues are filtered by (specification 4.7). 0 for no tag.
std::int32_t tag_hash(std::string_view tag);

}  // namespace halfmoon::model
