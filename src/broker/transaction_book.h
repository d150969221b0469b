// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <boost/unordered/unordered_map.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/api.h"
#include "broker/chunked_array.h"
#include "broker/packed48.h"
#include "broker/position_index.h"
#include "broker/transaction_state.h"
#include "storage/position.h"

namespace halfmoon::broker {

/// Names a half message while it is in the book; used again for another one when it has gone.
using HalfSlot = std::uint32_t;
inline constexpr HalfSlot kNoHalf = PositionIndex::kNone;

/// What is known when a half message enters the book.
struct NewHalf {
  storage::Position position = 0;       // of its HALF record, or of that record's original if it was carried; above all in the book
  std::int64_t half_offset = 0;         // the broker's half messages are numbered without a gap
  std::uint64_t key_hash = 0;           // of its UNIQ_KEY; 48 bits of it are kept
  std::int64_t created_ms = 0;          // by the book's clock
  std::int64_t delay = 0;               // > 0: not before this wall time; < 0: -delay ms after the commit; 0: at once
  ChannelId sender{};
  std::uint32_t topic = 0;
  std::int32_t queue_id = 0;            // 0..65535
  std::uint32_t group = 0;
  std::uint32_t bytes = 0;              // of the image, less than 64 MiB
  std::int32_t tag_hash = 0;
};

/// Where a half message is waiting.
enum class HalfPlace : std::uint8_t {
  Nowhere,     // nothing will happen to it by itself: parked
  Scheduled,   // until its check is due
  Ready,       // for a producer that can be asked
};

/// Where a half message came from and goes to; many share one.
struct HalfOrigin {
  std::uint32_t topic = 0;
  std::uint32_t group = 0;
  std::int32_t queue_id = 0;
};

/// A half message without a final verdict: 64 bytes. The book alone writes it.
class HalfMessage {
 public:
  storage::Position position() const { return position_; }
  std::int64_t half_offset() const { return half_offset_; }
  std::int64_t created_ms() const { return created_ms_; }
  std::int64_t due_ms() const { return due_ms_; }              // while it is scheduled
  std::uint32_t bytes() const { return bytes_; }
  std::int32_t tag_hash() const { return tag_hash_; }
  std::uint16_t answered() const { return answered_; }         // checks that a producer answered with "unknown"
  HalfState state() const { return static_cast<HalfState>(state_); }
  HalfPlace place() const { return static_cast<HalfPlace>(place_); }
  std::uint64_t key_hash() const { return static_cast<std::uint64_t>(static_cast<std::int64_t>(key_hash_)); }
  bool has_key_hash(std::uint64_t hash) const { return key_hash() == kept(hash); }
  /// Position of the newest history record about it; its own if there is none yet.
  storage::Position last_event() const { return position_ + std::int64_t{last_event_} * 8; }

  /// The bits of a hash that are kept.
  static std::uint64_t kept(std::uint64_t hash) { return hash & static_cast<std::uint64_t>(Packed48::kMax); }

 private:
  friend class TransactionBook;
  storage::Position position_ = 0;
  Packed48 half_offset_, created_ms_, due_ms_, key_hash_;
  Packed48 last_event_;               // distance from position_, in units of 8
  std::uint16_t answered_ = 0;
  std::uint32_t sender_ = 0;          // number of the channel
  std::uint32_t origin_ = 0;
  std::uint32_t heap_or_next_ = 0;    // scheduled: its place in the heap; ready: the next of its group; free: the next free slot
  std::uint32_t asked_or_prev_ = 0;   // ready: the one before; else the channel that was asked and has not answered
  std::int32_t tag_hash_ = 0;
  std::uint32_t bytes_ : 26 = 0;
  std::uint32_t state_ : 2 = 0;
  std::uint32_t place_ : 2 = 0;
  std::uint32_t delayed_ : 1 = 0;     // has an entry in delays_
};
static_assert(sizeof(HalfMessage) == 64);

/// Which half messages a listing wants; what is not set matches all.
struct HalfFilter {
  std::optional<HalfState> state = std::nullopt;
  std::optional<HalfPlace> place = std::nullopt;
  std::optional<std::uint32_t> group = std::nullopt;
  std::optional<std::uint32_t> topic = std::nullopt;
  std::optional<std::int64_t> created_until_ms = std::nullopt;   // at or before: at least so old
  std::optional<std::int64_t> created_from_ms = std::nullopt;    // at or after
};
struct HalfPage {
  std::vector<HalfSlot> halves;                   // in order of position
  storage::Position next = storage::kNoPosition;  // where to go on; kNoPosition: this was the end
};

/// The table of half messages without a final verdict, and of whom to ask about them and when. Pure data: it knows no log, no clock and no rule; the
/// core (core_transactions.cc) writes records and calls it. Times are milliseconds of one clock that the caller chooses and that never goes back.
/// A half message costs 64 bytes here, 8 in the index and 4 in the heap; what many share (groups, origins, channels) is kept once.
///
/// Everything is in one order for the same calls, so that the same requests give the same log.
class TransactionBook {
 public:
  TransactionBook();

