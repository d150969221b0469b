// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <utility>

#include "base/cursor.h"
#include "broker/core_impl.h"
#include "storage/snapshot_format.h"

namespace halfmoon::broker {

namespace {

// 1: without the newest history record of a half message, and without the verdicts by number. 2: without what operators see of those with a verdict, and
// without when a half message was resumed. 3: without the padding before a topic's queues. Older versions are read, so that an upgrade starts from its snapshot.
constexpr std::uint32_t kSnapshotVersion = 4;

constexpr std::size_t kAlignment = alignof(IndexEntry);   // of the queues' entries in the payload, so that they can be used where they are read to

/// Of the refused verdicts of a half message those that have records: so the snapshot says what a replay would (core_history.cc).
std::uint32_t refused_on_record(std::uint32_t refused) { return refused <= kRefusedWritten ? refused : std::bit_floor(refused); }

constexpr std::size_t kQueueBytes = 16;  // of one without messages: its two ends

void put_text(Writer& w, std::string_view text) {
  w.le(static_cast<std::uint32_t>(text.size()));
  w.text(text);
}
std::string_view get_text(Reader& in) { return in.text(in.le<std::uint32_t>()); }

void put_version(Writer& w, const model::DataVersion& v) {
  w.le(v.state_version);
  w.le(v.timestamp_ms);
  w.le(v.counter);
}
model::DataVersion get_version(Reader& in) {
  model::DataVersion v;
  v.state_version = in.le<std::int64_t>();
  v.timestamp_ms = in.le<std::int64_t>();
  v.counter = in.le<std::int64_t>();
  return v;
}

void put_timer(Writer& w, const Timer& t) {
  w.le(t.due_ms);
  w.le(t.target);
  w.le(t.body);
  w.le(t.topic);
  w.le(t.queue_id);
  w.le(t.tag_hash);
  w.le(t.bytes);
}
Timer get_timer(Reader& in) {
  Timer t;
  t.due_ms = in.le<std::int64_t>();
  t.target = in.le<std::int64_t>();
  t.body = in.le<std::int64_t>();
  t.topic = in.le<std::uint32_t>();
  t.queue_id = in.le<std::int32_t>();
  t.tag_hash = in.le<std::int32_t>();
  t.bytes = in.le<std::uint32_t>();
  return t;
}

}  // namespace

// Without what is not in the log yet: else the offset of a queue would go back where a start has to do without this snapshot.
std::vector<std::pair<Group::OffsetKey, OffsetState>> Core::Impl::logged_offsets(const Group& group, const std::map<Group::OffsetKey, const DirtyOffset*>& dirty) {
  std::vector<std::pair<Group::OffsetKey, OffsetState>> logged;
  logged.reserve(group.offsets.size());
  for (const auto& [key, now_] : group.offsets) {
    OffsetState state = now_;
    if (const auto d = dirty.find(key); d != dirty.end()) {
      state.offset = d->second->logged;
      state.reset_pending = d->second->logged_reset;
    }
    if (state.worth_keeping()) logged.emplace_back(key, state);
  }
  return logged;
}

// Sections in order: version, wall clock; topics with their queues' entries; groups with offsets; producer groups; half messages; ended ones; timers; cross
// references; carried positions. Names are sorted and ids renumbered, so that the same state gives the same bytes.
storage::SnapshotDraft Core::Impl::draft_snapshot() const {
  storage::SnapshotDraft draft(log.end());
  std::string out;
  Writer w(out);
  w.le(kSnapshotVersion);
  w.le(now.wall_ms);
  put_version(w, topics_version);
  put_version(w, groups_version);

  std::vector<const Topic*> by_name;
  for (const auto& [name, topic] : topics) by_name.push_back(topic.get());
  std::sort(by_name.begin(), by_name.end(), [](const Topic* a, const Topic* b) { return a->config.name < b->config.name; });
  boost::unordered_flat_map<std::uint32_t, std::uint32_t> new_id;
  w.le(static_cast<std::uint32_t>(by_name.size()));
  for (const Topic* topic : by_name) {
    new_id[topic->id] = static_cast<std::uint32_t>(new_id.size());
    put_text(w, encode(topic->config));
    w.le(static_cast<std::uint32_t>(topic->queues.size()));
    while ((draft.bytes() + out.size()) % kAlignment != 0) w.le(std::uint8_t{0});
    for (const auto& queue : topic->queues) {
      w.le(queue->index.min());
      w.le(queue->index.end());
      if (queue->index.min() == queue->index.end()) continue;
      draft.take(std::exchange(out, {}));
      queue->index.freeze(draft);
    }
  }
  const auto id_of = [&](std::uint32_t id) {
    const auto it = new_id.find(id);
    return it == new_id.end() ? ~std::uint32_t{0} : it->second;
  };

  out.reserve((1 << 20) + book.size() * 96 + ended.size() * 40 + verdicts.bytes() + timers.size() * 48);  // growing would take twice the memory
  std::map<std::string_view, const Group*> groups_by_name;
  for (const auto& [name, group] : groups) groups_by_name[name] = &group;
  std::map<std::string_view, std::map<Group::OffsetKey, const DirtyOffset*>> dirty;
  for (const DirtyOffset& d : dirty_offsets) dirty[d.group][{d.topic, d.queue_id}] = &d;
  w.le(static_cast<std::uint32_t>(groups_by_name.size()));
  for (const auto& [name, group] : groups_by_name) {
    put_text(w, encode(group->config));
    w.le(static_cast<std::uint8_t>(group->deleted));
    const auto offsets = logged_offsets(*group, dirty[name]);
    w.le(static_cast<std::uint32_t>(offsets.size()));
    for (const auto& [key, state] : offsets) {
      w.le(id_of(key.first));
      w.le(key.second);
      w.le(state.offset);
      w.le(static_cast<std::uint8_t>(state.reset_pending));
    }
  }

  w.le(static_cast<std::uint32_t>(book.group_count()));
  for (std::uint32_t group = 0; group < book.group_count(); group++) put_text(w, book.group_name(group));
  w.le(next_half_offset);
  const std::int64_t ahead = book_ahead_ms();  // on disk the clock of all times is the wall clock
  w.le(static_cast<std::uint32_t>(book.size()));
  book.walk(0, [&](HalfSlot slot) {
    const HalfMessage& h = book.at(slot);
    const HalfOrigin& from = book.origin(slot);
    w.le(h.position());
    w.le(h.key_hash());
    w.le(h.half_offset());
    w.le(h.created_ms() - ahead);
    w.le(book.delay(slot));
    // Those that wait for a producer are asked first after a restart.
    w.le((h.place() == HalfPlace::Scheduled ? h.due_ms() : h.created_ms()) - ahead);
    w.le(h.last_event());
    w.le(id_of(from.topic));
    w.le(from.group);
    w.le(h.bytes());
    w.le(from.queue_id);
    w.le(h.tag_hash());
    w.le(h.answered());
    w.le(static_cast<std::uint8_t>(h.state()));
    return true;
  });
  w.le(static_cast<std::uint32_t>(ended.size()));
  ended.walk([&](storage::Position position, const EndedHalf& e) {
    w.le(position);
    w.le(e.key_hash);
    w.le(e.half_offset);
    w.le(e.group);
    w.le(static_cast<std::uint8_t>(e.state));
    w.le(e.last_event);
    w.le(id_of(e.topic));
    w.le(e.queue_id);
    w.le(e.created_ms - ahead);
    w.le(refused_on_record(e.refused));
  });
  verdicts.encode(w);
  const std::map<storage::Position, std::int64_t> resumed(resumed_ms.begin(), resumed_ms.end());
  w.le(static_cast<std::uint32_t>(resumed.size()));
  for (const auto& [half, at_ms] : resumed) {
    w.le(half);
    w.le(at_ms - ahead);
  }

  std::vector<Timer> sorted = timers;
  std::sort(sorted.begin(), sorted.end(), [](const Timer& a, const Timer& b) { return b < a; });
  w.le(static_cast<std::uint32_t>(sorted.size()));
  for (Timer timer : sorted) {
    timer.topic = id_of(timer.topic);
    put_timer(w, timer);
  }
  w.le(static_cast<std::uint32_t>(cross_references.size()));
  for (const CrossReference& c : cross_references) {
    w.le(c.by);
    w.le(c.body);
  }
  const auto moved = carried.all();
  w.le(static_cast<std::uint32_t>(moved.size()));
  for (const auto& [original, copy] : moved) {
    w.le(original);
    w.le(copy);
  }
  draft.take(std::move(out));
  return draft;
}

// The checksum was right. What is checked here all the same is what would stop the program later, or make it take memory without end.
Status Core::Impl::decode_snapshot(const storage::LoadedSnapshot& snapshot) {
  Reader in(as_bytes(snapshot.payload));
  const auto corrupt = [&](const char* what) {
    const std::size_t byte = snapshot.payload.size() - in.left();
    return Error{ErrorCode::Corrupt, storage::snapshot_name(snapshot.position) + ": before byte " + std::to_string(byte) + " of its payload: impossible " + what +
                                         ", though the checksum is right; remove the file: an older snapshot, or the log alone, serves"};
  };
  const auto version = in.le<std::uint32_t>();
  if (version < 1 || version > kSnapshotVersion) return corrupt("version");
  now.wall_ms = in.le<std::int64_t>();
  if (!is_time(now.wall_ms)) return corrupt("time");
  const model::DataVersion stored_topics_version = get_version(in);
  const model::DataVersion stored_groups_version = get_version(in);
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    const auto config = decode_topic(as_bytes(get_text(in)));
    if (!config || topics.contains(config->name)) return corrupt("topic");
    if (in.left() / kQueueBytes < static_cast<std::size_t>(config->queues())) return corrupt("queues");  // before memory is taken for them
    Topic& topic = apply_topic(*config);
    const auto queue_count = in.le<std::uint32_t>();
    while (version >= 4 && in.ok() && (snapshot.payload.size() - in.left()) % kAlignment != 0)
      if (in.le<std::uint8_t>() != 0) return corrupt("padding");
    for (std::uint32_t q = 0; q < queue_count && in.ok(); q++) {
      if (q >= topic.queues.size()) {
        topic.queues.push_back(std::make_unique<Queue>());
        total_queues++;
      }
      QueueIndex& index_ = topic.queues[q]->index;
      const auto min = in.le<std::int64_t>();
      const auto end = in.le<std::int64_t>();
      if (min < 0 || end < min || static_cast<std::uint64_t>(end - min) > in.left() / sizeof(IndexEntry)) return corrupt("queue");
      index_.restore(min, as_bytes(in.text(static_cast<std::size_t>(end - min) * sizeof(IndexEntry))), snapshot.memory);
    }
  }
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    const auto config = decode_group(as_bytes(get_text(in)));
    if (!config || groups.contains(config->name)) return corrupt("group");
    Group& group = apply_group(*config);
    group.deleted = in.le<std::uint8_t>() != 0;
    for (auto m = in.le<std::uint32_t>(); m > 0 && in.ok(); m--) {
      const auto topic = in.le<std::uint32_t>();
      const auto queue = in.le<std::int32_t>();
      OffsetState state;
      state.offset = in.le<std::int64_t>();
      state.reset_pending = in.le<std::uint8_t>() != 0;
      if (topic_of(topic)) group.offsets[{topic, queue}] = state;
    }
  }
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) book.group_id(get_text(in));
  next_half_offset = in.le<std::int64_t>();
  if (next_half_offset < 0 || next_half_offset > snapshot.position / kHalfBytesMin + 1) return corrupt("number of half messages");
  storage::Position newest_half = storage::kNoPosition;
  std::int64_t newest_number = -1;
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    NewHalf h;
    h.position = in.le<std::int64_t>();
    h.key_hash = in.le<std::uint64_t>();
    h.half_offset = in.le<std::int64_t>();
    h.created_ms = in.le<std::int64_t>();
    h.delay = in.le<std::int64_t>();
    const auto due_ms = in.le<std::int64_t>();
    const auto last_event = version >= 2 ? in.le<std::int64_t>() : h.position;
    h.topic = in.le<std::uint32_t>();
    h.group = in.le<std::uint32_t>();
    h.bytes = in.le<std::uint32_t>();
    h.queue_id = in.le<std::int32_t>();
    h.tag_hash = in.le<std::int32_t>();
    const auto answered = in.le<std::uint16_t>();
    const auto state = static_cast<HalfState>(in.le<std::uint8_t>());
    if (!in.ok()) break;
    if (h.group >= book.group_count() || !topic_of(h.topic) || !topic_of(h.topic)->queue(h.queue_id)) return corrupt("half message");
    if (h.position <= newest_half || h.half_offset <= newest_number || (state != HalfState::Pending && state != HalfState::Parked)) return corrupt("half message");
    if (h.position >= snapshot.position || h.half_offset >= next_half_offset || !TransactionBook::takes(h)) return corrupt("half message");
    if (last_event < h.position || last_event >= snapshot.position) return corrupt("event of a half message");
    if (!is_time(h.created_ms) || !is_time(h.delay) || !is_time(due_ms / 4)) return corrupt("time of a half message");
    newest_half = h.position;
    newest_number = h.half_offset;
    const HalfSlot slot = book.add(h);
    book.set_answered(slot, answered);
    book.set_last_event(slot, last_event);
    book.set_state(slot, state);
    if (state == HalfState::Pending) book.schedule(slot, due_ms);
  }
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    const auto position = in.le<std::int64_t>();
    EndedHalf e;
    e.key_hash = HalfMessage::kept(in.le<std::uint64_t>());
    e.half_offset = in.le<std::int64_t>();
    e.group = in.le<std::uint32_t>();
    e.state = static_cast<HalfState>(in.le<std::uint8_t>());
    e.last_event = version >= 2 ? in.le<std::int64_t>() : position;
    if (version >= 3) {
      e.topic = in.le<std::uint32_t>();
      e.queue_id = in.le<std::int32_t>();
      e.created_ms = in.le<std::int64_t>();
      e.refused = in.le<std::uint32_t>();
      if (!is_time(e.created_ms) || e.refused != refused_on_record(e.refused)) return corrupt("ended half message");
    }
    if (e.group >= book.group_count() || e.half_offset < 0 || e.half_offset >= next_half_offset || ended.find(position)) return corrupt("ended half message");
    if (position < 0 || position >= snapshot.position || book.find(position) != kNoHalf || (e.state != HalfState::Committed && e.state != HalfState::RolledBack)) return corrupt("ended half message");
    ended.put(position, e);
    if (version < 2) verdicts.put(e.half_offset, e.state, e.last_event);
  }
  if (version >= 2 && !verdicts.decode(in, next_half_offset)) return corrupt("verdicts");
  for (auto n = version >= 3 ? in.le<std::uint32_t>() : 0; n > 0 && in.ok(); n--) {
    const auto half = in.le<std::int64_t>();
    const auto at_ms = in.le<std::int64_t>();
    if (!in.ok()) break;
    if (book.find(half) == kNoHalf || !is_time(at_ms)) return corrupt("resumed half message");
    resumed_ms[half] = at_ms;
  }
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    const Timer timer = get_timer(in);
    if (!in.ok()) break;
    const bool of_deleted = timer.topic == ~std::uint32_t{0};
    if (!is_time(timer.due_ms) || (!of_deleted && !(topic_of(timer.topic) && topic_of(timer.topic)->queue(timer.queue_id)))) return corrupt("timer");
    add_timer(timer);
  }
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    const auto by = in.le<std::int64_t>();
    cross_references.push_back({by, in.le<std::int64_t>()});
  }
  for (auto n = in.le<std::uint32_t>(); n > 0 && in.ok(); n--) {
    const auto original = in.le<std::int64_t>();
    carried.put(original, in.le<std::int64_t>());
  }
  topics_version = stored_topics_version;
  groups_version = stored_groups_version;
  if (!in.ok() || in.left() != 0) return corrupt("end");
  return Done{};
}

}  // namespace halfmoon::broker
