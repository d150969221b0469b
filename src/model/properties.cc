// SPDX-License-Identifier: Apache-2.0
#include "model/properties.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace halfmoon::model {
namespace {

// Calls f(name, value) for each property; false from f stops. Returns false if the text is malformed.
template <class F>
bool for_each_property(std::string_view text, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(kPropertySeparator), text.size());
    const std::string_view item = text.substr(0, end);
    const std::size_t split = item.find(kNameSeparator);
    if (split == std::string_view::npos || split == 0) return false;
    if (!f(item.substr(0, split), item.substr(split + 1))) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

}  // namespace

std::optional<KnownProperties> scan_properties(std::string_view text) {
  using namespace property;
  KnownProperties known;
  const bool well_formed = for_each_property(text, [&](std::string_view name, std::string_view value) {
    switch (name.size()) {  // most names differ in length, so that one comparison is enough
      case 4:
        if (name == kTags) known.tags = value;
        break;
      case 5:
        if (name == kDelayLevel) known.delay_level = value;
        break;
      case 6:
        if (name == kProducerGroup) known.producer_group = value;
        else if (name == kPopCheckpoint) known.pop_checkpoint = true;
        break;
      case 8:
        if (name == kUniqueKey) known.unique_key = value;
        else if (name == kTransactionPrepared) known.transaction_prepared = value == "true";
        else if (name == kRealQueueId) known.reserved = true;
        break;
      case 10:
        if (name == kRealTopic) known.reserved = true;
        break;
      case 11:
        if (name == kRetryTopic) known.retry_topic = value;
        break;
      case 14:
        if (name == kTimerDelayMs) known.timer_delay_ms = value;
        break;
      case 15:
        if (name == kTimerDelaySec) known.timer_delay_sec = value;
        else if (name == kReplyToClient) known.reply_to_client = value;
        break;
      case 16:
        if (name == kTimerDeliverMs) known.timer_deliver_ms = value;
        break;
      case 17:
        if (name == kOriginMessageId) known.origin_message_id = value;
        break;
      case 30:
        if (name == kCheckImmunity) known.check_immunity = value;
        break;
      default:
        break;
    }
    return true;
  });
  if (!well_formed) return std::nullopt;
  return known;
}

std::optional<std::string_view> find_property(std::string_view text, std::string_view name) {
  std::optional<std::string_view> found;
  for_each_property(text, [&](std::string_view n, std::string_view value) {
    if (n == name) found = value;  // of two with one name the later counts, as in scan_properties and in a client's map
    return true;
  });
  return found;
}

void append_property(std::string& text, std::string_view name, std::string_view value) {
  if (!text.empty() && text.back() != kPropertySeparator) text += kPropertySeparator;
  text += name;
  text += kNameSeparator;
  text += value;
  text += kPropertySeparator;
}

std::string without_properties(std::string_view text, std::initializer_list<std::string_view> names) {
  std::string kept;
  kept.reserve(text.size() + 1);
  for_each_property(text, [&](std::string_view name, std::string_view value) {
    if (std::find(names.begin(), names.end(), name) == names.end()) append_property(kept, name, value);
    return true;
  });
  return kept;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::int32_t tag_hash(std::string_view tag) {
  // Java hashes UTF-16 units; clients re-check the text, so for the rare non-ASCII tag we decode UTF-8 to stay equal to them.
  std::uint32_t h = 0;
  const auto add = [&h](std::uint32_t unit) { h = h * 31 + unit; };
  for (std::size_t i = 0; i < tag.size();) {
    const auto lead = static_cast<unsigned char>(tag[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (length == 1 || i + length > tag.size()) {
      add(lead);
      i++;
      continue;
    }
    std::uint32_t point = lead & (0xFFu >> (length + 1));
    for (std::size_t k = 1; k < length; k++) point = point << 6 | (static_cast<unsigned char>(tag[i + k]) & 0x3F);
    if (point >= 0x10000) {
      point -= 0x10000;
      add(0xD800 + (point >> 10));
      add(0xDC00 + (point & 0x3FF));
    } else {
      add(point);
    }
    i += length;
  }
  return static_cast<std::int32_t>(h);
}

}  // namespace halfmoon::model
