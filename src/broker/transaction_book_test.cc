// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_book.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "broker/ended_halves.h"

namespace halfmoon::broker {
namespace {

using Positions = std::vector<storage::Position>;
using Line = TransactionBook::Line;

constexpr ChannelId channel(std::uint64_t id) { return static_cast<ChannelId>(id); }

class Book : public ::testing::Test {
 public:
  TransactionBook book;
  std::uint32_t group = book.group_id("PG");

  HalfSlot add(storage::Position position, std::uint32_t of_group, std::uint32_t topic = 1, std::int64_t created_ms = 1000) {
    NewHalf half;
    half.position = position;
    half.half_offset = position / 8;
    half.created_ms = created_ms;
    half.topic = topic;
    half.group = of_group;
    half.bytes = 100;
    return book.add(half);
  }
  HalfSlot add(storage::Position position) { return add(position, group); }
  Positions positions(const std::vector<HalfSlot>& slots) const {
    Positions list;
    for (const HalfSlot slot : slots) list.push_back(book.at(slot).position());
    return list;
  }
  /// Takes out the group's line, front first.
  Positions line(std::uint32_t of_group) {
    Positions list;
    for (HalfSlot slot = book.first_ready(of_group); slot != kNoHalf; slot = book.first_ready(of_group)) {
      list.push_back(book.at(slot).position());
      book.unschedule(slot);
    }
    return list;
  }
};

TEST_F(Book, KeepsWhatItIsTold) {
  NewHalf half;
  half.position = 4096;
  half.half_offset = 77;
  half.key_hash = 0xfedcba9876543210u;
  half.created_ms = 1'700'000'000'123;
  half.delay = -5000;
  half.sender = channel(9);
  half.topic = 3;
  half.queue_id = 65535;
  half.group = book.group_id("OTHER");
  half.bytes = (1u << 26) - 1;
  half.tag_hash = -7;
  const HalfSlot slot = book.add(half);
  const HalfMessage& h = book.at(slot);
  EXPECT_EQ(book.find(4096), slot);
  EXPECT_EQ(h.position(), 4096);
  EXPECT_EQ(h.half_offset(), 77);
  EXPECT_TRUE(h.has_key_hash(half.key_hash));
  EXPECT_FALSE(h.has_key_hash(half.key_hash + 1));
  EXPECT_EQ(h.created_ms(), half.created_ms);
  EXPECT_EQ(h.bytes(), half.bytes);
  EXPECT_EQ(h.tag_hash(), -7);
  EXPECT_EQ(h.state(), HalfState::Pending);
  EXPECT_EQ(h.place(), HalfPlace::Nowhere);
  EXPECT_EQ(h.last_event(), 4096);
  EXPECT_EQ(book.delay(slot), -5000);
  EXPECT_EQ(book.sender(slot), channel(9));
  EXPECT_EQ(book.origin(slot).topic, 3u);
  EXPECT_EQ(book.origin(slot).queue_id, 65535);
  EXPECT_EQ(book.group_name(book.origin(slot).group), "OTHER");
  for (const HalfState state : {HalfState::Parked, HalfState::Pending}) {
    book.set_state(slot, state);
    EXPECT_EQ(h.state(), state);
  }
  book.set_answered(slot, 15);
  book.set_last_event(slot, 4096 + (std::int64_t{1} << 45));
  EXPECT_EQ(h.answered(), 15);
  EXPECT_EQ(h.last_event(), 4096 + (std::int64_t{1} << 45));
  EXPECT_EQ(h.bytes(), half.bytes);
  book.erase(slot);
  EXPECT_EQ(book.find(4096), kNoHalf);
  EXPECT_EQ(book.size(), 0u);
}

TEST_F(Book, DueOnesComeByTimeThenPosition) {
  const HalfSlot a = add(8), b = add(16), c = add(24), d = add(32);
  book.schedule(c, 50);
  book.schedule(b, 50);
  book.schedule(a, 60);
  book.schedule(d, 40);
  book.schedule(d, 70);
  EXPECT_EQ(book.next_due_ms(), 50);
  Positions order;
  while (book.next_due() != kNoHalf) {
    order.push_back(book.at(book.next_due()).position());
    book.unschedule(book.next_due());
  }
  EXPECT_EQ(order, (Positions{16, 24, 8, 32}));
  EXPECT_EQ(book.next_due_ms(), std::numeric_limits<std::int64_t>::max());
}

TEST_F(Book, EachGroupHasItsLineAndAnyoneMayLeaveIt) {
  const std::uint32_t other = book.group_id("OTHER");
  const HalfSlot a = add(8), b = add(16), c = add(24), d = add(32), x = add(40, other);
  for (const HalfSlot slot : {a, b, c, x}) book.make_ready(slot, Line::Back);
  book.make_ready(d, Line::Front);
  book.erase(b);
  book.make_ready(a, Line::Back);
  EXPECT_EQ(book.at(c).place(), HalfPlace::Ready);
  EXPECT_EQ(line(group), (Positions{32, 24, 8}));
  EXPECT_EQ(line(other), (Positions{40}));
}

TEST_F(Book, OutstandingChecksAreCountedByChannelAndComeBackWhenItCloses) {
  const HalfSlot a = add(8), b = add(16), c = add(24), d = add(32);
  for (const HalfSlot slot : {c, a, b}) {
    book.make_ready(slot, Line::Back);
    book.asked(slot, channel(5));
    book.schedule(slot, 100);
  }
  book.asked(d, channel(6));
  EXPECT_EQ(book.outstanding(channel(5)), 3);
  book.answered(a);
  book.answered(a);
  EXPECT_EQ(book.outstanding(channel(5)), 2);
  EXPECT_FALSE(book.is_asked(a));
  EXPECT_EQ(book.asked_channel(b), channel(5));
  EXPECT_EQ(positions(book.close_channel(channel(5))), (Positions{16, 24}));
  EXPECT_EQ(book.outstanding(channel(5)), 0);
  EXPECT_FALSE(book.is_asked(b));
  EXPECT_TRUE(book.close_channel(channel(5)).empty());
  book.erase(d);
  EXPECT_EQ(book.outstanding(channel(6)), 0);
}

TEST_F(Book, AskedAgainOrDueAgainCountsOnce) {
  const HalfSlot a = add(8);
  book.asked(a, channel(5));
  book.asked(a, channel(6));
  EXPECT_EQ(book.outstanding(channel(5)), 0);
  EXPECT_EQ(book.outstanding(channel(6)), 1);
  book.schedule(a, 10);
  EXPECT_EQ(book.outstanding(channel(6)), 1);
  book.make_ready(a, Line::Back);
  EXPECT_EQ(book.outstanding(channel(6)), 0);
}

TEST_F(Book, ListsByStateGroupTopicAndAgeInPagesInOrder) {
  const std::uint32_t other = book.group_id("OTHER");
  const HalfSlot a = add(8, group, 1, 100);
  add(16, other, 1, 200);
  const HalfSlot c = add(24, group, 2, 300);
  const HalfSlot d = add(32, group, 1, 400);
  book.set_state(a, HalfState::Parked);
  book.make_ready(c, Line::Back);
  const auto list = [&](const HalfFilter& filter) { return positions(book.list(filter, 0, 100, 100).halves); };
  EXPECT_EQ(list({}), (Positions{8, 16, 24, 32}));
  EXPECT_EQ(list({.state = HalfState::Parked}), (Positions{8}));
  EXPECT_EQ(list({.place = HalfPlace::Ready}), (Positions{24}));
  EXPECT_EQ(list({.group = other}), (Positions{16}));
  EXPECT_EQ(list({.topic = 1}), (Positions{8, 16, 32}));
  EXPECT_EQ(list({.created_until_ms = 200}), (Positions{8, 16}));
  EXPECT_EQ(list({.created_from_ms = 300}), (Positions{24, 32}));
  EXPECT_EQ(list({.state = HalfState::Pending, .group = group, .topic = 1}), (Positions{32}));

  auto page = book.list({.topic = 1}, 0, 2, 100);
  EXPECT_EQ(positions(page.halves), (Positions{8, 16}));
  ASSERT_EQ(page.next, 24);
  page = book.list({.topic = 1}, page.next, 2, 100);
  EXPECT_EQ(page.halves, (std::vector<HalfSlot>{d}));
  EXPECT_EQ(page.next, storage::kNoPosition);
  page = book.list({.topic = 2}, 0, 10, 2);  // looked at two, found none
  EXPECT_TRUE(page.halves.empty());
  EXPECT_EQ(page.next, 24);
}

TEST_F(Book, ForgetsATopicsHalfMessages) {
  add(8, group, 1);
  book.schedule(add(16, group, 2), 5);
  book.asked(add(24, group, 2), channel(1));
  book.erase_topic(2);
  EXPECT_EQ(positions(book.list({}, 0, 9, 9).halves), (Positions{8}));
  EXPECT_EQ(book.next_due(), kNoHalf);
  EXPECT_EQ(book.outstanding(channel(1)), 0);
}

// Random calls beside a plain model: places, lines, dues, channels.
TEST_F(Book, IsWhatAPlainModelSays) {
  struct Plain {
    HalfSlot slot;
    std::uint32_t group;
    HalfPlace place = HalfPlace::Nowhere;
    std::int64_t due = 0;
    std::uint64_t asked = 0;
  };
  std::mt19937_64 dice(5);
  const std::uint32_t groups[] = {group, book.group_id("B"), book.group_id("C")};
  std::map<storage::Position, Plain> model;
  std::map<std::uint32_t, std::vector<storage::Position>> lines;
  storage::Position end = 0;
  const auto leave = [&](storage::Position position, Plain& p) {
    if (p.place == HalfPlace::Ready) std::erase(lines[p.group], position);
    p.place = HalfPlace::Nowhere;
  };
  for (int step = 0; step < 60'000; step++) {
    if (model.size() < 400 + static_cast<std::size_t>(step / 20 % 800) && dice() % 3 == 0) {
      end += 8 + 8 * static_cast<std::int64_t>(dice() % 50);
      const std::uint32_t g = groups[dice() % 3];
      model[end] = {add(end, g, static_cast<std::uint32_t>(dice() % 3)), g};
      continue;
    }
    if (model.empty()) continue;
    auto it = model.lower_bound(static_cast<storage::Position>(dice() % static_cast<std::uint64_t>(end + 1)));
    if (it == model.end()) it = model.begin();
    const storage::Position position = it->first;
    Plain& p = it->second;
    ASSERT_EQ(book.find(position), p.slot);
    switch (dice() % 7) {
      case 0:
        leave(position, p);
        book.erase(p.slot);
        model.erase(it);
        break;
      case 1:
      case 2:
        leave(position, p);
        p.place = HalfPlace::Scheduled;
        p.due = static_cast<std::int64_t>(dice() % 500);
        book.schedule(p.slot, p.due);
        break;
      case 3:
      case 4: {
        leave(position, p);
        const bool front = dice() % 4 == 0;
        auto& l = lines[p.group];
        l.insert(front ? l.begin() : l.end(), position);
        p.place = HalfPlace::Ready;
        p.asked = 0;
        book.make_ready(p.slot, front ? Line::Front : Line::Back);
        break;
      }
      case 5:
        leave(position, p);
        p.asked = 1 + dice() % 5;
        book.asked(p.slot, channel(p.asked));
        break;
      default:
        if (dice() % 50 == 0) {
          const std::uint64_t closing = 1 + dice() % 5;
          Positions expected;
          for (auto& [at, other] : model)
            if (other.asked == closing) {
              expected.push_back(at);
              other.asked = 0;
            }
          ASSERT_EQ(positions(book.close_channel(channel(closing))), expected);
        } else {
          p.asked = 0;
          book.answered(p.slot);
        }
    }
    if (step % 97 != 0) continue;
    std::int64_t due = std::numeric_limits<std::int64_t>::max();
    std::map<std::uint64_t, std::int64_t> outstanding;
    for (const auto& [at, other] : model) {
      ASSERT_EQ(book.at(other.slot).place(), other.place);
      ASSERT_EQ(book.asked_channel(other.slot), channel(other.asked));
      if (other.place == HalfPlace::Scheduled) due = std::min(due, other.due);
      if (other.asked) outstanding[other.asked]++;
    }
    ASSERT_EQ(book.next_due_ms(), due);
    for (std::uint64_t c = 1; c <= 5; c++) ASSERT_EQ(book.outstanding(channel(c)), outstanding[c]);
    for (const std::uint32_t g : groups)
      ASSERT_EQ(book.first_ready(g) == kNoHalf ? -1 : book.at(book.first_ready(g)).position(), lines[g].empty() ? -1 : lines[g].front());
  }
  for (const std::uint32_t g : groups) EXPECT_EQ(line(g), lines[g]);
}

// Issue 5, point 7: at most 96 bytes each, beyond the log.
TEST_F(Book, AMillionHalfMessagesTakeFewBytesEach) {
  constexpr int kHalves = 1'000'000;
  std::mt19937_64 dice(3);
  for (int i = 0; i < kHalves; i++) {
    NewHalf half;
    half.position = (i + 1) * std::int64_t{1200};
    half.half_offset = i;
    half.key_hash = dice();
    half.created_ms = i;
    half.sender = channel(1 + dice() % 100);
    half.topic = static_cast<std::uint32_t>(dice() % 10);
    half.queue_id = static_cast<std::int32_t>(dice() % 8);
    half.group = group;
    half.bytes = 1100;
    book.schedule(book.add(half), i + 6000);
  }
  const double each = static_cast<double>(book.bytes()) / kHalves;
  std::printf("%.1f bytes each\n", each);
  EXPECT_LE(each, 80);
  while (book.size() > 0) book.erase(book.next_due());
  EXPECT_LT(book.bytes(), 1u << 20);
}

TEST(EndedHalves, OnePutTwiceIsOne) {
  EndedHalves ended(3);
  ended.put(8, {.half_offset = 1});
  ended.put(8, {.half_offset = 2});
  EXPECT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended.find(8)->half_offset, 2);
  for (const storage::Position half : {16, 24, 32}) ended.put(half, {});
  EXPECT_EQ(ended.find(8), nullptr);
  int seen = 0;
  ended.walk([&](storage::Position, const EndedHalf&) { seen++; });
  EXPECT_EQ(seen, 3);
}

TEST(EndedHalves, RemembersTheNewest) {
  EndedHalves ended(3);
  for (std::int64_t i = 1; i <= 5; i++) ended.put(i * 8, {.key_hash = 1, .half_offset = i, .group = 0, .state = HalfState::RolledBack, .last_event = i * 100});
  EXPECT_EQ(ended.size(), 3u);
  EXPECT_EQ(ended.find(16), nullptr);
  ASSERT_NE(ended.find(24), nullptr);
  EXPECT_EQ(ended.find(24)->half_offset, 3);
  ended.set_last_event(24, 999);
  EXPECT_EQ(ended.find(24)->last_event, 999);
  ended.forget_below(32);
  EXPECT_EQ(ended.find(24), nullptr);
  Positions left;
  ended.walk([&](storage::Position half, const EndedHalf&) { left.push_back(half); });
  EXPECT_EQ(left, (Positions{32, 40}));
}

}  // namespace
}  // namespace halfmoon::broker
