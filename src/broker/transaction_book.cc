// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_book.h"

#include <algorithm>

#include "base/check.h"

namespace halfmoon::broker {

using storage::Position;

std::size_t TransactionBook::OriginHash::operator()(const OriginKey& k) const {
  std::uint64_t h = (std::uint64_t{k.topic} << 32 | k.group) * 0x9e3779b97f4a7c15u;
  h ^= h >> 32;
  return static_cast<std::size_t>((h ^ static_cast<std::uint32_t>(k.queue_id)) * 0x9e3779b97f4a7c15u);
}

TransactionBook::TransactionBook() { channels_.emplace_back(); }

// ----------------------------------------------------------------------------------------------------- what many share

std::uint32_t TransactionBook::group_id(std::string_view name) {
  if (const auto known = find_group(name)) return *known;
  const auto id = static_cast<std::uint32_t>(groups_.size());
  groups_.push_back({std::string(name), kNoHalf, kNoHalf});
  group_ids_[std::string(name)] = id;
  return id;
}

std::optional<std::uint32_t> TransactionBook::find_group(std::string_view name) const {
  const auto it = group_ids_.find(name);
  if (it == group_ids_.end()) return std::nullopt;
  return it->second;
}

std::uint32_t TransactionBook::origin_number(const NewHalf& half) {
  const auto [it, fresh] = origin_numbers_.try_emplace({half.topic, half.group, half.queue_id}, 0u);
  if (fresh) {
    if (origins_free_.empty()) {
      it->second = static_cast<std::uint32_t>(origins_.size());
      origins_.emplace_back();
    } else {
      it->second = origins_free_.back();
      origins_free_.pop_back();
    }
    origins_[it->second] = {{half.topic, half.group, half.queue_id}, 0};
  }
  origins_[it->second].halves++;
  return it->second;
}

void TransactionBook::leave_origin(std::uint32_t number) {
  Origin& origin = origins_[number];
  if (--origin.halves > 0) return;
  origin_numbers_.erase({origin.origin.topic, origin.origin.group, origin.origin.queue_id});
  origins_free_.push_back(number);
}

std::uint32_t TransactionBook::channel_number(ChannelId id) {
  if (id == ChannelId{}) return 0;
  const auto [it, fresh] = channel_numbers_.try_emplace(static_cast<std::uint64_t>(id), 0u);
  if (fresh) {
    if (channels_free_.empty()) {
      it->second = static_cast<std::uint32_t>(channels_.size());
      channels_.emplace_back();
    } else {
      it->second = channels_free_.back();
      channels_free_.pop_back();
    }
    channels_[it->second].id = id;
  }
  return it->second;
}

void TransactionBook::drop_channel_if_unused(std::uint32_t number) {
  Channel& channel = channels_[number];
  if (number == 0 || channel.sent > 0 || !channel.asked.empty()) return;
  channel_numbers_.erase(static_cast<std::uint64_t>(channel.id));
  channel = {};
  channels_free_.push_back(number);
}

// ------------------------------------------------------------------------------------------------------- half messages

bool TransactionBook::takes(const NewHalf& half) {
  return half.position >= 0 && half.position % 8 == 0 && half.half_offset >= 0 && half.queue_id >= 0 && half.queue_id <= 0xffff && half.bytes < 1u << 26;
}

HalfSlot TransactionBook::add(const NewHalf& half) {
  HM_CHECK(takes(half) && half.group < groups_.size());
  HalfSlot slot = free_;
  if (slot == kNoHalf) {
    slot = static_cast<HalfSlot>(slots_.size());
    slots_.push_back({});
  } else {
    free_ = slots_[slot].heap_or_next_;
    slots_[slot] = {};
  }
  HalfMessage& h = slots_[slot];
  h.position_ = half.position;
  h.half_offset_ = half.half_offset;
  h.created_ms_ = half.created_ms;
  h.key_hash_ = static_cast<std::int64_t>(HalfMessage::kept(half.key_hash));
  h.tag_hash_ = half.tag_hash;
  h.bytes_ = half.bytes & ((1u << 26) - 1);
  h.origin_ = origin_number(half);
  h.sender_ = channel_number(half.sender);
  channels_[h.sender_].sent++;
  if (half.delay != 0) {
    h.delayed_ = 1;
    delays_[slot] = half.delay;
  }
  index_.append(half.position, slot);
  return slot;
}

void TransactionBook::erase(HalfSlot slot) {
  leave_place(slot);
  answered(slot);
  HalfMessage& h = slots_[slot];
  leave_origin(h.origin_);
  channels_[h.sender_].sent--;
  drop_channel_if_unused(h.sender_);
  if (h.delayed_) delays_.erase(slot);
  index_.erase(h.position_);
  h.heap_or_next_ = free_;
  free_ = slot;
  if (index_.size() > 0) return;
  slots_.clear();  // what a flood needed is given back when it has gone
  heap_.clear();
  free_ = kNoHalf;
}

std::int64_t TransactionBook::delay(HalfSlot slot) const {
  if (!slots_[slot].delayed_) return 0;
  return delays_.find(slot)->second;
}

void TransactionBook::set_answered(HalfSlot slot, std::uint32_t answered) {
  slots_[slot].answered_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(answered, 0xffff));
}

