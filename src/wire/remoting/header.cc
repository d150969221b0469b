// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <new>
#include <string>

#include "base/cursor.h"
#include "wire/remoting/json_cursor.h"
#include "wire/remoting/json_header_sketch.h"
#include "wire/remoting/json_text.h"

namespace halfmoon::wire {
namespace {

constexpr std::array<std::string_view, 14> kLanguages = {"JAVA", "CPP",  "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY",
                                                         "OTHER", "HTTP", "GO",     "PHP",    "OMS",    "RUST",   "NODE_JS"};

Language language_of(std::int64_t number) {
  return number >= 0 && number < static_cast<std::int64_t>(kLanguages.size()) ? static_cast<Language>(number) : Language::Other;
}

/// A name, or a number in digits.
Language language_of(std::string_view text) {
  for (std::size_t i = 0; i < kLanguages.size(); ++i) {
    if (text == kLanguages[i]) return static_cast<Language>(i);
  }
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? language_of(number) : Language::Other;
}

/// Ext fields while they are read: on the stack, left uninitialised, copied to the arena once their number is known.
class FieldTable {
 public:
  /// nullptr, or why the field is refused.
  const char* add(std::string_view key, std::string_view value) {
    if (const char* why = add_null(key)) return why;
    if (value.size() > kExtValueBytesMax) return "an ext field's value is too long";
    Slot& slot = slots_[used_ - 1];
    slot.value = value.data();
    slot.value_bytes = static_cast<std::uint32_t>(value.size());
    return nullptr;
  }
  /// A null is as good as absent, but its key is taken.
  const char* add_null(std::string_view key) {
    if (key.size() > kExtKeyBytesMax) return "an ext field's key is too long";
    if (used_ == kExtFieldsMax) return "too many ext fields";
    if (taken(key)) return "an ext field stands there twice";
    slots_[used_++] = {key.data(), nullptr, static_cast<std::uint32_t>(key.size()), kNull};
    return nullptr;
  }
  ExtFields to_arena(TextArena& arena) const {
    if (used_ == 0) return ExtFields(std::span<const ExtField>());
    auto* const fields = reinterpret_cast<ExtField*>(arena.reserve(used_ * sizeof(ExtField)));
    std::size_t n = 0;
    for (std::size_t i = 0; i < used_; ++i) {
      const Slot& slot = slots_[i];
      if (slot.value_bytes == kNull) continue;
      ::new (fields + n++) ExtField{{slot.key, slot.key_bytes}, {slot.value, slot.value_bytes}};
    }
    arena.commit(n * sizeof(ExtField));
    return ExtFields(std::span<const ExtField>(fields, n));
  }

 private:
  static constexpr std::uint32_t kNull = UINT32_MAX;
  struct Slot {
    const char* key;
    const char* value;
    std::uint32_t key_bytes;
    std::uint32_t value_bytes;
  };
  /// Compares names only where a bit that both set says that they may be equal.
  bool taken(std::string_view key) {
    const auto byte = [key](std::size_t i) { return static_cast<unsigned char>(key[i]); };
    const std::size_t hash = key.empty() ? 0 : byte(0) + 2u * byte(key.size() - 1) + 11u * key.size();
    const std::uint64_t bit = std::uint64_t{1} << (hash % 64);
    if ((bits_ & bit) == 0) {
      bits_ |= bit;
      return false;
    }
    for (std::size_t i = 0; i < used_; ++i) {
      if (std::string_view(slots_[i].key, slots_[i].key_bytes) == key) return true;
    }
    return false;
  }

  std::size_t used_ = 0;
  std::uint64_t bits_ = 0;
  Slot slots_[kExtFieldsMax];
};

/// `text` is what the cursor reads.
ExtFields read_json_fields(JsonCursor& cursor, std::string_view text, TextArena& arena, JsonHeaderSketch* sketch) {
  FieldTable fields;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    const char* why = nullptr;
    if (cursor.null()) {
      why = fields.add_null(key);
    } else {
      const std::size_t begin = cursor.next_at();
      const std::string_view value = cursor.text();
      if (cursor.ok()) why = fields.add(key, value);
      if (sketch != nullptr) sketch->add_field(text, {key, value}, begin, cursor.at());
    }
    if (why != nullptr) cursor.fail(why);
  }
  return cursor.ok() ? fields.to_arena(arena) : ExtFields();
}

Result<Header> decode_json(std::string_view text, TextArena& arena, JsonHeaderSketch* sketch) {
  JsonCursor cursor(text, arena);
  Header header;
  if (sketch != nullptr) sketch->begin();
  unsigned seen = 0;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    const HeaderMember member = header_member(key);
    const unsigned bit = member == HeaderMember::Unknown ? 0 : 1u << static_cast<unsigned>(member);
    if ((seen & bit) != 0) cursor.fail("a key stands there twice");
    seen |= bit;
    if (member == HeaderMember::Ext) {
      if (!cursor.null()) header.ext = read_json_fields(cursor, text, arena, sketch);
    } else if (member == HeaderMember::Unknown) {
      cursor.skip();
    } else {
      const std::size_t begin = cursor.next_at();
      read_member(cursor, member, header);
      if (sketch != nullptr) sketch->add_member(member, begin, cursor.at());
    }
  }
  if (cursor.ok() && (seen & 1u << static_cast<unsigned>(HeaderMember::Code)) == 0) cursor.fail("it has no code");
  if (!cursor.finish()) return cursor.failure("the header");
  if (sketch != nullptr) sketch->finish(text, header);
  return header;
}

