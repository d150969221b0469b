// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "broker/records.h"

namespace halfmoon::broker {
namespace {

/// The first `bytes` of a payload, as an earlier build wrote it.
Bytes old_form(const std::string& payload, std::size_t bytes) { return as_bytes(payload).subspan(0, bytes); }

/// No length but the whole one (and that of earlier builds) is a record.
template <class Decode>
void expect_whole(const std::string& payload, Decode decode, std::size_t old_bytes = 0) {
  EXPECT_TRUE(decode(as_bytes(payload)).has_value());
  EXPECT_FALSE(decode(as_bytes(payload + "x")).has_value());
  for (std::size_t n = 0; n < payload.size(); n++) EXPECT_EQ(decode(old_form(payload, n)).has_value(), n == old_bytes && n > 0) << n;
}

TEST(TransactionRecords, VerdictsNameWhoAndWhy) {
  VerdictRecord v{.half = 8, .commit = true, .source = VerdictSource::Operator, .queue_offset = 3, .due_ms = 5, .wall_ms = 7, .previous = 80, .by = 72,
                  .operator_name = "eve", .reason = "ticket 4711"};
  const std::string payload = encode(v);
  const auto read = decode_verdict(as_bytes(payload));
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->commit);
  EXPECT_EQ(read->source, VerdictSource::Operator);
  EXPECT_EQ(read->queue_offset, 3);
  EXPECT_EQ(read->previous, 80);
  EXPECT_EQ(read->by, 72);
  EXPECT_EQ(read->operator_name, "eve");
  EXPECT_EQ(read->reason, "ticket 4711");
  expect_whole(payload, decode_verdict);
  v.previous = kFirstEvent;  // takes no room
  const std::string first = encode(v);
  EXPECT_EQ(first.size() + 8, payload.size());
  EXPECT_EQ(decode_verdict(as_bytes(first))->previous, kFirstEvent);
  expect_whole(first, decode_verdict);
  const std::string nameless = encode(VerdictRecord{.half = 8, .commit = true, .queue_offset = 3, .wall_ms = 7, .previous = 80, .by = 72});
  expect_whole(nameless, decode_verdict, 40);
}

TEST(TransactionRecords, ThoseOfEarlierBuildsAreReadAndSayThatNothingCameBefore) {
  const std::string verdict =
      encode(VerdictRecord{.half = 8, .commit = false, .source = VerdictSource::Check, .queue_offset = -1, .wall_ms = 7, .previous = 80});
  ASSERT_TRUE(decode_verdict(old_form(verdict, 40)).has_value());
  EXPECT_EQ(decode_verdict(old_form(verdict, 40))->previous, kShortForm);
  EXPECT_EQ(decode_verdict(old_form(verdict, 40))->source, VerdictSource::Check);
  const std::string checked = encode(CheckedRecord{.half = 8, .answered = 2, .wall_ms = 7});
  EXPECT_EQ(decode_checked(old_form(checked, 24))->previous, kShortForm);
  EXPECT_EQ(decode_checked(old_form(checked, 24))->answered, 2u);
  expect_whole(checked, decode_checked, 24);
  const std::string parked = encode(ParkedRecord{.half = 8, .queue_offset = 1, .wall_ms = 7});
  EXPECT_EQ(decode_parked(old_form(parked, 24))->previous, kShortForm);
  expect_whole(parked, decode_parked, 24);
  const std::string resumed = encode(ResumedRecord{.half = 8, .wall_ms = 7, .operator_name = "eve", .reason = "r"});
  EXPECT_EQ(decode_resumed(old_form(resumed, 16))->previous, kShortForm);
  EXPECT_EQ(decode_resumed(as_bytes(resumed))->operator_name, "eve");
  expect_whole(resumed, decode_resumed, 16);
  // And written as they were.
  EXPECT_EQ(encode(*decode_verdict(old_form(verdict, 40))), verdict.substr(0, 40));
  EXPECT_EQ(encode(*decode_checked(old_form(checked, 24))), checked.substr(0, 24));
  EXPECT_EQ(encode(*decode_parked(old_form(parked, 24))), parked.substr(0, 24));
  EXPECT_EQ(encode(*decode_resumed(old_form(resumed, 16))), resumed.substr(0, 16));
}

TEST(TransactionRecords, AskedClientAndRefused) {
  const std::string asked = encode(AskedRecord{.half = 8, .previous = 16, .by = 24, .wall_ms = 7});
  EXPECT_EQ(asked.size(), 32u) << "100,000 a second of them";
  EXPECT_EQ(decode_asked(as_bytes(asked))->by, 24);
  expect_whole(asked, decode_asked);
  const std::string client = encode(ClientRecord{.wall_ms = 7, .id = "c1", .address = "192.0.2.7:1"});
  EXPECT_EQ(decode_client(as_bytes(client))->id, "c1");
  EXPECT_EQ(decode_client(as_bytes(client))->address, "192.0.2.7:1");
  expect_whole(client, decode_client);
  const std::string refused = encode(RefusedRecord{.half = 8, .previous = 16, .by = 24, .wall_ms = 7, .count = 9, .commit = true, .source = VerdictSource::Check, .operator_name = "eve"});
  EXPECT_EQ(decode_refused(as_bytes(refused))->count, 9u);
  EXPECT_TRUE(decode_refused(as_bytes(refused))->commit);
  expect_whole(refused, decode_refused);
}

TEST(TransactionRecords, TextsAreCutAtTheirLimits) {
  const std::string payload = encode(VerdictRecord{.half = 8, .commit = true, .source = VerdictSource::Operator, .operator_name = std::string_view(), .reason = {}});
  EXPECT_EQ(payload.size(), 48u);
  const std::string name(300, 'n'), reason(70000, 'r');
  const std::string cut = encode(VerdictRecord{.half = 8, .commit = true, .source = VerdictSource::Operator, .operator_name = name, .reason = reason});
  ASSERT_TRUE(decode_verdict(as_bytes(cut)).has_value());
  EXPECT_EQ(decode_verdict(as_bytes(cut))->operator_name.size(), kOperatorBytesMax);
  EXPECT_EQ(decode_verdict(as_bytes(cut))->reason.size(), kReasonBytesMax);
}

}  // namespace
}  // namespace halfmoon::broker
