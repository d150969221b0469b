// SPDX-License-Identifier: Apache-2.0
// HeaderDecoder gives what decode_header gives, whatever it has read before.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "wire/remoting/header.h"
#include "wire/remoting/json_header_sketch.h"

namespace halfmoon::wire {
namespace {

const std::vector<std::string> kHeaders = {
    R"({"code":310,"extFields":{"a":"PG","b":"T","c":"TBW102","d":"4","e":"1","f":"0","g":"1700000000000","h":"0",)"
    R"("i":"UNIQ_KEY\u00017F0000012C5E18B4AAC2000000000001\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002","j":"0","k":"false","m":"false"},)"
    R"("flag":0,"language":"JAVA","opaque":17,"serializeTypeCurrentRPC":"JSON","version":401})",
    R"({"code":10,"language":"GO","version":317,"opaque":7,"flag":0,"remark":"","extFields":{"batch":"false","bornTimestamp":"1700000000000",)"
    R"("properties":"TAGS\u0001TagA\u0002","queueId":"1","topic":"GoT"}})",
    R"({ "code" : "310", "extFields" : {"Signature":"","e":3,"g":1700000000000,"k":false,"l":null,"m":true,"z":-1.5e3},)"
    R"( "flag":0, "language":1, "opaque":9, "version":333, "remark":null })",
    R"({"code":34,"extFields":{},"flag":2,"language":"JAVA","opaque":-3,"version":401})",
    R"({"code":34,"flag":2,"language":"JAVA","opaque":-3,"version":401})",
    R"({"code":34,"extFields":{"k\u0065y":"v\n","other":"1"},"flag":2,"opaque":-3})",
};

/// Reads the same text with and without a memory, and compares.
class Both {
 public:
  /// Whether the text is a header.
  bool read(std::string_view text) {
    // Memory that ends where the text does, so that the sanitizer sees a byte too far.
    const std::unique_ptr<char[]> exact(new char[text.size()]);
    std::copy(text.begin(), text.end(), exact.get());
    const Bytes bytes = as_bytes({exact.get(), text.size()});
    TextArena plain_arena, arena;
    const auto plain = decode_header(SerializeType::Json, bytes, plain_arena);
    const auto read = decoder_.decode(SerializeType::Json, bytes, arena);
    EXPECT_EQ(plain.ok(), read.ok()) << text;
    if (plain.ok() != read.ok()) return false;
    if (!plain.ok()) {
      EXPECT_EQ(plain.error().text, read.error().text) << text;
      return false;
    }
    EXPECT_EQ(fields_of(*plain), fields_of(*read)) << text;
    return true;
  }

 private:
  static std::vector<std::string> fields_of(const Header& h) {
    std::vector<std::string> out{std::to_string(h.code), std::string(language_name(h.language)), std::to_string(h.version), std::to_string(h.opaque),
                                 std::to_string(h.flag), std::string(h.remark), h.ext.present() ? "present" : "absent"};
    for (const ExtField& field : h.ext) out.push_back(std::string(field.key) + "=" + std::string(field.value));
    return out;
  }
  HeaderDecoder decoder_;
};

/// Where values stand in a header of the list, quotes included.
std::vector<std::pair<std::size_t, std::size_t>> values_of(std::string_view text) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] != ':' || text[i + 1] == '{' || text[i + 1] == ' ') continue;
    std::size_t end = i + 2;
    if (text[i + 1] == '"') {
      while (text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      ++end;
    } else {
      while (text[end] != ',' && text[end] != '}' && text[end] != ' ') ++end;
    }
    out.emplace_back(i + 1, end);
  }
  return out;
}

const std::vector<std::string> kValues = {
    R"("")", R"("x")", R"("a longer value than the one before, with more than sixteen bytes")", R"("\u0001\u0002")", R"("\\\"")", R"("ä中😀")",
    "0", "7", "-12345", "4294967296", "99999999999999999999", "1.5", "1e3", "01", "true", "false", "null", "nul", "{}", "[1]", R"({"a":1})", "",
    R"("unended)", R"("bad \x escape")", R"("not utf-8 )" "\xC0\x80" R"(")", R"("DOTNET")", "3,", R"("x","y":"z")", R"("x"  )", "  5"};

TEST(HeaderDecoder, ReadsTheSameHeaderAgain) {
  Both both;
  for (int round = 0; round < 3; ++round)
    for (const std::string& header : kHeaders) EXPECT_TRUE(both.read(header));
}

TEST(HeaderDecoder, ReadsOtherValuesInEveryPlace) {
  for (const std::string& header : kHeaders) {
    const auto places = values_of(header);
    ASSERT_GE(places.size(), 4u);
    std::size_t good = 0;
    for (const auto& [begin, end] : places) {
      for (const std::string& value : kValues) {
        Both both;
        both.read(header);
        good += both.read(header.substr(0, begin) + value + header.substr(end));
        both.read(header);
      }
    }
    EXPECT_GT(good, places.size());
  }
}

TEST(HeaderDecoder, ReadsManyOtherValuesAtOnce) {
  std::mt19937 random(1);
  const auto one_of = [&](const auto& list) -> const auto& { return list[random() % list.size()]; };
  Both both;
  std::size_t good = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = one_of(kHeaders);
    auto places = values_of(text);
    std::reverse(places.begin(), places.end());
    for (const auto& [begin, end] : places)
      if (random() % 4 == 0) text.replace(begin, end - begin, kValues[random() % (random() % 8 == 0 ? kValues.size() : 8)]);
    good += both.read(text);
  }
  EXPECT_GT(good, 1000u);
}

TEST(HeaderDecoder, ReadsTextsThatAreCutAndBytesThatAreOthers) {
  for (const std::string& header : kHeaders) {
    Both both;
    both.read(header);
    for (std::size_t i = 0; i < header.size(); ++i) {
      both.read(header.substr(0, i));
      for (const char byte : {'"', '\\', ',', '}', ' ', 'x', '1', '\0', '\x80'}) {
        std::string other = header;
        other[i] = byte;
        both.read(other);
        other.insert(i, 1, header[i]);
        both.read(other);
      }
      both.read(header);
    }
    both.read(header + " ");
    both.read(header + "x");
  }
}

TEST(HeaderDecoder, WhatIsTooLongForItIsReadAllTheSame) {
  Both both;
  std::string many = R"({"code":10,"extFields":{)";
  for (int i = 0; i < 60; ++i) many += "\"k" + std::to_string(i) + "\":\"v\",";
  many.back() = '}';
  EXPECT_TRUE(both.read(many + "}"));
  EXPECT_TRUE(both.read(many + "}"));
  for (const std::size_t bytes : {JsonHeaderSketch::kTextMax - 60, JsonHeaderSketch::kTextMax, kExtValueBytesMax, kExtValueBytesMax + 1}) {
    const std::string text = R"({"code":10,"extFields":{"i":")" + std::string(bytes, 'x') + R"(","j":"0"}})";
    EXPECT_EQ(both.read(text), bytes <= kExtValueBytesMax);
    EXPECT_EQ(both.read(text), bytes <= kExtValueBytesMax);
    EXPECT_TRUE(both.read(R"({"code":10,"extFields":{"i":"x","j":"0"}})"));
  }
}

}  // namespace
}  // namespace halfmoon::wire
