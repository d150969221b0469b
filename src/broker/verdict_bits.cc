// SPDX-License-Identifier: Apache-2.0
#include "broker/verdict_bits.h"

#include <algorithm>
#include <vector>

namespace halfmoon::broker {

namespace {
constexpr std::uint64_t kCommitted = 1, kRolledBack = 2;
}  // namespace

void VerdictBits::note_half(std::int64_t half_offset, storage::Position position) {
  if (marks_.empty()) {
    words_.clear();
    first_ = half_offset / kPerWord * kPerWord;
  } else if (half_offset / kMarkEvery == marks_.back().half_offset / kMarkEvery) {
    return;
  }
  marks_.push_back({half_offset, position});
}

void VerdictBits::put(std::int64_t half_offset, HalfState state, storage::Position record) {
  const auto word = static_cast<std::size_t>((half_offset - first_) / kPerWord);
  if (marks_.empty() || half_offset < first_ || (word > words_.size() && word - words_.size() > kGapWordsMax)) {
    late_[half_offset] = {state, record};
    return;
  }
  if (word >= words_.size()) words_.resize(word + 1);
  words_[word] |= (state == HalfState::Committed ? kCommitted : kRolledBack) << (2 * (half_offset % kPerWord));
}

std::optional<HalfState> VerdictBits::find(std::int64_t half_offset) const {
  if (const auto late = late_.find(half_offset); late != late_.end()) return late->second.state;
  if (half_offset < first_) return std::nullopt;
  const auto word = static_cast<std::size_t>((half_offset - first_) / kPerWord);
  if (word >= words_.size()) return std::nullopt;
  const std::uint64_t bits = words_[word] >> (2 * (half_offset % kPerWord)) & 3;
  if (bits == 0) return std::nullopt;
  return bits == kCommitted ? HalfState::Committed : HalfState::RolledBack;
}

void VerdictBits::forget_below(storage::Position boundary) {
  while (marks_.size() >= 2 && marks_[1].position <= boundary) marks_.pop_front();
  for (; !marks_.empty() && !words_.empty() && first_ + kPerWord <= marks_.front().half_offset; first_ += kPerWord) words_.pop_front();
  if (words_.empty() && !marks_.empty()) first_ = std::max(first_, marks_.front().half_offset / kPerWord * kPerWord);
  boost::unordered::erase_if(late_, [&](const auto& item) { return item.second.record < boundary; });
}

void VerdictBits::encode(Writer& w) const {
  w.le(first_);
  w.le(static_cast<std::uint64_t>(words_.size()));
  for (const std::uint64_t word : words_) w.le(word);
  w.le(static_cast<std::uint64_t>(marks_.size()));
  for (const Mark& mark : marks_) {
    w.le(mark.half_offset);
    w.le(mark.position);
  }
  std::vector<std::int64_t> numbers;
  for (const auto& [half_offset, late] : late_) numbers.push_back(half_offset);
  std::sort(numbers.begin(), numbers.end());
  w.le(static_cast<std::uint64_t>(numbers.size()));
  for (const std::int64_t half_offset : numbers) {
    const Late& late = late_.find(half_offset)->second;
    w.le(half_offset);
    w.le(static_cast<std::uint8_t>(late.state));
    w.le(late.record);
  }
}

bool VerdictBits::decode(Reader& in, std::int64_t numbers_end) {
  first_ = in.le<std::int64_t>();
  for (auto n = in.le<std::uint64_t>(); n > 0 && in.ok(); n--) words_.push_back(in.le<std::uint64_t>());
  for (auto n = in.le<std::uint64_t>(); n > 0 && in.ok(); n--) {
    const auto half_offset = in.le<std::int64_t>();
    marks_.push_back({half_offset, in.le<std::int64_t>()});
  }
  for (auto n = in.le<std::uint64_t>(); n > 0 && in.ok(); n--) {
    const auto half_offset = in.le<std::int64_t>();
    const auto state = in.le<std::uint8_t>();
    if (state != static_cast<std::uint8_t>(HalfState::Committed) && state != static_cast<std::uint8_t>(HalfState::RolledBack)) return false;
    late_[half_offset] = {static_cast<HalfState>(state), in.le<std::int64_t>()};
  }
  if (!in.ok() || first_ < 0 || first_ % kPerWord != 0 || first_ > numbers_end) return false;
  return static_cast<std::int64_t>(words_.size()) <= (numbers_end - first_) / kPerWord + 1;
}

}  // namespace halfmoon::broker
