// SPDX-License-Identifier: Apache-2.0
#include "testkit/world_model.h"

#include <algorithm>

namespace halfmoon::testkit {

using storage::Position;
using storage::RecordType;

namespace {
constexpr const char* kParkedTopic = "TRANS_CHECK_MAX_TIME_TOPIC";
}  // namespace

const Record* WorldModel::find(Position position) const {
  const auto it = std::lower_bound(journal.begin(), journal.end(), position, [](const Record& r, Position p) { return r.position < p; });
  return it != journal.end() && it->position == position ? &*it : nullptr;
}

std::string WorldModel::enter(const std::string& topic, std::int32_t queue, std::int64_t offset, const ModelEntry& entry) {
  ModelQueue& q = queues[{topic, queue}];
  const auto next = static_cast<std::int64_t>(q.entries.size());
  q.entries.push_back(entry);
  if (offset == next) return {};
  return "the record at " + std::to_string(entry.position) + " takes offset " + std::to_string(offset) + " of " + topic + "/" + std::to_string(queue) +
         ", where the next one is " + std::to_string(next);
}

std::string WorldModel::apply_verdict(const Record& r, const std::vector<Message>& messages) {
  const auto it = halves.find(r.half);
  if (it == halves.end()) return ended.contains(r.half) ? "a second verdict on the half message at " + std::to_string(r.half)
                                                        : "a verdict on no half message, at " + std::to_string(r.half);
  const ModelHalf half = it->second;
  const Message& m = messages[static_cast<std::size_t>(half.message)];
  halves.erase(it);
  ended[r.half] = {half.message, half.half_offset, r.commit, r.position, verdicts++};
  if (!r.commit) return r.queue_offset == -1 ? "" : "a rollback that takes an offset";
  std::int64_t due = 0;
  if (m.delay == Message::Delay::Relative) due = r.wall_ms + m.delay_ms + 1;  // the millisecond that had begun does not count
  if (m.delay == Message::Delay::Absolute) due = m.delay_ms;
  if (due <= r.wall_ms) due = 0;
  if (due != r.due_ms) return "a commit at " + std::to_string(r.wall_ms) + " that is due at " + std::to_string(r.due_ms) + ", not at " + std::to_string(due);
  if (due == 0) return enter(m.topic, m.queue, r.queue_offset, {r.position, half.message, r.wall_ms, 0});
  timers.insert({due, r.position, half.message, m.topic, m.queue, 0});
  return r.queue_offset == -1 ? "" : "a delayed commit that takes an offset before it is due";
}

std::string WorldModel::apply_reference(const Record& r, const std::vector<Message>&) {
  const auto body = bodies.find(r.half);
  if (body == bodies.end()) return "a reference to no message, at " + std::to_string(r.half);
  if (!topics.contains(r.topic)) return "a reference in a topic that is not there";
  bodies[r.position] = body->second;
  if (r.queue_offset >= 0) return enter(r.topic, r.queue, r.queue_offset, {r.position, body->second, r.wall_ms, r.number});
  timers.insert({r.due_ms, r.position, body->second, r.topic, r.queue, r.number});
  return {};
}

std::string WorldModel::apply_fire(const Record& r) {
  const auto it = std::find_if(timers.begin(), timers.end(), [&](const ModelTimer& t) { return t.target == r.half; });
  if (it == timers.end()) return "something fires that does not wait: " + std::to_string(r.half);
  const ModelTimer t = *it;
  timers.erase(it);
  if (t.due_ms > r.wall_ms) return "fired " + std::to_string(t.due_ms - r.wall_ms) + " ms before it was due";
  return enter(t.topic, t.queue, r.queue_offset, {r.position, t.message, r.wall_ms, t.deliveries});
}

std::string WorldModel::apply(const Record& r, const std::vector<Message>& messages) {
  switch (r.type) {
    case RecordType::Message:
      bodies[r.position] = r.message;
      return enter(r.topic, r.queue, r.queue_offset, {r.position, r.message, r.wall_ms, r.number});
    case RecordType::Delayed:
      bodies[r.position] = r.message;
      timers.insert({r.due_ms, r.position, r.message, r.topic, r.queue, r.number});
      return {};
    case RecordType::Half: {
      bodies[r.position] = r.message;
      const std::int64_t created = r.wall_ms + ahead_ms;
      halves[r.position] = {.message = r.message, .half_offset = r.queue_offset, .created_ms = created,
                            .due_ms = created + messages[static_cast<std::size_t>(r.message)].first_check_ms};
      if (r.queue_offset != next_half_offset++) return "a half message with a number that is not the next";
      return {};
    }
    case RecordType::Verdict: return apply_verdict(r, messages);
    case RecordType::Checked: {
      const auto it = halves.find(r.half);
      if (it == halves.end() || it->second.parked) return "a check's answer about no pending half message";
      if (r.number != ++it->second.answered) return "answers are counted wrongly";
      it->second.due_ms = r.wall_ms + ahead_ms + check_interval_ms;
      it->second.asked = {};
      return {};
    }
    case RecordType::Parked: {
      const auto it = halves.find(r.half);
      if (it == halves.end() || it->second.parked) return "parked, what is not pending";
      it->second.parked = true;
      it->second.asked = {};
      return enter(kParkedTopic, 0, r.queue_offset, {r.position, it->second.message, r.wall_ms, 0});
    }
    case RecordType::Resumed: {
      const auto it = halves.find(r.half);
      if (it == halves.end() || !it->second.parked) return "resumed, what is not parked";
      it->second.parked = false;
      it->second.answered = 0;
      it->second.due_ms = r.wall_ms + ahead_ms;
      it->second.created_ms = it->second.due_ms;  // its age counts from here
      return {};
    }
    case RecordType::Asked: {  // who was asked: history only
      const auto it = halves.find(r.half);
      return it == halves.end() || it->second.parked ? "asked about no pending half message" : "";
    }
    case RecordType::Refused: return halves.contains(r.half) ? "a contrary verdict without a first one" : "";
    case RecordType::Client: return {};
    case RecordType::Reference: return apply_reference(r, messages);
    case RecordType::Fire: return apply_fire(r);
    case RecordType::Offsets:
      for (const Record::Offset& o : r.offsets) {
        if (!topics.contains(o.topic) || !groups.contains(o.group)) return "an offset of a group or topic that is not there";
        std::int64_t& stored = offsets[o.group][{o.topic, o.queue}];
        if (o.offset < 0) return "an offset below zero is written";
        if (o.offset < stored) return "the offset of " + o.group + " goes back";
        stored = o.offset;
      }
      return {};
    case RecordType::Topic: {
      std::int32_t& count = topics[r.topic];
      count = std::max(count, r.queue);
      for (std::int32_t q = 0; q < count; q++) queues[{r.topic, q}];
      return {};
    }
    case RecordType::TopicDeleted: {
      topics.erase(r.topic);
      std::erase_if(queues, [&](const auto& item) { return item.first.first == r.topic; });
      std::erase_if(timers, [&](const ModelTimer& t) { return t.topic == r.topic; });
      std::erase_if(halves, [&](const auto& item) { return messages[static_cast<std::size_t>(item.second.message)].topic == r.topic; });
      for (auto& [group, of_group] : offsets) std::erase_if(of_group, [&](const auto& item) { return item.first.first == r.topic; });
      return {};
    }
    case RecordType::Group: groups[r.topic] = {.deleted = false, .retry_max = r.number}; return {};
    case RecordType::GroupDeleted: {
      const auto kept = offsets.find(r.topic);
      if (r.clean || kept == offsets.end() || kept->second.empty()) {
        groups.erase(r.topic);
        offsets.erase(r.topic);
      } else {
        groups[r.topic].deleted = true;
      }
      return {};
    }
    case RecordType::Carried: return {};
    case RecordType::EpochStart:
    case RecordType::Batch: break;
  }
  return "a record of type " + std::to_string(static_cast<int>(r.type)) + ", which nobody asked for";
}

void WorldModel::note_snapshot(std::uint32_t checksum, std::int64_t now_ms) {
  std::map<Position, Times>& times = snapshots[checksum];
  times.clear();
  for (const auto& [at, half] : halves) {
    const bool waits_for_its_time = !half.parked && half.due_ms > now_ms;
    times[at] = {half.created_ms - ahead_ms, (waits_for_its_time ? half.due_ms : half.created_ms) - ahead_ms};
  }
}

std::string WorldModel::rebuild(Position snapshot, std::uint32_t checksum, const std::vector<Message>& messages) {
  WorldModel fresh;
  fresh.journal = std::move(journal);
  fresh.forgettable = forgettable;
  fresh.check_interval_ms = check_interval_ms;
  fresh.snapshots = std::move(snapshots);
  const Position released_before = released;
  *this = std::move(fresh);
  const auto known = snapshots.find(checksum);
  bool behind = snapshot == storage::kNoPosition;
  if (!behind && known == snapshots.end()) return "a snapshot that nobody took";
  std::string wrong;
  for (std::size_t i = 0; i <= journal.size(); i++) {
    if (!behind && (i == journal.size() || journal[i].position >= snapshot)) {
      behind = true;
      for (auto& [at, half] : halves) {
        const auto times = known->second.find(at);
        if (times == known->second.end()) return "a snapshot does not know the half message at " + std::to_string(at);
        half.created_ms = times->second.created_ms;
        half.due_ms = times->second.due_ms;
      }
    }
    if (i == journal.size()) break;
    wrong = apply(journal[i], messages);
    if (!wrong.empty()) return wrong;
  }
  release(released_before);
  return {};
}

void WorldModel::release(Position boundary) {
  released = std::max(released, boundary);
  for (auto& [name, queue] : queues) {
    const auto gone = std::partition_point(queue.entries.begin(), queue.entries.end(), [&](const ModelEntry& e) { return e.position < released; });
    queue.min = std::max<std::int64_t>(queue.min, gone - queue.entries.begin());
  }
}

}  // namespace halfmoon::testkit
