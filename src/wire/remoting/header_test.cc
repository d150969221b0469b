// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/header.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <variant>

#include "base/cursor.h"
#include "wire/remoting/frame_writer.h"

namespace halfmoon::wire {
namespace {

class HeaderTest : public ::testing::Test {
 protected:
  /// Decodes from memory that ends where the text does, so that the sanitizer sees a byte too far.
  Result<Header> decode(std::string_view text, SerializeType type = SerializeType::Json) {
    input_.reset(new char[text.size()]);
    std::copy(text.begin(), text.end(), input_.get());
    arena_.reset();
    return decode_header(type, as_bytes({input_.get(), text.size()}), arena_);
  }
  Header good(std::string_view text, SerializeType type = SerializeType::Json) {
    auto header = decode(text, type);
    EXPECT_TRUE(header.ok()) << (header.ok() ? "" : header.error().text);
    return header.ok() ? *header : Header{};
  }
  std::string refusal(std::string_view text, SerializeType type = SerializeType::Json) {
    const auto header = decode(text, type);
    if (header.ok()) return "it was taken";
    EXPECT_EQ(header.error().code, ErrorCode::InvalidArgument);
    return header.error().text;
  }
  /// The value of ext field "x", written as `json`.
  std::string value(std::string_view json) {
    const Header header = good(R"({"code":1,"extFields":{"x":)" + std::string(json) + "}}");
    return std::string(header.ext.find("x").value_or("absent"));
  }
  std::string value_refusal(std::string_view json) { return refusal(R"({"code":1,"extFields":{"x":)" + std::string(json) + "}}"); }

