// SPDX-License-Identifier: Apache-2.0
// JSON: walking a text and skipping it agree on whether it is well-formed; a string that we write is read back as it was; the search for
// special bytes, eight at a time, finds what a plain loop finds.
#include <string>
#include <vector>

#include "base/check.h"
#include "testkit/fuzz_input.h"
#include "wire/remoting/json_cursor.h"
#include "wire/remoting/json_text.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::wire;

/// Reads a value member by member and writes it again, compact.
void copy_value(JsonCursor& cursor, std::string& out) {
  using Kind = JsonCursor::Kind;
  bool first = true;
  const auto comma = [&] {
    if (!first) out += ',';
    first = false;
  };
  switch (cursor.peek()) {
    case Kind::Object:
      cursor.enter_object();
      out += '{';
      for (std::string_view key; cursor.next_member(key);) {
        comma();
        append_json_string(out, key);
        out += ':';
        copy_value(cursor, out);
      }
      out += '}';
      return;
    case Kind::Array:
      cursor.enter_array();
      out += '[';
      while (cursor.next_element()) {
        comma();
        copy_value(cursor, out);
      }
      out += ']';
      return;
    case Kind::String: append_json_string(out, cursor.string()); return;
    case Kind::Null:
      HM_CHECK(cursor.null() || !cursor.ok());
      out += "null";
      return;
    case Kind::True:
    case Kind::False:
    case Kind::Number: out += cursor.text(); return;
    case Kind::Nothing: cursor.fail("nothing"); return;
  }
}

struct Walk {
  bool ok = false;
  std::string text;
};
Walk walk(std::string_view json) {
  TextArena arena;
  JsonCursor cursor(json, arena);
  Walk done;
  copy_value(cursor, done.text);
  done.ok = cursor.finish();
  return done;
}

bool skips(std::string_view json) {
  TextArena arena;
  JsonCursor cursor(json, arena);
  cursor.skip();
  return cursor.finish();
}

void check_text(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* plain = text.data();
  while (plain != end) {
    const auto c = static_cast<unsigned char>(*plain);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
    ++plain;
  }
  HM_CHECK(scan_plain(text.data(), end) == plain);

  std::string json;
  append_json_string(json, text);
  HM_CHECK(json.size() <= json_escaped_max(text.size()) + 2);
  TextArena arena;
  JsonCursor cursor(json, arena);
  const std::string_view read = cursor.string();
  HM_CHECK(cursor.finish());
  HM_CHECK(is_utf8(read));
  HM_CHECK((read == text) == is_utf8(text));
}

}  // namespace

HM_FUZZ_TARGET() {
  const std::string_view text = input.rest();
  const std::vector<char> exact(text.begin(), text.end());  // its own size: a read past the end is seen
  const std::string_view json(exact.data(), exact.size());
  const Walk first = walk(json);
  HM_CHECK(first.ok == skips(json));
  if (first.ok) {
    const Walk again = walk(first.text);
    HM_CHECK(again.ok && again.text == first.text);
  }
  check_text(json);
}
