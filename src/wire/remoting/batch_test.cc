// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/batch.h"

#include <gtest/gtest.h>

#include <string>

#include "base/cursor.h"

namespace halfmoon::wire {
namespace {

std::string item(std::string_view body, std::string_view properties, std::int32_t flag = 0, std::int32_t extra = 0) {
  std::string out;
  Writer writer(out);
  writer.be(static_cast<std::int32_t>(22 + body.size() + properties.size()) + extra);
  writer.be(std::int32_t{0});
  writer.be(std::int32_t{0});
  writer.be(flag);
  writer.be(static_cast<std::int32_t>(body.size()));
  writer.text(body);
  writer.be(static_cast<std::int16_t>(properties.size()));
  writer.text(properties);
  return out;
}

TEST(Batch, GoItemAsCaptured) {
  const std::string body("\x00\x00\x00\x22\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02" "b1\x00\x0ATAGS\x01TagA\x02", 34);
  const auto items = split_batch(as_bytes(body));
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ(as_text(items->front().body), "b1");
  EXPECT_EQ(items->front().properties, "TAGS\x01TagA\x02");
}

TEST(Batch, KeepsOrderAndFlags) {
  const std::string body = item("one", "", 5) + item("", "p\x01v\x02", -1);
  const auto items = split_batch(as_bytes(body));
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 2u);
  EXPECT_EQ((*items)[0].flag, 5);
  EXPECT_EQ((*items)[1].flag, -1);
  EXPECT_TRUE((*items)[1].body.empty());
  EXPECT_EQ((*items)[1].properties, "p\x01v\x02");
}

std::string refusal(std::string_view body) {
  const auto items = split_batch(as_bytes(body));
  if (items.ok()) return "it was taken";
  EXPECT_EQ(items.error().code, ErrorCode::MessageIllegal);
  return items.error().text;
}

TEST(Batch, CutAnywhereButBetweenItemsIsRefused) {
  const std::string first = item("body", "k\x01v\x02");
  const std::string whole = first + first;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_EQ(refusal(std::string(whole, 0, n)) == "it was taken", n == first.size()) << n;
  }
}

TEST(Batch, LengthsMustAddUp) {
  EXPECT_NE(refusal(item("b", "", 0, 1)).find("add up"), std::string::npos);
  EXPECT_NE(refusal(item("b", "", 0, -1)).find("add up"), std::string::npos);
  std::string huge = item("b", "");
  store_be(huge.data() + 16, INT32_MAX);
  EXPECT_NE(refusal(huge).find("too early"), std::string::npos);
  store_be(huge.data() + 16, std::int32_t{-1});
  EXPECT_NE(refusal(huge).find("negative"), std::string::npos);
}

TEST(Batch, HasAMaximum) {
  std::string body;
  for (std::size_t i = 0; i < kBatchItemsMax; ++i) body += item("b", "");
  const auto items = split_batch(as_bytes(body));
  ASSERT_TRUE(items.ok());
  EXPECT_EQ(items->size(), kBatchItemsMax);
  EXPECT_NE(refusal(body + item("b", "")).find("more than 1024"), std::string::npos);
}

}  // namespace
}  // namespace halfmoon::wire
