// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/send_answer.h"

#include <charconv>
#include <concepts>
#include <cstring>

#include "base/bytes.h"
#include "wire/remoting/header.h"
#include "wire/remoting/json_text.h"

namespace halfmoon::wire {
namespace {

constexpr std::size_t kDigitsMax = 20;
constexpr std::size_t kAroundMax = 320;  // all but the three texts
constexpr std::size_t kTextsMax = 700;

/// Writes front to back, without looking at what it writes.
class Front {
 public:
  explicit Front(char* to) : begin_(to), to_(to) {}
  template <std::size_t N>
  Front& literal(const char (&text)[N]) {
    std::memcpy(to_, text, N - 1);
    to_ += N - 1;
    return *this;
  }
  Front& text(std::string_view text) {
    if (!text.empty()) std::memcpy(to_, text.data(), text.size());
    to_ += text.size();
    return *this;
  }
  template <std::integral T>
  Front& number(T value) {
    to_ = std::to_chars(to_, to_ + kDigitsMax, value).ptr;
    return *this;
  }
  template <std::integral T>
  Front& be(T value) {
    store_be(to_, value);
    to_ += sizeof value;
    return *this;
  }
  /// A field of the binary header.
  template <std::size_t N>
  Front& field(const char (&key)[N], std::string_view value) {
    return be(static_cast<std::int16_t>(N - 1)).literal(key).be(static_cast<std::int32_t>(value.size())).text(value);
  }
  template <std::size_t N, std::integral T>
  Front& number_field(const char (&key)[N], T value) {
    char digits[kDigitsMax];
    return field(key, {digits, static_cast<std::size_t>(std::to_chars(digits, digits + kDigitsMax, value).ptr - digits)});
  }
  char* end() const { return to_; }
  std::size_t size() const { return static_cast<std::size_t>(to_ - begin_); }

 private:
  char* const begin_;
  char* to_;
};

bool plain(std::string_view text) {
  const char* const end = text.data() + text.size();
  return scan_plain(text.data(), end) == end;
}

bool in_one_go(const FrameStart& start, const SendAnswer& answer) {
  if (!start.remark.empty() || answer.message_ids.size() + answer.transaction_id.size() + answer.region.size() > kTextsMax) return false;
  return start.type == SerializeType::Binary || (plain(answer.transaction_id) && plain(answer.region) && plain(answer.message_ids));
}

void write_json(Front& header, const FrameStart& start, const SendAnswer& answer) {
  static_assert(kOurVersion == 479, "the version stands in a literal here");
  header.literal(R"({"code":)").number(start.code).literal(R"(,"flag":)").number(start.flag).literal(R"(,"language":"JAVA","opaque":)").number(start.opaque);
  header.literal(R"(,"version":479,"extFields":{"msgId":")").text(answer.message_ids);
  header.literal(R"(","queueId":")").number(answer.queue_id).literal(R"(","queueOffset":")").number(answer.queue_offset);
  header.literal(R"(","transactionId":")").text(answer.transaction_id).literal(R"(","MSG_REGION":")").text(answer.region);
  if (answer.trace_on) header.literal(R"(","TRACE_ON":"true"}})");
  else header.literal(R"(","TRACE_ON":"false"}})");
}

void write_binary(Front& header, const FrameStart& start, const SendAnswer& answer) {
  header.be(static_cast<std::int16_t>(start.code)).be(static_cast<std::uint8_t>(Language::Java)).be(static_cast<std::int16_t>(kOurVersion));
  header.be(start.opaque).be(start.flag).be(std::int32_t{0});  // no remark
  char* const ext_bytes = header.end();
  header.be(std::int32_t{0});
  header.field("msgId", answer.message_ids).number_field("queueId", answer.queue_id).number_field("queueOffset", answer.queue_offset);
  header.field("transactionId", answer.transaction_id).field("MSG_REGION", answer.region).field("TRACE_ON", answer.trace_on ? "true" : "false");
  store_be(ext_bytes, static_cast<std::int32_t>(header.end() - ext_bytes) - 4);
}

}  // namespace

void append_send_answer(std::string& out, const FrameStart& start, const SendAnswer& answer) {
  if (!in_one_go(start, answer)) {
    FrameWriter frame(out, start);
    frame.text("msgId", answer.message_ids);
    frame.number("queueId", answer.queue_id);
    frame.number("queueOffset", answer.queue_offset);
    frame.text("transactionId", answer.transaction_id);
    frame.text("MSG_REGION", answer.region);
    frame.boolean("TRACE_ON", answer.trace_on);
    return frame.finish();
  }
  char frame[kAroundMax + kTextsMax];
  constexpr std::size_t kWords = 8;
  Front header(frame + kWords);
  if (start.type == SerializeType::Json) write_json(header, start, answer);
  else write_binary(header, start, answer);
  store_be(frame, static_cast<std::uint32_t>(header.size() + 4));
  store_be(frame + 4, static_cast<std::uint32_t>(start.type) << 24 | static_cast<std::uint32_t>(header.size()));
  out.append(frame, kWords + header.size());
}

}  // namespace halfmoon::wire
