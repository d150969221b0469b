// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/frame_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "wire/remoting/header.h"

namespace halfmoon::wire {
namespace {

Frame only_frame(const std::string& out) {
  const FrameSplit split = split_frame(as_bytes(out));
  const auto* frame = std::get_if<Frame>(&split);
  EXPECT_NE(frame, nullptr);
  if (frame == nullptr) return {};
  EXPECT_EQ(frame->total_bytes, out.size());
  return *frame;
}

TEST(FrameWriter, SendAnswerAsJson) {
  std::string out;
  FrameWriter frame(out, response_to(SerializeType::Json, 12, ResponseCode::Success));
  frame.text("msgId", "7F00000100002A9F0000000000000000");
  frame.number("queueId", 3);
  frame.number("queueOffset", -9'223'372'036'854'775'807);
  frame.boolean("TRACE_ON", true);
  frame.finish();
  EXPECT_EQ(as_text(only_frame(out).header),
            R"({"code":0,"flag":1,"language":"JAVA","opaque":12,"version":479,"extFields":{"msgId":"7F00000100002A9F0000000000000000",)"
            R"("queueId":"3","queueOffset":"-9223372036854775807","TRACE_ON":"true"}})");
}

TEST(FrameWriter, NoFieldsNoMap) {
  std::string out;
  append_frame(out, response_to(SerializeType::Json, 1, ResponseCode::TopicNotExist, "topic[\"x\"] not exist\n"), "body");
  const Frame frame = only_frame(out);
  EXPECT_EQ(as_text(frame.header),
            R"({"code":17,"flag":1,"language":"JAVA","opaque":1,"version":479,"remark":"topic[\"x\"] not exist\n"})");
  EXPECT_EQ(as_text(frame.body), "body");
}

TEST(FrameWriter, EscapesWhatJsonWantsEscaped) {
  std::string out;
  FrameWriter frame(out, request(SerializeType::Json, 1, RequestCode::SendMessageV2));
  frame.text("i", "A\x01\x02\x1f\"\\/\b\f\n\r\t\xE4\xB8\xAD\x7F");
  frame.text(std::string_view("k\""), "\xFF" "bad\xC3");
  frame.finish();
  EXPECT_EQ(as_text(only_frame(out).header),
            "{\"code\":310,\"flag\":0,\"language\":\"JAVA\",\"opaque\":1,\"version\":479,\"extFields\":{"
            "\"i\":\"A\\u0001\\u0002\\u001f\\\"\\\\/\\b\\f\\n\\r\\t\xE4\xB8\xAD\x7F\",\"k\\\"\":\"\xEF\xBF\xBD" "bad\xEF\xBF\xBD\"}}");
}

TEST(FrameWriter, OneWayRequestAsBinary) {
  std::string out = "before";
  FrameWriter frame(out, one_way(SerializeType::Binary, 5, RequestCode::CheckTransactionState));
  frame.text("msgId", "id");
  frame.begin_body();
  out += "record";
  frame.finish();
  EXPECT_EQ(out, std::string("before"
                             "\x00\x00\x00\x2C\x01\x00\x00\x22"
                             "\x00\x27\x00\x01\xDF\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00\x00"
                             "\x00\x00\x00\x0D\x00\x05msgId\x00\x00\x00\x02id"
                             "record",
                             6 + 48));
}

TEST(FrameWriter, PopCodesTravelAsJson) {
  std::string out;
  append_frame(out, request(SerializeType::Binary, 1, RequestCode::PopMessage));
  EXPECT_EQ(only_frame(out).type, SerializeType::Json);
}

TEST(FrameWriter, LongValuesPassTheBuffer) {
  const std::string plain(5000, 'p'), escaped(5000, '\x01');
  for (const SerializeType type : {SerializeType::Json, SerializeType::Binary}) {
    std::string out;
    FrameWriter frame(out, {type, 1, 2, 0, plain});
    for (int i = 0; i < 40; ++i) frame.text("key" + std::to_string(i), std::string_view(plain).substr(0, static_cast<std::size_t>(i * 30)));
    frame.text("plain", plain);
    frame.text("escaped", escaped);
    frame.finish();
    TextArena arena;
    const Frame whole = only_frame(out);
    const auto header = decode_header(whole.type, whole.header, arena);
    ASSERT_TRUE(header.ok());
    EXPECT_EQ(header->remark, plain);
    EXPECT_EQ(header->ext.size(), 42u);
    EXPECT_EQ(header->ext.find("key39")->size(), 39u * 30);
    EXPECT_EQ(header->ext.find("plain"), plain);
    EXPECT_EQ(header->ext.find("escaped"), escaped);
  }
}

TEST(FrameWriter, FramesFollowEachOther) {
  std::string out;
  append_frame(out, response_to(SerializeType::Json, 1, ResponseCode::Success), "one");
  const std::size_t first = out.size();
  append_frame(out, response_to(SerializeType::Binary, 2, ResponseCode::Success), "two");
  EXPECT_EQ(as_text(std::get<Frame>(split_frame(as_bytes(out))).body), "one");
  EXPECT_EQ(as_text(std::get<Frame>(split_frame(as_bytes(out).subspan(first))).body), "two");
}

TEST(FrameWriter, ABodyMayBeElsewhere) {
  std::string out;
  FrameWriter frame(out, response_to(SerializeType::Json, 1, ResponseCode::Success));
  frame.begin_body();
  frame.finish(100);
  const auto split = split_frame(as_bytes(out));
  ASSERT_TRUE(std::holds_alternative<NeedMore>(split));
  EXPECT_EQ(std::get<NeedMore>(split).bytes_min, out.size() + 100);
}

TEST(FrameWriter, WhatWasNotFinishedIsCutOff) {
  std::string out = "before";
  {
    FrameWriter frame(out, response_to(SerializeType::Json, 1, ResponseCode::Success));
    frame.begin_body();
    out += "half a body";
  }
  EXPECT_EQ(out, "before");
}

}  // namespace
}  // namespace halfmoon::wire
