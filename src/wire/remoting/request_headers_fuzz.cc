// SPDX-License-Identifier: Apache-2.0
// Request headers, all of them: a decoder gives the same whether the header came as JSON or binary and in whatever order its fields stand.
// Sends and pulls, which are read by hand, are compared with a plain reading of the same fields.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/check.h"
#include "testkit/fuzz_input.h"
#include "testkit/same_fields.h"
#include "wire/remoting/field_reader.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/request_headers.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::wire;

using Fields = std::vector<ExtField>;

/// `fields` as a header that went over the wire in this serialisation.
struct Sent {
  std::string bytes;
  TextArena arena;
  Header header;
  Sent(const Fields& fields, SerializeType type) {
    FrameWriter frame(bytes, {.type = type, .code = 10, .opaque = 1});
    for (const ExtField& field : fields) frame.text(field.key, field.value);
    frame.finish();
    const auto split = split_frame(as_bytes(bytes));
    const auto* whole = std::get_if<Frame>(&split);
    HM_CHECK(whole != nullptr);
    const auto decoded = decode_header(whole->type, whole->header, arena);
    HM_CHECK(decoded.ok());
    header = *decoded;
  }
};

/// decode_send as the specification tells it (3.3): one field after another, short names taken for long ones.
Result<SendHeader> plain_send(const Header& header) {
  static constexpr std::array<std::string_view, 14> kNames = {"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId",
                                                              "sysFlag", "bornTimestamp", "flag", "properties", "reconsumeTimes", "unitMode",
                                                              "maxReconsumeTimes", "batch", "bname"};
  Fields fields;
  for (const ExtField& field : header.ext) {
    const bool is_short = field.key.size() == 1 && field.key[0] >= 'a' && field.key[0] <= 'n';
    const std::string_view name = is_short ? kNames[static_cast<std::size_t>(field.key[0] - 'a')] : field.key;
    const auto same = std::ranges::find(fields, name, &ExtField::key);
    if (same != fields.end()) same->value = field.value;  // both names of one field: the later one
    else fields.push_back({name, field.value});
  }
  const ExtFields ext(fields);
  for (std::size_t required = 0; required < 8; ++required) {
    const auto there = ext.required_text(kNames[required]);
    if (!there.ok()) return there.error();
  }
  FieldReader read(ext);
  SendHeader out;
  out.producer_group = read.text("producerGroup");
  out.topic = read.text("topic");
  out.default_topic = read.text("defaultTopic");
  out.default_topic_queue_nums = ext.int32_or("defaultTopicQueueNums", out.default_topic_queue_nums);
  out.queue_id = read.int32("queueId");
  out.sys_flag = read.int32("sysFlag");
  out.born_timestamp_ms = read.int64("bornTimestamp");
  out.flag = read.int32("flag");
  out.properties = ext.text_or("properties", "");
  out.reconsume_times = ext.int32_or("reconsumeTimes", 0);
  if (const auto max = ext.optional_int32("maxReconsumeTimes"); max.ok()) out.max_reconsume_times = *max;
  out.unit_mode = ext.bool_or("unitMode", false);
  out.batch = ext.bool_or("batch", false);
  out.broker_name = ext.text_or("bname", "");
  return read.done(out);
}

