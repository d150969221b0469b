// SPDX-License-Identifier: Apache-2.0
#include "broker/queue_locks.h"

#include <algorithm>
#include <iterator>

namespace halfmoon::broker {

std::vector<QueueRef> QueueLocks::lock(const LockRequest& request, std::int64_t mono_ms) {
  std::vector<QueueRef> held;
  if (request.queues.empty()) return held;
  held.reserve(request.queues.size());
  Queues& queues = groups_.try_emplace(std::string(request.group)).first->second;
  for (const QueueRef& queue : request.queues) {
    auto it = queues.find(queue);
    if (it == queues.end()) it = queues.try_emplace(Key(queue.topic, queue.queue_id), Holder{std::string(request.client_id), mono_ms}).first;
    Holder& holder = it->second;
    if (holder.client_id != request.client_id) {
      if (alive(holder, mono_ms)) continue;
      holder.client_id = request.client_id;
    }
    holder.renewed_mono_ms = mono_ms;
    held.push_back(queue);
  }
  return held;
}

void QueueLocks::unlock(const LockRequest& request) {
  const auto group = groups_.find(request.group);
  if (group == groups_.end()) return;
  Queues& queues = group->second;
  for (const QueueRef& queue : request.queues) {
    const auto it = queues.find(queue);
    if (it != queues.end() && it->second.client_id == request.client_id) queues.erase(it);
  }
  if (queues.empty()) groups_.erase(group);
}

bool QueueLocks::any_held(std::string_view group, std::int64_t mono_ms) const {
  const auto it = groups_.find(group);
  if (it == groups_.end()) return false;
  return std::any_of(it->second.begin(), it->second.end(), [&](const auto& entry) { return alive(entry.second, mono_ms); });
}

template <class Predicate>
void QueueLocks::erase_queues_if(Predicate predicate) {
  for (auto group = groups_.begin(); group != groups_.end();) {
    std::erase_if(group->second, predicate);
    group = group->second.empty() ? groups_.erase(group) : std::next(group);
  }
}

void QueueLocks::forget_topic(std::string_view topic) {
  erase_queues_if([topic](const auto& entry) { return entry.first.first == topic; });
}

void QueueLocks::expire(std::int64_t mono_ms) {
  erase_queues_if([this, mono_ms](const auto& entry) { return !alive(entry.second, mono_ms); });
}

}  // namespace halfmoon::broker
