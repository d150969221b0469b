// SPDX-License-Identifier: Apache-2.0
#include "broker/records.h"

#include "broker/payload_reader.h"

namespace halfmoon::broker {
namespace {

void put_text(Writer& w, std::string_view text) {
  w.le(static_cast<std::uint16_t>(text.size()));
  w.text(text);
}

void put_attributes(Writer& w, const std::map<std::string, std::string>& attributes) {
  w.le(static_cast<std::uint16_t>(attributes.size()));
  for (const auto& [name, value] : attributes) {
    put_text(w, name);
    put_text(w, value);
  }
}
std::map<std::string, std::string> get_attributes(PayloadReader& in) {
  std::map<std::string, std::string> attributes;
  for (auto n = in.le<std::uint16_t>(); n > 0 && in.ok(); n--) {
    const std::string_view name = in.short_text();
    in.expect(attributes.empty() || attributes.rbegin()->first < name);
    attributes[std::string(name)] = std::string(in.short_text());
  }
  return attributes;
}

}  // namespace

std::string encode(const ReferenceRecord& r) {
  std::string out;
  Writer w(out);
  w.le(r.body);
  w.le(r.due_ms);
  w.le(r.queue_offset);
  w.le(r.store_ms);
  w.le(r.queue_id);
  w.le(r.reconsume_times);
  w.le(r.bytes);
  w.le(static_cast<std::uint8_t>(r.reason));
  w.le(std::uint8_t{0});
  w.le(static_cast<std::uint16_t>(r.topic.size()));
  w.le(static_cast<std::uint32_t>(r.properties.size()));
  w.text(r.topic);
  w.text(r.properties);
  return out;
}

std::optional<ReferenceRecord> decode_reference(Bytes payload) {
  PayloadReader in(payload);
  ReferenceRecord r;
  r.body = in.le<std::int64_t>();
  r.due_ms = in.le<std::int64_t>();
  r.queue_offset = in.le<std::int64_t>();
  r.store_ms = in.le<std::int64_t>();
  r.queue_id = in.le<std::int32_t>();
  r.reconsume_times = in.le<std::int32_t>();
  r.bytes = in.le<std::uint32_t>();
  const auto reason = in.le<std::uint8_t>();
  r.reason = static_cast<ReferenceReason>(reason);
  in.reserved<std::uint8_t>();
  const auto topic_bytes = in.le<std::uint16_t>();
  const auto properties_bytes = in.le<std::uint32_t>();
  r.topic = in.text(topic_bytes);
  r.properties = in.text(properties_bytes);
  if (reason != 1 && reason != 2) return std::nullopt;
  return whole(in, r);
}

std::string encode(const FireRecord& r) {
  std::string out;
  Writer w(out);
  w.le(r.target);
  w.le(r.queue_offset);
  w.le(r.store_ms);
  return out;
}

std::optional<FireRecord> decode_fire(Bytes payload) {
  PayloadReader in(payload);
  FireRecord r;
  r.target = in.le<std::int64_t>();
  r.queue_offset = in.le<std::int64_t>();
  r.store_ms = in.le<std::int64_t>();
  return whole(in, r);
}

std::string encode(const std::vector<OffsetItem>& items) {
  std::string out;
  Writer w(out);
  w.le(static_cast<std::uint32_t>(items.size()));
  for (const OffsetItem& item : items) {
    w.le(static_cast<std::uint16_t>(item.group.size()));
    w.le(static_cast<std::uint16_t>(item.topic.size()));
    w.le(item.queue_id);
    w.le(item.offset);
    w.le(static_cast<std::uint8_t>(item.kind));
    w.text(item.group);
    w.text(item.topic);
  }
  return out;
}

std::optional<std::vector<OffsetItem>> decode_offsets(Bytes payload) {
  PayloadReader in(payload);
  std::vector<OffsetItem> items;
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    OffsetItem item;
    const auto group_bytes = in.le<std::uint16_t>();
    const auto topic_bytes = in.le<std::uint16_t>();
    item.queue_id = in.le<std::int32_t>();
    item.offset = in.le<std::int64_t>();
    item.kind = static_cast<OffsetKind>(in.le<std::uint8_t>());
    item.group = in.text(group_bytes);
    item.topic = in.text(topic_bytes);
    if (item.kind != OffsetKind::Commit && item.kind != OffsetKind::Reset) return std::nullopt;
    items.push_back(item);
  }
  return whole(in, std::move(items));
}

