// SPDX-License-Identifier: Apache-2.0
#include "broker/tag_filter.h"

#include <string>
#include <utility>

#include "model/properties.h"

namespace halfmoon::broker {

namespace {

constexpr std::string_view kSeparator = "||";
constexpr std::size_t kQuotedBytesMax = 64;

// What Java's String.trim takes away: everything up to the blank.
std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool names_everything(std::string_view trimmed_expression) { return trimmed_expression.empty() || trimmed_expression == "*"; }

}  // namespace

Result<TagFilter> TagFilter::of_hashes(std::vector<std::int32_t> hashes) {
  if (hashes.size() > kFilterTagsMax) {
    return Error{ErrorCode::SubscriptionInvalid, "the subscription names more than " + std::to_string(kFilterTagsMax) +
                                                     " tags; use fewer, or subscribe to * and choose in the consumer"};
  }
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  TagFilter filter;
  filter.count_ = hashes.size();
  if (filter.count_ <= kFew) std::copy(hashes.begin(), hashes.end(), filter.few_.begin());
  else filter.many_ = std::move(hashes);
  return filter;
}

Result<TagFilter> TagFilter::parse(std::string_view expression) {
  std::string_view rest = trimmed(expression);
  if (names_everything(rest)) return TagFilter();
  std::vector<std::int32_t> hashes;
  while (!rest.empty() && hashes.size() <= kFilterTagsMax) {
    const std::size_t end = std::min(rest.find(kSeparator), rest.size());
    if (const std::string_view tag = trimmed(rest.substr(0, end)); !tag.empty()) hashes.push_back(model::tag_hash(tag));
    rest.remove_prefix(std::min(end + kSeparator.size(), rest.size()));
  }
  if (hashes.empty()) {
    return Error{ErrorCode::SubscriptionInvalid, "the subscription '" + std::string(expression.substr(0, kQuotedBytesMax)) +
                                                     "' names no tag; write *, or tags such as TagA || TagB"};
  }
  return of_hashes(std::move(hashes));
}

Result<TagFilter> TagFilter::of(const model::Subscription& subscription) {
  const std::string_view type = subscription.expression_type;
  if (!type.empty() && type != "TAG") {
    return Error{ErrorCode::NotSupported, "The broker does not support consumer to filter message by " + std::string(type.substr(0, kQuotedBytesMax)) +
                                              " (set the subscription to tags)"};
  }
  if (!names_everything(trimmed(subscription.expression))) return parse(subscription.expression);
  std::vector<std::int32_t> hashes;
  for (const std::string& tag : subscription.tags) {
    if (!names_everything(trimmed(tag))) hashes.push_back(model::tag_hash(trimmed(tag)));
  }
  return of_hashes(std::move(hashes));
}

}  // namespace halfmoon::broker
