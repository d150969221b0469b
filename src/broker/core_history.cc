// SPDX-License-Identifier: Apache-2.0
// Who did what to a half message, as records that chain backwards (docs/formats/log.md, "The history of a half message").
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::Position;
using storage::RecordType;

namespace {

// A client is named anew after so much log, so that its record is seldom gone before those that point at it.
constexpr std::int64_t kClientRecordReach = 64 << 20;

}  // namespace

Position Core::Impl::last_event_of(HalfSlot half) const {
  const HalfMessage& h = book.at(half);
  if (h.last_event() != h.position()) return h.last_event();
  // Answered or parked, and nothing was noted: an earlier build did it.
  return h.answered() > 0 || h.state() == HalfState::Parked ? kUnrecorded : kFirstEvent;
}

Position Core::Impl::last_event_of(Position half, const EndedHalf& ended_half) {
  return ended_half.last_event != half ? ended_half.last_event : kUnrecorded;
}

Position Core::Impl::name_client(ChannelId channel, std::string_view address) {
  if (channel == ChannelId{}) return kNobody;
  NamedClient& named = named_clients[channel];
  const bool fresh = named.record != kNobody && named.record > log.end() - kClientRecordReach;
  if (fresh && named.has_id) return named.record;
  const ClientInfo* info = clients.client(channel);
  const bool has_id = info != nullptr && !info->client_id.empty();
  if (fresh && !has_id) return named.record;
  ClientRecord r;
  r.wall_ms = now.wall_ms;
  if (info != nullptr) {
    r.id = info->client_id;
    r.address = info->remote_address;
  }
  if (!address.empty()) r.address = address;
  const auto record = append(RecordType::Client, encode(r));
  named = {record.ok() ? *record : kNobody, has_id};
  return named.record;
}

void Core::Impl::note_asked(HalfSlot half, ChannelId channel) {
  AskedRecord r;
  r.half = book.at(half).position();
  r.previous = last_event_of(half);
  r.by = name_client(channel, {});
  r.wall_ms = now.wall_ms;
  // Where the log takes nothing now, the check goes out all the same.
  if (const auto record = append(RecordType::Asked, encode(r)); record.ok()) apply_asked(*record, r);
}

void Core::Impl::apply_asked(Position record, const AskedRecord& r) {
  if (const HalfSlot half = book.find(r.half); half != kNoHalf) book.set_last_event(half, record);
}

void Core::Impl::note_refused(Position half, const EndedHalf& ended_half, bool commit, const Actor& actor) {
  RefusedRecord r;
  r.count = ended_half.refused + 1;
  ended.set_refused(half, r.count);
  const bool power_of_two = (r.count & (r.count - 1)) == 0;
  if (r.count > kRefusedWritten && !power_of_two) return;
  r.half = half;
  r.previous = last_event_of(half, ended_half);
  r.by = name_client(actor.channel, actor.address);
  r.wall_ms = now.wall_ms;
  r.commit = commit;
  r.source = actor.source;
  r.operator_name = actor.operator_name;
  if (const auto record = append(RecordType::Refused, encode(r)); record.ok()) apply_refused(*record, r);
}

void Core::Impl::apply_refused(Position record, const RefusedRecord& r) {
  ended.set_refused(r.half, r.count);
  ended.set_last_event(r.half, record);
}

}  // namespace halfmoon::broker
