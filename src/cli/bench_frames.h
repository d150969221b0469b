// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/remoting/frame.h"

namespace halfmoon::cli {

/// Opaques of sends are kSendOpaque + a slot: always ten digits, so that a JSON frame can be patched in place. Other requests of
/// ours use smaller ones.
inline constexpr std::int32_t kSendOpaque = 1'000'000'000;

/// What the generator needs of an answer; the views point into the input.
struct Answer {
  wire::SerializeType type = wire::SerializeType::Json;
  std::int32_t code = 0;
  std::int32_t opaque = 0;
  bool is_response = false;
  Bytes header;
  Bytes body;

  /// A field of the header, or the remark, by its name; "" where it is absent. Not for the hot path.
  std::string text(std::string_view key) const;
  std::int64_t number(std::string_view key) const;
};

/// Finds code, opaque and flag without decoding the rest, since this runs once a message. nullopt: they are not there.
std::optional<Answer> read_answer(const wire::Frame& frame);

enum class MessageKind : std::uint8_t { Plain, Half };

struct SendShape {
  wire::SerializeType header = wire::SerializeType::Json;
  MessageKind kind = MessageKind::Plain;
  std::string_view topic;
  std::string_view group;
  std::uint32_t queue = 0;
  std::uint32_t queues = 1;
  std::size_t body_bytes = 0;
  std::string_view more_properties = {};  // each name, 0x01, value, 0x02
  bool delivery_time = false;             // a TIMER_DELIVER_MS that each message sets
  bool numbered_topic = false;            // the topic ends in kTopicDigits digits that each message sets
};

/// What differs from one message to the next.
struct SendStamp {
  std::int32_t slot = 0;
  std::uint64_t sequence = 0;  // becomes the message's UNIQ_KEY
  std::int64_t born_ms = 0;
  std::int64_t deliver_ms = 0;  // where the shape has a delivery time
  std::uint32_t topic = 0;      // where the shape's topic is numbered
};

/// Topics of a numbered shape: `base`, a dash, and so many digits.
inline constexpr int kTopicDigits = 5;
std::string numbered_topic(std::string_view base, std::uint32_t number);

/// A request 310 for one queue, made once by the codec; each message is a copy in which opaque, born time and UNIQ_KEY are
/// overwritten, so that a message costs little more than the copying.
class SendTemplate {
 public:
  explicit SendTemplate(const SendShape& shape);

  std::size_t frame_bytes() const { return frame_.size(); }
  /// Appends one message. The result is where its body begins, valid until `out` changes.
  char* append(std::string& out, const SendStamp& stamp) const;

 private:
  std::string frame_;
  wire::SerializeType type_;
  std::size_t opaque_at_ = 0;
  std::size_t born_at_ = 0;
  std::size_t key_at_ = 0;
  std::size_t deliver_at_ = 0;  // 0: none
  std::size_t topic_at_ = 0;    // 0: not numbered
  std::size_t body_at_ = 0;
};

/// The UNIQ_KEY of a message, 32 hex digits.
std::string unique_key(std::uint64_t sequence);

struct CommitRequest {
  wire::SerializeType header = wire::SerializeType::Json;
  std::string_view topic;
  std::string_view group;
  std::uint64_t sequence = 0;  // of the half message
};
/// Appends the one-way END_TRANSACTION that commits the half message of `answer`; false if the answer does not name it.
bool append_commit(std::string& out, const CommitRequest& request, const Answer& answer);

enum class CheckAnswer : std::uint8_t { Unknown, Commit, Rollback };
struct CheckReply {
  wire::SerializeType header = wire::SerializeType::Json;
  std::string_view topic;
  std::string_view group;
  CheckAnswer answer = CheckAnswer::Unknown;
};
/// Appends the one-way END_TRANSACTION that answers the broker's request `check` (CHECK_TRANSACTION_STATE).
void append_check_reply(std::string& out, const CheckReply& reply, const Answer& check);

/// Appends the HEART_BEAT that registers a producer of the group.
void append_producer_heartbeat(std::string& out, wire::SerializeType header, std::int32_t opaque, std::string_view client_id, std::string_view group);

/// Appends UPDATE_AND_CREATE_TOPIC.
void append_create_topic(std::string& out, wire::SerializeType header, std::int32_t opaque, std::string_view topic, std::uint32_t queues);

/// Appends GET_BROKER_RUNTIME_INFO; and the number that its answer has under the name, nullopt if there is none.
void append_runtime_info_query(std::string& out, wire::SerializeType header, std::int32_t opaque);
std::optional<double> runtime_value(const Answer& answer, std::string_view name);

struct PullRequest {
  wire::SerializeType header = wire::SerializeType::Json;
  std::int32_t opaque = 0;
  std::string_view topic;
  std::string_view group;
  std::uint32_t queue = 0;
  std::int64_t offset = 0;
  std::int64_t suspend_ms = 0;  // > 0: a long poll
  std::string_view tags = "*";
};
void append_pull(std::string& out, const PullRequest& request);

enum class QueueEnd : std::uint8_t { Min, Max };
/// Appends GET_MIN_OFFSET or GET_MAX_OFFSET, whose answer has the field "offset".
void append_offset_query(std::string& out, const PullRequest& request, QueueEnd end);

}  // namespace halfmoon::cli
