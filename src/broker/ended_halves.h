// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "broker/transaction_state.h"
#include "storage/position.h"

namespace halfmoon::broker {

/// A half message with its final verdict.
struct EndedHalf {
  std::uint64_t key_hash = 0;           // the 48 bits that HalfMessage keeps
  std::int64_t half_offset = 0;
  std::uint32_t group = 0;
  HalfState state = HalfState::Committed;
  storage::Position last_event = 0;     // position of the newest history record about it: its VERDICT, or what came later
  std::uint32_t topic = 0;
  std::int32_t queue_id = 0;
  std::int64_t created_ms = 0;          // by the book's clock
  std::uint32_t refused = 0;            // contrary verdicts
};

/// The newest verdicts with the names that a verdict must give, so that a repetition is answered without reading the log. What it forgets is in
/// VerdictBits and in the log. Oldest first, by the order of the verdicts.
class EndedHalves {
 public:
  explicit EndedHalves(std::int64_t remembered_max) : remembered_max_(remembered_max) {}

  void put(storage::Position half, const EndedHalf& ended);
  /// nullptr if it is not remembered. Valid until the next change.
  const EndedHalf* find(storage::Position half) const;
  void set_last_event(storage::Position half, storage::Position record);
  void set_refused(storage::Position half, std::uint32_t refused);
  void forget_below(storage::Position position);
  /// Half messages at or above it are either without a verdict or remembered, and stay so while another quarter of `remembered_max` is put.
  storage::Position sure_from() const { return sure_from_; }
  void not_sure_below(storage::Position position) { sure_from_ = std::max(sure_from_, position); }
  std::size_t size() const { return order_.size(); }
  /// Those that are remembered, by their number: [first_number, end_number); a number is never given twice while the process lives.
  std::uint64_t first_number() const { return forgotten_; }
  std::uint64_t end_number() const { return forgotten_ + order_.size(); }
  storage::Position at_number(std::uint64_t number) const { return order_[static_cast<std::size_t>(number - forgotten_)]; }
  template <class F>
  void walk(F f) const {
    for (const storage::Position half : order_) f(half, by_position_.find(half)->second);
  }

 private:
  std::int64_t remembered_max_;
  storage::Position sure_from_ = 0;
  boost::unordered_flat_map<storage::Position, EndedHalf> by_position_;
  std::deque<storage::Position> order_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace halfmoon::broker