  // ---- producer groups: small numbers for names, for the life of the process
  std::uint32_t group_id(std::string_view name);                       // enters it
  std::optional<std::uint32_t> find_group(std::string_view name) const;
  const std::string& group_name(std::uint32_t group) const { return groups_[group].name; }
  std::size_t group_count() const { return groups_.size(); }

  // ---- half messages
  /// Whether its fields are within what a half message can hold; nothing is said of its place in the order.
  static bool takes(const NewHalf& half);
  /// Enters it as Pending, in HalfPlace::Nowhere. The book takes it, and its group is known.
  HalfSlot add(const NewHalf& half);
  HalfSlot find(storage::Position position) const { return index_.find(position); }   // kNoHalf if it is not there
  void erase(HalfSlot slot);
  const HalfMessage& at(HalfSlot slot) const { return slots_[slot]; }
  const HalfOrigin& origin(HalfSlot slot) const { return origins_[slots_[slot].origin_].origin; }
  std::int64_t delay(HalfSlot slot) const;
  ChannelId sender(HalfSlot slot) const { return channels_[slots_[slot].sender_].id; }
  void set_state(HalfSlot slot, HalfState state) { slots_[slot].state_ = static_cast<std::uint32_t>(state) & 3u; }
  void set_answered(HalfSlot slot, std::uint32_t answered);
  void set_last_event(HalfSlot slot, storage::Position record);
  std::size_t size() const { return index_.size(); }

  /// In order of position, from `from` on; f(slot) gives false to stop, and must not change the book.
  template <class F>
  void walk(storage::Position from, F f) const { index_.walk(from, f); }
  /// At most `count_max` that match, looking at no more than `looked_max`.
  HalfPage list(const HalfFilter& filter, storage::Position from, std::size_t count_max, std::size_t looked_max) const;
  void erase_topic(std::uint32_t topic);

  // ---- when to ask
  /// Moves it out of wherever it is.
  void schedule(HalfSlot slot, std::int64_t due_ms);
  void unschedule(HalfSlot slot);                                      // to HalfPlace::Nowhere
  std::int64_t next_due_ms() const;                                    // INT64_MAX if none is scheduled
  HalfSlot next_due() const { return heap_.empty() ? kNoHalf : heap_[0]; }

  // ---- whom to ask: each group has a line of half messages that are due
  enum class Line : std::uint8_t { Back, Front };
  void make_ready(HalfSlot slot, Line line);
  HalfSlot first_ready(std::uint32_t group) const { return groups_[group].first; }

  // ---- checks without an answer, by channel
  /// Takes a half message out of its line and notes that `channel` was asked; the caller schedules it.
  void asked(HalfSlot slot, ChannelId channel);
  bool is_asked(HalfSlot slot) const { return asked_channel(slot) != ChannelId{}; }
  ChannelId asked_channel(HalfSlot slot) const;
  /// The check is answered, or not waited for any more.
  void answered(HalfSlot slot);
  std::int64_t outstanding(ChannelId channel) const;
  /// The channel's unanswered half messages (of one group, if it is given) in order of position; they count as not asked from now on.
  std::vector<HalfSlot> close_channel(ChannelId channel, std::optional<std::uint32_t> only_group = std::nullopt);

  /// Bytes allocated for half messages and what belongs to them; without the names of groups.
  std::size_t bytes() const;

 private:
  struct Group {
    std::string name;
    HalfSlot first = kNoHalf, last = kNoHalf;
  };
  struct Origin {
    HalfOrigin origin;
    std::uint32_t halves = 0;
  };
  struct Channel {
    ChannelId id{};
    std::uint32_t sent = 0;                                            // half messages that it sent
    boost::unordered_flat_set<HalfSlot> asked;
  };
  struct OriginKey {
    std::uint32_t topic, group;
    std::int32_t queue_id;
    bool operator==(const OriginKey&) const = default;
  };
  struct OriginHash {
    std::size_t operator()(const OriginKey& k) const;
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::uint32_t origin_number(const NewHalf& half);
  void leave_origin(std::uint32_t number);
  std::uint32_t channel_number(ChannelId id);
  void drop_channel_if_unused(std::uint32_t number);
  void leave_place(HalfSlot slot);
  bool matches(HalfSlot slot, const HalfFilter& filter) const;
  bool before(HalfSlot a, HalfSlot b) const;
  void heap_put(std::size_t at, HalfSlot slot);
  void sift_up(std::size_t at);
  void sift_down(std::size_t at);
  void heap_remove(std::size_t at);

  ChunkedArray<HalfMessage, 1024> slots_;
  HalfSlot free_ = kNoHalf;
  PositionIndex index_;
  ChunkedArray<HalfSlot, 4096> heap_;                                  // of the scheduled; least (due, position) first
  boost::unordered_flat_map<HalfSlot, std::int64_t> delays_;
  std::vector<Group> groups_;
  boost::unordered_map<std::string, std::uint32_t, NameHash, std::equal_to<>> group_ids_;
  std::vector<Origin> origins_;
  std::vector<std::uint32_t> origins_free_;
  boost::unordered_flat_map<OriginKey, std::uint32_t, OriginHash> origin_numbers_;
  std::vector<Channel> channels_;                                      // [0] is nobody
  std::vector<std::uint32_t> channels_free_;
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> channel_numbers_;
};

}  // namespace halfmoon::broker
