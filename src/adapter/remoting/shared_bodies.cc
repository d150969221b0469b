// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/shared_bodies.h"

#include <algorithm>

namespace halfmoon::adapter {

/// The place of bodies that begin with this message: the one that was not used for longest, if there is none yet.
std::size_t SharedBodies::place_of(const broker::Extent& first) {
  std::size_t oldest = 0;
  for (std::size_t i = 0; i < kBodies; ++i) {
    if (firsts_[i] == first.position) return i;
    if (used_[i] < used_[oldest]) oldest = i;
  }
  firsts_[oldest] = first.position;
  return oldest;
}

void SharedBodies::drop(Place& place) {
  if (place.body) bytes_ -= place.body->size();
  place.body.reset();
}

std::shared_ptr<const runtime::SharedBytes> SharedBodies::find(std::span<const broker::Extent> extents) {
  if (extents.empty()) return nullptr;
  const std::size_t at = place_of(extents.front());
  used_[at] = ++uses_;
  Place& place = places_[at];
  place.again = std::ranges::equal(place.extents, extents);
  if (place.again) return place.body;
  drop(place);
  place.extents.assign(extents.begin(), extents.end());
  return nullptr;
}

void SharedBodies::made(std::span<const broker::Extent> extents, std::string_view body) {
  if (extents.empty() || body.size() < kBytesMin) return;
  Place& place = places_[place_of(extents.front())];
  if (!place.again || place.body || bytes_ + body.size() > kBytesMax) return;
  place.body = runtime::SharedBytes::make(body);
  if (place.body) bytes_ += body.size();
}

}  // namespace halfmoon::adapter