// TOPIC payload: i32 read queues, write queues, permission, sys flag; u8 order, multi tag; name; attributes.
std::string encode(const model::TopicConfig& c) {
  std::string out;
  Writer w(out);
  w.le(c.read_queues);
  w.le(c.write_queues);
  w.le(c.permission);
  w.le(c.sys_flag);
  w.le(static_cast<std::uint8_t>(c.order));
  w.le(static_cast<std::uint8_t>(c.multi_tag));
  put_text(w, c.name);
  put_attributes(w, c.attributes);
  return out;
}

std::optional<model::TopicConfig> decode_topic(Bytes payload) {
  PayloadReader in(payload);
  model::TopicConfig c;
  c.read_queues = in.le<std::int32_t>();
  c.write_queues = in.le<std::int32_t>();
  in.expect(c.read_queues >= 0 && c.read_queues <= kTopicQueuesMax && c.write_queues >= 0 && c.write_queues <= kTopicQueuesMax);
  c.permission = in.le<std::int32_t>();
  c.sys_flag = in.le<std::int32_t>();
  c.order = in.flag();
  c.multi_tag = in.flag();
  c.name = in.short_text();
  c.attributes = get_attributes(in);
  return whole(in, std::move(c));
}

// GROUP payload: u8 flags (consume, from min, broadcast, orderly, notify); i32 retry queues, retry max, sys flag, timeout minutes;
// i64 broker id, broker id when slow; name; attributes.
std::string encode(const model::GroupConfig& c) {
  std::string out;
  Writer w(out);
  w.le(static_cast<std::uint8_t>((c.consume_enable ? 1 : 0) | (c.consume_from_min_enable ? 2 : 0) | (c.consume_broadcast_enable ? 4 : 0) |
                                 (c.consume_orderly ? 8 : 0) | (c.notify_ids_changed ? 16 : 0)));
  w.le(c.retry_queues);
  w.le(c.retry_max);
  w.le(c.sys_flag);
  w.le(c.consume_timeout_minutes);
  w.le(c.broker_id);
  w.le(c.which_broker_when_slow);
  put_text(w, c.name);
  put_attributes(w, c.attributes);
  return out;
}

std::optional<model::GroupConfig> decode_group(Bytes payload) {
  PayloadReader in(payload);
  model::GroupConfig c;
  const auto flags = in.le<std::uint8_t>();
  in.expect(flags < 32);
  c.consume_enable = (flags & 1) != 0;
  c.consume_from_min_enable = (flags & 2) != 0;
  c.consume_broadcast_enable = (flags & 4) != 0;
  c.consume_orderly = (flags & 8) != 0;
  c.notify_ids_changed = (flags & 16) != 0;
  c.retry_queues = in.le<std::int32_t>();
  c.retry_max = in.le<std::int32_t>();
  c.sys_flag = in.le<std::int32_t>();
  c.consume_timeout_minutes = in.le<std::int32_t>();
  c.broker_id = in.le<std::int64_t>();
  c.which_broker_when_slow = in.le<std::int64_t>();
  c.name = in.short_text();
  c.attributes = get_attributes(in);
  return whole(in, std::move(c));
}

std::string encode(const CarriedRecord& r) {
  std::string out;
  Writer w(out);
  w.le(r.original);
  w.le(static_cast<std::uint8_t>(r.type));
  w.text(std::string_view("\0\0\0\0\0\0\0", 7));
  w.text(as_text(r.payload));
  return out;
}

std::optional<CarriedRecord> decode_carried(Bytes payload) {
  PayloadReader in(payload);
  CarriedRecord r;
  r.original = in.le<std::int64_t>();
  r.type = static_cast<storage::RecordType>(in.le<std::uint8_t>());
  in.expect(in.text(7) == std::string_view("\0\0\0\0\0\0\0", 7));
  r.payload = as_bytes(in.text(in.left()));
  return whole(in, r);
}

std::string encode_group_deleted(std::string_view group, bool clean_offsets) {
  std::string out;
  Writer w(out);
  w.le(static_cast<std::uint8_t>(clean_offsets));
  w.text(group);
  return out;
}

std::optional<GroupDeleted> decode_group_deleted(Bytes payload) {
  PayloadReader in(payload);
  GroupDeleted r;
  r.clean_offsets = in.flag();
  r.group = in.text(in.left());
  return whole(in, r);
}

}  // namespace halfmoon::broker
