// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/remoting/header.h"
#include "wire/remoting/json_cursor.h"
#include "wire/remoting/text_arena.h"

namespace halfmoon::wire {

/// The members of a JSON header that mean something (spec 1.2).
enum class HeaderMember : std::uint8_t { Unknown, Code, Language, Version, Opaque, Flag, Remark, Ext };

HeaderMember header_member(std::string_view key);

/// Reads the value of `member`, which is not Ext or Unknown.
void read_member(JsonCursor& cursor, HeaderMember member, Header& header);

/// One JSON header that was read before: its bytes, and where the values stand. A client writes the same header again and again, with
/// other values in it. Where the bytes are the same they mean the same, so only values that differ have to be read:
///
///     {"code":310,"extFields":{"a":"group","g":"1700000000000","i":"UNIQ_KEY\u00017F01...
///     {"code":310,"extFields":{"a":"group","g":"1700000000017","i":"UNIQ_KEY\u00017F02...
///     ------------- the same -------------- ----- read ---- ----- ----------- read ----
///
/// A header with other keys, another order or other blanks is not recognised, and is read from its beginning.
class JsonHeaderSketch {
 public:
  static constexpr std::size_t kTextMax = 1536;
  static constexpr std::size_t kValuesMax = 40;

  // Recording, while the header is read; what does not fit makes it useless and does no harm.

  void begin() {
    usable_ = false;
    fits_ = true;
    values_used_ = 0;
  }
  /// The value in [begin, end) of the text.
  void add_member(HeaderMember member, std::size_t begin, std::size_t end) { add({begin, end, member}, {}); }
  void add_field(std::string_view text, const ExtField& field, std::size_t begin, std::size_t end);
  /// All of it was read, and gave `header`.
  void finish(std::string_view text, const Header& header);

  /// Reads `text`, if it is this header with other values; false if it is not, or if a value cannot be read: then the caller reads all
  /// of it, and finds out. Gives what decode_header would.
  bool read(std::string_view text, TextArena& arena, Header& header) const;

 private:
  struct Value {
    std::uint16_t begin;      // in text_; a string's opening quote
    std::uint16_t stop;       // the first byte that is not needed to know where it ends: for a number, what follows the delimiter
    std::uint16_t end;        // what follows it
    std::uint16_t key_begin;  // fields only
    std::uint8_t key_bytes;
    bool quoted;
    bool escaped;  // it cannot be a view into the text
    HeaderMember member;
  };
  struct Place {
    std::size_t begin, end;
    HeaderMember member;
  };
  struct Field {
    std::size_t key_begin = 0, key_bytes = 0;
    bool escaped = false;
  };
  void add(const Place& place, const Field& field);
  class Reading;

  bool usable_ = false;  // finished
  bool fits_ = false;    // so far
  bool has_ext_ = false;
  std::size_t text_bytes_ = 0;
  std::size_t values_used_ = 0;
  Header header_;  // without views
  std::array<Value, kValuesMax> values_;
  std::array<char, kTextMax> text_;
};

}  // namespace halfmoon::wire
