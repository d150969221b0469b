// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/topic_attributes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "model/properties.h"
#include "model/topic.h"

namespace halfmoon::adapter {
namespace {

constexpr std::array<std::string_view, 2> kQueueTypes = {"BatchCQ", "SimpleCQ"};
constexpr std::array<std::string_view, 2> kCleanupPolicies = {"COMPACTION", "DELETE"};
constexpr std::array<std::string_view, 6> kMessageTypes = {"UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED"};

struct Attribute {
  std::string_view name;
  bool changeable;
  std::span<const std::string_view> values;  // none: a number
  std::int64_t least = -1;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  std::string_view unit = "";
};
// The last one is ours; the core reads it.
constexpr std::array<Attribute, 5> kAttributes = {{{"queue.type", false, kQueueTypes},
                                                   {"cleanup.policy", false, kCleanupPolicies},
                                                   {"message.type", true, kMessageTypes},
                                                   {"reserve.time", true, {}},
                                                   {model::kCheckImmunityAttribute, true, {}, 1, 100LL * 24 * 3600, " seconds"}}};

Error refused(std::string text) { return {ErrorCode::InvalidArgument, std::move(text)}; }

const Attribute* find_attribute(std::string_view name) {
  const auto found = std::find_if(kAttributes.begin(), kAttributes.end(), [&](const Attribute& a) { return a.name == name; });
  return found == kAttributes.end() ? nullptr : &*found;
}

std::optional<Error> value_refusal(const Attribute& attribute, std::string_view value) {
  if (attribute.values.empty()) {
    const auto number = model::parse_integer(value);
    if (number && *number >= attribute.least && *number <= attribute.most) return std::nullopt;
    const std::string range = "value is not in range(" + std::to_string(attribute.least) + ", " + std::to_string(attribute.most) + ")";
    if (attribute.unit.empty()) return refused(range);  // RocketMQ's text
    return refused(range + std::string(attribute.unit) + ": " + std::string(attribute.name) + "=" + std::string(value));
  }
  if (std::find(attribute.values.begin(), attribute.values.end(), value) != attribute.values.end()) return std::nullopt;
  std::string list;
  for (const std::string_view allowed : attribute.values) list.append(list.empty() ? "" : ", ").append(allowed);
  return refused("value is not in set: [" + list + "]");
}

}  // namespace

Result<std::vector<AttributeChange>> parse_attribute_changes(std::string_view text) {
  std::vector<AttributeChange> changes;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view entry = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const std::size_t equals = entry.find('=');
    const std::string_view key = entry.substr(0, equals);
    AttributeChange change;
    if (equals != std::string_view::npos) {
      if (entry.find('=', equals + 1) != std::string_view::npos) return refused("kv string format wrong.");
      if (!key.starts_with('+')) return refused("wrong format key: " + std::string(key));
      change.value = entry.substr(equals + 1);
    } else {
      if (!key.starts_with('-')) return refused("wrong format key: " + std::string(key));
      change.remove = true;
    }
    change.name = key.substr(1);
    if (change.name.empty() || (!change.remove && change.value.empty())) return refused("kv string format wrong.");
    if (std::any_of(changes.begin(), changes.end(), [&](const AttributeChange& other) { return other.name == change.name; }))
      return refused("alter duplication key. key: " + change.name);
    changes.push_back(std::move(change));
  }
  return changes;
}

Result<Attributes> changed_attributes(const std::vector<AttributeChange>& changes, const Attributes* current) {
  Attributes result = current == nullptr ? Attributes() : *current;
  for (const AttributeChange& change : changes) {
    const Attribute* attribute = find_attribute(change.name);
    if (attribute == nullptr) return refused("unsupported key: " + change.name);
    if (change.remove) {
      if (current == nullptr) return refused("only add attribute is supported while creating topic. key: " + change.name);
      if (!current->contains(change.name)) return refused("attempt to delete a nonexistent key: " + change.name);
      if (!attribute->changeable) return refused("attempt to update an unchangeable attribute. key: " + change.name);
      result.erase(change.name);
      continue;
    }
    if (auto error = value_refusal(*attribute, change.value)) return *std::move(error);
    if (current != nullptr && !attribute->changeable) {
      const auto known = current->find(change.name);
      // Saying again what is there changes nothing.
      if (known == current->end() || known->second != change.value)
        return refused("attempt to update an unchangeable attribute. key: " + change.name);
    }
    result[change.name] = change.value;
  }
  return result;
}

}  // namespace halfmoon::adapter
