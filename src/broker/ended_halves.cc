// SPDX-License-Identifier: Apache-2.0
#include "broker/ended_halves.h"

namespace halfmoon::broker {

void EndedHalves::put(storage::Position half, const EndedHalf& ended) {
  if (!by_position_.insert_or_assign(half, ended).second) return;  // known: it keeps its place
  order_.push_back(half);
  const std::int64_t old = static_cast<std::int64_t>(order_.size()) - 1 - remembered_max_ * 3 / 4;  // this one becomes old now
  if (old >= 0) not_sure_below(order_[static_cast<std::size_t>(old)] + 1);
  while (static_cast<std::int64_t>(order_.size()) > remembered_max_) {
    by_position_.erase(order_.front());
    order_.pop_front();
    forgotten_++;
  }
}

const EndedHalf* EndedHalves::find(storage::Position half) const {
  const auto it = by_position_.find(half);
  return it == by_position_.end() ? nullptr : &it->second;
}

void EndedHalves::set_last_event(storage::Position half, storage::Position record) {
  if (const auto it = by_position_.find(half); it != by_position_.end()) it->second.last_event = record;
}

void EndedHalves::set_refused(storage::Position half, std::uint32_t refused) {
  if (const auto it = by_position_.find(half); it != by_position_.end()) it->second.refused = refused;
}

void EndedHalves::forget_below(storage::Position position) {
  while (!order_.empty() && order_.front() < position) {
    by_position_.erase(order_.front());
    order_.pop_front();
    forgotten_++;
  }
}

}  // namespace halfmoon::broker
