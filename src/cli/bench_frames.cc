// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_frames.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "model/message_image.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/header.h"
#include "wire/remoting/json_writer.h"

namespace halfmoon::cli {

namespace {

constexpr std::int64_t kBornPlaceholderMs = 1'234'567'890'123;  // thirteen digits, as every time until the year 2286
constexpr std::int64_t kDeliverPlaceholderMs = 9'876'543'210'123;
constexpr std::string_view kKeyPrefix = "7F0000012C5E18B4AAC2";
constexpr std::size_t kKeyDigits = 12;
constexpr std::int64_t kMessagesAPull = 32;

/// The number after `key`, which has its quotes and colon. A quote inside a JSON string is escaped, so only a real key can match.
bool number_after(std::string_view header, std::string_view key, std::int32_t& out) {
  const void* found = memmem(header.data(), header.size(), key.data(), key.size());
  if (found == nullptr) return false;
  const char* p = static_cast<const char*>(found) + key.size();
  const char* const end = header.data() + header.size();
  while (p != end && *p == ' ') ++p;
  return std::from_chars(p, end, out).ec == std::errc();
}

void put_decimal(char* to, std::uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) to[i] = static_cast<char>('0' + value % 10);
}

void put_hex(char* to, std::uint64_t value) {
  for (std::size_t i = kKeyDigits; i-- > 0; value >>= 4) to[i] = "0123456789ABCDEF"[value & 15];
}

std::string properties_of(const SendShape& shape) {
  std::string out = "UNIQ_KEY\1" + unique_key(0) + "\2WAIT\1true\2TAGS\1TagA\2";
  if (shape.kind == MessageKind::Half) out.append("TRAN_MSG\1true\2PGROUP\1").append(shape.group).append("\2");
  if (shape.delivery_time) out.append("TIMER_DELIVER_MS\1").append(std::to_string(kDeliverPlaceholderMs)).append("\2");
  return out.append(shape.more_properties);
}

/// Calls `use(header)` with the decoded header, if it can be decoded.
template <class Use>
void with_header(const Answer& answer, Use use) {
  wire::TextArena arena;
  const Result<wire::Header> header = wire::decode_header(answer.type, answer.header, arena);
  if (header.ok()) use(*header);
}

}  // namespace

std::string Answer::text(std::string_view key) const {
  std::string out;
  with_header(*this, [&](const wire::Header& decoded) {
    out = key == "remark" ? decoded.remark : decoded.ext.text_or(key, "");
  });
  return out;
}

std::int64_t Answer::number(std::string_view key) const {
  std::int64_t out = 0;
  with_header(*this, [&](const wire::Header& decoded) { out = decoded.ext.int64_or(key, 0); });
  return out;
}

std::optional<Answer> read_answer(const wire::Frame& frame) {
  Answer answer;
  answer.type = frame.type;
  answer.header = frame.header;
  answer.body = frame.body;
  std::int32_t flag = 0;
  if (frame.type == wire::SerializeType::Binary) {
    if (frame.header.size() < 21) return std::nullopt;
    const std::byte* const p = frame.header.data();  // code i16, language u8, version i16, opaque i32, flag i32 (spec 1.3)
    answer.code = load_be<std::int16_t>(p);
    answer.opaque = load_be<std::int32_t>(p + 5);
    flag = load_be<std::int32_t>(p + 9);
  } else {
    const std::string_view header = as_text(frame.header);
    if (!number_after(header, "\"code\":", answer.code) || !number_after(header, "\"opaque\":", answer.opaque)) return std::nullopt;
    number_after(header, "\"flag\":", flag);
  }
  answer.is_response = (flag & wire::kFlagResponse) != 0;
  return answer;
}

