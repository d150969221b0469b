// SPDX-License-Identifier: Apache-2.0
#include "broker/position_index.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace halfmoon::broker {

using storage::Position;

namespace {
constexpr Position kUnit = 8;  // records are aligned so
constexpr Position kDeltaMax = Position{std::numeric_limits<std::uint32_t>::max()};
}  // namespace

void PositionIndex::append(Position position, std::uint32_t value) {
  HM_CHECK(position % kUnit == 0);
  if (leaves_.empty() || leaves_.back().leaf->count == kLeaf ||
      (leaves_.back().leaf->count > 0 && (position - leaves_.back().first) / kUnit > kDeltaMax))
    leaves_.push_back({position, std::make_unique<Leaf>()});
  Entry& last = leaves_.back();
  if (last.leaf->count == 0) last.first = position;
  Leaf& leaf = *last.leaf;
  const Position delta = (position - last.first) / kUnit;
  HM_CHECK(delta >= 0 && (leaf.count == 0 || delta > leaf.delta[leaf.count - 1]));
  leaf.delta[leaf.count] = static_cast<std::uint32_t>(delta);
  leaf.value[leaf.count++] = value;
  size_++;
}

std::size_t PositionIndex::leaf_of(Position position) const {
  const auto it = std::upper_bound(leaves_.begin(), leaves_.end(), position, [](Position p, const Entry& e) { return p < e.first; });
  return static_cast<std::size_t>(it == leaves_.begin() ? 0 : it - leaves_.begin() - 1);
}

std::uint32_t PositionIndex::lower(const Entry& entry, Position position) {
  const Position delta = (position - entry.first + kUnit - 1) / kUnit;
  if (position <= entry.first) return 0;
  const Leaf& leaf = *entry.leaf;
  if (delta > kDeltaMax) return leaf.count;
  return static_cast<std::uint32_t>(std::lower_bound(leaf.delta, leaf.delta + leaf.count, static_cast<std::uint32_t>(delta)) - leaf.delta);
}

std::uint32_t PositionIndex::find(Position position) const {
  if (leaves_.empty() || position % kUnit != 0 || position < leaves_.front().first) return kNone;
  const Entry& entry = leaves_[leaf_of(position)];
  const std::uint32_t k = lower(entry, position);
  if (k == entry.leaf->count || entry.first + entry.leaf->delta[k] * kUnit != position) return kNone;
  return entry.leaf->value[k];
}

std::uint32_t PositionIndex::first_from(Position position) const {
  std::uint32_t found = kNone;
  walk(position, [&](std::uint32_t value) {
    found = value;
    return false;
  });
  return found;
}

bool PositionIndex::erase(Position position) {
  if (find(position) == kNone) return false;
  const std::size_t i = leaf_of(position);
  Leaf& leaf = *leaves_[i].leaf;
  const std::uint32_t k = lower(leaves_[i], position);
  const std::size_t behind = (leaf.count - k - 1) * sizeof(std::uint32_t);
  std::memmove(leaf.delta + k, leaf.delta + k + 1, behind);
  std::memmove(leaf.value + k, leaf.value + k + 1, behind);
  leaf.count--;
  size_--;
  const bool last = i + 1 == leaves_.size();  // stays though empty: the next entry comes soon
  if (leaf.count == 0 && !last) leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(i));
  else if (leaf.count < kLeaf / 2) merge_around(i);
  return true;
}

void PositionIndex::merge_around(std::size_t i) {
  if (!merge(i) && i > 0) merge(i - 1);
}

bool PositionIndex::merge(std::size_t i) {
  if (i + 1 >= leaves_.size()) return false;
  Leaf& into = *leaves_[i].leaf;
  const Leaf& from = *leaves_[i + 1].leaf;
  if (from.count == 0) return false;
  const Position shift = (leaves_[i + 1].first - leaves_[i].first) / kUnit;
  if (into.count + from.count > kLeaf * 3 / 4 || shift + from.delta[from.count - 1] > kDeltaMax) return false;
  for (std::uint32_t k = 0; k < from.count; k++) {
    into.delta[into.count] = static_cast<std::uint32_t>(from.delta[k] + shift);
    into.value[into.count++] = from.value[k];
  }
  leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  return true;
}

}  // namespace halfmoon::broker
