// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::Position;
using storage::RecordType;

namespace {
// A backlog of half messages is moved in steps, so that nobody waits long: in one turn at most so many bytes are carried, and so many half messages looked at.
constexpr std::int64_t kCarryBytesPerTurn = 4 << 20;
constexpr int kLooksPerTurn = 20000;
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

  if (boundary != carrying.boundary) carrying = {.boundary = boundary, .halves_to = 0, .others = {}, .records = 0, .bytes = 0};
  HM_TRY(const bool, all, carry_on());
  if (!all) {
    nothing.unfinished = true;
    return nothing;
  }
  const Position last = log.end();
  std::int64_t dropped = 0;
  for (auto& [name, topic] : topics)
    for (auto& queue : topic->queues) dropped += queue->index.trim_below(boundary);
  while (!cross_references.empty() && cross_references.front().by < boundary) cross_references.pop_front();
  carried.forget_copies_below(boundary);
  ended.forget_below(boundary);
  ended.not_sure_below(boundary);
  publish_known_halves();
  verdicts.forget_below(boundary);
  log_event(LogLevel::Info, "log.released", {{"before", boundary}, {"messages", dropped}, {"carried", carrying.records}, {"carried_bytes", carrying.bytes}});
  carrying = {};
  return Release{boundary, last};
}

// Half messages first: they enter at the log's end, so one walk in order of position sees them all, however many turns it takes. The rest comes and goes
// in any order (a verdict makes a timer of a half message, a timer that fires a reference): it is collected anew until nothing is left.
Result<bool> Core::Impl::carry_on() {
  const std::int64_t until = carrying.bytes + kCarryBytesPerTurn;
  HM_TRY(const bool, halves, carry_halves(until));
  if (!halves) return false;
  storage::ReadBuffer buffer;
  for (;;) {
    if (carrying.others.empty()) carrying.others = others_needed();
    if (carrying.others.empty()) return true;
    while (!carrying.others.empty()) {
      if (carrying.bytes >= until) return false;
      HM_TRY(const bool, room, carry(carrying.others.back(), buffer));
      if (!room) return false;
      carrying.others.pop_back();
    }
  }
}

Result<bool> Core::Impl::carry_halves(std::int64_t bytes_until) {
  storage::ReadBuffer buffer;
  int looked = 0;
  bool all = true;
  Result<bool> room = true;
  book.walk(carrying.halves_to, [&](HalfSlot half) {
    const Position position = book.at(half).position();
    if (position >= carrying.boundary) return false;
    if (looked++ == kLooksPerTurn || carrying.bytes >= bytes_until) return all = false;
    if (room = carry(position, buffer); !room.ok() || !*room) return false;
    carrying.halves_to = position + 1;
    return true;
  });
  if (!room.ok() || !*room) return room;
  return all;
}

Result<bool> Core::Impl::carry(Position original, storage::ReadBuffer& buffer) {
  const Position place = carried.locate(original);
  if (place >= carrying.boundary) return true;
  HM_TRY(auto, record, log.read(place, buffer));
  CarriedRecord copy{original, record.type, record.payload};
  if (record.type == RecordType::Carried) {
    const auto inner = decode_carried(record.payload);
    if (!inner) return Error{ErrorCode::Corrupt, "the carried record at " + std::to_string(place) + " is malformed"};
    copy.type = inner->type;
    copy.payload = inner->payload;
  }
  const auto moved = append(RecordType::Carried, encode(copy));
  if (!moved.ok() && moved.error().code == ErrorCode::Busy) return false;
  if (!moved.ok()) return Error(moved.error());
  carried.put(original, *moved);
  carrying.bytes += static_cast<std::int64_t>(copy.payload.size());
  carrying.records++;
  return true;
}

std::vector<Position> Core::Impl::others_needed() const {
  std::vector<Position> needed;
  const auto need = [&](Position position) {
    if (position < carrying.boundary && carried.locate(position) < carrying.boundary) needed.push_back(position);
  };
  for (const Timer& timer : timers) {
    need(timer.target);
    need(timer.body);
  }
  for (const CrossReference& c : cross_references)
    if (c.by >= carrying.boundary) need(c.body);
  std::sort(needed.begin(), needed.end(), std::greater<>{});
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
  return needed;
}

}  // namespace halfmoon::broker
