// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/group.h"

namespace halfmoon::broker {

inline constexpr std::size_t kFilterTagsMax = 128;

/// Which messages of a topic a consumer is given, by the hash of their tag (specification 4.7): the hash may say yes once too often, and clients
/// look at the text again. A value; copying one of at most four tags does not allocate.
class TagFilter {
 public:
  /// Everything.
  TagFilter() = default;

  /// What the subscription means: its expression if that names tags, else its `tags` (Go push consumers, trap 19), else everything. Errors:
  /// NotSupported (an expression type other than tags), SubscriptionInvalid.
  static Result<TagFilter> of(const model::Subscription& subscription);

  /// `*` or nothing: everything; `A || B`: those tags. Empty items are passed over; a `*` among other items is a tag of that name, as at
  /// RocketMQ. Errors: SubscriptionInvalid (separators without a tag; more than kFilterTagsMax tags).
  static Result<TagFilter> parse(std::string_view expression);

  /// `hash` is model::tag_hash of the message's tag, 0 for a message without one.
  bool matches(std::int32_t hash) const {
    if (count_ == 0) return true;
    if (count_ > kFew) return std::binary_search(many_.begin(), many_.end(), hash);
    for (std::size_t i = 0; i < count_; i++) {
      if (few_[i] == hash) return true;
    }
    return false;
  }
  bool matches_all() const { return count_ == 0; }
  /// The hash, where it is one tag that matches.
  std::optional<std::int32_t> only_tag() const { return count_ == 1 ? std::optional(few_[0]) : std::nullopt; }

 private:
  static constexpr std::size_t kFew = 4;

  static Result<TagFilter> of_hashes(std::vector<std::int32_t> hashes);

  std::size_t count_ = 0;                   // different hashes; 0: everything
  std::array<std::int32_t, kFew> few_{};    // they, while they fit
  std::vector<std::int32_t> many_;          // else here, sorted
};

}  // namespace halfmoon::broker
