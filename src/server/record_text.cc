// SPDX-License-Identifier: Apache-2.0
#include "server/record_text.h"

#include "base/cursor.h"
#include "broker/records.h"
#include "model/message_image.h"
#include "model/properties.h"

namespace halfmoon::server {
namespace {

using storage::RecordType;

class Fields {
 public:
  void number(std::string_view name, std::int64_t value) { out.push_back({std::string(name), std::to_string(value), true}); }
  void text(std::string_view name, std::string_view value) { out.push_back({std::string(name), std::string(value), false}); }
  void text_if(std::string_view name, std::string_view value) {
    if (!value.empty()) text(name, value);
  }
  std::vector<RecordField> out;
};

bool image(Fields& f, Bytes bytes) {
  const auto message = model::decode_image(bytes);
  if (!message) return false;
  f.text("topic", message->topic);
  f.number("queue", message->queue_id);
  f.number("offset", message->queue_offset);
  f.number("body_bytes", static_cast<std::int64_t>(message->body.size()));
  f.number("store_ms", message->store_ms);
  if (message->reconsume_times != 0) f.number("reconsume_times", message->reconsume_times);
  if (const auto known = model::scan_properties(message->properties)) {
    f.text_if("unique_key", known->unique_key);
    f.text_if("tags", known->tags);
    f.text_if("group", known->producer_group);
  }
  if (const auto keys = model::find_property(message->properties, model::property::kKeys)) f.text_if("keys", *keys);
  return true;
}

bool batch(Fields& f, Bytes payload) {
  Reader r(payload);
  f.number("bytes", r.le<std::uint32_t>());
  f.number("records", r.le<std::uint32_t>());
  f.number("durable_before", r.le<std::int64_t>());
  f.number("wall_ms", r.le<std::int64_t>());
  return r.ok();
}

std::string_view source_text(broker::VerdictSource source) {
  switch (source) {
    case broker::VerdictSource::Producer: return "producer";
    case broker::VerdictSource::Check: return "check";
    case broker::VerdictSource::Operator: return "operator";
  }
  return "unknown";
}

void link(Fields& f, broker::Position previous, broker::Position by) {
  if (previous >= 0) f.number("previous", previous);
  if (by >= 0) f.number("by", by);
}

bool verdict(Fields& f, Bytes payload) {
  const auto r = broker::decode_verdict(payload);
  if (!r) return false;
  f.number("half", r->half);
  f.text("verdict", r->commit ? "commit" : "rollback");
  f.text("source", source_text(r->source));
  f.number("offset", r->queue_offset);
  if (r->due_ms != 0) f.number("due_ms", r->due_ms);
  f.number("wall_ms", r->wall_ms);
  link(f, r->previous, r->by);
  f.text_if("operator", r->operator_name);
  f.text_if("reason", r->reason);
  return true;
}

bool asked(Fields& f, Bytes payload) {
  const auto r = broker::decode_asked(payload);
  if (!r) return false;
  f.number("half", r->half);
  f.number("wall_ms", r->wall_ms);
  link(f, r->previous, r->by);
  return true;
}

bool client(Fields& f, Bytes payload) {
  const auto r = broker::decode_client(payload);
  if (!r) return false;
  f.text_if("client", r->id);
  f.text_if("address", r->address);
  f.number("wall_ms", r->wall_ms);
  return true;
}

bool refused(Fields& f, Bytes payload) {
  const auto r = broker::decode_refused(payload);
  if (!r) return false;
  f.number("half", r->half);
  f.text("verdict", r->commit ? "commit" : "rollback");
  f.text("source", source_text(r->source));
  f.number("count", r->count);
  f.number("wall_ms", r->wall_ms);
  link(f, r->previous, r->by);
  f.text_if("operator", r->operator_name);
  return true;
}

bool reference(Fields& f, Bytes payload) {
  const auto r = broker::decode_reference(payload);
  if (!r) return false;
  f.text("topic", r->topic);
  f.number("queue", r->queue_id);
  f.number("offset", r->queue_offset);
  f.number("body_position", r->body);
  f.text("reason", r->reason == broker::ReferenceReason::Retry ? "retry" : "dead letter");
  f.number("reconsume_times", r->reconsume_times);
  f.number("due_ms", r->due_ms);
  return true;
}

bool offsets(Fields& f, Bytes payload) {
  const auto items = broker::decode_offsets(payload);
  if (!items) return false;
  f.number("count", static_cast<std::int64_t>(items->size()));
  for (const auto& item : *items)
    f.text(item.kind == broker::OffsetKind::Reset ? "reset" : "commit",
           std::string(item.group) + " " + std::string(item.topic) + "/" + std::to_string(item.queue_id) + "=" + std::to_string(item.offset));
  return true;
}

bool short_record(Fields& f, RecordType type, Bytes payload) {
  if (type == RecordType::Checked) {
    const auto r = broker::decode_checked(payload);
    if (!r) return false;
    f.number("half", r->half);
    f.number("answered", r->answered);
    f.number("wall_ms", r->wall_ms);
    link(f, r->previous, r->by);
    return true;
  }
  if (type == RecordType::Parked) {
    const auto r = broker::decode_parked(payload);
    if (!r) return false;
    f.number("half", r->half);
    f.number("offset", r->queue_offset);
    f.number("wall_ms", r->wall_ms);
    link(f, r->previous, broker::kNobody);
    return true;
  }
  if (type == RecordType::Resumed) {
    const auto r = broker::decode_resumed(payload);
    if (!r) return false;
    f.number("half", r->half);
    f.number("wall_ms", r->wall_ms);
    link(f, r->previous, r->by);
    f.text_if("operator", r->operator_name);
    f.text_if("reason", r->reason);
    return true;
  }
  const auto r = broker::decode_fire(payload);
  if (!r) return false;
  f.number("target", r->target);
  f.number("offset", r->queue_offset);
  f.number("store_ms", r->store_ms);
  return true;
}

bool topic(Fields& f, Bytes payload) {
  const auto config = broker::decode_topic(payload);
  if (!config) return false;
  f.text("topic", config->name);
  f.number("read_queues", config->read_queues);
  f.number("write_queues", config->write_queues);
  f.number("permission", config->permission);
  return true;
}

bool carried(Fields& f, Bytes payload) {
  const auto r = broker::decode_carried(payload);
  if (!r) return false;
  f.number("original_position", r->original);
  f.text("original_type", record_name(r->type));
  storage::RecordView original;
  original.type = r->type;
  original.payload = r->payload;
  for (RecordField& field : record_fields(original)) f.out.push_back(std::move(field));
  return true;
}

bool fields_of(Fields& f, const storage::RecordView& record) {
  const Bytes payload = record.payload;
  switch (record.type) {
    case RecordType::Batch: return batch(f, payload);
    case RecordType::Message:
    case RecordType::Half: return image(f, payload);
    case RecordType::Delayed: {
      if (payload.size() < broker::kDelayedPrefixBytes) return false;
      f.number("due_ms", load_le<std::int64_t>(payload.data()));
      return image(f, payload.subspan(broker::kDelayedPrefixBytes));
    }
    case RecordType::Verdict: return verdict(f, payload);
    case RecordType::Checked:
    case RecordType::Parked:
    case RecordType::Resumed:
    case RecordType::Fire: return short_record(f, record.type, payload);
    case RecordType::Reference: return reference(f, payload);
    case RecordType::Offsets: return offsets(f, payload);
    case RecordType::Topic: return topic(f, payload);
    case RecordType::TopicDeleted: f.text("topic", as_text(payload)); return true;
    case RecordType::Group: {
      const auto config = broker::decode_group(payload);
      if (config) f.text("group", config->name);
      return config.has_value();
    }
    case RecordType::GroupDeleted: {
      const auto r = broker::decode_group_deleted(payload);
      if (r) f.text("group", r->group);
      return r.has_value();
    }
    case RecordType::Carried: return carried(f, payload);
    case RecordType::EpochStart: return true;
    case RecordType::Asked: return asked(f, payload);
    case RecordType::Client: return client(f, payload);
    case RecordType::Refused: return refused(f, payload);
  }
  return false;
}

}  // namespace

std::string_view record_name(RecordType type) {
  switch (type) {
    case RecordType::Batch: return "BATCH";
    case RecordType::Message: return "MESSAGE";
    case RecordType::Half: return "HALF";
    case RecordType::Delayed: return "DELAYED";
    case RecordType::Verdict: return "VERDICT";
    case RecordType::Checked: return "CHECKED";
    case RecordType::Parked: return "PARKED";
    case RecordType::Resumed: return "RESUMED";
    case RecordType::Reference: return "REFERENCE";
    case RecordType::Fire: return "FIRE";
    case RecordType::Offsets: return "OFFSETS";
    case RecordType::Topic: return "TOPIC";
    case RecordType::TopicDeleted: return "TOPIC_DELETED";
    case RecordType::Group: return "GROUP";
    case RecordType::GroupDeleted: return "GROUP_DELETED";
    case RecordType::Carried: return "CARRIED";
    case RecordType::EpochStart: return "EPOCH_START";
    case RecordType::Asked: return "ASKED";
    case RecordType::Client: return "CLIENT";
    case RecordType::Refused: return "REFUSED";
  }
  return "UNKNOWN";
}

std::vector<RecordField> record_fields(const storage::RecordView& record) {
  Fields f;
  if (!fields_of(f, record)) {
    f.out.clear();
    f.text("malformed", "the payload does not have this type's shape");
  }
  return std::move(f.out);
}

}  // namespace halfmoon::server
