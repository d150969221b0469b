// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/frame_writer.h"

#include <charconv>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "wire/remoting/header.h"
#include "wire/remoting/json_text.h"

namespace halfmoon::wire {
namespace {

constexpr std::size_t kDigitsMax = 20;
constexpr std::size_t kWords = 8;  // the two length words in front

bool fits_binary(std::int32_t code) {
  using Limits = std::numeric_limits<std::int16_t>;
  return code >= Limits::min() && code <= Limits::max();
}

char* put(char* to, std::string_view text) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

template <std::integral T>
char* put_be(char* to, T value) {
  store_be(to, value);
  return to + sizeof value;
}

bool needs_escape(std::string_view text) {
  const char* const end = text.data() + text.size();
  return scan_plain(text.data(), end) != end;
}

}  // namespace

FrameStart response_to(SerializeType type, std::int32_t opaque, ResponseCode code, std::string_view remark) {
  return {type, static_cast<std::int32_t>(code), opaque, kFlagResponse, remark};
}

FrameStart request(SerializeType type, std::int32_t opaque, RequestCode code) {
  return {type, static_cast<std::int32_t>(code), opaque, 0, {}};
}

FrameStart one_way(SerializeType type, std::int32_t opaque, RequestCode code) {
  return {type, static_cast<std::int32_t>(code), opaque, kFlagOneWay, {}};
}

FrameWriter::FrameWriter(std::string& out, const FrameStart& start)
    : out_(out), start_(out.size()), type_(fits_binary(start.code) ? start.type : SerializeType::Json) {
  char* to = buffer_;
  std::memset(to, 0, kWords);
  to += kWords;
  if (type_ == SerializeType::Binary) {
    to = put_be(to, static_cast<std::int16_t>(start.code));
    to = put_be(to, static_cast<std::uint8_t>(Language::Java));
    to = put_be(to, static_cast<std::int16_t>(kOurVersion));
    to = put_be(to, start.opaque);
    to = put_be(to, start.flag);
    to = put_be(to, static_cast<std::int32_t>(start.remark.size()));
    used_ = static_cast<std::size_t>(to - buffer_);
    raw(start.remark);
    ext_length_at_ = kWords + 17 + start.remark.size();
    std::memset(room(sizeof(std::int32_t)), 0, sizeof(std::int32_t));
    used_ += sizeof(std::int32_t);
    return;
  }
  static_assert(kOurVersion == 479, "the version stands in a literal here");
  to = put(to, R"({"code":)");
  to = std::to_chars(to, to + kDigitsMax, start.code).ptr;
  to = put(to, R"(,"flag":)");
  to = std::to_chars(to, to + kDigitsMax, start.flag).ptr;
  to = put(to, R"(,"language":"JAVA","opaque":)");
  to = std::to_chars(to, to + kDigitsMax, start.opaque).ptr;
  to = put(to, R"(,"version":479)");
  used_ = static_cast<std::size_t>(to - buffer_);
  if (!start.remark.empty()) {
    raw(R"(,"remark":)");
    json_string(start.remark);
  }
}

FrameWriter::~FrameWriter() {
  if (stage_ != Stage::Done) out_.resize(start_);
}

void FrameWriter::raw(std::string_view text) {
  if (text.size() > kBufferBytes - used_) flush();
  if (text.size() > kBufferBytes) {
    out_.append(text);
  } else if (!text.empty()) {
    std::memcpy(buffer_ + used_, text.data(), text.size());
    used_ += text.size();
  }
}

void FrameWriter::json_string(std::string_view text) {
  if (json_escaped_max(text.size()) + 2 > kBufferBytes) {
    flush();
    append_json_string(out_, text);
    return;
  }
  char* const begin = room(json_escaped_max(text.size()) + 2);
  char* to = begin;
  *to++ = '"';
  to = write_json_escaped(to, text);
  *to++ = '"';
  used_ += static_cast<std::size_t>(to - begin);
}

void FrameWriter::begin_json_field(std::string_view key) {
  raw(any_field_ ? std::string_view(",") : std::string_view(R"(,"extFields":{)"));
  any_field_ = true;
  json_string(key);
  raw(":");
}

/// A key and a value that need no escapes, in one go.
void FrameWriter::plain_json_field(std::string_view key, std::string_view value) {
  constexpr std::size_t kAroundMax = 32;
  char* const begin = room(key.size() + value.size() + kAroundMax);
  char* to = any_field_ ? put(begin, R"(,")") : put(begin, R"(,"extFields":{")");
  any_field_ = true;
  to = put(to, key);
  to = put(to, R"(":")");
  to = put(to, value);
  *to++ = '"';
  used_ += static_cast<std::size_t>(to - begin);
}

void FrameWriter::binary_field(std::string_view key, std::string_view value) {
  char* to = room(sizeof(std::int16_t));
  put_be(to, static_cast<std::int16_t>(key.size()));
  used_ += sizeof(std::int16_t);
  raw(key);
  to = room(sizeof(std::int32_t));
  put_be(to, static_cast<std::int32_t>(value.size()));
  used_ += sizeof(std::int32_t);
  raw(value);
  any_field_ = true;
}

void FrameWriter::field(FieldName name, std::string_view value, bool plain) {
  HM_CHECK(stage_ == Stage::Header);
  const std::string_view key = name.text();
  HM_CHECK(key.size() <= kExtKeyBytesMax);
  constexpr std::size_t kPlainMax = kBufferBytes - kExtKeyBytesMax - 32;
  if (type_ == SerializeType::Binary) {
    binary_field(key, value);
  } else if (plain && value.size() <= kPlainMax && (name.plain() || !needs_escape(key))) {
    plain_json_field(key, value);
  } else {
    begin_json_field(key);
    json_string(value);
  }
}

void FrameWriter::text(FieldName name, std::string_view value) {
  field(name, value, type_ == SerializeType::Json && !needs_escape(value));
}

void FrameWriter::number(FieldName name, std::int64_t value) {
  char digits[kDigitsMax];
  const char* const end = std::to_chars(digits, digits + kDigitsMax, value).ptr;
  field(name, {digits, static_cast<std::size_t>(end - digits)}, true);
}

void FrameWriter::boolean(FieldName name, bool value) { field(name, value ? "true" : "false", true); }

void FrameWriter::begin_body() {
  HM_CHECK(stage_ == Stage::Header);
  if (type_ == SerializeType::Json) raw(any_field_ ? "}}" : "}");
  flush();
  header_bytes_ = out_.size() - start_ - kWords;
  HM_CHECK(header_bytes_ < (1u << 24));
  if (type_ == SerializeType::Binary) {
    const std::size_t ext_bytes = header_bytes_ + kWords - ext_length_at_ - sizeof(std::int32_t);
    store_be(out_.data() + start_ + ext_length_at_, static_cast<std::int32_t>(ext_bytes));
  }
  stage_ = Stage::Body;
}

void FrameWriter::finish(std::size_t body_bytes_elsewhere) {
  if (stage_ == Stage::Header) begin_body();
  HM_CHECK(stage_ == Stage::Body);
  const std::size_t length = out_.size() - start_ - 4 + body_bytes_elsewhere;
  HM_CHECK(length <= std::numeric_limits<std::int32_t>::max());
  const std::uint32_t mark = (static_cast<std::uint32_t>(type_) << 24) | static_cast<std::uint32_t>(header_bytes_);
  store_be(out_.data() + start_, static_cast<std::uint32_t>(length));
  store_be(out_.data() + start_ + 4, mark);
  stage_ = Stage::Done;
}

void append_frame(std::string& out, const FrameStart& start, std::string_view body) {
  FrameWriter frame(out, start);
  frame.begin_body();
  out.append(body);
  frame.finish();
}

}  // namespace halfmoon::wire
