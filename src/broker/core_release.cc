// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::Position;
using storage::RecordType;

namespace {
// Bodies are carried at most so many bytes a turn: a backlog of half messages is moved in steps, and nobody waits long.
constexpr std::int64_t kCarryBytesPerTurn = 4 << 20;
}  // namespace

Result<Core::Release> Core::Impl::release(const RetentionPolicy& policy) {
  const auto segments = log.segments();
  std::int64_t total = 0;
  for (const auto& segment : segments) total += segment.capacity;
  Position boundary = log.first_position();
  for (const auto& segment : segments) {
    if (segment.active) break;
    const bool expired = segment.last_write_wall_ms > 0 && segment.last_write_wall_ms + policy.keep_ms <= now.wall_ms;
    const bool too_much = policy.keep_bytes > 0 && total > policy.keep_bytes;
    if (!expired && !too_much) break;
    boundary = segment.first + segment.capacity;
    total -= segment.capacity;
  }
  Release nothing{log.first_position(), log.durable()};
  if (boundary <= log.first_position()) return nothing;

  storage::ReadBuffer buffer;
  std::int64_t carried_bytes = 0;
  std::int64_t carried_records = 0;
  Position last = log.end();
  for (const Position original : needed_below(boundary)) {
    const Position place = carried.locate(original);
    if (place >= boundary) continue;
    if (carried_bytes >= kCarryBytesPerTurn) return nothing;  // the rest in the next turn, and then the segments
    HM_TRY(auto, record, log.read(place, buffer));
    CarriedRecord copy{original, record.type, record.payload};
    if (record.type == RecordType::Carried) {
      const auto inner = decode_carried(record.payload);
      if (!inner) return Error{ErrorCode::Corrupt, "the carried record at " + std::to_string(place) + " is malformed"};
      copy.type = inner->type;
      copy.payload = inner->payload;
    }
    HM_TRY(const Position, moved, append(RecordType::Carried, encode(copy)));
    carried.put(original, moved);
    carried_bytes += static_cast<std::int64_t>(copy.payload.size());
    carried_records++;
    last = moved + 1;
  }
  std::int64_t dropped = 0;
  for (auto& [name, topic] : topics)
    for (auto& queue : topic->queues) dropped += queue->index.trim_below(boundary);
  while (!cross_references.empty() && cross_references.front().by < boundary) cross_references.pop_front();
  carried.forget_copies_below(boundary);
  ended.forget_below(boundary);
  ended.not_sure_below(boundary);
  publish_known_halves();
  verdicts.forget_below(boundary);
  log_event(LogLevel::Info, "log.released", {{"before", boundary}, {"messages", dropped}, {"carried", carried_records}, {"carried_bytes", carried_bytes}});
  return Release{boundary, last};
}

std::set<Position> Core::Impl::needed_below(Position boundary) const {
  std::set<Position> needed;
  book.walk(0, [&](HalfSlot half) {
    if (book.at(half).position() >= boundary) return false;
    needed.insert(book.at(half).position());
    return true;
  });
  for (const Timer& timer : timers) {
    if (timer.target < boundary) needed.insert(timer.target);
    if (timer.body < boundary) needed.insert(timer.body);
  }
  for (const CrossReference& c : cross_references)
    if (c.by >= boundary && c.body < boundary) needed.insert(c.body);
  return needed;
}

}  // namespace halfmoon::broker
