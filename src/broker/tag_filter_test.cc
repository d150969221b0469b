// SPDX-License-Identifier: Apache-2.0
#include "broker/tag_filter.h"

#include <gtest/gtest.h>

#include <string>

#include "model/properties.h"

namespace halfmoon::broker {
namespace {

TagFilter filter(std::string_view expression) { return TagFilter::parse(expression).value(); }
bool passes(const TagFilter& f, std::string_view tag) { return f.matches(model::tag_hash(tag)); }

/// "... || t1 || t0" of `count` tags, not in the order of their hashes.
std::string tags(int count) {
  std::string expression;
  for (int i = count - 1; i >= 0; i--) expression += "t" + std::to_string(i) + (i == 0 ? "" : " || ");
  return expression;
}

model::Subscription subscription(std::string expression, std::vector<std::string> names = {}, std::string type = "TAG") {
  model::Subscription s;
  s.expression = std::move(expression);
  s.tags = std::move(names);
  s.expression_type = std::move(type);
  return s;
}

ErrorCode refusal(const Result<TagFilter>& result) { return result.ok() ? ErrorCode::Internal : result.error().code; }

TEST(TagFilter, StarAndNothingPassAll) {
  for (const char* expression : {"", "*", "  ", " * "}) {
    EXPECT_TRUE(filter(expression).matches_all()) << expression;
    EXPECT_TRUE(passes(filter(expression), "TagA")) << expression;
    EXPECT_TRUE(filter(expression).matches(0)) << expression;
  }
}

TEST(TagFilter, NamedTagsPassOthersAndUntaggedDoNot) {
  const TagFilter f = filter("TagA || zzzzzzzz");
  EXPECT_TRUE(f.matches(2598919));
  EXPECT_TRUE(f.matches(-1910022912));
  EXPECT_FALSE(f.matches(2598920));
  EXPECT_FALSE(f.matches(0));
  EXPECT_FALSE(f.matches_all());
}

TEST(TagFilter, BlanksAndEmptyItemsAreIgnored) {
  for (const char* expression : {"TagA||TagB", "  TagA\t||  TagB ", "||TagA|| ||TagB||", "TagB || TagA || TagB"}) {
    EXPECT_TRUE(passes(filter(expression), "TagA")) << expression;
    EXPECT_TRUE(passes(filter(expression), "TagB")) << expression;
    EXPECT_FALSE(passes(filter(expression), "")) << expression;
    EXPECT_FALSE(passes(filter(expression), "Tag")) << expression;
  }
}

TEST(TagFilter, ASingleBarIsPartOfTheTag) {
  EXPECT_TRUE(passes(filter("a|b"), "a|b"));
  EXPECT_FALSE(passes(filter("a|b"), "a"));
}

TEST(TagFilter, AStarAmongTagsIsATag) {
  EXPECT_TRUE(passes(filter("TagA || *"), "*"));
  EXPECT_FALSE(passes(filter("TagA || *"), "TagB"));
}

TEST(TagFilter, AnyNumberOfTagsFindsItsOwnOnly) {
  for (const int count : {1, 3, 4, 5, 17, 128}) {
    const TagFilter f = filter(tags(count));
    for (int i = 0; i < count; i++) EXPECT_TRUE(passes(f, "t" + std::to_string(i))) << i << " of " << count;
    EXPECT_FALSE(passes(f, "t" + std::to_string(count))) << count;
  }
}

TEST(TagFilter, TooManyTagsAreRefused) {
  EXPECT_EQ(refusal(TagFilter::parse(tags(129))), ErrorCode::SubscriptionInvalid);
  EXPECT_EQ(refusal(TagFilter::of(subscription("*", std::vector<std::string>(129, "t")))), ErrorCode::SubscriptionInvalid);
  EXPECT_TRUE(TagFilter::of(subscription("*", std::vector<std::string>(128, "t"))).ok());
}

TEST(TagFilter, SeparatorsAloneAreRefused) {
  for (const char* expression : {"||", " || ", "||||"}) EXPECT_EQ(refusal(TagFilter::parse(expression)), ErrorCode::SubscriptionInvalid) << expression;
}

TEST(TagFilter, AbsentAndEmptyTypeIsTags) {
  EXPECT_TRUE(passes(TagFilter::of(subscription("TagA", {}, "")).value(), "TagA"));
  EXPECT_FALSE(passes(TagFilter::of(subscription("TagA", {}, "")).value(), "TagB"));
}

TEST(TagFilter, OtherTypesAreNotSupported) {
  const auto result = TagFilter::of(subscription("a > 1", {}, "SQL92"));
  ASSERT_EQ(refusal(result), ErrorCode::NotSupported);
  EXPECT_EQ(result.error().text, "The broker does not support consumer to filter message by SQL92 (set the subscription to tags)");
}

TEST(TagFilter, ExpressionGoesBeforeTags) {
  const TagFilter f = TagFilter::of(subscription("TagA", {"TagB"})).value();
  EXPECT_TRUE(passes(f, "TagA"));
  EXPECT_FALSE(passes(f, "TagB"));
}

TEST(TagFilter, TagsCountWhenTheExpressionNamesNone) {
  for (const char* expression : {"", "*"}) {
    const TagFilter f = TagFilter::of(subscription(expression, {"TagA", " TagB "})).value();
    EXPECT_TRUE(passes(f, "TagA")) << expression;
    EXPECT_TRUE(passes(f, "TagB")) << expression;
    EXPECT_FALSE(passes(f, "TagC")) << expression;
  }
}

TEST(TagFilter, TagsThatNameNothingPassAll) {
  EXPECT_TRUE(TagFilter::of(subscription("*")).value().matches_all());
  EXPECT_TRUE(TagFilter::of(subscription("*", {"*"})).value().matches_all());
  EXPECT_TRUE(TagFilter::of(subscription("", {""})).value().matches_all());
}

}  // namespace
}  // namespace halfmoon::broker
