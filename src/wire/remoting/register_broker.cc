// SPDX-License-Identifier: Apache-2.0
#include <libdeflate.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/crc.h"
#include "base/cursor.h"
#include "wire/remoting/field_values.h"
#include "wire/remoting/topic_json.h"

namespace halfmoon::wire {
namespace {

Error unreadable(std::string_view why) {
  return {ErrorCode::InvalidArgument, "the registration is not readable: " + std::string(why)};
}

void read_topic_table(JsonCursor& cursor, std::vector<TopicConfig>& topics) {
  if (cursor.null()) return;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (topics.size() == kRegisterTopicsMax) return cursor.fail("too many topics");
    TopicConfig topic = read_topic_config(cursor);
    topic.name = key;
    topics.push_back(std::move(topic));
  }
}

/// Members of the topic table's wrapper, which senders before 3.0.11 send alone.
bool read_wrapper_member(JsonCursor& cursor, std::string_view key, RegisterBrokerBody& out) {
  if (key == "dataVersion") out.data_version = read_data_version(cursor);
  else if (key == "topicConfigTable") read_topic_table(cursor, out.topics);
  else return false;
  return true;
}

void read_names(JsonCursor& cursor, std::vector<std::string>& names) {
  if (cursor.null()) return;
  cursor.enter_array();
  while (cursor.next_element()) names.emplace_back(cursor.text());
}

Result<RegisterBrokerBody> parse_json(Bytes body) {
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  RegisterBrokerBody out;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "topicConfigSerializeWrapper") {
      if (cursor.null()) continue;
      cursor.enter_object();
      for (std::string_view inner; cursor.next_member(inner);) {
        if (!read_wrapper_member(cursor, inner, out)) cursor.skip();
      }
    } else if (key == "filterServerList") {
      read_names(cursor, out.filter_servers);
    } else if (!read_wrapper_member(cursor, key, out)) {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure("the registration");
  return out;
}

Result<std::string> inflate(Bytes body) {
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> inflater(libdeflate_alloc_decompressor(),
                                                                                                  &libdeflate_free_decompressor);
  if (!inflater) return unreadable("no memory to inflate it");
  std::string out;
  // libdeflate wants room for everything at once, and the stream does not say how much that is.
  for (std::size_t room = std::min(kRegisterBodyBytesMax, 8 * body.size() + 4096);; room = std::min(kRegisterBodyBytesMax, 4 * room)) {
    out.resize(room);
    std::size_t written = 0;
    switch (libdeflate_zlib_decompress(inflater.get(), body.data(), body.size(), out.data(), out.size(), &written)) {
      case LIBDEFLATE_SUCCESS: out.resize(written); return out;
      case LIBDEFLATE_INSUFFICIENT_SPACE:
        if (room < kRegisterBodyBytesMax) continue;
        return unreadable("it is larger than " + std::to_string(kRegisterBodyBytesMax) + " bytes when inflated");
      default: return unreadable("it is no zlib stream");
    }
  }
}

/// The next `length i32 | text`; an empty view after a bad length, which shows in the reader.
std::string_view read_block(Reader& reader) {
  const auto bytes = reader.be<std::int32_t>();
  return reader.text(bytes < 0 ? SIZE_MAX : static_cast<std::size_t>(bytes));
}

/// `name readQ writeQ perm FILTERTYPE attributesJSON`, blank separated; the attributes may be absent.
std::optional<TopicConfig> parse_topic_line(std::string_view line) {
  const auto word = [&line] {
    const std::size_t blank = line.find(' ');
    const std::string_view found = line.substr(0, blank);
    line.remove_prefix(blank == std::string_view::npos ? line.size() : blank + 1);
    return found;
  };
  TopicConfig topic;
  topic.name = word();
  const auto read_queues = parse_integer<std::int32_t>(word());
  const auto write_queues = parse_integer<std::int32_t>(word());
  const auto perm = parse_integer<std::int32_t>(word());
  topic.topic_filter_type = word();
  if (topic.name.empty() || !is_utf8(topic.name) || !read_queues || !write_queues || !perm || !is_utf8(topic.topic_filter_type)) return std::nullopt;
  topic.read_queue_nums = *read_queues;
  topic.write_queue_nums = *write_queues;
  topic.perm = *perm;
  if (line.empty()) return topic;
  TextArena arena;
  JsonCursor cursor(line, arena);
  topic.attributes = read_text_map(cursor);
  if (!cursor.finish()) return std::nullopt;
  return topic;
}

//  | length i32 | DataVersion JSON | topics i32 | length i32 | line | ... | length i32 | filter servers JSON |
//  Senders from 5.0.0 on append queue mappings, which nobody here reads.
Result<RegisterBrokerBody> parse_compressed(Bytes body) {
  HM_TRY(const std::string, text, inflate(body));
  Reader reader(as_bytes(text));
  RegisterBrokerBody out;
  HM_TRY(DataVersion, version, parse_data_version(as_bytes(read_block(reader))));
  out.data_version = version;
  const auto count = reader.be<std::int32_t>();
  if (count > static_cast<std::int32_t>(kRegisterTopicsMax)) return unreadable("too many topics");
  for (std::int32_t i = 0; i < count && reader.ok(); ++i) {
    auto topic = parse_topic_line(read_block(reader));
    if (!topic) return unreadable("topic " + std::to_string(i) + " is malformed");
    out.topics.push_back(*std::move(topic));
  }
  if (const std::string_view servers = read_block(reader); !servers.empty()) {
    TextArena arena;
    JsonCursor cursor(servers, arena);
    read_names(cursor, out.filter_servers);
    if (!cursor.finish()) return cursor.failure("the list of filter servers");
  }
  if (!reader.ok() || count < 0) return unreadable("it ends too early");
  return out;
}

}  // namespace

Result<RegisterBrokerBody> parse_register_broker_body(Bytes body, std::int32_t body_crc32) {
  if (body.size() > kRegisterBodyBytesMax) return unreadable("it is larger than " + std::to_string(kRegisterBodyBytesMax) + " bytes");
  if (body_crc32 != 0 && static_cast<std::int32_t>(crc32_ieee(body) & 0x7FFF'FFFFu) != body_crc32)
    return Error{ErrorCode::InvalidArgument, "crc32 not match"};
  if (body.empty()) return RegisterBrokerBody{};
  constexpr std::byte kZlib{0x78};
  return body.front() == kZlib ? parse_compressed(body) : parse_json(body);
}

}  // namespace halfmoon::wire
