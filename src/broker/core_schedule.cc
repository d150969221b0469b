// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

namespace {
// At most so many timers fire in one turn, so that a million of them due at once do not keep everybody else out.
constexpr int kFiresPerTurn = 4096;
// How long after a refusal (disk full, busy) it is tried again.
constexpr std::int64_t kFireAgainMs = 100;
}  // namespace

void Core::Impl::add_timer(const Timer& timer) {
  if (!started) {
    replayed_timers[timer.target] = timer;
    return;
  }
  timers.push_back(timer);
  std::push_heap(timers.begin(), timers.end());
}

void Core::Impl::apply_fire(storage::Position record, const FireRecord& fire, const Timer& timer) {
  Topic* topic = topic_of(timer.topic);
  if (!topic) return;  // deleted meanwhile
  const std::int64_t offset = index(*topic, timer.queue_id, {record, fire.store_ms, timer.bytes, timer.tag_hash});
  HM_CHECK(offset == fire.queue_offset);
  note_reference(record, timer.target);
  if (timer.body != timer.target) note_reference(record, timer.body);
  count.fired++;
}

void Core::Impl::apply_reference(storage::Position record, const ReferenceRecord& r, std::int32_t tag_hash) {
  Topic* topic = find_topic(r.topic);
  if (!topic) return;
  if (r.queue_offset < 0) {
    add_timer({r.due_ms, record, r.body, topic->id, r.queue_id, tag_hash, r.bytes});
    return;
  }
  const std::int64_t offset = index(*topic, r.queue_id, {record, r.store_ms, r.bytes, tag_hash});
  HM_CHECK(offset == r.queue_offset);
  note_reference(record, r.body);
}

void Core::Impl::fire_due() {
  if (log.poisoned() || now.mono_ms < fire_again_mono_ms) return;
  for (int n = 0; n < kFiresPerTurn && !timers.empty() && timers.front().due_ms <= now.wall_ms; n++) {
    const Timer timer = timers.front();
    Topic* topic = topic_of(timer.topic);
    if (topic) {
      const FireRecord fire{timer.target, topic->queue(timer.queue_id)->index.end(), now.wall_ms};
      const auto position = append(RecordType::Fire, encode(fire));
      if (!position.ok()) {  // it stays where it is, so that all come in their order
        fire_again_mono_ms = now.mono_ms + kFireAgainMs;
        return;
      }
      apply_fire(*position, fire, timer);
    }
    std::pop_heap(timers.begin(), timers.end());
    timers.pop_back();
  }
}

}  // namespace halfmoon::broker
