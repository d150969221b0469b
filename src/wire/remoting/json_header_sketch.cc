// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/json_header_sketch.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "wire/remoting/json_text.h"

namespace halfmoon::wire {
namespace {

/// How many of the first `n` bytes of both are the same, up to the first that differs.
std::size_t same_bytes(const char* a, const char* b, std::size_t n) {
  std::size_t i = 0;
#if defined(__SSE2__)
  for (; n - i >= 16; i += 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i));
    const auto same = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)));
    if (same != 0xFFFF) return i + static_cast<std::size_t>(std::countr_one(same));
  }
#endif
  while (i < n && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

void JsonHeaderSketch::add_field(std::string_view text, const ExtField& field, std::size_t begin, std::size_t end) {
  const auto inside = [text](std::string_view part) { return part.data() >= text.data() && part.data() <= text.data() + text.size(); };
  if (!inside(field.key)) fits_ = false;  // escapes in a key: nobody writes them
  add({begin, end, HeaderMember::Ext}, {static_cast<std::size_t>(field.key.data() - text.data()), field.key.size(), !inside(field.value)});
}

void JsonHeaderSketch::add(const Place& place, const Field& field) {
  if (values_used_ == kValuesMax || place.end >= kTextMax) fits_ = false;
  if (!fits_) return;
  values_[values_used_++] = {.begin = static_cast<std::uint16_t>(place.begin),
                             .stop = 0,
                             .end = static_cast<std::uint16_t>(place.end),
                             .key_begin = static_cast<std::uint16_t>(field.key_begin),
                             .key_bytes = static_cast<std::uint8_t>(field.key_bytes),
                             .quoted = false,
                             .escaped = field.escaped,
                             .member = place.member};
}

void JsonHeaderSketch::finish(std::string_view text, const Header& header) {
  if (!fits_ || text.size() > kTextMax) return;
  usable_ = true;
  for (std::size_t i = 0; i < values_used_; ++i) {
    Value& value = values_[i];
    value.quoted = text[value.begin] == '"';
    value.stop = static_cast<std::uint16_t>(value.end + (value.quoted ? 0 : 1));
  }
  std::memcpy(text_.data(), text.data(), text.size());
  text_bytes_ = text.size();
  has_ext_ = header.ext.present();
  header_ = header;
  header_.remark = {};
  header_.ext = {};
}

/// One reading of a text by a sketch: `at_` in the sketch's text corresponds to `at_ + shift_` in the new one.
class JsonHeaderSketch::Reading {
 public:
  Reading(const JsonHeaderSketch& sketch, std::string_view text, TextArena& arena, Header& header)
      : sketch_(sketch), text_(text), arena_(arena), header_(header) {}
  ~Reading() {}

  bool run() {
    header_ = sketch_.header_;
    for (std::size_t next = 0;;) {
      const std::size_t different = find_difference();
      for (; next < sketch_.values_used_ && sketch_.values_[next].stop <= different; ++next) {
        if (!keep(sketch_.values_[next])) return false;
      }
      if (different == sketch_.text_bytes_) break;
      if (next == sketch_.values_used_ || different < sketch_.values_[next].begin || !replace(sketch_.values_[next])) return false;
      ++next;
    }
    if (here() != text_.size()) return false;
    if (sketch_.has_ext_) header_.ext = ExtFields(to_arena());
    return true;
  }

 private:
  std::size_t here() const { return at_ + shift_; }
  /// Goes on to the first byte of the sketch that is another one in the text, or is not there.
  std::size_t find_difference() {
    const std::size_t n = std::min(sketch_.text_bytes_ - at_, text_.size() - here());
    at_ += same_bytes(sketch_.text_.data() + at_, text_.data() + here(), n);
    return at_;
  }
  /// A value that is the same as in the sketch.
  bool keep(const Value& value) {
    const bool field = value.member == HeaderMember::Ext;
    if (!field && value.member != HeaderMember::Remark) return true;  // stands in the sketch's header
    if (value.escaped || !field) return read_again(value) != 0;
    const std::size_t quotes = value.quoted ? 1 : 0;
    const std::size_t begin = value.begin + shift_ + quotes;
    add(value, view(begin, value.end + shift_ - quotes - begin));
    return true;
  }
  /// A value that is another one than in the sketch: goes on behind it.
  bool replace(const Value& value) {
    const std::size_t end = read_again(value);
    if (end == 0) return false;
    shift_ = end - value.end;  // may wrap around, and back when it is added
    at_ = value.end;
    return true;
  }
  /// Gives where the value ends in the text, or 0.
  std::size_t read_again(const Value& value) {
    JsonCursor cursor(text_, arena_, value.begin + shift_);
    if (value.member == HeaderMember::Ext) {
      if (cursor.null()) return 0;
      const std::string_view read = cursor.text();
      if (read.size() > kExtValueBytesMax) return 0;
      add(value, read);
    } else {
      read_member(cursor, value.member, header_);
    }
    return cursor.ok() ? cursor.at() : 0;
  }
  void add(const Value& value, std::string_view read) {
    fields_[filled_++] = {view(value.key_begin + shift_, value.key_bytes), read};
  }
  /// Only now: a text that is none of this sketch's takes no memory.
  std::span<const ExtField> to_arena() {
    if (filled_ == 0) return {};
    const std::size_t bytes = filled_ * sizeof(ExtField);
    char* const room = arena_.reserve(bytes);
    std::memcpy(room, fields_, bytes);
    arena_.commit(bytes);
    return {reinterpret_cast<const ExtField*>(room), filled_};
  }
  /// Bytes that are known to be there: they were compared.
  std::string_view view(std::size_t begin, std::size_t bytes) const { return {text_.data() + begin, bytes}; }

  const JsonHeaderSketch& sketch_;
  const std::string_view text_;
  TextArena& arena_;
  Header& header_;
  union {
    ExtField fields_[kValuesMax];  // the first filled_ of them
  };
  std::size_t filled_ = 0;
  std::size_t at_ = 0;
  std::size_t shift_ = 0;
};

bool JsonHeaderSketch::read(std::string_view text, TextArena& arena, Header& header) const {
  return usable_ && Reading(*this, text, arena, header).run();
}

}  // namespace halfmoon::wire