  std::unique_ptr<char[]> input_;
  TextArena arena_;
};

constexpr std::string_view kGoSend =
    R"({"code":10,"language":"GO","version":317,"opaque":7,"flag":0,"remark":"","extFields":{"batch":"false","bname":"b1",)"
    R"("bornTimestamp":"1700000000000","defaultTopic":"TBW102","defaultTopicQueueNums":"4","flag":"0","maxReconsumeTimes":"0",)"
    R"("producerGroup":"PG","properties":"TAGS\u0001TagA\u0002KEYS\u0001k1 k2\u0002","queueId":"1","reconsumeTimes":"0",)"
    R"("sysFlag":"0","topic":"GoT","unitMode":"false"}})";

TEST_F(HeaderTest, GoRouteRequestAsCaptured) {
  const Header header = good(R"({"code":105,"language":"GO","version":317,"opaque":1,"flag":0,"remark":"","extFields":{"topic":"GoT"}})");
  EXPECT_EQ(header.code, 105);
  EXPECT_EQ(header.language, Language::Go);
  EXPECT_EQ(header.version, 317);
  EXPECT_EQ(header.opaque, 1);
  EXPECT_EQ(header.remark, "");
  EXPECT_FALSE(header.is_response());
  EXPECT_FALSE(header.is_one_way());
  EXPECT_EQ(header.ext.size(), 1u);
  EXPECT_EQ(header.ext.find("topic"), "GoT");
}

TEST_F(HeaderTest, GoSendHasUnescapedProperties) {
  const Header header = good(kGoSend);
  EXPECT_EQ(header.ext.size(), 14u);
  EXPECT_EQ(header.ext.find("properties"), "TAGS\x01TagA\x02KEYS\x01k1 k2\x02");
}

TEST_F(HeaderTest, JavaWritesAlphabeticallyAndMore) {
  const Header header = good(R"({"code":34,"extFields":{},"flag":2,"language":"JAVA","opaque":-3,"serializeTypeCurrentRPC":"JSON","version":401})");
  EXPECT_EQ(header.language, Language::Java);
  EXPECT_EQ(header.opaque, -3);
  EXPECT_TRUE(header.is_one_way());
  EXPECT_TRUE(header.ext.present());
  EXPECT_TRUE(header.ext.empty());
}

TEST_F(HeaderTest, CppSendsNumbersBooleansAndNulls) {
  const Header header = good(
      R"({ "code" : "310", "extFields" : {"AccessKey":"","Signature":"","e":3,"g":1700000000000,"k":false,"l":null,"m":true,"z":-1.5e3},)"
      R"( "flag":0, "language":1, "opaque":9, "version":333, "remark":null })"
      "\n");
  EXPECT_EQ(header.code, 310);
  EXPECT_EQ(header.language, Language::Cpp);
  EXPECT_EQ(header.ext.find("AccessKey"), "");
  EXPECT_EQ(header.ext.find("e"), "3");
  EXPECT_EQ(header.ext.find("g"), "1700000000000");
  EXPECT_EQ(header.ext.find("k"), "false");
  EXPECT_EQ(header.ext.find("l"), std::nullopt);
  EXPECT_EQ(header.ext.find("m"), "true");
  EXPECT_EQ(header.ext.find("z"), "-1.5e3");
}

TEST_F(HeaderTest, ANullHeaderHasNoMap) {
  EXPECT_FALSE(good(R"({"code":21})").ext.present());
  EXPECT_FALSE(good(R"({"code":21,"extFields":null})").ext.present());
}

TEST_F(HeaderTest, UnknownKeysOfAnyTypeAreSkipped) {
  const Header header = good(R"({"a":[1,{"b":[]},"x\n"],"c":{"code":5},"d":null,"e":1.0,"f":true,"code":11})");
  EXPECT_EQ(header.code, 11);
}

TEST_F(HeaderTest, UnknownLanguagesAreOther) {
  EXPECT_EQ(good(R"({"code":1,"language":"COBOL"})").language, Language::Other);
  EXPECT_EQ(good(R"({"code":1,"language":14})").language, Language::Other);
  EXPECT_EQ(good(R"({"code":1,"language":null})").language, Language::Other);
  EXPECT_EQ(good(R"({"code":1,"language":"NODE_JS"})").language, Language::NodeJs);
}

TEST_F(HeaderTest, Escapes) {
  EXPECT_EQ(value(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(value(R"("\u0041\u00e9\u4E2D")"), "A\xC3\xA9\xE4\xB8\xAD");
  EXPECT_EQ(value(R"("\uD83D\uDE00")"), "\xF0\x9F\x98\x80");
  EXPECT_EQ(value("\"\xE4\xB8\xAD\xF0\x9F\x98\x80\\n\xC3\xA9\""), "\xE4\xB8\xAD\xF0\x9F\x98\x80\n\xC3\xA9");
  EXPECT_EQ(value(R"("long enough for two words, then \u0001")"), "long enough for two words, then \x01");
}

TEST_F(HeaderTest, EscapesThatMeanNothingAreRefused) {
  for (const char* bad : {R"("\x")", R"("\u00")", R"("\u00g0")", R"("\u-001")", R"("\uD83D")", R"("\uD83Dx")", R"("\uD83D\n")",
                          R"("\uDE00")", R"("\uD83D\uD83D")", R"("\)"}) {
    EXPECT_NE(value_refusal(bad).find("not readable"), std::string::npos) << bad;
  }
}

TEST_F(HeaderTest, WhatIsNotUtf8IsRefused) {
  for (const std::string_view bad : {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80",
                                     "\xF8\x88\x80\x80\x80", "\xE4\xB8", "\x01", "\n"}) {
    EXPECT_NE(value_refusal('"' + std::string(bad) + '"').find("UTF-8"), std::string::npos) << bad;
    EXPECT_NE(value_refusal("\"some text before " + std::string(bad) + " and behind\"").find("UTF-8"), std::string::npos) << bad;
  }
}

TEST_F(HeaderTest, WhatIsNotJsonIsRefused) {
  for (const char* bad : {"", " ", "{", "[]", "7", "null", "{\"code\"}", "{\"code\":}", "{\"code\":1,}", "{,\"code\":1}", "{\"code\":1}x",
                          "{\"code\":1 \"flag\":2}", "{code:1}", "{'code':1}", "{\"code\":01}", "{\"code\":+1}", "{\"code\":1.}",
                          "{\"code\":.5}", "{\"code\":-}", "{\"code\":1e}", "{\"code\":tru}", "{\"code\":1,\"x\":nul}", "{\"code\":1,\"x\":[1,]}",
                          "{\"code\":1,\"x\":[1}}", "{\"code\":[]}", "{\"code\":1,\"extFields\":[]}", "{\"code\":1,\"extFields\":{\"x\":{}}}",
                          "{\"code\":1,\"extFields\":{\"x\":[]}}"}) {
    EXPECT_NE(refusal(bad), "it was taken") << bad;
  }
  EXPECT_NE(refusal(std::string_view("{\"code\":1}\0", 11)), "it was taken");
}

TEST_F(HeaderTest, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(good(R"({"code":2147483647,"opaque":-2147483648})").opaque, INT32_MIN);
  EXPECT_NE(refusal(R"({"code":2147483648})").find("32 bits"), std::string::npos);
  EXPECT_NE(refusal(R"({"code":99999999999999999999})").find("integer"), std::string::npos);
  EXPECT_NE(refusal(R"({"code":1.5})").find("integer"), std::string::npos);
}

TEST_F(HeaderTest, DuplicatesAreRefused) {
  EXPECT_NE(refusal(R"({"code":1,"code":1})").find("twice"), std::string::npos);
  EXPECT_NE(refusal(R"({"code":1,"extFields":{"topic":"a","x":"b","topic":"a"}})").find("twice"), std::string::npos);
  EXPECT_NE(refusal(R"({"code":1,"extFields":{"topic":null,"t\u006fpic":"a"}})").find("twice"), std::string::npos);
}

TEST_F(HeaderTest, AHeaderNeedsACode) { EXPECT_NE(refusal(R"({"opaque":1})").find("no code"), std::string::npos); }

std::string nested(int depth) {
  return R"({"code":1,"x":)" + std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']') + "}";
}

TEST_F(HeaderTest, NestingEndsAtSixteen) {
  EXPECT_EQ(good(nested(15)).code, 1);
  EXPECT_NE(refusal(nested(16)).find("too deeply"), std::string::npos);
  EXPECT_NE(refusal(nested(100'000)).find("too deeply"), std::string::npos);
}

std::string with_fields(std::size_t count) {
  std::string text = R"({"code":1,"extFields":{)";
  for (std::size_t i = 0; i < count; ++i) text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":\"v\"";
  return text + "}}";
}

TEST_F(HeaderTest, FieldsKeysAndValuesHaveMaxima) {
  EXPECT_EQ(good(with_fields(kExtFieldsMax)).ext.size(), kExtFieldsMax);
  EXPECT_NE(refusal(with_fields(kExtFieldsMax + 1)).find("too many"), std::string::npos);
  EXPECT_NE(refusal(with_fields(100'000)).find("too many"), std::string::npos);

  const auto one = [](std::size_t key, std::size_t val) {
    return R"({"code":1,"extFields":{")" + std::string(key, 'k') + "\":\"" + std::string(val, 'v') + "\"}}";
  };
  EXPECT_EQ(good(one(kExtKeyBytesMax, kExtValueBytesMax)).ext.size(), 1u);
  EXPECT_NE(refusal(one(kExtKeyBytesMax + 1, 1)).find("key is too long"), std::string::npos);
  EXPECT_NE(refusal(one(1, kExtValueBytesMax + 1)).find("value is too long"), std::string::npos);
}

TEST_F(HeaderTest, PropertiesOfTheLargestSizeFitEvenWhenAllIsEscaped) {
  std::string text = R"({"code":1,"extFields":{"x":")";
  for (int i = 0; i < 32767; ++i) text += "\\u0001";
  text += "\"}}";
  ASSERT_LE(text.size(), kHeaderBytesMax);
  EXPECT_EQ(good(text).ext.find("x"), std::string(32767, '\x01'));
}

TEST_F(HeaderTest, ViewsOfOneBatchStayWhileOthersAreDecoded) {
  TextArena arena;
  std::vector<std::string> inputs;
  for (int i = 0; i < 500; ++i) inputs.push_back(R"({"code":1,"extFields":{"x":"\n)" + std::to_string(i) + std::string(300, 'p') + "\"}}");
  std::vector<Header> headers;
  for (const std::string& input : inputs) headers.push_back(*decode_header(SerializeType::Json, as_bytes(input), arena));
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(headers[static_cast<std::size_t>(i)].ext.find("x"), "\n" + std::to_string(i) + std::string(300, 'p'));
  }
}

TEST_F(HeaderTest, AJsonHeaderCutAnywhereIsRefused) {
  for (std::size_t n = 0; n < kGoSend.size(); ++n) EXPECT_NE(refusal(kGoSend.substr(0, n)), "it was taken") << n;
}

// The binary codec.

std::string header_bytes(const std::string& frame) { return frame.substr(8, load_be<std::uint32_t>(frame.data() + 4) & 0xFF'FFFFu); }

std::string binary_send() {
  std::string out;
  FrameWriter frame(out, {SerializeType::Binary, 310, -5, 0, "re\nmark"});
  frame.text("a", "PG");
  frame.text("i", "TAGS\x01TagA\x02");
  frame.number("e", -1);
  frame.text("empty", "");
  frame.finish();
  return header_bytes(out);
}

TEST_F(HeaderTest, BinaryGoldenBytes) {
  const std::string bytes(
      "\x00\x0A"          // code
      "\x09"              // GO
      "\x01\x3D"          // 317
      "\x00\x00\x00\x07"  // opaque
      "\x00\x00\x00\x02"  // flag
      "\x00\x00\x00\x02ok"
      "\x00\x00\x00\x0E\x00\x05topic\x00\x00\x00\x03GoT",
      21 + 2 + 14);
  const Header header = good(bytes, SerializeType::Binary);
  EXPECT_EQ(header.code, 10);
  EXPECT_EQ(header.language, Language::Go);
  EXPECT_EQ(header.version, 317);
  EXPECT_EQ(header.opaque, 7);
  EXPECT_TRUE(header.is_one_way());
  EXPECT_EQ(header.remark, "ok");
  EXPECT_EQ(header.ext.find("topic"), "GoT");
}

TEST_F(HeaderTest, ABinaryHeaderCutAnywhereIsRefused) {
  const std::string whole = binary_send();
  EXPECT_EQ(good(whole, SerializeType::Binary).ext.size(), 4u);
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_NE(refusal(whole.substr(0, n), SerializeType::Binary), "it was taken") << n;
  EXPECT_NE(refusal(whole + "x", SerializeType::Binary).find("follows"), std::string::npos);
}

TEST_F(HeaderTest, BinaryLengthsAreChecked) {
  const std::string whole = binary_send();
  std::size_t taken = 0;
  for (std::size_t at = 13; at + 4 <= whole.size(); ++at) {
    for (const std::int32_t length : {-1, INT32_MIN, INT32_MAX}) {
      std::string bent = whole;
      store_be(bent.data() + at, length);
      if (refusal(bent, SerializeType::Binary) == "it was taken") ++taken;
    }
  }
  EXPECT_EQ(taken, 0u);
}

TEST_F(HeaderTest, BinaryTextMustBeUtf8AndUnique) {
  const auto with = [](std::string_view a, std::string_view b, std::string_view value) {
    std::string ext;
    Writer writer(ext);
    for (const std::string_view key : {a, b}) {
      writer.be(static_cast<std::int16_t>(key.size()));
      writer.text(key);
      writer.be(static_cast<std::int32_t>(value.size()));
      writer.text(value);
    }
    std::string out(17, '\0');
    Writer whole(out);
    whole.be(static_cast<std::int32_t>(ext.size()));
    whole.text(ext);
    return out;
  };
  EXPECT_EQ(good(with("a", "b", "v"), SerializeType::Binary).ext.size(), 2u);
  EXPECT_NE(refusal(with("a", "a", "v"), SerializeType::Binary).find("twice"), std::string::npos);
  EXPECT_NE(refusal(with("a", "b", "\xFF"), SerializeType::Binary).find("UTF-8"), std::string::npos);
  EXPECT_NE(refusal(with("a", "\xC3", "v"), SerializeType::Binary).find("UTF-8"), std::string::npos);
}

TEST_F(HeaderTest, BothCodecsSayTheSame) {
  std::mt19937 random(20250919);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::string_view pieces[] = {"a", "topic", "\x01", "\x02", "\"", "\\", "\n", "\x7F", " ", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "0123456789abcdef"};
  const auto text = [&](std::size_t pieces_max) {
    std::string out;
    for (std::size_t i = below(pieces_max + 1); i > 0; --i) out += pieces[below(std::size(pieces))];
    return out;
  };
  for (int round = 0; round < 500; ++round) {
    const std::string remark = text(below(10) == 0 ? 300 : 5);
    std::vector<std::pair<std::string, std::string>> fields;
    for (std::size_t i = below(20); i > 0; --i) fields.emplace_back(std::to_string(i) + text(6), text(below(20) == 0 ? 400 : 12));
    const auto opaque = static_cast<std::int32_t>(random());
    std::string json, binary;
    for (const SerializeType type : {SerializeType::Json, SerializeType::Binary}) {
      FrameWriter frame(type == SerializeType::Json ? json : binary, {type, 310, opaque, kFlagResponse, remark});
      for (const auto& [key, value] : fields) frame.text(key, value);
      frame.finish();
    }
    TextArena arena;
    const std::string json_header = header_bytes(json), binary_header = header_bytes(binary);
    const auto a = decode_header(SerializeType::Json, as_bytes(json_header), arena);
    const auto b = decode_header(SerializeType::Binary, as_bytes(binary_header), arena);
    ASSERT_TRUE(a.ok() && b.ok()) << json_header;
    EXPECT_EQ(a->opaque, opaque);
    EXPECT_EQ(b->opaque, opaque);
    EXPECT_EQ(a->remark, remark);
    EXPECT_EQ(b->remark, remark);
    ASSERT_EQ(a->ext.size(), fields.size());
    ASSERT_EQ(b->ext.size(), fields.size());
    for (const auto& [key, value] : fields) {
      EXPECT_EQ(a->ext.find(key), value);
      EXPECT_EQ(b->ext.find(key), value);
    }
  }
}

TEST_F(HeaderTest, RandomDamageNeverDoesMoreThanRefuse) {
  std::mt19937 random(7);
  const std::string binary = binary_send();
  std::size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    const SerializeType type = round % 2 ? SerializeType::Json : SerializeType::Binary;
    std::string bent(type == SerializeType::Json ? kGoSend : std::string_view(binary));
    for (std::size_t i = 1 + random() % 4; i > 0; --i) bent[random() % bent.size()] = static_cast<char>(random());
    if (!decode(bent, type).ok()) ++refused;
  }
  EXPECT_GT(refused, 5'000u);
}

TEST(TextArena, ResetKeepsNoMoreThanItsMaximum) {
  TextArena arena;
  char* const big = arena.reserve(10u << 20);
  arena.commit(10u << 20);
  big[0] = 'x';
  arena.reset();
  char* const first = arena.reserve(100);
  arena.commit(100);
  arena.reset();
  EXPECT_EQ(arena.reserve(100), first) << "a small chunk is used again";
}

}  // namespace
}  // namespace halfmoon::wire