void TransactionBook::set_last_event(HalfSlot slot, Position record) {
  slots_[slot].last_event_ = (record - slots_[slot].position_) / 8;
}

bool TransactionBook::matches(HalfSlot slot, const HalfFilter& filter) const {
  const HalfMessage& h = slots_[slot];
  if (filter.state && h.state() != *filter.state) return false;
  if (filter.place && h.place() != *filter.place) return false;
  if (filter.created_until_ms && h.created_ms() > *filter.created_until_ms) return false;
  if (filter.created_from_ms && h.created_ms() < *filter.created_from_ms) return false;
  const HalfOrigin& from = origins_[h.origin_].origin;
  return (!filter.group || from.group == *filter.group) && (!filter.topic || from.topic == *filter.topic);
}

HalfPage TransactionBook::list(const HalfFilter& filter, Position from, std::size_t count_max, std::size_t looked_max) const {
  HalfPage page;
  std::size_t looked = 0;
  index_.walk(from, [&](HalfSlot slot) {
    if (page.halves.size() == count_max || looked++ == looked_max) {
      page.next = slots_[slot].position_;
      return false;
    }
    if (matches(slot, filter)) page.halves.push_back(slot);
    return true;
  });
  return page;
}

void TransactionBook::erase_topic(std::uint32_t topic) {
  std::vector<HalfSlot> gone;
  index_.walk(0, [&](HalfSlot slot) {
    if (origin(slot).topic == topic) gone.push_back(slot);
    return true;
  });
  for (const HalfSlot slot : gone) erase(slot);
}

// --------------------------------------------------------------------------------------------------------- when to ask

void TransactionBook::leave_place(HalfSlot slot) {
  HalfMessage& h = slots_[slot];
  if (h.place() == HalfPlace::Scheduled) {
    heap_remove(h.heap_or_next_);
  } else if (h.place() == HalfPlace::Ready) {
    Group& group = groups_[origins_[h.origin_].origin.group];
    (h.asked_or_prev_ == kNoHalf ? group.first : slots_[h.asked_or_prev_].heap_or_next_) = h.heap_or_next_;
    (h.heap_or_next_ == kNoHalf ? group.last : slots_[h.heap_or_next_].asked_or_prev_) = h.asked_or_prev_;
    h.asked_or_prev_ = 0;
  }
  h.place_ = static_cast<std::uint32_t>(HalfPlace::Nowhere) & 3u;
}

void TransactionBook::schedule(HalfSlot slot, std::int64_t due_ms) {
  HalfMessage& h = slots_[slot];
  if (h.place() == HalfPlace::Scheduled) {  // an answer to a check: mostly from near the bottom of the heap to its bottom
    h.due_ms_ = due_ms;
    sift_up(h.heap_or_next_);
    sift_down(h.heap_or_next_);
    return;
  }
  leave_place(slot);
  h.place_ = static_cast<std::uint32_t>(HalfPlace::Scheduled) & 3u;
  h.due_ms_ = due_ms;
  heap_.push_back(slot);
  h.heap_or_next_ = static_cast<std::uint32_t>(heap_.size() - 1);
  sift_up(heap_.size() - 1);
}

void TransactionBook::unschedule(HalfSlot slot) { leave_place(slot); }

std::int64_t TransactionBook::next_due_ms() const {
  return heap_.empty() ? std::numeric_limits<std::int64_t>::max() : slots_[heap_[0]].due_ms();
}

bool TransactionBook::before(HalfSlot a, HalfSlot b) const {
  const HalfMessage& x = slots_[a];
  const HalfMessage& y = slots_[b];
  const std::int64_t x_due = x.due_ms(), y_due = y.due_ms();
  return x_due != y_due ? x_due < y_due : x.position_ < y.position_;
}

