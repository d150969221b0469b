// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/remoting/codes.h"
#include "wire/remoting/frame.h"

namespace halfmoon::wire {

/// The release we claim to be: 5.3.3 (trap 7: a Java client refuses SQL filters below 233).
inline constexpr std::int32_t kOurVersion = 479;

/// What a frame is and says before its ext fields.
struct FrameStart {
  SerializeType type = SerializeType::Json;
  std::int32_t code = 0;
  std::int32_t opaque = 0;
  std::int32_t flag = 0;
  std::string_view remark = {};  // empty: none is written
};

/// The name of an ext field. A literal is checked when it is compiled, any other text when it is written.
class FieldName {
 public:
  template <std::size_t N>
  consteval FieldName(const char (&literal)[N]) : text_(literal, N - 1), plain_(true) {
    for (const char c : text_) {
      if (c < 0x20 || c == '"' || c == '\\') throw "the name of an ext field needs escapes";
    }
  }
  FieldName(std::string_view text) : text_(text) {}
  FieldName(const std::string& text) : text_(text) {}

  std::string_view text() const { return text_; }
  /// Nothing in it needs an escape in JSON. False: perhaps.
  bool plain() const { return plain_; }

 private:
  std::string_view text_;
  bool plain_ = false;
};

/// An answer to the request that came with `opaque`, in the requester's own serialisation.
FrameStart response_to(SerializeType type, std::int32_t opaque, ResponseCode code, std::string_view remark = {});
/// A request of ours that expects an answer; and one that does not.
FrameStart request(SerializeType type, std::int32_t opaque, RequestCode code);
FrameStart one_way(SerializeType type, std::int32_t opaque, RequestCode code);

/// Appends one frame to `out`, front to back, and patches the lengths at the end:
///
///     FrameWriter frame(out, response_to(type, opaque, ResponseCode::Success));
///     frame.text("msgId", id);
///     frame.number("queueOffset", 7);
///     frame.begin_body();
///     append_topic_route(out, route);       // or out.append(...), or nothing
///     frame.finish();
///
/// Ext field values are JSON strings whatever their type (trap 1). No field: the map is left out. It allocates only where `out`
/// grows. Nothing else may write to `out` between the constructor and begin_body(); a frame that was not finished is cut off
/// again by the destructor. Our numbers fit the binary header's 16 bits, except the POP codes: those are written as JSON (trap 9).
class FrameWriter {
 public:
  FrameWriter(std::string& out, const FrameStart& start);
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;
  ~FrameWriter();

  void text(FieldName name, std::string_view value);
  void number(FieldName name, std::int64_t value);
  void boolean(FieldName name, bool value);

  /// Closes the header; what is appended to `out` from here on is the body.
  void begin_body();
  /// Patches the length words. `body_bytes_elsewhere`: body bytes that are sent right after `out` without being in it, such as
  /// stored records handed to writev. Calls begin_body() if nobody did.
  void finish(std::size_t body_bytes_elsewhere = 0);

 private:
  static constexpr std::size_t kBufferBytes = 1024;

  char* room(std::size_t bytes) {
    if (kBufferBytes - used_ < bytes) flush();
    return buffer_ + used_;
  }
  void flush() {
    out_.append(buffer_, used_);
    used_ = 0;
  }
  void raw(std::string_view text);
  void json_string(std::string_view text);
  /// `plain`: the value needs no escapes.
  void field(FieldName name, std::string_view value, bool plain);
  void begin_json_field(std::string_view key);
  void binary_field(std::string_view key, std::string_view value);
  void plain_json_field(std::string_view key, std::string_view value);

  std::string& out_;
  const std::size_t start_;        // where the frame begins in out_
  std::size_t ext_length_at_ = 0;  // binary: where the length of the ext fields stands, from start_
  std::size_t used_ = 0;           // bytes of buffer_ not yet in out_
  std::size_t header_bytes_ = 0;
  SerializeType type_;
  enum class Stage : std::uint8_t { Header, Body, Done } stage_ = Stage::Header;
  bool any_field_ = false;
  char buffer_[kBufferBytes];  // small header pieces gather here: one append instead of thirty
};

/// A whole frame without ext fields, e.g. a failure: `append_frame(out, response_to(type, opaque, code, remark))`.
void append_frame(std::string& out, const FrameStart& start, std::string_view body = {});

}  // namespace halfmoon::wire
