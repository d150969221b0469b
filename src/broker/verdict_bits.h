// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/cursor.h"
#include "broker/transaction_state.h"
#include "storage/position.h"

namespace halfmoon::broker {

/// Which verdict each half message got, for as long as the log keeps it: two bits for each number (half offset), since half messages are numbered
/// without a gap. It remembers no names: who asks about an old one must read them from the log.
class VerdictBits {
 public:
  /// A half message enters the log. Numbers and positions grow.
  void note_half(std::int64_t half_offset, storage::Position position);
  /// `state` is Committed or RolledBack; `record` is the VERDICT record.
  void put(std::int64_t half_offset, HalfState state, storage::Position record);
  /// nullopt: no verdict yet, or none known any more.
  std::optional<HalfState> find(std::int64_t half_offset) const;
  /// The log begins at `boundary` now. Up to kMarkEvery half messages below it may still be known.
  void forget_below(storage::Position boundary);

  void encode(Writer& w) const;
  /// `numbers_end`: all half messages so far have numbers below it. False: malformed.
  bool decode(Reader& in, std::int64_t numbers_end);
  std::size_t bytes() const { return words_.size() * sizeof(std::uint64_t); }

  static constexpr std::int64_t kMarkEvery = 1024;

 private:
  static constexpr std::int64_t kPerWord = 32;
  static constexpr std::size_t kGapWordsMax = 1 << 20;  // 33 million half messages without a verdict: more is remembered one by one
  struct Mark {
    std::int64_t half_offset = 0;
    storage::Position position = 0;
  };
  /// The verdict of a half message whose segment had gone before (it was carried on), or whose number is far above all others'.
  struct Late {
    HalfState state = HalfState::Committed;
    storage::Position record = 0;
  };

  std::deque<std::uint64_t> words_;
  std::int64_t first_ = 0;             // number of the first word's first bits, a multiple of kPerWord
  std::deque<Mark> marks_;             // one in kMarkEvery, to find the number at a position
  boost::unordered_flat_map<std::int64_t, Late> late_;
};

}  // namespace halfmoon::broker
