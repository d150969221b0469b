// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "wire/remoting/json_text.h"
#include "wire/remoting/text_arena.h"

namespace halfmoon::wire {

/// Walks a JSON text front to back without building a tree. The counterpart of base's Reader: after the first mistake in the text
/// ok() is false, every loop ends and every value is empty, so a decoder reads all it wants and asks once. Standard JSON, UTF-8,
/// nesting to kDepthMax, numbers of any size as text. Strings are views into the text, or into the arena where they had escapes.
///
///     cursor.enter_object();
///     for (std::string_view key; cursor.next_member(key);) {
///       if (key == "queueId") queue_id = cursor.int32(0); else cursor.skip();
///     }
///     if (!cursor.finish()) return cursor.failure("the lock body");
class JsonCursor {
 public:
  static constexpr int kDepthMax = 16;
  enum class Kind : std::uint8_t { Object, Array, String, Number, True, False, Null, Nothing };

  /// From byte `start` of the text on.
  JsonCursor(std::string_view text, TextArena& arena, std::size_t start = 0)
      : begin_(text.data()), p_(begin_ + start), end_(begin_ + text.size()), arena_(arena) {}

  bool ok() const { return error_ == nullptr; }
  /// InvalidArgument: "<what> is not readable: <why> at byte N".
  Error failure(std::string_view what) const;
  /// The first mistake counts; for decoders that find one of their own. `why` is static text.
  void fail(const char* why) {
    if (error_ != nullptr) return;
    error_ = why;
    error_at_ = static_cast<std::size_t>(p_ - begin_);
    p_ = end_;
  }

  /// How many bytes have been read.
  std::size_t at() const { return static_cast<std::size_t>(p_ - begin_); }
  /// Where the next value begins, behind blanks.
  std::size_t next_at() {
    skip_blanks();
    return at();
  }
  /// What the next value is; Nothing where none begins.
  Kind peek();
  void enter_object() { enter('{', "an object was expected"); }
  void enter_array() { enter('[', "a list was expected"); }
  /// Steps to the next member or element of the innermost open object or list; its value must be read or skipped before the next
  /// step. False at the end, which closes it, or after a mistake.
  bool next_member(std::string_view& key) {
    if (!step('}')) return false;
    if (p_ == end_ || *p_ != '"') return fail("a key was expected"), false;
    ++p_;
    key = string_body();
    skip_blanks();
    if (p_ == end_ || *p_ != ':') return fail("a colon was expected"), false;
    ++p_;
    return ok();
  }
  bool next_element() { return step(']'); }
  /// True when only blanks are left, and nothing went wrong.
  bool finish();

  /// A string, and nothing else.
  std::string_view string();
  /// The next value's own text, whatever it is; checked, not unescaped.
  std::string_view raw();
  void skip();
  /// Reads a null if one is next.
  bool null() {
    skip_blanks();
    return p_ != end_ && *p_ == 'n' && !literal("null").empty();
  }

  // Coercions of the protocol's JSON readers (App. A).

  /// A string; the text of a number or boolean; null = "".
  std::string_view text() {
    skip_blanks();
    if (p_ == end_ || *p_ != '"') return text_of_other();
    ++p_;
    return string_body();
  }
  /// An integer, also in a string; null and "" = fallback. Anything else, or out of range, is a mistake.
  std::int64_t int64(std::int64_t fallback);
  std::int32_t int32(std::int32_t fallback);
  /// true, "true", 1, "1"; null and "" = fallback; every other scalar is false.
  bool boolean(bool fallback);

 private:
  void skip_blanks() {
    while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }
  void enter(char open, const char* why) {
    skip_blanks();
    if (p_ == end_ || *p_ != open) return fail(why);
    if (++depth_ > kDepthMax) return fail("nested too deeply");
    ++p_;
    fresh_ = true;
  }
  bool step(char close) {
    skip_blanks();
    if (p_ == end_) return fail("it ends too early"), false;
    const bool first = fresh_;
    fresh_ = false;
    if (*p_ == close) {
      ++p_;
      --depth_;
      return false;
    }
    if (first) return true;
    if (*p_ != ',') return fail("a comma was expected"), false;
    ++p_;
    skip_blanks();
    return true;
  }
  /// A string whose opening quote has been read.
  std::string_view string_body() {
    const char* const begin = p_;
    const char* const stop = scan_plain(begin, end_);
    if (stop == end_ || *stop != '"') return string_with_specials(begin, stop);
    p_ = stop + 1;
    return {begin, static_cast<std::size_t>(stop - begin)};
  }
  std::string_view string_with_specials(const char* begin, const char* stop);
  /// A string that begins at `begin` and whose first escape is at `p`.
  std::string_view unescaped_string(const char* begin, const char* p);
  /// `p` is no plain byte, no quote and no backslash.
  const char* beyond_utf8(const char* p);
  bool short_integer(std::int64_t& value);
  std::string_view text_of_other();
  std::string_view literal(std::string_view word);
  std::string_view number();

  const char* begin_;
  const char* p_;
  const char* end_;
  TextArena& arena_;
  const char* error_ = nullptr;
  std::size_t error_at_ = 0;
  int depth_ = 0;
  bool fresh_ = false;  // an object or list was opened and nothing in it read
};

}  // namespace halfmoon::wire
