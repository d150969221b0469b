// SPDX-License-Identifier: Apache-2.0
// What each turn wrote into the log, read back and entered into the journal.
#include <charconv>

#include "base/crc.h"
#include "broker/records.h"
#include "model/message_image.h"
#include "storage/record_format.h"
#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;
using storage::RecordType;

namespace {

std::int32_t number_of(std::string_view body) {
  std::int32_t number = -1;
  if (body.starts_with('m')) std::from_chars(body.data() + 1, body.data() + body.size(), number);
  return number;
}

}  // namespace

void SimulatedWorld::enter_journal(const storage::RecordView& view, Position batch_end, std::int64_t batch_wall_ms) {
  Record r;
  r.position = view.position;
  r.batch_end = batch_end;
  r.batch_wall_ms = batch_wall_ms;
  r.type = view.type;
  r.crc = crc32c(view.payload, static_cast<std::uint32_t>(view.type));
  const auto bad = [&] { fail("the record at " + std::to_string(view.position) + " is not of its type's shape"); };
  switch (view.type) {
    case RecordType::Message:
    case RecordType::Half:
    case RecordType::Delayed: {
      const std::size_t prefix = view.type == RecordType::Delayed ? broker::kDelayedPrefixBytes : 0;
      if (prefix > 0) r.due_ms = load_le<std::int64_t>(view.payload.data());
      const auto f = model::decode_image(view.payload.subspan(prefix));
      if (!f) return bad();
      r.message = number_of(f->body);
      if (r.message < 0 || static_cast<std::size_t>(r.message) >= messages_.size()) return fail("a message that nobody sent is stored");
      const Message& m = messages_[static_cast<std::size_t>(r.message)];
      if (f->body != m.body || f->topic != m.topic || f->queue_id != m.queue || f->reconsume_times != m.deliveries) return fail("message " + std::to_string(r.message) + " is stored as another");
      r.queue_offset = f->queue_offset;
      r.wall_ms = f->store_ms;
      r.queue = f->queue_id;
      r.number = f->reconsume_times;
      r.topic = f->topic;
      if (view.type != RecordType::Delayed && f->position != view.position) return fail("an image with a wrong position");
      break;
    }
    case RecordType::Verdict: {
      const auto v = broker::decode_verdict(view.payload);
      if (!v) return bad();
      r.half = v->half;
      r.commit = v->commit;
      r.source = static_cast<std::uint8_t>(v->source);
      r.queue_offset = v->queue_offset;
      r.due_ms = v->due_ms;
      r.wall_ms = v->wall_ms;
      break;
    }
    case RecordType::Checked: {
      const auto c = broker::decode_checked(view.payload);
      if (!c) return bad();
      r.half = c->half;
      r.number = static_cast<std::int32_t>(c->answered);
      r.wall_ms = c->wall_ms;
      break;
    }
    case RecordType::Parked: {
      const auto p = broker::decode_parked(view.payload);
      if (!p) return bad();
      r.half = p->half;
      r.queue_offset = p->queue_offset;
      r.wall_ms = p->wall_ms;
      break;
    }
    case RecordType::Resumed: {
      const auto p = broker::decode_resumed(view.payload);
      if (!p) return bad();
      r.half = p->half;
      r.wall_ms = p->wall_ms;
      break;
    }
    case RecordType::Asked: {
      const auto a = broker::decode_asked(view.payload);
      if (!a) return bad();
      r.half = a->half;
      break;
    }
    case RecordType::Refused: {
      const auto f = broker::decode_refused(view.payload);
      if (!f) return bad();
      r.half = f->half;
      break;
    }
    case RecordType::Client:
      if (!broker::decode_client(view.payload)) return bad();
      break;
    case RecordType::Reference: {
      const auto f = broker::decode_reference(view.payload);
      if (!f) return bad();
      r.half = f->body;
      r.due_ms = f->due_ms;
      r.queue_offset = f->queue_offset;
      r.wall_ms = f->store_ms;
      r.queue = f->queue_id;
      r.number = f->reconsume_times;
      r.dead = f->reason == broker::ReferenceReason::DeadLetter;
      r.topic = f->topic;
      break;
    }
    case RecordType::Fire: {
      const auto f = broker::decode_fire(view.payload);
      if (!f) return bad();
      r.half = f->target;
      r.queue_offset = f->queue_offset;
      r.wall_ms = f->store_ms;
      break;
    }
    case RecordType::Offsets: {
      const auto items = broker::decode_offsets(view.payload);
      if (!items) return bad();
      for (const auto& item : *items) r.offsets.push_back({std::string(item.group), std::string(item.topic), item.queue_id, item.offset});
      break;
    }
    case RecordType::Topic: {
      const auto config = broker::decode_topic(view.payload);
      if (!config) return bad();
      r.topic = config->name;
      r.queue = config->queues();
      break;
    }
    case RecordType::TopicDeleted: r.topic = as_text(view.payload); break;
    case RecordType::Group: {
      const auto config = broker::decode_group(view.payload);
      if (!config) return bad();
      r.topic = config->name;
      r.number = config->retry_max;
      break;
    }
    case RecordType::GroupDeleted: {
      const auto d = broker::decode_group_deleted(view.payload);
      if (!d) return bad();
      r.topic = d->group;
      r.clean = d->clean_offsets;
      break;
    }
    case RecordType::Carried: {
      const auto c = broker::decode_carried(view.payload);
      if (!c) return bad();
      r.half = c->original;
      const Record* original = model_.find(c->original);
      if (!original || original->crc != crc32c(c->payload, static_cast<std::uint32_t>(c->type))) return fail("what is carried forward is not the original");
      break;
    }
    case RecordType::EpochStart:
    case RecordType::Batch: break;
  }
  if (r.wall_ms > batch_wall_ms) fail("the record at " + std::to_string(r.position) + " stands in a batch of a time before its own");
  mix(static_cast<std::uint64_t>(r.position));
  mix(std::uint64_t{r.crc});
  tally(Tally::Records);
  if (trace_) say("record " + std::to_string(r.position) + " type " + std::to_string(static_cast<int>(r.type)) + " message " + std::to_string(r.message) + " half " +
                  std::to_string(r.half) + (r.commit ? " commit" : "") + " offset " + std::to_string(r.queue_offset) + " due " + std::to_string(r.due_ms));
  model_.journal.push_back(std::move(r));
}

void SimulatedWorld::read_journal() {
  const Position end = log_->end();
  Position at = journal_end_;
  Position batch_end = 0;
  std::int64_t wall = 0;
  while (at < end && !failed()) {
    const auto record = log_->read_untrusted(at, buffer_);
    if (!record.ok()) {  // the rest of the segment is unused
      Position next = end;
      for (const auto& segment : log_->segments())
        if (segment.first > at) next = std::min(next, segment.first);
      at = next;
      continue;
    }
    if (record->type == RecordType::Batch) {
      const std::byte* p = record->payload.data();
      batch_end = at + storage::kBatchRecordBytes + load_le<std::uint32_t>(p);
      wall = load_le<std::int64_t>(p + 16);
    } else {
      enter_journal(*record, batch_end, wall);
    }
    at += storage::record_bytes(static_cast<std::int64_t>(record->payload.size()));
  }
  journal_end_ = end;
}

}  // namespace halfmoon::testkit
