// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/remoting/frame.h"
#include "wire/remoting/text_arena.h"

namespace halfmoon::wire {

/// What the peer is written in (spec 1.4).
enum class Language : std::uint8_t {
  Java = 0,
  Cpp = 1,
  Dotnet = 2,
  Python = 3,
  Delphi = 4,
  Erlang = 5,
  Ruby = 6,
  Other = 7,  // also every name and number that is not in the list
  Http = 8,
  Go = 9,
  Php = 10,
  Oms = 11,
  Rust = 12,
  NodeJs = 13,
};

/// The name that JSON headers and bodies carry, e.g. "JAVA". Static.
std::string_view language_name(Language language);

inline constexpr std::size_t kExtFieldsMax = 256;
inline constexpr std::size_t kExtKeyBytesMax = 255;
/// More than the 32767 bytes that a message's properties may have, so that a property string which is a little too long is
/// answered with MESSAGE_ILLEGAL by whoever judges messages, and not by closing the connection.
inline constexpr std::size_t kExtValueBytesMax = 64u << 10;

inline constexpr std::int32_t kFlagResponse = 1;
inline constexpr std::int32_t kFlagOneWay = 2;

struct ExtField {
  std::string_view key;
  std::string_view value;
};

/// A header's extFields, in the order of the wire; keys are unique. Values are text whatever the sender made of them (spec 1.5,
/// traps 1 and 2); a null is not there at all.
class ExtFields {
 public:
  ExtFields() = default;
  explicit ExtFields(std::span<const ExtField> fields) : fields_(fields), present_(true) {}

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  std::size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  /// Whether the header had the map at all; some senders leave it out (trap 17).
  bool present() const { return present_; }

  std::optional<std::string_view> find(std::string_view key) const {
    for (const ExtField& field : fields_) {
      if (field.key == key) return field.value;
    }
    return std::nullopt;
  }

  // Typed reading after spec 1.5. The Errors are InvalidArgument: `the custom field <topic> is null` where a required field is
  // missing, `the field <queueId> is not a number: "x"` where one cannot be read (a number out of range included).

  Result<std::string_view> required_text(std::string_view key) const;
  std::string_view text_or(std::string_view key, std::string_view fallback) const;

  Result<std::int32_t> required_int32(std::string_view key) const;
  Result<std::int64_t> required_int64(std::string_view key) const;
  /// Absent and empty give nullopt; anything else that is no number is an Error.
  Result<std::optional<std::int32_t>> optional_int32(std::string_view key) const;
  Result<std::optional<std::int64_t>> optional_int64(std::string_view key) const;
  /// Absent, empty and unreadable all give the fallback (trap 11).
  std::int32_t int32_or(std::string_view key, std::int32_t fallback) const;
  std::int64_t int64_or(std::string_view key, std::int64_t fallback) const;

  /// "true" in any case, and "1", are true; every other text is false, as for Java.
  Result<bool> required_bool(std::string_view key) const;
  /// Absent and empty give the fallback.
  bool bool_or(std::string_view key, bool fallback) const;

 private:
  std::span<const ExtField> fields_;
  bool present_ = false;
};

/// A frame's header. All views point into the input or into the arena of the decoder, and live as long as both.
struct Header {
  std::int32_t code = 0;
  Language language = Language::Other;
  std::int32_t version = 0;  // ordinal of the sender's release, e.g. 479 = 5.3.3
  std::int32_t opaque = 0;
  std::int32_t flag = 0;
  std::string_view remark;
  ExtFields ext;

  bool is_response() const { return (flag & kFlagResponse) != 0; }
  bool is_one_way() const { return (flag & kFlagOneWay) != 0; }
};

/// Reads one header (spec 1.2 JSON, 1.3 binary). JSON: keys in any order, numbers also as strings, unknown keys skipped, nesting
/// to 16. Refused with InvalidArgument: what is not well-formed, text that is not UTF-8, a key twice, more than kExtFieldsMax fields
/// (nulls counted), keys and values beyond their maxima, a header without a code. Whoever gets an Error cannot answer (there is no
/// opaque to answer to) and closes the connection.
Result<Header> decode_header(SerializeType type, Bytes bytes, TextArena& arena);

class JsonHeaderSketch;

/// Reads headers as decode_header does, with the same results, and remembers the last few JSON headers of different shapes, so that one
/// which looks like one of them costs less than half (docs/performance.md). Owned by one I/O shard; about 16 KiB once it has read JSON.
class HeaderDecoder {
 public:
  HeaderDecoder();
  ~HeaderDecoder();
  Result<Header> decode(SerializeType type, Bytes bytes, TextArena& arena);

 private:
  static constexpr std::size_t kSketches = 8;
  std::unique_ptr<JsonHeaderSketch[]> sketches_;
};

}  // namespace halfmoon::wire
