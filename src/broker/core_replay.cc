// SPDX-License-Identifier: Apache-2.0
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::Position;
using storage::RecordType;

namespace {

Error malformed(Position position, const char* what) {
  return {ErrorCode::Corrupt, "the " + std::string(what) + " record at position " + std::to_string(position) +
                                  " has a valid checksum but not the shape of docs/formats/log.md; a newer version may have written it"};
}

Error misplaced(Position position, const char* what) {
  return {ErrorCode::Corrupt, "the " + std::string(what) + " record at position " + std::to_string(position) +
                                  " has a valid checksum but does not fit to what the log says before it; no broker wrote it there"};
}

/// Where a record says that something became visible must be where the queue goes on. No topic: it was deleted meanwhile.
bool goes_on(const Topic* topic, std::int32_t queue_id, std::int64_t offset) {
  if (!topic) return true;
  const Queue* queue = topic->queue(queue_id);
  return queue && queue->index.end() == offset;
}

template <class... Ms>
bool are_times(Ms... ms) { return (is_time(ms) && ...); }

}  // namespace

// The counterpart of what the core_*.cc files append: each record changes the tables exactly as it did when it was written.
Status Core::Impl::replay(const storage::RecordView& record) {
  const Position at = record.position;
  const Bytes payload = record.payload;
  switch (record.type) {
    case RecordType::Message:
    case RecordType::Half:
    case RecordType::Delayed:
      return replay_body(record.type, at, payload);
    case RecordType::Verdict: {
      const auto r = decode_verdict(payload);
      if (!r) return malformed(at, "VERDICT");
      if (!fits(*r)) return misplaced(at, "VERDICT");
      apply_verdict(at, *r);
      return Done{};
    }
    case RecordType::Checked: {
      const auto r = decode_checked(payload);
      if (!r || !is_time(r->wall_ms)) return malformed(at, "CHECKED");
      apply_checked(at, *r);
      return Done{};
    }
    case RecordType::Parked: {
      const auto r = decode_parked(payload);
      if (!r) return malformed(at, "PARKED");
      if (!fits(*r)) return misplaced(at, "PARKED");
      apply_parked(at, *r);
      return Done{};
    }
    case RecordType::Resumed: {
      const auto r = decode_resumed(payload);
      if (!r || !is_time(r->wall_ms)) return malformed(at, "RESUMED");
      apply_resumed(at, *r);
      return Done{};
    }
    case RecordType::Reference: {
      const auto r = decode_reference(payload);
      if (!r) return malformed(at, "REFERENCE");
      if (!fits(*r)) return misplaced(at, "REFERENCE");
      const auto tags = model::find_property(r->properties, model::property::kTags);
      apply_reference(at, *r, model::tag_hash(tags.value_or("")));
      return Done{};
    }
    case RecordType::Fire: {
      const auto r = decode_fire(payload);
      if (!r || !is_time(r->store_ms)) return malformed(at, "FIRE");
      const auto it = replayed_timers.find(r->target);
      if (it == replayed_timers.end()) return Done{};  // its topic was deleted
      if (!goes_on(topic_of(it->second.topic), it->second.queue_id, r->queue_offset)) return misplaced(at, "FIRE");
      apply_fire(at, *r, it->second);
      replayed_timers.erase(it);
      return Done{};
    }
    case RecordType::Offsets: {
      const auto items = decode_offsets(payload);
      if (!items) return malformed(at, "OFFSETS");
      for (const OffsetItem& item : *items) apply_offset(item);
      return Done{};
    }
    case RecordType::Topic: {
      const auto config = decode_topic(payload);
      if (!config) return malformed(at, "TOPIC");
      apply_topic(*config);
      return Done{};
    }
    case RecordType::TopicDeleted:
      apply_topic_deleted(as_text(payload));
      return Done{};
    case RecordType::Group: {
      const auto config = decode_group(payload);
      if (!config) return malformed(at, "GROUP");
      apply_group(*config);
      return Done{};
    }
    case RecordType::GroupDeleted: {
      const auto r = decode_group_deleted(payload);
      if (!r) return malformed(at, "GROUP_DELETED");
      apply_group_deleted(r->group, r->clean_offsets);
      return Done{};
    }
    case RecordType::Carried: {
      const auto r = decode_carried(payload);
      if (!r) return malformed(at, "CARRIED");
      carried.put(r->original, at);
      return Done{};
    }
    case RecordType::Asked: {
      const auto r = decode_asked(payload);
      if (!r) return malformed(at, "ASKED");
      apply_asked(at, *r);
      return Done{};
    }
    case RecordType::Refused: {
      const auto r = decode_refused(payload);
      if (!r) return malformed(at, "REFUSED");
      apply_refused(at, *r);
      return Done{};
    }
    case RecordType::Client:
    case RecordType::EpochStart:
    case RecordType::Batch:
      return Done{};
  }
  return malformed(at, "unknown");
}

