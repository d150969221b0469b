// SPDX-License-Identifier: Apache-2.0
// Properties: the one scan, the search for one name, and edits all agree with a plain taking apart; what is put together reads as it was.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/properties.h"
#include "testkit/fuzz_input.h"
#include "testkit/same_fields.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::model;
using List = std::vector<std::pair<std::string, std::string>>;

/// The specification (2.5) in the plainest words; nullopt where a part has no separator or no name.
std::optional<List> taken_apart(const std::string& text) {
  List list;
  std::string part;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != kPropertySeparator) {
      part += text[i];
      continue;
    }
    if (i == text.size() && part.empty()) break;  // the last separator may be missing
    const std::size_t at = part.find(kNameSeparator);
    if (at == std::string::npos || at == 0) return std::nullopt;
    list.emplace_back(part.substr(0, at), part.substr(at + 1));
    part.clear();
  }
  return list;
}

std::optional<std::string> last_of(const List& list, std::string_view name) {
  std::optional<std::string> value;
  for (const auto& [n, v] : list) {
    if (n == name) value = v;
  }
  return value;
}

void expect_found(const std::string& text, const List& list, std::string_view name, std::string_view scanned) {
  const auto wanted = last_of(list, name);
  HM_CHECK(find_property(text, name) == wanted);  // of two with one name the later counts, as in Java's map
  HM_CHECK(scanned == wanted.value_or(""));
}

std::string put_together(const List& list) {
  std::string text;
  for (const auto& [name, value] : list) append_property(text, name, value);
  return text;
}

void check_edit(const std::string& text, const List& list, std::initializer_list<std::string_view> names) {
  List kept;
  for (const auto& item : list) {
    if (std::find(names.begin(), names.end(), item.first) == names.end()) kept.push_back(item);
  }
  const std::string edited = without_properties(text, names);
  HM_CHECK(edited == put_together(kept));
  HM_CHECK(taken_apart(edited) == kept);
  for (const std::string_view name : names) HM_CHECK(!find_property(edited, name));
}

}  // namespace

HM_FUZZ_TARGET() {
  namespace p = property;
  const std::string text(input.rest());
  const auto list = taken_apart(text);
  const auto known = scan_properties(text);
  HM_CHECK(known.has_value() == list.has_value());
  if (!known) return;
  expect_found(text, *list, p::kTags, known->tags);
  expect_found(text, *list, p::kUniqueKey, known->unique_key);
  expect_found(text, *list, p::kProducerGroup, known->producer_group);
  expect_found(text, *list, p::kRetryTopic, known->retry_topic);
  expect_found(text, *list, p::kOriginMessageId, known->origin_message_id);
  expect_found(text, *list, p::kReplyToClient, known->reply_to_client);
  expect_found(text, *list, p::kDelayLevel, known->delay_level);
  expect_found(text, *list, p::kTimerDelaySec, known->timer_delay_sec);
  expect_found(text, *list, p::kTimerDelayMs, known->timer_delay_ms);
  expect_found(text, *list, p::kTimerDeliverMs, known->timer_deliver_ms);
  expect_found(text, *list, p::kCheckImmunity, known->check_immunity);
  HM_CHECK(known->transaction_prepared == (last_of(*list, p::kTransactionPrepared) == "true"));
  HM_CHECK(known->reserved == (last_of(*list, p::kRealTopic) || last_of(*list, p::kRealQueueId)));
  HM_CHECK(known->pop_checkpoint == last_of(*list, p::kPopCheckpoint).has_value());

  const std::string again = put_together(*list);
  HM_CHECK(again == text || again == text + kPropertySeparator);
  const auto known_again = scan_properties(again);
  HM_CHECK(known_again && testkit::same_fields(*known_again, *known));
  check_edit(text, *list, {p::kTags});
  check_edit(text, *list, {p::kDelayLevel, p::kTransactionPrepared, p::kPopCheckpoint});
  if (!list->empty()) check_edit(text, *list, {list->front().first});
  static_cast<void>(tag_hash(known->tags));
}
