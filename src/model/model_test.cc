// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "model/message_image.h"
#include "model/names.h"
#include "model/properties.h"

namespace halfmoon::model {
namespace {

std::string props(std::initializer_list<std::pair<const char*, const char*>> list) {
  std::string text;
  for (const auto& [name, value] : list) append_property(text, name, value);
  return text;
}

TEST(Properties, TagHashEqualsJava) {  // vectors of the specification, 4.7
  EXPECT_EQ(tag_hash("TagA"), 2598919);
  EXPECT_EQ(tag_hash("TagB"), 2598920);
  EXPECT_EQ(tag_hash("order"), 106006350);
  EXPECT_EQ(tag_hash("zzzzzzzz"), -1910022912);
  EXPECT_EQ(tag_hash(""), 0);
  EXPECT_EQ(tag_hash("\xC3\xA9"), 0xE9);                      // one UTF-16 unit
  EXPECT_EQ(tag_hash("\xF0\x9F\x98\x80"), 0xD83D * 31 + 0xDE00);  // a surrogate pair
}

TEST(Properties, ScanFindsWhatTheCoreNeeds) {
  const std::string text = props({{"KEYS", "k1 k2"}, {"TAGS", "TagA"}, {"UNIQ_KEY", "C0"}, {"TRAN_MSG", "true"}, {"PGROUP", "pg"}, {"DELAY", "3"}});
  const auto known = scan_properties(text);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->tags, "TagA");
  EXPECT_EQ(known->unique_key, "C0");
  EXPECT_EQ(known->producer_group, "pg");
  EXPECT_EQ(known->delay_level, "3");
  EXPECT_TRUE(known->transaction_prepared);
  EXPECT_FALSE(known->reserved);
}

TEST(Properties, ReservedNamesAreSeen) {
  EXPECT_TRUE(scan_properties(props({{"REAL_TOPIC", "x"}}))->reserved);
  EXPECT_TRUE(scan_properties(props({{"REAL_QID", "0"}}))->reserved);
  EXPECT_TRUE(scan_properties(props({{"POP_CK", "x"}}))->pop_checkpoint);
}

TEST(Properties, LastSeparatorMayBeMissing) {
  std::string text = props({{"A", "1"}, {"TAGS", "T"}});
  text.pop_back();
  EXPECT_EQ(scan_properties(text)->tags, "T");
  EXPECT_EQ(without_properties(text, {"A"}), props({{"TAGS", "T"}}));
}

TEST(Properties, OfTwoWithOneNameTheLastCounts) {  // as in a client's map; found by fuzzing: the two searches disagreed
  const std::string text = props({{"TAGS", "a"}, {"KEYS", "k"}, {"TAGS", "b"}});
  EXPECT_EQ(scan_properties(text)->tags, "b");
  EXPECT_EQ(find_property(text, "TAGS"), "b");
}

TEST(Properties, MalformedIsRefused) {
  EXPECT_FALSE(scan_properties("novalue\x02"));
  EXPECT_FALSE(scan_properties("\x01value\x02"));
  EXPECT_TRUE(scan_properties(""));
}

TEST(Image, RoundTripsBothAddressFamilies) {
  for (const bool v6 : {false, true}) {
    MessageFields f;
    f.body_crc = 0x80000001u;
    f.queue_id = 3;
    f.flag = 7;
    f.queue_offset = 11;
    f.position = 1 << 20;
    f.sys_flag = sys_flag::kCompressed;
    f.born_ms = 5;
    ASSERT_TRUE(parse_ip(v6 ? "2001:db8::1" : "192.0.2.9", f.born_host));
    f.born_host.port = 5000;
    ASSERT_TRUE(parse_ip("127.0.0.1", f.store_host));
    f.store_host.port = 10911;
    f.reconsume_times = 2;
    f.body = "body";
    f.topic = "T";
    f.properties = "A\x01" "1\x02";
    std::vector<std::byte> bytes(image_size(f));
    encode_image(f, bytes);
    set_image_queue_offset(bytes, 12);
    set_image_position(bytes, 99);
    const auto g = decode_image(bytes);
    ASSERT_TRUE(g);
    EXPECT_EQ(g->body_crc, 1u);
    EXPECT_EQ(g->queue_offset, 12);
    EXPECT_EQ(g->position, 99);
    EXPECT_EQ(g->born_host, f.born_host);
    EXPECT_EQ(g->body, "body");
    EXPECT_EQ(g->properties, f.properties);
    EXPECT_EQ((g->sys_flag & sys_flag::kBornHostV6) != 0, v6);
    for (std::size_t cut = 0; cut < bytes.size(); cut++) EXPECT_FALSE(decode_image(Bytes(bytes).first(cut)));
  }
}

TEST(Image, FieldsStandWhereClientsReadThem) {  // byte positions of the specification, 2.1
  MessageFields f;
  f.queue_offset = 0x0102030405060708;
  f.position = 5;
  f.body = "b";
  f.topic = "T";
  std::vector<std::byte> bytes(image_size(f));
  encode_image(f, bytes);
  EXPECT_EQ(bytes.size(), 91u + 2u);
  EXPECT_EQ(load_be<std::int64_t>(bytes.data() + 20), f.queue_offset);
  EXPECT_EQ(load_be<std::int64_t>(bytes.data() + 28), 5);
  EXPECT_EQ(load_be<std::uint32_t>(bytes.data() + 84), 1u);
}

TEST(MessageId, HoldsHostAndPosition) {
  HostAddress host;
  ASSERT_TRUE(parse_ip("127.0.0.1", host));
  host.port = 10911;
  const std::string id = offset_message_id(host, 0x1234);
  EXPECT_EQ(id, "7F00000100002A9F0000000000001234");
  EXPECT_EQ(position_of_message_id(id), 0x1234);
  EXPECT_FALSE(position_of_message_id("xyz"));
  EXPECT_FALSE(position_of_message_id(std::string(32, 'G')));
}

TEST(Names, AreValidatedWithRocketMqTexts) {
  EXPECT_TRUE(validate_topic("%RETRY%group-1_x").ok());
  EXPECT_EQ(validate_topic("").error().text, "The specified topic is blank.");
  EXPECT_NE(validate_topic("a/../b").error().text.find("illegal characters"), std::string::npos);
  EXPECT_FALSE(validate_topic(std::string(128, 'a')).ok());
  EXPECT_TRUE(validate_topic(std::string(127, 'a')).ok());
  EXPECT_FALSE(validate_group(std::string(121, 'a')).ok());
}

TEST(MessageImage, PortsAndChecksumsThatNobodyWritesAreRefused) {  // found by fuzzing: they were cut to size
  MessageFields fields;
  fields.topic = "T";
  std::string image(image_size(fields), '\0');
  encode_image(fields, std::as_writable_bytes(std::span(image)));
  ASSERT_TRUE(decode_image(as_bytes(image)));
  for (const std::size_t at : {8u, 52u, 53u}) {  // the checksum's highest bit; the port's upper half
    std::string changed = image;
    changed[at] = '\x80';
    EXPECT_FALSE(decode_image(as_bytes(changed))) << at;
  }
}

}  // namespace
}  // namespace halfmoon::model