SendTemplate::SendTemplate(const SendShape& shape) : type_(shape.header) {
  wire::FrameWriter writer(frame_, wire::request(type_, kSendOpaque, wire::RequestCode::SendMessageV2));
  writer.text("a", shape.group);
  writer.text("b", shape.topic);
  writer.text("c", "TBW102");
  writer.number("d", shape.queues);
  writer.number("e", shape.queue);
  writer.number("f", shape.kind == MessageKind::Half ? model::sys_flag::kTransactionPrepared : 0);
  writer.number("g", kBornPlaceholderMs);
  writer.number("h", 0);
  writer.text("i", properties_of(shape));
  writer.number("j", 0);
  writer.boolean("k", false);
  writer.boolean("m", false);
  writer.begin_body();
  frame_.append(shape.body_bytes, 'x');
  writer.finish();
  body_at_ = frame_.size() - shape.body_bytes;
  opaque_at_ = type_ == wire::SerializeType::Binary ? 8 + 5 : frame_.find("\"opaque\":") + 9;
  born_at_ = frame_.find(std::to_string(kBornPlaceholderMs));
  key_at_ = frame_.find(unique_key(0));
  HM_CHECK(born_at_ < body_at_ && key_at_ < body_at_ && opaque_at_ < body_at_);
  key_at_ += kKeyPrefix.size();
  if (shape.delivery_time) deliver_at_ = frame_.find(std::to_string(kDeliverPlaceholderMs));
  if (shape.numbered_topic) topic_at_ = frame_.find(shape.topic) + shape.topic.size() - kTopicDigits;
  HM_CHECK(deliver_at_ < body_at_ && topic_at_ < body_at_);
}

char* SendTemplate::append(std::string& out, const SendStamp& stamp) const {
  const std::size_t start = out.size();
  out.append(frame_);
  char* const p = out.data() + start;
  const std::int32_t opaque = kSendOpaque + stamp.slot;
  if (type_ == wire::SerializeType::Binary) {
    store_be(p + opaque_at_, opaque);
  } else {
    put_decimal(p + opaque_at_, static_cast<std::uint64_t>(opaque), 10);
  }
  put_decimal(p + born_at_, static_cast<std::uint64_t>(stamp.born_ms), 13);
  put_hex(p + key_at_, stamp.sequence);
  if (deliver_at_ != 0) put_decimal(p + deliver_at_, static_cast<std::uint64_t>(stamp.deliver_ms), 13);
  if (topic_at_ != 0) put_decimal(p + topic_at_, stamp.topic, kTopicDigits);
  return p + body_at_;
}

std::string numbered_topic(std::string_view base, std::uint32_t number) {
  std::string topic(base);
  topic.append("-").append(kTopicDigits, '0');
  put_decimal(topic.data() + topic.size() - kTopicDigits, number, kTopicDigits);
  return topic;
}

std::string unique_key(std::uint64_t sequence) {
  std::string key(kKeyPrefix);
  key.append(kKeyDigits, '0');
  put_hex(key.data() + kKeyPrefix.size(), sequence);
  return key;
}

bool append_commit(std::string& out, const CommitRequest& request, const Answer& answer) {
  bool done = false;
  with_header(answer, [&](const wire::Header& header) {
    const std::optional<std::int64_t> position = model::position_of_message_id(header.ext.text_or("msgId", ""));
    if (!position) return;
    wire::FrameWriter writer(out, wire::one_way(request.header, answer.opaque, wire::RequestCode::EndTransaction));
    writer.text("topic", request.topic);
    writer.text("producerGroup", request.group);
    writer.text("tranStateTableOffset", header.ext.text_or("queueOffset", "0"));
    writer.number("commitLogOffset", *position);
    writer.number("commitOrRollback", model::sys_flag::kTransactionCommit);
    writer.boolean("fromTransactionCheck", false);
    writer.text("msgId", unique_key(request.sequence));
    writer.text("transactionId", header.ext.text_or("transactionId", ""));
    writer.finish();
    done = true;
  });
  return done;
}