void TransactionBook::heap_put(std::size_t at, HalfSlot slot) {
  heap_[at] = slot;
  slots_[slot].heap_or_next_ = static_cast<std::uint32_t>(at);
}

void TransactionBook::sift_up(std::size_t at) {
  const HalfSlot slot = heap_[at];
  for (; at > 0 && before(slot, heap_[(at - 1) / 2]); at = (at - 1) / 2) heap_put(at, heap_[(at - 1) / 2]);
  heap_put(at, slot);
}

void TransactionBook::sift_down(std::size_t at) {
  const HalfSlot slot = heap_[at];
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) child++;
    if (!before(heap_[child], slot)) break;
    heap_put(at, heap_[child]);
    at = child;
  }
  heap_put(at, slot);
}

void TransactionBook::heap_remove(std::size_t at) {
  const HalfSlot last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) return;
  heap_put(at, last);
  sift_up(at);
  sift_down(slots_[last].heap_or_next_);
}

// --------------------------------------------------------------------------------------------------------- whom to ask

void TransactionBook::make_ready(HalfSlot slot, Line line) {
  leave_place(slot);
  answered(slot);
  HalfMessage& h = slots_[slot];
  Group& group = groups_[origins_[h.origin_].origin.group];
  h.place_ = static_cast<std::uint32_t>(HalfPlace::Ready) & 3u;
  h.asked_or_prev_ = line == Line::Back ? group.last : kNoHalf;
  h.heap_or_next_ = line == Line::Back ? kNoHalf : group.first;
  (h.asked_or_prev_ == kNoHalf ? group.first : slots_[h.asked_or_prev_].heap_or_next_) = slot;
  (h.heap_or_next_ == kNoHalf ? group.last : slots_[h.heap_or_next_].asked_or_prev_) = slot;
}

ChannelId TransactionBook::asked_channel(HalfSlot slot) const {
  const HalfMessage& h = slots_[slot];
  return h.place() == HalfPlace::Ready ? ChannelId{} : channels_[h.asked_or_prev_].id;
}

void TransactionBook::asked(HalfSlot slot, ChannelId channel) {
  leave_place(slot);
  answered(slot);
  const std::uint32_t number = channel_number(channel);
  slots_[slot].asked_or_prev_ = number;
  if (number != 0) channels_[number].asked.insert(slot);
}

void TransactionBook::answered(HalfSlot slot) {
  HalfMessage& h = slots_[slot];
  if (h.place() == HalfPlace::Ready || h.asked_or_prev_ == 0) return;
  const std::uint32_t number = h.asked_or_prev_;
  h.asked_or_prev_ = 0;
  channels_[number].asked.erase(slot);
  drop_channel_if_unused(number);
}

std::int64_t TransactionBook::outstanding(ChannelId channel) const {
  const auto it = channel_numbers_.find(static_cast<std::uint64_t>(channel));
  return it == channel_numbers_.end() ? 0 : static_cast<std::int64_t>(channels_[it->second].asked.size());
}

std::vector<HalfSlot> TransactionBook::close_channel(ChannelId channel, std::optional<std::uint32_t> only_group) {
  const auto it = channel_numbers_.find(static_cast<std::uint64_t>(channel));
  if (it == channel_numbers_.end()) return {};
  const auto& asked_of_it = channels_[it->second].asked;
  std::vector<HalfSlot> open(asked_of_it.begin(), asked_of_it.end());
  if (only_group) std::erase_if(open, [&](HalfSlot slot) { return origin(slot).group != *only_group; });
  std::sort(open.begin(), open.end(), [&](HalfSlot a, HalfSlot b) { return slots_[a].position_ < slots_[b].position_; });
  for (const HalfSlot slot : open) answered(slot);
  return open;
}

std::size_t TransactionBook::bytes() const {
  // A flat table of boost's holds 15 elements in 16 bytes of metadata a group, at most 7/8 full.
  const auto flat = [](std::size_t capacity, std::size_t element) { return capacity * (element + 1); };
  std::size_t sum = slots_.bytes() + index_.bytes() + heap_.bytes() + flat(delays_.bucket_count(), 16) + origins_.capacity() * sizeof(Origin) +
                    flat(origin_numbers_.bucket_count(), 16) + channels_.capacity() * sizeof(Channel) + flat(channel_numbers_.bucket_count(), 16);
  for (const Channel& channel : channels_) sum += flat(channel.asked.bucket_count(), sizeof(HalfSlot));
  return sum;
}

}  // namespace halfmoon::broker
