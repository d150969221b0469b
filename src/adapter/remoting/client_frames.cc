// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/client_frames.h"

#include "adapter/remoting/context.h"
#include "model/message_image.h"
#include "model/properties.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/queue_bodies.h"

namespace halfmoon::adapter {
namespace {

using wire::RequestCode;
using wire::SerializeType;

/// RocketMQ names the topic where it keeps half messages; clients read the real one in the body.
constexpr std::string_view kHalfTopic = "RMQ_SYS_TRANS_HALF_TOPIC";

}  // namespace

Status write_transaction_check(Channel& channel, const broker::TransactionCheck& check, std::int32_t opaque, std::string& out) {
  std::string image;
  HM_TRY_STATUS(channel.reader().render_half(check.half_position, image));
  const auto message = model::decode_image(as_bytes(image));
  if (!message) return Error{ErrorCode::Corrupt, "the half message at position " + std::to_string(check.half_position) + " cannot be decoded"};
  const std::string_view unique_key = model::find_property(message->properties, model::property::kUniqueKey).value_or("");

  wire::FrameWriter frame(out, wire::one_way(SerializeType::Json, opaque, RequestCode::CheckTransactionState));
  frame.text("topic", kHalfTopic);
  frame.number("tranStateTableOffset", check.half_offset);
  frame.number("commitLogOffset", check.half_position);
  frame.text("msgId", unique_key);
  frame.text("transactionId", model::find_property(message->properties, model::property::kTransactionId).value_or(unique_key));
  frame.text("offsetMsgId", model::offset_message_id(message->store_host, check.half_position));
  frame.text("bname", channel.context().options.broker_name);
  frame.begin_body();
  out.append(image);
  frame.finish();
  return Done{};
}

void write_consumer_ids_changed(std::string_view group, std::int32_t opaque, std::string& out) {
  wire::FrameWriter frame(out, wire::one_way(SerializeType::Json, opaque, RequestCode::NotifyConsumerIdsChanged));
  frame.text("consumerGroup", group);
  frame.finish();
}

void write_offset_reset(const broker::OffsetReset& reset, std::string_view broker_name, wire::Language language, std::int32_t opaque, std::string& out) {
  std::vector<wire::QueueOffset> offsets;
  for (const auto& [queue, offset] : reset.offsets) offsets.push_back({.queue = {reset.topic, std::string(broker_name), queue}, .offset = offset});
  wire::FrameWriter frame(out, wire::one_way(SerializeType::Json, opaque, RequestCode::ResetConsumerClientOffset));
  frame.text("topic", reset.topic);
  frame.text("group", reset.group);
  frame.number("timestamp", reset.wall_ms);
  frame.boolean("isForce", true);
  frame.begin_body();
  const bool list = language == wire::Language::Cpp || language == wire::Language::Python;  // Python is a skin over C++
  wire::append_reset_offsets(out, offsets, list ? wire::ResetOffsetForm::List : wire::ResetOffsetForm::ObjectKeys);
  frame.finish();
}

void write_pushed_reply(const broker::PushedReply& push, std::int32_t opaque, std::string& out) {
  const broker::SendRequest& message = push.message;
  std::string properties(message.properties);
  if (!model::find_property(properties, model::property::kPushReplyTime)) {
    if (!properties.empty() && properties.back() != model::kPropertySeparator) properties.push_back(model::kPropertySeparator);
    model::append_property(properties, model::property::kPushReplyTime, std::to_string(push.store_ms));
  }
  wire::FrameWriter frame(out, wire::request(SerializeType::Json, opaque, RequestCode::PushReplyMessageToClient));
  frame.text("producerGroup", message.group);
  frame.text("topic", message.topic);
  frame.text("defaultTopic", message.default_topic);
  frame.number("defaultTopicQueueNums", message.default_queues);
  frame.number("queueId", message.queue_id);
  frame.number("sysFlag", message.sys_flag);
  frame.number("bornTimestamp", message.born_ms);
  frame.number("flag", message.flag);
  frame.text("properties", properties);
  frame.number("reconsumeTimes", message.reconsume_times);
  frame.boolean("unitMode", false);
  frame.text("bornHost", model::to_string(message.born_host));
  frame.text("storeHost", model::to_string(message.store_host));
  frame.number("storeTimestamp", push.store_ms);
  frame.begin_body();
  out.append(message.body);
  frame.finish();
}

}  // namespace halfmoon::adapter
