// SPDX-License-Identifier: Apache-2.0
// The headers of sends and pulls. Every message passes here, so the fields are sorted into columns in one pass and then read.
#include <array>
#include <initializer_list>
#include <optional>
#include <utility>

#include "wire/remoting/field_values.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::wire {
namespace {

/// In the order of the short names a to n (spec 3.3).
enum SendColumn : unsigned {
  kProducerGroup, kTopic, kDefaultTopic, kDefaultTopicQueueNums, kQueueId, kSysFlag, kBornTimestamp, kFlag, kProperties,
  kReconsumeTimes, kUnitMode, kMaxReconsumeTimes, kBatch, kBrokerName, kSendColumns
};
constexpr std::array<std::string_view, kSendColumns> kSendNames = {
    "producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag", "properties",
    "reconsumeTimes", "unitMode", "maxReconsumeTimes", "batch", "bname"};

enum PullColumn : unsigned {
  kPullGroup, kPullTopic, kPullQueueId, kQueueOffset, kMaxMsgNums, kPullSysFlag, kCommitOffset, kSuspendTimeout, kSubVersion,
  kSubscription, kExpressionType, kMaxMsgBytes, kRequestSource, kProxyClientId, kPullBrokerName, kPullColumns
};
constexpr std::array<std::string_view, kPullColumns> kPullNames = {
    "consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset", "suspendTimeoutMillis", "subVersion",
    "subscription", "expressionType", "maxMsgBytes", "requestSource", "proxyFrowardClientId", "bname"};

/// One header's values in the order of `names`, and the first Error in reading them.
template <std::size_t N>
class Columns {
 public:
  explicit Columns(const std::array<std::string_view, N>& names) : names_(names) {}

  /// LongAndShort: a key of one letter names a column by its place in the alphabet.
  enum class Names : std::uint8_t { Long, LongAndShort };
  void gather(const ExtFields& ext, Names names) {
    for (const ExtField& field : ext) {
      const std::size_t i = names == Names::LongAndShort && field.key.size() == 1
                                ? static_cast<std::size_t>(static_cast<unsigned char>(field.key[0])) - 'a'
                                : column(field.key);
      if (i >= N) continue;
      values_[i] = field.value;
      seen_ |= 1u << i;
    }
  }
  void require(std::initializer_list<unsigned> columns) {
    for (const unsigned i : columns) {
      if (!has(i)) return fail(missing_field(names_[i]));
    }
  }
  std::string_view text(unsigned i) const { return values_[i]; }
  template <class T>
  void number(unsigned i, T& out) {
    if (const auto value = parse_integer<T>(values_[i])) out = *value;
    else fail(not_a_number(names_[i], values_[i]));
  }
  /// Leaves `out` as it is when the field is absent or no number (trap 11).
  template <class T>
  void lenient_number(unsigned i, T& out) {
    if (!has(i)) return;
    if (const auto value = parse_integer<T>(values_[i])) out = *value;
  }
  void optional_number(unsigned i, std::optional<std::int32_t>& out) {
    if (has(i)) out = parse_integer<std::int32_t>(values_[i]);
  }
  bool boolean(unsigned i) const { return is_true(values_[i]); }

  template <class T>
  Result<T> done(T& fields) {
    if (error_) return std::move(*error_);
    return std::move(fields);
  }

 private:
  bool has(unsigned i) const { return (seen_ & (1u << i)) != 0; }
  std::size_t column(std::string_view key) {
    // Senders keep an order, mostly this one or the alphabet: look from where the last one was found.
    for (std::size_t tried = 0; tried < N; ++tried) {
      const std::size_t i = next_;
      next_ = i + 1 == N ? 0 : i + 1;
      if (names_[i] == key) return i;
    }
    return N;
  }
  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }

  const std::array<std::string_view, N>& names_;
  std::array<std::string_view, N> values_;
  unsigned seen_ = 0;
  std::size_t next_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<SendHeader> decode_send(const Header& header) {
  using Send = Columns<kSendColumns>;
  Send columns(kSendNames);
  columns.gather(header.ext, Send::Names::LongAndShort);
  columns.require({kProducerGroup, kTopic, kDefaultTopic, kDefaultTopicQueueNums, kQueueId, kSysFlag, kBornTimestamp, kFlag});
  SendHeader out;
  out.producer_group = columns.text(kProducerGroup);
  out.topic = columns.text(kTopic);
  out.default_topic = columns.text(kDefaultTopic);
  columns.lenient_number(kDefaultTopicQueueNums, out.default_topic_queue_nums);
  columns.number(kQueueId, out.queue_id);
  columns.number(kSysFlag, out.sys_flag);
  columns.number(kBornTimestamp, out.born_timestamp_ms);
  columns.number(kFlag, out.flag);
  out.properties = columns.text(kProperties);
  columns.lenient_number(kReconsumeTimes, out.reconsume_times);
  columns.optional_number(kMaxReconsumeTimes, out.max_reconsume_times);
  out.unit_mode = columns.boolean(kUnitMode);
  out.batch = columns.boolean(kBatch);
  out.broker_name = columns.text(kBrokerName);
  return columns.done(out);
}

Result<PullHeader> decode_pull(const Header& header) {
  using Pull = Columns<kPullColumns>;
  Pull columns(kPullNames);
  columns.gather(header.ext, Pull::Names::Long);
  columns.require({kPullGroup, kPullTopic, kPullQueueId, kQueueOffset, kMaxMsgNums, kPullSysFlag, kCommitOffset, kSuspendTimeout,
                   kSubVersion});
  PullHeader out;
  out.consumer_group = columns.text(kPullGroup);
  out.topic = columns.text(kPullTopic);
  columns.number(kPullQueueId, out.queue_id);
  columns.number(kQueueOffset, out.queue_offset);
  columns.number(kMaxMsgNums, out.max_msg_nums);
  columns.number(kPullSysFlag, out.sys_flag);
  columns.number(kCommitOffset, out.commit_offset);
  columns.number(kSuspendTimeout, out.suspend_timeout_ms);
  columns.number(kSubVersion, out.sub_version);
  out.subscription = columns.text(kSubscription);
  out.expression_type = columns.text(kExpressionType);
  columns.optional_number(kMaxMsgBytes, out.max_msg_bytes);
  columns.optional_number(kRequestSource, out.request_source);
  out.proxy_forward_client_id = columns.text(kProxyClientId);
  out.broker_name = columns.text(kPullBrokerName);
  return columns.done(out);
}

}  // namespace halfmoon::wire
