// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <libdeflate.h>

#include <memory>
#include <string>

#include "base/crc.h"
#include "base/cursor.h"
#include "wire/remoting/topic_bodies.h"

namespace halfmoon::wire {
namespace {

std::string zlib(std::string_view text) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(libdeflate_alloc_compressor(6), &libdeflate_free_compressor);
  std::string out(libdeflate_zlib_compress_bound(compressor.get(), text.size()), '\0');
  out.resize(libdeflate_zlib_compress(compressor.get(), text.data(), text.size(), out.data(), out.size()));
  return out;
}

std::string blocks(std::string_view version, const std::vector<std::string>& topics, std::string_view servers) {
  std::string out;
  Writer writer(out);
  const auto block = [&writer](std::string_view text) {
    writer.be(static_cast<std::int32_t>(text.size()));
    writer.text(text);
  };
  block(version);
  writer.be(static_cast<std::int32_t>(topics.size()));
  for (const std::string& topic : topics) block(topic);
  block(servers);
  return out;
}

const std::string kBlocks = blocks(R"({"counter":3,"stateVersion":0,"timestamp":9})",
                                   {"T 4 8 6 SINGLE_TAG {\"+message.type\":\"NORMAL\"}", "TBW102 8 8 7 MULTI_TAG"}, R"(["f1"])");

Result<RegisterBrokerBody> parse(std::string_view body, std::int32_t crc = 0) { return parse_register_broker_body(as_bytes(body), crc); }

void expect_two_topics(const Result<RegisterBrokerBody>& body) {
  ASSERT_TRUE(body.ok()) << body.error().text;
  EXPECT_EQ(body->data_version, (DataVersion{.timestamp_ms = 9, .counter = 3}));
  ASSERT_EQ(body->topics.size(), 2u);
  EXPECT_EQ(body->topics[0].name, "T");
  EXPECT_EQ(body->topics[0].read_queue_nums, 4);
  EXPECT_EQ(body->topics[0].write_queue_nums, 8);
  EXPECT_EQ(body->topics[0].perm, 6);
  EXPECT_EQ(body->topics[0].attributes, (TextMap{{"+message.type", "NORMAL"}}));
  EXPECT_EQ(body->topics[1].topic_filter_type, "MULTI_TAG");
  EXPECT_EQ(body->filter_servers, std::vector<std::string>{"f1"});
}

constexpr std::string_view kTable =
    R"("dataVersion":{"counter":3,"stateVersion":0,"timestamp":9},"topicConfigTable":{"T":{"attributes":{"+message.type":"NORMAL"},"order":false,)"
    R"("perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":8},)"
    R"("TBW102":{"perm":7,"readQueueNums":8,"topicFilterType":"MULTI_TAG","topicName":"TBW102","writeQueueNums":8}})";

TEST(RegisterBroker, Json) {
  expect_two_topics(parse(R"({"filterServerList":["f1"],"topicConfigSerializeWrapper":{)" + std::string(kTable) + R"(,"topicQueueMappingInfoMap":{}}})"));
}

TEST(RegisterBroker, JsonOfOldBrokersHasNoWrapper) {
  const auto body = parse("{" + std::string(kTable) + "}");
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->topics.size(), 2u);
  EXPECT_EQ(body->data_version.counter, 3);
}

TEST(RegisterBroker, BackReferencesAreTopicsOfDefaults) {
  const auto body = parse(R"({"topicConfigSerializeWrapper":{"topicConfigTable":{"A":{"topicName":"A","perm":4},"B":{"$ref":"$.x"}}}})");
  ASSERT_TRUE(body.ok());
  ASSERT_EQ(body->topics.size(), 2u);
  EXPECT_EQ(body->topics[1].name, "B");
  EXPECT_EQ(body->topics[1].perm, 6);
  EXPECT_EQ(body->topics[1].topic_filter_type, "SINGLE_TAG");
}

TEST(RegisterBroker, Compressed) {
  expect_two_topics(parse(zlib(kBlocks)));
  expect_two_topics(parse(zlib(kBlocks + std::string("\0\0\0\1\0\0\0\2{}", 10))));
}

TEST(RegisterBroker, CompressedAndCutAnywhereIsRefused) {
  for (std::size_t n = 0; n < kBlocks.size(); ++n) EXPECT_FALSE(parse(zlib(std::string_view(kBlocks).substr(0, n))).ok()) << n;
  const std::string whole = zlib(kBlocks);
  for (std::size_t n = 1; n < whole.size(); ++n) EXPECT_FALSE(parse(std::string(whole, 0, n)).ok()) << n;
}

TEST(RegisterBroker, MalformedTopicLinesAreRefused) {
  for (const char* line : {"", "T", "T 4", "T 4 8", "T x 8 6 SINGLE_TAG", "T 4 8 6 SINGLE_TAG {", " 4 8 6 SINGLE_TAG", "\xFF 4 8 6 SINGLE_TAG"}) {
    EXPECT_FALSE(parse(zlib(blocks("{}", {line}, "[]"))).ok()) << line;
  }
}

TEST(RegisterBroker, HugeCountsAndSizesAreRefused) {
  std::string many = blocks("{}", {}, "[]");
  store_be(many.data() + 6, INT32_MAX);
  EXPECT_NE(parse(zlib(many)).error().text.find("too many topics"), std::string::npos);
  store_be(many.data() + 6, std::int32_t{-1});
  EXPECT_FALSE(parse(zlib(many)).ok());
  EXPECT_NE(parse(zlib(std::string(kRegisterBodyBytesMax + 1, 'a'))).error().text.find("when inflated"), std::string::npos);
  EXPECT_NE(parse(std::string(kRegisterBodyBytesMax + 1, ' ')).error().text.find("larger than"), std::string::npos);
}

TEST(RegisterBroker, InflatesMuchMoreThanTheFirstGuess) {
  const std::string servers = "[\"" + std::string(1u << 20, 's') + "\"]";
  const auto body = parse(zlib(blocks("{}", {}, servers)));
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->filter_servers.at(0).size(), 1u << 20);
}

TEST(RegisterBroker, ChecksumCoversTheBodyAsSent) {
  const std::string body = zlib(kBlocks);
  const auto crc = static_cast<std::int32_t>(crc32_ieee(as_bytes(body)) & 0x7FFF'FFFFu);
  EXPECT_TRUE(parse(body, crc).ok());
  EXPECT_EQ(parse(body, crc ^ 1).error().text, "crc32 not match");
}

TEST(RegisterBroker, AnEmptyBodyRegistersNothing) {
  EXPECT_TRUE(parse("")->topics.empty());
  EXPECT_FALSE(parse("nonsense").ok());
}

}  // namespace
}  // namespace halfmoon::wire