Result<PullHeader> plain_pull(const Header& header) {
  const ExtFields& ext = header.ext;
  for (const std::string_view required : {"consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset",
                                          "suspendTimeoutMillis", "subVersion"}) {
    const auto there = ext.required_text(required);
    if (!there.ok()) return there.error();
  }
  FieldReader read(ext);
  PullHeader out;
  out.consumer_group = read.text("consumerGroup");
  out.topic = read.text("topic");
  out.queue_id = read.int32("queueId");
  out.queue_offset = read.int64("queueOffset");
  out.max_msg_nums = read.int32("maxMsgNums");
  out.sys_flag = read.int32("sysFlag");
  out.commit_offset = read.int64("commitOffset");
  out.suspend_timeout_ms = read.int64("suspendTimeoutMillis");
  out.sub_version = read.int64("subVersion");
  out.subscription = ext.text_or("subscription", "");
  out.expression_type = ext.text_or("expressionType", "");
  if (const auto bytes = ext.optional_int32("maxMsgBytes"); bytes.ok()) out.max_msg_bytes = *bytes;
  if (const auto source = ext.optional_int32("requestSource"); source.ok()) out.request_source = *source;
  out.proxy_forward_client_id = ext.text_or("proxyFrowardClientId", "");
  out.broker_name = ext.text_or("bname", "");
  return read.done(out);
}

template <class T>
void check(const Header& header, Result<T> (*decode)(const Header&)) {
  Fields fields(header.ext.begin(), header.ext.end());
  const Result<T> first = decode(header);
  if (!first.ok()) HM_CHECK(first.error().code == ErrorCode::InvalidArgument && !first.error().text.empty());
  for (const SerializeType type : {SerializeType::Json, SerializeType::Binary}) {
    const Sent sent(fields, type);
    HM_CHECK(testkit::same_results(decode(sent.header), first));
  }
  // A field that stands there under both its names is the one case where the order counts.
  const auto is_short = [](const ExtField& field) { return field.key.size() == 1; };
  if (std::ranges::any_of(fields, is_short) && !std::ranges::all_of(fields, is_short)) return;
  std::ranges::reverse(fields);
  Header turned = header;
  turned.ext = ExtFields(fields);
  HM_CHECK(testkit::same_results(decode(turned), first));
}

using Check = void (*)(const Header&);
template <auto decode>
void check_decoder(const Header& header) { check(header, decode); }

void check_send(const Header& header) {
  check(header, decode_send);
  HM_CHECK(testkit::same_results(decode_send(header), plain_send(header)));
}
void check_pull(const Header& header) {
  check(header, decode_pull);
  HM_CHECK(testkit::same_results(decode_pull(header), plain_pull(header)));
}

constexpr auto kChecks = std::to_array<Check>({
    check_send,
    check_pull,
    check_decoder<decode_query_message>,
    check_decoder<decode_query_consumer_offset>,
    check_decoder<decode_update_consumer_offset>,
    check_decoder<decode_create_topic>,
    check_decoder<decode_search_offset>,
    check_decoder<decode_queue>,
    check_decoder<decode_view_message>,
    check_decoder<decode_unregister_client>,
    check_decoder<decode_send_back>,
    check_decoder<decode_end_transaction>,
    check_decoder<decode_consumer_list>,
    check_decoder<decode_put_kv>,
    check_decoder<decode_kv_key>,
    check_decoder<decode_kv_namespace>,
    check_decoder<decode_register_broker>,
    check_decoder<decode_unregister_broker>,
    check_decoder<decode_query_data_version>,
    check_decoder<decode_broker_heartbeat>,
    check_decoder<decode_get_route>,
    check_decoder<decode_topic>,
    check_decoder<decode_consumer_connection>,
    check_decoder<decode_producer_connection>,
    check_decoder<decode_delete_group>,
    check_decoder<decode_consume_stats>,
    check_decoder<decode_reset_offset>,
    check_decoder<decode_topics_by_cluster>,
    check_decoder<decode_resume_check_half>,
    check_decoder<decode_group>,
});

}  // namespace

//  | serialisation u8 | header |: whatever header it is, every decoder sees it
HM_FUZZ_TARGET() {
  const auto type = static_cast<SerializeType>(input.byte() & 1);
  const std::string_view text = input.rest();
  if (text.size() > 16u << 10) return;  // so that a header still fits in a frame when everything in it needs an escape
  TextArena arena;
  const auto header = decode_header(type, as_bytes(text), arena);
  if (!header.ok()) return;
  for (const Check one : kChecks) one(*header);
}
