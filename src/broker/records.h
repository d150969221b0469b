// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "model/group.h"
#include "model/topic.h"
#include "storage/position.h"

/// Payloads of the core's log records, byte for byte as docs/formats/log.md lists them. `encode` gives a payload, `decode_x` reads one;
/// nullopt where it does not have that shape. Views point into the input.
namespace halfmoon::broker {

using storage::Position;

/// `previous` of an event's record: there is no earlier event, or nobody wrote it down.
inline constexpr Position kFirstEvent = -1;
inline constexpr Position kUnrecorded = -2;   // there is one, and nobody wrote it down
inline constexpr Position kShortForm = -3;    // likewise; the record is an earlier build's, and `encode` writes it as that did
inline constexpr Position kNobody = -1;       // `by`: no client is named
inline constexpr std::size_t kOperatorBytesMax = 255;
inline constexpr std::size_t kReasonBytesMax = 1024;

enum class VerdictSource : std::uint8_t { Producer = 1, Check = 2, Operator = 3 };

struct VerdictRecord {
  Position half = 0;
  bool commit = false;
  VerdictSource source = VerdictSource::Producer;
  std::int64_t queue_offset = -1;     // -1: none
  std::int64_t due_ms = 0;            // 0: at once
  std::int64_t wall_ms = 0;
  Position previous = kFirstEvent;
  Position by = kNobody;
  std::string_view operator_name = {};
  std::string_view reason = {};
};
struct CheckedRecord {
  Position half = 0;
  std::uint32_t answered = 0;
  std::int64_t wall_ms = 0;
  Position previous = kFirstEvent;
  Position by = kNobody;
};
struct ParkedRecord {
  Position half = 0;
  std::int64_t queue_offset = 0;
  std::int64_t wall_ms = 0;
  Position previous = kFirstEvent;
};
struct ResumedRecord {
  Position half = 0;
  std::int64_t wall_ms = 0;
  Position previous = kFirstEvent;
  Position by = kNobody;
  std::string_view operator_name = {};
  std::string_view reason = {};
};
struct AskedRecord {
  Position half = 0;
  Position previous = kFirstEvent;
  Position by = kNobody;
  std::int64_t wall_ms = 0;
};
struct ClientRecord {
  std::int64_t wall_ms = 0;
  std::string_view id = {};
  std::string_view address = {};
};
struct RefusedRecord {
  Position half = 0;
  Position previous = kFirstEvent;
  Position by = kNobody;
  std::int64_t wall_ms = 0;
  std::uint32_t count = 0;            // how many were refused so far, this one included
  bool commit = false;
  VerdictSource source = VerdictSource::Producer;
  std::string_view operator_name = {};
};
enum class ReferenceReason : std::uint8_t { Retry = 1, DeadLetter = 2 };
struct ReferenceRecord {
  Position body = 0;
  std::int64_t due_ms = 0;
  std::int64_t queue_offset = -1;     // -1: when due
  std::int64_t store_ms = 0;
  std::int32_t queue_id = 0;
  std::int32_t reconsume_times = 0;
  std::uint32_t bytes = 0;            // of the message as it will be served, about
  ReferenceReason reason = ReferenceReason::Retry;
  std::string_view topic;
  std::string_view properties;
};
struct FireRecord {
  Position target = 0;
  std::int64_t queue_offset = 0;
  std::int64_t store_ms = 0;
};
enum class OffsetKind : std::uint8_t { Commit = 1, Reset = 2 };
struct OffsetItem {
  std::string_view group, topic;
  std::int32_t queue_id = 0;
  std::int64_t offset = 0;
  OffsetKind kind = OffsetKind::Commit;
};
struct CarriedRecord {
  Position original = 0;
  storage::RecordType type{};
  Bytes payload;
};

inline constexpr std::int32_t kTopicQueuesMax = 65536;   // of a topic, to read or to write
inline constexpr std::size_t kDelayedPrefixBytes = 8;  // due time before the image of a DELAYED record

std::string encode(const VerdictRecord& r);
std::string encode(const CheckedRecord& r);
std::string encode(const ParkedRecord& r);
std::string encode(const ResumedRecord& r);
std::string encode(const AskedRecord& r);
std::string encode(const ClientRecord& r);
std::string encode(const RefusedRecord& r);
std::string encode(const ReferenceRecord& r);
std::string encode(const FireRecord& r);
std::string encode(const std::vector<OffsetItem>& items);
std::string encode(const model::TopicConfig& config);
std::string encode(const model::GroupConfig& config);
std::string encode(const CarriedRecord& r);
std::string encode_group_deleted(std::string_view group, bool clean_offsets);

std::optional<VerdictRecord> decode_verdict(Bytes payload);
std::optional<CheckedRecord> decode_checked(Bytes payload);
std::optional<ParkedRecord> decode_parked(Bytes payload);
std::optional<ResumedRecord> decode_resumed(Bytes payload);
std::optional<AskedRecord> decode_asked(Bytes payload);
std::optional<ClientRecord> decode_client(Bytes payload);
std::optional<RefusedRecord> decode_refused(Bytes payload);
std::optional<ReferenceRecord> decode_reference(Bytes payload);
std::optional<FireRecord> decode_fire(Bytes payload);
std::optional<std::vector<OffsetItem>> decode_offsets(Bytes payload);
std::optional<model::TopicConfig> decode_topic(Bytes payload);
std::optional<model::GroupConfig> decode_group(Bytes payload);
std::optional<CarriedRecord> decode_carried(Bytes payload);
struct GroupDeleted {
  std::string_view group;
  bool clean_offsets = false;
};
std::optional<GroupDeleted> decode_group_deleted(Bytes payload);

}  // namespace halfmoon::broker
