// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/request_headers.h"

#include <algorithm>

#include "wire/remoting/field_reader.h"

namespace halfmoon::wire {

Result<QueryMessageHeader> decode_query_message(const Header& header) {
  FieldReader read(header.ext);
  QueryMessageHeader out;
  out.topic = read.text("topic");
  out.key = read.text("key");
  out.max_num = read.int32("maxNum");
  out.begin_timestamp_ms = read.int64("beginTimestamp");
  out.end_timestamp_ms = read.int64("endTimestamp");
  out.unique_key = header.ext.bool_or("_UNIQUE_KEY_QUERY", false);
  return read.done(out);
}

Result<QueryConsumerOffsetHeader> decode_query_consumer_offset(const Header& header) {
  FieldReader read(header.ext);
  QueryConsumerOffsetHeader out;
  out.consumer_group = read.text("consumerGroup");
  out.topic = read.text("topic");
  out.queue_id = read.int32("queueId");
  out.set_zero_if_not_found = header.ext.bool_or("setZeroIfNotFound", true);
  return read.done(out);
}

Result<UpdateConsumerOffsetHeader> decode_update_consumer_offset(const Header& header) {
  FieldReader read(header.ext);
  UpdateConsumerOffsetHeader out;
  out.consumer_group = read.text("consumerGroup");
  out.topic = read.text("topic");
  out.queue_id = read.int32("queueId");
  out.commit_offset = read.int64("commitOffset");
  return read.done(out);
}

Result<CreateTopicHeader> decode_create_topic(const Header& header) {
  FieldReader read(header.ext);
  CreateTopicHeader out;
  out.topic = read.text("topic");
  out.default_topic = read.text("defaultTopic");
  out.read_queue_nums = read.int32("readQueueNums");
  out.write_queue_nums = read.int32("writeQueueNums");
  out.perm = read.int32("perm");
  out.topic_filter_type = read.text("topicFilterType");
  out.topic_sys_flag = read.int32_or("topicSysFlag", 0);
  out.order = header.ext.bool_or("order", false);
  out.attributes = header.ext.text_or("attributes", "");
  out.force = header.ext.bool_or("force", false);
  return read.done(out);
}

Result<SearchOffsetHeader> decode_search_offset(const Header& header) {
  FieldReader read(header.ext);
  SearchOffsetHeader out;
  out.topic = read.text("topic");
  out.queue_id = read.int32("queueId");
  out.timestamp_ms = read.int64("timestamp");
  constexpr std::string_view kUpper = "upper";
  const bool upper = std::ranges::equal(header.ext.text_or("boundaryType", ""), kUpper, [](char a, char b) { return (a | 0x20) == b; });
  if (upper) out.boundary = BoundaryType::Upper;
  return read.done(out);
}

Result<QueueHeader> decode_queue(const Header& header) {
  FieldReader read(header.ext);
  QueueHeader out;
  out.topic = read.text("topic");
  out.queue_id = read.int32("queueId");
  out.committed = header.ext.bool_or("committed", true);
  return read.done(out);
}

Result<ViewMessageHeader> decode_view_message(const Header& header) {
  FieldReader read(header.ext);
  ViewMessageHeader out;
  out.topic = header.ext.text_or("topic", "");
  out.position = read.int64("offset");
  return read.done(out);
}

Result<UnregisterClientHeader> decode_unregister_client(const Header& header) {
  FieldReader read(header.ext);
  UnregisterClientHeader out;
  out.client_id = read.text("clientID");
  out.producer_group = header.ext.text_or("producerGroup", "");
  out.consumer_group = header.ext.text_or("consumerGroup", "");
  return read.done(out);
}

Result<SendBackHeader> decode_send_back(const Header& header) {
  FieldReader read(header.ext);
  SendBackHeader out;
  out.position = read.int64("offset");
  out.group = read.text("group");
  out.delay_level = read.int32("delayLevel");
  out.origin_msg_id = header.ext.text_or("originMsgId", "");
  out.origin_topic = header.ext.text_or("originTopic", "");
  out.unit_mode = header.ext.bool_or("unitMode", false);
  out.max_reconsume_times = read.optional_int32("maxReconsumeTimes");
  return read.done(out);
}

Result<EndTransactionHeader> decode_end_transaction(const Header& header) {
  FieldReader read(header.ext);
  EndTransactionHeader out;
  out.topic = header.ext.text_or("topic", "");
  out.producer_group = read.text("producerGroup");
  out.tran_state_table_offset = read.int64("tranStateTableOffset");
  out.position = read.int64("commitLogOffset");
  out.verdict = static_cast<TransactionVerdict>(read.int32("commitOrRollback"));
  out.from_check = header.ext.bool_or("fromTransactionCheck", false);
  out.msg_id = read.text("msgId");
  out.transaction_id = header.ext.text_or("transactionId", "");
  return read.done(out);
}

Result<ConsumerListHeader> decode_consumer_list(const Header& header) {
  FieldReader read(header.ext);
  ConsumerListHeader out;
  out.consumer_group = read.text("consumerGroup");
  return read.done(out);
}

Result<KvHeader> decode_put_kv(const Header& header) {
  FieldReader read(header.ext);
  KvHeader out;
  out.kv_namespace = read.text("namespace");
  out.key = read.text("key");
  out.value = read.text("value");
  return read.done(out);
}

Result<KvHeader> decode_kv_key(const Header& header) {
  FieldReader read(header.ext);
  KvHeader out;
  out.kv_namespace = read.text("namespace");
  out.key = read.text("key");
  return read.done(out);
}

Result<KvHeader> decode_kv_namespace(const Header& header) {
  FieldReader read(header.ext);
  KvHeader out;
  out.kv_namespace = read.text("namespace");
  return read.done(out);
}

Result<RegisterBrokerHeader> decode_register_broker(const Header& header) {
  FieldReader read(header.ext);
  RegisterBrokerHeader out;
  out.broker_name = read.text("brokerName");
  out.broker_addr = read.text("brokerAddr");
  out.cluster_name = read.text("clusterName");
  out.ha_server_addr = read.text("haServerAddr");
  out.broker_id = read.int64("brokerId");
  out.heartbeat_timeout_ms = read.optional_int64("heartbeatTimeoutMillis");
  out.enable_acting_master = header.ext.bool_or("enableActingMaster", false);
  out.compressed = header.ext.bool_or("compressed", false);
  out.body_crc32 = read.int32_or("bodyCrc32", 0);
  out.zone_name = header.ext.text_or("__ZONE_NAME", "");
  return read.done(out);
}

Result<BrokerHeader> decode_unregister_broker(const Header& header) {
  FieldReader read(header.ext);
  BrokerHeader out;
  out.broker_name = read.text("brokerName");
  out.broker_addr = read.text("brokerAddr");
  out.cluster_name = read.text("clusterName");
  out.broker_id = read.int64("brokerId");
  return read.done(out);
}

Result<BrokerHeader> decode_query_data_version(const Header& header) { return decode_unregister_broker(header); }

Result<BrokerHeader> decode_broker_heartbeat(const Header& header) {
  FieldReader read(header.ext);
  BrokerHeader out;
  out.broker_name = read.text("brokerName");
  out.broker_addr = read.text("brokerAddr");
  out.cluster_name = read.text("clusterName");
  out.broker_id = read.optional_int64("brokerId").value_or(0);
  return read.done(out);
}

Result<GetRouteHeader> decode_get_route(const Header& header) {
  FieldReader read(header.ext);
  GetRouteHeader out;
  out.topic = read.text("topic");
  out.accept_standard_json_only = header.ext.bool_or("acceptStandardJsonOnly", false);
  out.zone_name = header.ext.text_or("__ZONE_NAME", "");
  out.zone_mode = header.ext.bool_or("__ZONE_MODE", false);
  return read.done(out);
}

Result<TopicHeader> decode_topic(const Header& header) {
  FieldReader read(header.ext);
  TopicHeader out;
  out.topic = read.text("topic");
  out.cluster_name = header.ext.text_or("clusterName", "");
  return read.done(out);
}

Result<ConsumerListHeader> decode_consumer_connection(const Header& header) { return decode_consumer_list(header); }

Result<ProducerGroupHeader> decode_producer_connection(const Header& header) {
  FieldReader read(header.ext);
  ProducerGroupHeader out;
  out.producer_group = read.text("producerGroup");
  return read.done(out);
}

Result<DeleteGroupHeader> decode_delete_group(const Header& header) {
  FieldReader read(header.ext);
  DeleteGroupHeader out;
  out.group = read.text("groupName");
  out.clean_offset = header.ext.bool_or("cleanOffset", false);
  return read.done(out);
}

Result<ConsumeStatsHeader> decode_consume_stats(const Header& header) {
  FieldReader read(header.ext);
  ConsumeStatsHeader out;
  out.consumer_group = read.text("consumerGroup");
  out.topic = header.ext.text_or("topic", "");
  out.topic_list = header.ext.text_or("topicList", "");
  return read.done(out);
}

Result<ResetOffsetHeader> decode_reset_offset(const Header& header) {
  FieldReader read(header.ext);
  ResetOffsetHeader out;
  out.topic = read.text("topic");
  out.group = read.text("group");
  out.queue_id = read.int32_or("queueId", -1);
  out.offset = read.optional_int64("offset");
  out.timestamp_ms = read.int64("timestamp");
  out.force = read.boolean("isForce");
  return read.done(out);
}

Result<ClusterHeader> decode_topics_by_cluster(const Header& header) {
  FieldReader read(header.ext);
  ClusterHeader out;
  out.cluster = read.text("cluster");
  return read.done(out);
}

Result<ResumeCheckHalfHeader> decode_resume_check_half(const Header& header) {
  return ResumeCheckHalfHeader{header.ext.text_or("topic", ""), header.ext.text_or("msgId", "")};
}

Result<GroupHeader> decode_group(const Header& header) {
  FieldReader read(header.ext);
  GroupHeader out;
  out.group = read.text("group");
  return read.done(out);
}

}  // namespace halfmoon::wire