bool Core::Impl::fits(const VerdictRecord& v) const {
  if (!are_times(v.due_ms, v.wall_ms)) return false;
  const HalfSlot half = book.find(v.half);
  if (half == kNoHalf || !v.commit || v.due_ms > 0) return true;
  const HalfOrigin& to = book.origin(half);
  return goes_on(topic_of(to.topic), to.queue_id, v.queue_offset);
}

bool Core::Impl::fits(const ParkedRecord& r) const {
  if (!is_time(r.wall_ms)) return false;
  const auto parked_topic = topics.find(model::kParkedTopic);
  return book.find(r.half) == kNoHalf || parked_topic == topics.end() || goes_on(parked_topic->second.get(), 0, r.queue_offset);
}

bool Core::Impl::fits(const ReferenceRecord& r) {
  if (!are_times(r.due_ms, r.store_ms)) return false;
  const Topic* topic = find_topic(r.topic);
  if (r.queue_offset >= 0) return goes_on(topic, r.queue_id, r.queue_offset);
  return !topic || topic->queue(r.queue_id);
}

Status Core::Impl::replay_body(RecordType type, Position position, Bytes payload) {
  const std::size_t prefix = type == RecordType::Delayed ? kDelayedPrefixBytes : 0;
  if (payload.size() < prefix) return malformed(position, "DELAYED");
  const Bytes image = payload.subspan(prefix);
  const auto f = model::decode_image(image);
  const auto known = f ? model::scan_properties(f->properties) : std::nullopt;
  if (!known || !is_time(f->store_ms)) return malformed(position, "message");
  const std::int32_t tag = model::tag_hash(known->tags);
  const auto size = static_cast<std::uint32_t>(image.size());
  // Half messages are numbered without a gap; only what is missing at the log's beginning, where it was dropped, is not known.
  const bool numbered = f->queue_offset == next_half_offset || (next_half_offset == 0 && f->queue_offset > 0 && f->queue_offset <= position / kHalfBytesMin);
  if (type == RecordType::Half && !numbered) return misplaced(position, "HALF");
  Topic* topic = find_topic(f->topic);
  if (!topic || !topic->queue(f->queue_id)) {
    // Written before its topic was deleted: a later snapshot would not have it either. A half message keeps its number all the same.
    if (type == RecordType::Half) next_half_offset = f->queue_offset + 1;
    return Done{};
  }
  switch (type) {
    case RecordType::Message: {
      if (!goes_on(topic, f->queue_id, f->queue_offset)) return misplaced(position, "MESSAGE");
      index(*topic, f->queue_id, {position, f->store_ms, size, tag});
      break;
    }
    case RecordType::Delayed:
      if (!is_time(load_le<std::int64_t>(payload.data()))) return malformed(position, "DELAYED");
      add_timer({load_le<std::int64_t>(payload.data()), position, position, topic->id, f->queue_id, tag, size});
      break;
    default:
      add_half(position, *f, *known, size, *topic, ChannelId{});
      break;
  }
  return Done{};
}

}  // namespace halfmoon::broker
