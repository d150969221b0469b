// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "broker/core_impl.h"

namespace halfmoon::broker {

Status Core::Impl::may_write() const {
  if (!stopped_why.empty()) return Error{ErrorCode::NotWritable, stopped_why};
  if (log.poisoned())
    return Error{ErrorCode::Io, "a write to the log failed; nothing more is accepted until the broker is restarted and has checked its log"};
  return Done{};
}

Status Core::Impl::may_send() const {
  HM_TRY_STATUS(may_write());
  if (disk_level >= DiskLevel::Full) return Error{ErrorCode::DiskFull, "the disk is too full for new messages (diskSpaceWarningLevelRatio); make space"};
  return Done{};
}

void Core::Impl::note_refusal(const Error& error) {
  count.refused++;
  if (error.code == ErrorCode::DiskFull) count.refused_disk_full++;
  if (error.code == ErrorCode::Busy) count.refused_busy++;
}

Status Core::Impl::may_grow(std::string_view what) const {
  if (disk_level < DiskLevel::Tight) return Done{};
  return Error{ErrorCode::DiskFull, "the disk is too full for " + std::string(what) + " (diskSpaceCleanForciblyRatio); make space"};
}

namespace {

/// Small records that end something, say how far somebody got, or let a consumer begin to read: on a full disk they may use what is kept
/// back for them.
bool is_upkeep(storage::RecordType type) {
  using storage::RecordType;
  return type == RecordType::Verdict || type == RecordType::Checked || type == RecordType::Parked || type == RecordType::Resumed ||
         type == RecordType::Offsets || type == RecordType::Group || type == RecordType::TopicDeleted || type == RecordType::GroupDeleted;
}

}  // namespace

Result<storage::Position> Core::Impl::append(storage::RecordType type, std::string_view payload) {
  return append(type, payload, is_upkeep(type) ? storage::Claim::OnReserve : storage::Claim::Ordinary);
}

Result<storage::Position> Core::Impl::append(storage::RecordType type, std::string_view payload, storage::Claim claim) {
  HM_TRY(const auto, place, log.reserve(type, static_cast<std::uint32_t>(payload.size()), claim));
  if (!payload.empty()) std::memcpy(place.payload.data(), payload.data(), payload.size());
  log.finish();
  return place.position;
}

std::int64_t Core::Impl::index(Topic& topic, std::int32_t queue_id, const IndexEntry& entry) {
  Queue* queue = topic.queue(queue_id);
  HM_CHECK(queue != nullptr);
  const std::int64_t offset = queue->index.append(entry);
  if (!queue->unshown) {
    queue->unshown = true;
    unshown.emplace_back(&topic, queue);
  }
  return offset;
}

void Core::Impl::answer_when_safe(storage::Position position, Reply<SendResult> reply, SendResult result) {
  waiting_sends.push({position, std::move(reply), std::move(result)});
}

void Core::Impl::answer_when_safe(storage::Position position, Reply<Done> reply) {
  if (reply) waiting_dones.push({position, std::move(reply), Done{}});
}

void Core::Impl::answer_when_all_is_safe(Reply<Done> reply, Result<Done> result) {
  if (!reply) return;
  if (log.end() <= log.safe()) reply(std::move(result));
  else waiting_dones.push({log.end() - 1, std::move(reply), std::move(result)});
}

void Core::Impl::note_reference(storage::Position by, storage::Position body) {
  if (by >= segment_end || by < segment_first) {
    for (const auto& segment : log.segments())
      if (by >= segment.first && by < segment.first + segment.capacity) {
        segment_first = segment.first;
        segment_end = segment.first + segment.capacity;
      }
  }
  if (body < segment_first) cross_references.push_back({by, body});
}

void Core::Impl::show(Topic& topic, Queue& queue) {
  const storage::Position safe = log.safe();
  const std::int64_t end = queue.index.end();
  const std::int64_t before = queue.visible;
  queue.visible = std::max(queue.visible, queue.index.min());  // retention took what had not been shown yet
  // Usually everything became safe at once; then one look at the last entry is enough.
  if (end > queue.visible && queue.index.at(end - 1).position < safe) {
    queue.visible = end;
  } else {
    while (queue.visible < end && queue.index.at(queue.visible).position < safe) queue.visible++;
  }
  if (!queue.parked.empty() && queue.visible > before) wake_pulls(topic, queue, before);
}

void Core::Impl::safe_advanced() {
  const storage::Position safe = log.safe();
  while (!waiting_sends.empty() && waiting_sends.front().position < safe) {
    WaitingSend done = waiting_sends.pop();
    if (done.reply) done.reply(std::move(done.result));
  }
  while (!waiting_dones.empty() && waiting_dones.front().position < safe) {
    WaitingDone done = waiting_dones.pop();
    done.reply(std::move(done.result));
  }
  std::erase_if(unshown, [&](auto& item) {
    show(*item.first, *item.second);
    item.second->unshown = item.second->visible < item.second->index.end();
    return !item.second->unshown;
  });
}

}  // namespace halfmoon::broker
