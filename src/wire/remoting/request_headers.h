// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "wire/remoting/header.h"

namespace halfmoon::wire {

// The ext fields of each request as a struct (spec 3.2 to 3.5); members carry the wire's meaning and units, times in ms. Views live
// as long as the header's. Each decoder fails with InvalidArgument and the text of spec 1.5 when a required field is missing or a
// number cannot be read; an optional number that is absent or empty has the default shown. Nothing is judged beyond that: a
// name may be empty or illegal, a number negative.

/// 10, 310, 320, 324, 325 (spec 3.3). `batch` is the header's field only: code 320 is a batch whatever it says.
struct SendHeader {
  std::string_view producer_group;
  std::string_view topic;
  std::string_view default_topic;               // "" from Go rc3 batches (trap 11)
  std::int32_t default_topic_queue_nums = 4;
  std::int32_t queue_id = -1;                   // < 0: the broker picks
  std::int32_t sys_flag = 0;
  std::int64_t born_timestamp_ms = 0;
  std::int32_t flag = 0;
  std::string_view properties;                  // spec 2.5, undecoded
  std::int32_t reconsume_times = 0;
  std::optional<std::int32_t> max_reconsume_times;  // Go sends 0 with everything (trap 21)
  bool unit_mode = false;
  bool batch = false;
  std::string_view broker_name;
};
/// Takes long and short names, in any mixture and under any code.
Result<SendHeader> decode_send(const Header& header);

/// 11 and 361 (spec 3.4).
struct PullHeader {
  std::string_view consumer_group;
  std::string_view topic;
  std::int32_t queue_id = 0;
  std::int64_t queue_offset = 0;
  std::int32_t max_msg_nums = 0;
  std::int32_t sys_flag = 0;  // 1 commit, 2 suspend, 4 subscription (trap 19)
  std::int64_t commit_offset = 0;
  std::int64_t suspend_timeout_ms = 0;
  std::string_view subscription;
  std::int64_t sub_version = 0;
  std::string_view expression_type;  // "" and absent mean TAG (trap 13)
  std::optional<std::int32_t> max_msg_bytes;
  std::optional<std::int32_t> request_source;
  std::string_view proxy_forward_client_id;
  std::string_view broker_name;
};
Result<PullHeader> decode_pull(const Header& header);

/// 12. `unique_key`: the key is a client's message id, not a KEYS word.
struct QueryMessageHeader {
  std::string_view topic;
  std::string_view key;
  std::int32_t max_num = 0;
  std::int64_t begin_timestamp_ms = 0;
  std::int64_t end_timestamp_ms = 0;
  bool unique_key = false;
};
Result<QueryMessageHeader> decode_query_message(const Header& header);

/// 14.
struct QueryConsumerOffsetHeader {
  std::string_view consumer_group;
  std::string_view topic;
  std::int32_t queue_id = 0;
  bool set_zero_if_not_found = true;
};
Result<QueryConsumerOffsetHeader> decode_query_consumer_offset(const Header& header);

/// 15.
struct UpdateConsumerOffsetHeader {
  std::string_view consumer_group;
  std::string_view topic;
  std::int32_t queue_id = 0;
  std::int64_t commit_offset = 0;
};
Result<UpdateConsumerOffsetHeader> decode_update_consumer_offset(const Header& header);

/// 17. `topic_filter_type` is SINGLE_TAG, MULTI_TAG or, from C++, a number. `attributes`: "+k=v,-k2".
struct CreateTopicHeader {
  std::string_view topic;
  std::string_view default_topic;
  std::int32_t read_queue_nums = 0;
  std::int32_t write_queue_nums = 0;
  std::int32_t perm = 0;
  std::string_view topic_filter_type;
  std::int32_t topic_sys_flag = 0;
  bool order = false;
  std::string_view attributes;
  bool force = false;
};
Result<CreateTopicHeader> decode_create_topic(const Header& header);

enum class BoundaryType : std::uint8_t { Lower, Upper };

/// 29.
struct SearchOffsetHeader {
  std::string_view topic;
  std::int32_t queue_id = 0;
  std::int64_t timestamp_ms = 0;
  BoundaryType boundary = BoundaryType::Lower;
};
Result<SearchOffsetHeader> decode_search_offset(const Header& header);

/// 30, 31 and 32; `committed` is sent with 30 only.
struct QueueHeader {
  std::string_view topic;
  std::int32_t queue_id = 0;
  bool committed = true;
};
Result<QueueHeader> decode_queue(const Header& header);

/// 33. `position`: what the protocol calls the commit log offset.
struct ViewMessageHeader {
  std::string_view topic;
  std::int64_t position = 0;
};
Result<ViewMessageHeader> decode_view_message(const Header& header);

/// 35; either group may be empty.
struct UnregisterClientHeader {
  std::string_view client_id;
  std::string_view producer_group;
  std::string_view consumer_group;
};
Result<UnregisterClientHeader> decode_unregister_client(const Header& header);

/// 36.
struct SendBackHeader {
  std::int64_t position = 0;
  std::string_view group;
  std::int32_t delay_level = 0;
  std::string_view origin_msg_id;
  std::string_view origin_topic;
  bool unit_mode = false;
  std::optional<std::int32_t> max_reconsume_times;
};
Result<SendBackHeader> decode_send_back(const Header& header);

/// The verdict of 37, also a message's sysFlag bits 2 and 3; any other number stands as it came.
enum class TransactionVerdict : std::int32_t { Unknown = 0, Commit = 8, Rollback = 12 };

/// 37.
struct EndTransactionHeader {
  std::string_view topic;
  std::string_view producer_group;
  std::int64_t tran_state_table_offset = 0;
  std::int64_t position = 0;  // commitLogOffset of the half message
  TransactionVerdict verdict = TransactionVerdict::Unknown;
  bool from_check = false;
  std::string_view msg_id;
  std::string_view transaction_id;
};
Result<EndTransactionHeader> decode_end_transaction(const Header& header);

/// 38.
struct ConsumerListHeader {
  std::string_view consumer_group;
};
Result<ConsumerListHeader> decode_consumer_list(const Header& header);

/// 100, 101 (value ""), 102 (value "") and 219 (key "" and value "").
struct KvHeader {
  std::string_view kv_namespace;
  std::string_view key;
  std::string_view value;
};
Result<KvHeader> decode_put_kv(const Header& header);
Result<KvHeader> decode_kv_key(const Header& header);
Result<KvHeader> decode_kv_namespace(const Header& header);

/// 103 (spec 3.5).
struct RegisterBrokerHeader {
  std::string_view broker_name;
  std::string_view broker_addr;
  std::string_view cluster_name;
  std::string_view ha_server_addr;
  std::int64_t broker_id = 0;
  std::optional<std::int64_t> heartbeat_timeout_ms;
  bool enable_acting_master = false;
  bool compressed = false;  // not to be trusted: parse_register_broker_body looks at the body itself
  std::int32_t body_crc32 = 0;
  std::string_view zone_name;
};
Result<RegisterBrokerHeader> decode_register_broker(const Header& header);

/// 104, 322 and 904: which broker it is about.
struct BrokerHeader {
  std::string_view broker_name;
  std::string_view broker_addr;
  std::string_view cluster_name;
  std::int64_t broker_id = 0;
};
Result<BrokerHeader> decode_unregister_broker(const Header& header);
Result<BrokerHeader> decode_query_data_version(const Header& header);
/// 904: its broker id may be absent, then 0.
Result<BrokerHeader> decode_broker_heartbeat(const Header& header);

/// 105.
struct GetRouteHeader {
  std::string_view topic;
  bool accept_standard_json_only = false;
  std::string_view zone_name;
  bool zone_mode = false;
};
Result<GetRouteHeader> decode_get_route(const Header& header);

/// 202, 215, 216, 300, 351; `cluster_name` is sent with 216 only.
struct TopicHeader {
  std::string_view topic;
  std::string_view cluster_name;
};
Result<TopicHeader> decode_topic(const Header& header);

/// 203.
Result<ConsumerListHeader> decode_consumer_connection(const Header& header);

/// 204.
struct ProducerGroupHeader {
  std::string_view producer_group;
};
Result<ProducerGroupHeader> decode_producer_connection(const Header& header);

/// 207.
struct DeleteGroupHeader {
  std::string_view group;
  bool clean_offset = false;
};
Result<DeleteGroupHeader> decode_delete_group(const Header& header);

/// 208. `topic_list` is `;` separated and comes before `topic`.
struct ConsumeStatsHeader {
  std::string_view consumer_group;
  std::string_view topic;
  std::string_view topic_list;
};
Result<ConsumeStatsHeader> decode_consume_stats(const Header& header);

/// 222. timestamp -1: the end of the queue.
struct ResetOffsetHeader {
  std::string_view topic;
  std::string_view group;
  std::int32_t queue_id = -1;
  std::optional<std::int64_t> offset;
  std::int64_t timestamp_ms = 0;
  bool force = false;
};
Result<ResetOffsetHeader> decode_reset_offset(const Header& header);

/// 224.
struct ClusterHeader {
  std::string_view cluster;
};
Result<ClusterHeader> decode_topics_by_cluster(const Header& header);

/// 323; `msg_id` is the offset message id.
struct ResumeCheckHalfHeader {
  std::string_view topic;
  std::string_view msg_id;
};
Result<ResumeCheckHalfHeader> decode_resume_check_half(const Header& header);

/// 352.
struct GroupHeader {
  std::string_view group;
};
Result<GroupHeader> decode_group(const Header& header);

}  // namespace halfmoon::wire
