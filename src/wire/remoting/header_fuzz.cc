// SPDX-License-Identifier: Apache-2.0
// Header codecs: what can be decoded can be written in either serialisation, and both read back as the same header; writing what was
// read gives the same bytes again.
#include <string>

#include "base/check.h"
#include "testkit/fuzz_input.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/header.h"
#include "wire/remoting/json_text.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::wire;

std::string written(const Header& header, SerializeType type) {
  std::string out;
  FrameWriter frame(out, {.type = type, .code = header.code, .opaque = header.opaque, .flag = header.flag, .remark = header.remark});
  for (const ExtField& field : header.ext) frame.text(field.key, field.value);
  frame.finish();
  return out;
}

void expect_same(const Header& a, const Header& b) {
  HM_CHECK(a.code == b.code && a.opaque == b.opaque && a.flag == b.flag);
  HM_CHECK(a.remark == b.remark);
  HM_CHECK(a.ext.size() == b.ext.size());
  auto other = b.ext.begin();
  for (const ExtField& field : a.ext) {
    HM_CHECK(field.key == other->key && field.value == other->value);
    HM_CHECK(a.ext.find(field.key) == field.value && b.ext.find(field.key) == field.value);
    ++other;
  }
}

void expect_within_maxima(const Header& header) {
  HM_CHECK(is_utf8(header.remark));
  HM_CHECK(header.ext.size() <= kExtFieldsMax);
  HM_CHECK(header.ext.present() || header.ext.empty());
  for (const ExtField& field : header.ext) {
    HM_CHECK(field.key.size() <= kExtKeyBytesMax && field.value.size() <= kExtValueBytesMax);
    HM_CHECK(is_utf8(field.key) && is_utf8(field.value));
  }
}

/// A decoder that has read this header before, and then one byte of it changed, reads the same as one without a memory.
void expect_decoder_agrees(SerializeType type, std::string_view text) {
  HeaderDecoder decoder;
  TextArena arena;
  const auto first = decoder.decode(type, as_bytes(text), arena);
  HM_CHECK(first.ok());
  const auto again = decoder.decode(type, as_bytes(text), arena);
  HM_CHECK(again.ok());
  expect_same(*first, *again);
  std::string other(text);
  for (const std::size_t step : {other.size() / 7 + 1, other.size() / 3 + 1}) {
    for (std::size_t i = step / 2; i < other.size(); i += step) {
      other[i] ^= static_cast<char>(1 + i % 3);
      const auto plain = decode_header(type, as_bytes(other), arena);
      const auto read = decoder.decode(type, as_bytes(other), arena);
      HM_CHECK(plain.ok() == read.ok());
      if (plain.ok()) expect_same(*plain, *read);
    }
  }
}

/// Writes the header and reads it back; false if it does not fit in a frame any more because its escapes take more room.
bool round_trip(const Header& header, SerializeType type) {
  const std::string bytes = written(header, type);
  const auto split = split_frame(as_bytes(bytes));
  if (const auto* bad = std::get_if<BadFrame>(&split)) {
    HM_CHECK(bad->reason == "header larger than the maximum");
    return false;
  }
  const auto* frame = std::get_if<Frame>(&split);
  HM_CHECK(frame != nullptr && frame->total_bytes == bytes.size() && frame->body.empty());
  const bool narrow = header.code >= INT16_MIN && header.code <= INT16_MAX;
  HM_CHECK(frame->type == (narrow ? type : SerializeType::Json));
  TextArena arena;
  const auto read = decode_header(frame->type, frame->header, arena);
  HM_CHECK(read.ok());
  expect_same(header, *read);
  HM_CHECK(written(*read, type) == bytes);
  return true;
}

}  // namespace

//  | serialisation u8 | header |
HM_FUZZ_TARGET() {
  const auto type = static_cast<SerializeType>(input.byte() & 1);
  const std::string_view text = input.rest();
  if (text.size() > kHeaderBytesMax) return;
  TextArena arena;
  const auto header = decode_header(type, as_bytes(text), arena);
  if (!header.ok()) {
    HM_CHECK(header.error().code == ErrorCode::InvalidArgument && !header.error().text.empty());
    return;
  }
  expect_within_maxima(*header);
  expect_decoder_agrees(type, text);
  round_trip(*header, SerializeType::Json);
  round_trip(*header, SerializeType::Binary);
}
