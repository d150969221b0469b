// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting_world.h"
#include "nameserver/route_table.h"

namespace halfmoon::adapter {
namespace {

using namespace testing;

class OutboundTest : public RemotingWorld<nameserver::RouteTable> {
 protected:
  /// A connection that the core can talk to: one that has spoken.
  Client spoken(wire::Language language = wire::Language::Go) {
    Client client = connect();
    client.feed(raw_frame(R"({"code":38,"language":")" + std::string(wire::language_name(language)) +
                          R"(","version":317,"opaque":1,"flag":0,"remark":"","extFields":{"consumerGroup":"G"}})"));
    EXPECT_EQ(client.answers().size(), 1u);
    return client;
  }
  static std::string half_image() {
    static const std::string properties = "TRAN_MSG\x01true\x02PGROUP\x01PG\x02UNIQ_KEY\x01U1\x02__transactionId__\x01U1\x02";
    model::MessageFields fields;
    fields.topic = "T";
    fields.body = "half";
    fields.properties = properties;
    model::parse_ip("198.51.100.3", fields.store_host);
    fields.store_host.port = 10911;
    std::string image(model::image_size(fields), '\0');
    model::encode_image(fields, std::as_writable_bytes(std::span(image)));
    return image;
  }
  void push(std::optional<Result<Done>>& outcome) {
    inside([&](Now) {
      broker::PushedReply reply;
      reply.channel = broker::ChannelId{1};
      reply.message.group = "PG";
      reply.message.topic = "c1_REPLY_TOPIC";
      reply.message.properties = "CORRELATION_ID\x01x";
      reply.message.body = "answer";
      reply.store_ms = 99;
      remoting.push_reply(reply, [&outcome](Result<Done>&& result) { outcome = std::move(result); });
    });
  }
};

TEST_F(OutboundTest, AProducerIsAskedAboutItsHalfMessage) {
  Client client = spoken();
  broker.reader.images[4096] = half_image();
  inside([&](Now) { remoting.check_transaction({.channel = broker::ChannelId{1}, .half_position = 4096, .half_offset = 3, .times = 0}); });
  EXPECT_TRUE(client.connection->written.empty()) << "the core never waits for a reading";
  const auto frames = client.answers();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].code, 39);
  EXPECT_EQ(frames[0].flag, wire::kFlagOneWay);
  EXPECT_EQ(frames[0].body, half_image());
  EXPECT_EQ(frames[0].ext, (std::map<std::string, std::string>{{"topic", "RMQ_SYS_TRANS_HALF_TOPIC"},
                                                               {"tranStateTableOffset", "3"},
                                                               {"commitLogOffset", "4096"},
                                                               {"msgId", "U1"},
                                                               {"transactionId", "U1"},
                                                               {"offsetMsgId", "C633640300002A9F0000000000001000"},
                                                               {"bname", "b1"}}));
}

TEST_F(OutboundTest, ConsumersHearOfChangesInTheirGroup) {
  Client client = spoken();
  inside([&](Now) {
    remoting.consumer_ids_changed(broker::ChannelId{1}, "G");
    remoting.consumer_ids_changed(broker::ChannelId{99}, "G");
  });
  const auto frames = client.answers();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].code, 40);
  EXPECT_EQ(frames[0].ext.at("consumerGroup"), "G");
  inside([&](Now) { EXPECT_EQ(remoting.probe().push_unreachable, 1); });
}

TEST_F(OutboundTest, OffsetResetsComeInTheClientsForm) {
  Client go = spoken();
  Client cpp = spoken(wire::Language::Cpp);
  broker::OffsetReset reset{.channel = broker::ChannelId{1}, .group = "G", .topic = "T", .wall_ms = 5, .offsets = {{0, 7}}};
  inside([&](Now) { remoting.reset_offset(reset); });
  reset.channel = broker::ChannelId{2};
  inside([&](Now) { remoting.reset_offset(reset); });
  const auto frames = go.answers();
  EXPECT_EQ(frames.at(0).code, 220);
  EXPECT_EQ(frames.at(0).body, R"({"offsetTable":{{"brokerName":"b1","queueId":0,"topic":"T"}:7}})");
  EXPECT_EQ(cpp.answers().at(0).body, R"({"offsetTable":[{"brokerName":"b1","offset":7,"queueId":0,"topic":"T"}]})");
}

TEST_F(OutboundTest, APushedReplyIsDoneWhenTheClientTookIt) {
  Client client = spoken();
  std::optional<Result<Done>> outcome;
  push(outcome);
  const auto frames = client.answers();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].code, 326);
  EXPECT_EQ(frames[0].flag, 0);
  EXPECT_EQ(frames[0].body, "answer");
  EXPECT_EQ(frames[0].ext.at("storeTimestamp"), "99");
  EXPECT_EQ(frames[0].ext.at("properties"), "CORRELATION_ID\x01x\x02PUSH_REPLY_TIME\x01" "99\x02");
  EXPECT_FALSE(outcome);
  client.feed(frame(0, frames[0].opaque, {}, {}, wire::SerializeType::Json, wire::kFlagResponse));
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->ok());
  client.feed(frame(0, frames[0].opaque, {}, {}, wire::SerializeType::Json, wire::kFlagResponse));
  inside([&](Now) { EXPECT_EQ(remoting.probe().stray_answers, 1); });
  EXPECT_TRUE(client.answers().empty());
}

TEST_F(OutboundTest, APushedReplyFailsWithTheClientsWordOrWithoutIt) {
  Client client = spoken();
  std::optional<Result<Done>> outcome;
  push(outcome);
  client.feed(frame(1, client.answers().at(0).opaque, {}, {}, wire::SerializeType::Json, wire::kFlagResponse));
  ASSERT_TRUE(outcome && !outcome->ok());
  EXPECT_EQ(outcome->error().code, ErrorCode::Internal);

  outcome.reset();
  inside([&](Now now) { remoting.tick(now); });
  push(outcome);
  clock.time.mono_ms += 9999;
  inside([&](Now now) { remoting.tick(now); });
  EXPECT_FALSE(outcome);
  clock.time.mono_ms += 1;
  inside([&](Now now) { remoting.tick(now); });
  ASSERT_TRUE(outcome && !outcome->ok());
  EXPECT_EQ(outcome->error().code, ErrorCode::Busy);

  outcome.reset();
  push(outcome);
  client.session->on_closed();
  ASSERT_TRUE(outcome && !outcome->ok());
  EXPECT_EQ(outcome->error().code, ErrorCode::NotFound);

  outcome.reset();
  push(outcome);
  ASSERT_TRUE(outcome && !outcome->ok());
  EXPECT_EQ(outcome->error().code, ErrorCode::NotFound);
}

TEST_F(OutboundTest, NobodyAnswersForAnotherConnection) {
  Client client = spoken();
  Client stranger = spoken();
  std::optional<Result<Done>> outcome;
  push(outcome);
  stranger.feed(frame(0, client.answers().at(0).opaque, {}, {}, wire::SerializeType::Json, wire::kFlagResponse));
  EXPECT_FALSE(outcome);
  client.session->on_closed();
}

}  // namespace
}  // namespace halfmoon::adapter