/// Headers of different shapes mostly differ here already: by code, and by the order of the members.
std::size_t shape_of(std::string_view text) {
  constexpr std::size_t kLooked = 24;
  std::uint64_t words[kLooked / 8] = {};
  std::memcpy(words, text.data(), std::min(text.size(), kLooked));
  const std::uint64_t mixed = (words[0] * 3 + words[1] * 5 + words[2]) * 0x9E3779B97F4A7C15u;
  return static_cast<std::size_t>(mixed >> 32);
}

Error bad_binary(std::string_view why) {
  return {ErrorCode::InvalidArgument, "the header is not readable: " + std::string(why)};
}

Result<ExtFields> read_binary_fields(std::string_view text, TextArena& arena) {
  Reader reader(as_bytes(text));
  FieldTable fields;
  const bool ascii = is_ascii(text);  // mostly; then nobody has to look at each field
  while (reader.left() > 0) {
    const auto key_bytes = reader.be<std::int16_t>();
    if (key_bytes < 0) return bad_binary("a negative length");
    const std::string_view key = reader.text(static_cast<std::size_t>(key_bytes));
    const auto value_bytes = reader.be<std::int32_t>();
    if (value_bytes < 0) return bad_binary("a negative length");
    const std::string_view value = reader.text(static_cast<std::size_t>(value_bytes));
    if (!reader.ok()) return bad_binary("an ext field is longer than the ext fields");
    if (!ascii && (!is_utf8(key) || !is_utf8(value))) return bad_binary("an ext field is not UTF-8");
    if (const char* why = fields.add(key, value)) return bad_binary(why);
  }
  return fields.to_arena(arena);
}

//  | code i16 | language u8 | version i16 | opaque i32 | flag i32 | remark length i32 | remark |
//  | length of ext fields i32 | key length i16 | key | value length i32 | value | ...
Result<Header> decode_binary(Bytes bytes, TextArena& arena) {
  Reader reader(bytes);
  Header header;
  header.code = reader.be<std::int16_t>();
  header.language = language_of(std::int64_t{reader.be<std::uint8_t>()});
  header.version = reader.be<std::int16_t>();
  header.opaque = reader.be<std::int32_t>();
  header.flag = reader.be<std::int32_t>();
  const auto remark_bytes = reader.be<std::int32_t>();
  if (remark_bytes < 0) return bad_binary("a negative length");
  header.remark = reader.text(static_cast<std::size_t>(remark_bytes));
  const auto ext_bytes = reader.be<std::int32_t>();
  if (ext_bytes < 0) return bad_binary("a negative length");
  const std::string_view ext = reader.text(static_cast<std::size_t>(ext_bytes));
  if (!reader.ok()) return bad_binary("it ends too early");
  if (reader.left() != 0) return bad_binary("something follows its end");
  if (!is_utf8(header.remark)) return bad_binary("the remark is not UTF-8");
  if (ext_bytes == 0) return header;  // a map without fields is not sent
  HM_TRY(ExtFields, fields, read_binary_fields(ext, arena));
  header.ext = fields;
  return header;
}

}  // namespace

std::string_view language_name(Language language) {
  const auto i = static_cast<std::size_t>(language);
  return i < kLanguages.size() ? kLanguages[i] : kLanguages[static_cast<std::size_t>(Language::Other)];
}

Result<Header> decode_header(SerializeType type, Bytes bytes, TextArena& arena) {
  switch (type) {
    case SerializeType::Json: return decode_json(as_text(bytes), arena, nullptr);
    case SerializeType::Binary: return decode_binary(bytes, arena);
  }
  return bad_binary("unknown serialize type");
}

HeaderMember header_member(std::string_view key) {
  if (key == "code") return HeaderMember::Code;
  if (key == "extFields") return HeaderMember::Ext;
  if (key == "flag") return HeaderMember::Flag;
  if (key == "language") return HeaderMember::Language;
  if (key == "opaque") return HeaderMember::Opaque;
  if (key == "remark") return HeaderMember::Remark;
  if (key == "version") return HeaderMember::Version;
  return HeaderMember::Unknown;
}

void read_member(JsonCursor& cursor, HeaderMember member, Header& header) {
  switch (member) {
    case HeaderMember::Code: header.code = cursor.int32(0); break;
    case HeaderMember::Language: header.language = language_of(cursor.text()); break;
    case HeaderMember::Version: header.version = cursor.int32(0); break;
    case HeaderMember::Opaque: header.opaque = cursor.int32(0); break;
    case HeaderMember::Flag: header.flag = cursor.int32(0); break;
    case HeaderMember::Remark: header.remark = cursor.text(); break;
    case HeaderMember::Ext:
    case HeaderMember::Unknown: break;
  }
}

HeaderDecoder::HeaderDecoder() = default;
HeaderDecoder::~HeaderDecoder() = default;

Result<Header> HeaderDecoder::decode(SerializeType type, Bytes bytes, TextArena& arena) {
  if (type != SerializeType::Json) return decode_header(type, bytes, arena);
  const std::string_view text = as_text(bytes);
  if (!sketches_) sketches_ = std::make_unique<JsonHeaderSketch[]>(kSketches);
  JsonHeaderSketch& sketch = sketches_[shape_of(text) % kSketches];
  if (Header header; sketch.read(text, arena, header)) return header;
  return decode_json(text, arena, text.size() <= JsonHeaderSketch::kTextMax ? &sketch : nullptr);
}

}  // namespace halfmoon::wire