void append_check_reply(std::string& out, const CheckReply& reply, const Answer& check) {
  with_header(check, [&](const wire::Header& header) {
    const std::int32_t verdict = reply.answer == CheckAnswer::Commit     ? model::sys_flag::kTransactionCommit
                                 : reply.answer == CheckAnswer::Rollback ? model::sys_flag::kTransactionRollback
                                                                         : 0;
    wire::FrameWriter writer(out, wire::one_way(reply.header, check.opaque, wire::RequestCode::EndTransaction));
    writer.text("topic", reply.topic);
    writer.text("producerGroup", reply.group);
    writer.text("tranStateTableOffset", header.ext.text_or("tranStateTableOffset", "0"));
    writer.text("commitLogOffset", header.ext.text_or("commitLogOffset", "0"));
    writer.number("commitOrRollback", verdict);
    writer.boolean("fromTransactionCheck", true);
    writer.text("msgId", header.ext.text_or("msgId", ""));
    writer.text("transactionId", header.ext.text_or("transactionId", ""));
    writer.finish();
  });
}

void append_producer_heartbeat(std::string& out, wire::SerializeType header, std::int32_t opaque, std::string_view client_id, std::string_view group) {
  wire::FrameWriter writer(out, wire::request(header, opaque, wire::RequestCode::HeartBeat));
  writer.begin_body();
  wire::JsonWriter json(out);
  json.begin_object();
  json.member("clientID", client_id);
  json.key("producerDataSet");
  json.begin_array();
  json.begin_object();
  json.member("groupName", group);
  json.end_object();
  json.end_array();
  json.key("consumerDataSet");
  json.begin_array();
  json.end_array();
  json.end_object();
  writer.finish();
}

void append_create_topic(std::string& out, wire::SerializeType header, std::int32_t opaque, std::string_view topic, std::uint32_t queues) {
  wire::FrameWriter writer(out, wire::request(header, opaque, wire::RequestCode::UpdateAndCreateTopic));
  writer.text("topic", topic);
  writer.text("defaultTopic", "TBW102");
  writer.number("readQueueNums", queues);
  writer.number("writeQueueNums", queues);
  writer.number("perm", 6);  // read and write
  writer.text("topicFilterType", "SINGLE_TAG");
  writer.number("topicSysFlag", 0);
  writer.boolean("order", false);
  writer.finish();
}

void append_runtime_info_query(std::string& out, wire::SerializeType header, std::int32_t opaque) {
  wire::append_frame(out, wire::request(header, opaque, wire::RequestCode::GetBrokerRuntimeInfo));
}

std::optional<double> runtime_value(const Answer& answer, std::string_view name) {
  const std::string_view body = as_text(answer.body);
  const std::string key = '"' + std::string(name) + "\":\"";
  const std::size_t at = body.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  return std::strtod(std::string(body.substr(at + key.size(), 32)).c_str(), nullptr);
}

void append_pull(std::string& out, const PullRequest& request) {
  wire::FrameWriter writer(out, wire::request(request.header, request.opaque, wire::RequestCode::PullMessage));
  writer.text("consumerGroup", request.group);
  writer.text("topic", request.topic);
  writer.number("queueId", request.queue);
  writer.number("queueOffset", request.offset);
  writer.number("maxMsgNums", kMessagesAPull);
  writer.number("sysFlag", request.suspend_ms > 0 ? 2 | 4 : 4);  // suspend, subscription
  writer.number("commitOffset", 0);
  writer.number("suspendTimeoutMillis", request.suspend_ms);
  writer.text("subscription", request.tags);
  writer.number("subVersion", 0);
  writer.text("expressionType", "TAG");
  writer.finish();
}

void append_offset_query(std::string& out, const PullRequest& request, QueueEnd end) {
  const wire::RequestCode code = end == QueueEnd::Min ? wire::RequestCode::GetMinOffset : wire::RequestCode::GetMaxOffset;
  wire::FrameWriter writer(out, wire::request(request.header, request.opaque, code));
  writer.text("topic", request.topic);
  writer.number("queueId", request.queue);
  writer.finish();
}

}  // namespace halfmoon::cli
