// SPDX-License-Identifier: Apache-2.0
#include "broker/records.h"

#include <gtest/gtest.h>

namespace halfmoon::broker {
namespace {

/// `payload` with the byte at `at` set to `value`.
std::string with(std::string payload, std::size_t at, char value) {
  payload[at] = value;
  return payload;
}

// What this version does not write must not be replayed as if it did: a newer one may have given it a meaning.
TEST(Records, ReservedFieldsMustBeZero) {
  const std::string verdict = encode(VerdictRecord{.half = 7, .commit = true});
  EXPECT_TRUE(decode_verdict(as_bytes(verdict)));
  for (const std::size_t at : {10u, 11u, 12u, 15u}) EXPECT_FALSE(decode_verdict(as_bytes(with(verdict, at, 1)))) << at;
  const std::string checked = encode(CheckedRecord{.half = 7, .answered = 1});
  EXPECT_TRUE(decode_checked(as_bytes(checked)));
  EXPECT_FALSE(decode_checked(as_bytes(with(checked, 12, 1))));
  const std::string reference = encode(ReferenceRecord{.body = 7, .topic = "T", .properties = "p"});
  EXPECT_TRUE(decode_reference(as_bytes(reference)));
  EXPECT_FALSE(decode_reference(as_bytes(with(reference, 45, 1))));
  const std::string carried = encode(CarriedRecord{.original = 7, .type = storage::RecordType::Half, .payload = as_bytes("x")});
  EXPECT_TRUE(decode_carried(as_bytes(carried)));
  EXPECT_FALSE(decode_carried(as_bytes(with(carried, 15, 1))));
}

TEST(Records, FlagsAreZeroOrOne) {
  model::TopicConfig topic;
  topic.name = "T";
  topic.order = true;
  const std::string payload = encode(topic);
  EXPECT_TRUE(decode_topic(as_bytes(payload)));
  EXPECT_FALSE(decode_topic(as_bytes(with(payload, 16, 2))));
  EXPECT_FALSE(decode_topic(as_bytes(with(payload, 17, 2))));
  const std::string group = encode(model::GroupConfig{.name = "G", .attributes = {}});
  EXPECT_TRUE(decode_group(as_bytes(group)));
  EXPECT_FALSE(decode_group(as_bytes(with(group, 0, 32))));
  const std::string deleted = encode_group_deleted("G", true);
  EXPECT_TRUE(decode_group_deleted(as_bytes(deleted)));
  EXPECT_FALSE(decode_group_deleted(as_bytes(with(deleted, 0, 2))));
}

TEST(Records, ATopicHasNoMoreQueuesThanItMayBeGiven) {  // found by fuzzing: memory for two thousand million queues
  model::TopicConfig topic;
  topic.name = "T";
  topic.read_queues = topic.write_queues = kTopicQueuesMax;
  EXPECT_TRUE(decode_topic(as_bytes(encode(topic))));
  topic.write_queues++;
  EXPECT_FALSE(decode_topic(as_bytes(encode(topic))));
  topic.write_queues = -1;
  EXPECT_FALSE(decode_topic(as_bytes(encode(topic))));
}

TEST(Records, AttributesStandInOrderAndOnce) {
  model::TopicConfig topic;
  topic.name = "T";
  topic.attributes = {{"a", "1"}, {"b", "2"}};
  const std::string payload = encode(topic);
  const auto read = decode_topic(as_bytes(payload));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->attributes, topic.attributes);
  const std::size_t second = payload.rfind('b');
  EXPECT_FALSE(decode_topic(as_bytes(with(payload, second, 'a'))));
  EXPECT_FALSE(decode_topic(as_bytes(with(payload, second, 'A'))));
}

}  // namespace
}  // namespace halfmoon::broker
