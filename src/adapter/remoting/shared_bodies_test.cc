// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/shared_bodies.h"

#include <gtest/gtest.h>

#include <string>

namespace halfmoon::adapter {
namespace {

using Extents = std::vector<broker::Extent>;

std::string text_of(const std::shared_ptr<const runtime::SharedBytes>& body) {
  std::string text;
  if (body) body->append_to(text);
  return text;
}

TEST(SharedBodiesTest, WhoAsksThirdHasWhatWasMadeForTheSecond) {
  SharedBodies bodies;
  const Extents extents{{800, 5}, {1600, 6}};
  const std::string body(SharedBodies::kBytesMin, 'b');
  EXPECT_FALSE(bodies.find(extents));
  bodies.made(extents, body);  // nobody else may ever ask
  EXPECT_FALSE(bodies.find(extents));
  bodies.made(extents, body);
  EXPECT_EQ(text_of(bodies.find(extents)), body);
  EXPECT_EQ(text_of(bodies.find(extents)), body);
}

TEST(SharedBodiesTest, OtherMessagesAreAnotherBody) {
  SharedBodies bodies;
  const Extents extents{{800, 5}, {1600, 6}}, fewer{{800, 5}}, others{{800, 5}, {1608, 6}};
  const std::string body(SharedBodies::kBytesMin, 'b');
  for (int i = 0; i < 2; i++) {
    EXPECT_FALSE(bodies.find(extents));
    bodies.made(extents, body);
  }
  EXPECT_FALSE(bodies.find(fewer));
  EXPECT_FALSE(bodies.find(others));
  EXPECT_FALSE(bodies.find({}));
  bodies.made({}, body);
}

TEST(SharedBodiesTest, ShortOnesAndMoreThanAllTogetherMayHoldAreNotKept) {
  SharedBodies bodies;
  const auto kept = [&](std::int64_t position, std::size_t bytes) {
    const Extents extents{{position, 1}};
    for (int i = 0; i < 2; i++) {
      if (bodies.find(extents)) return true;
      bodies.made(extents, std::string(bytes, 'b'));
    }
    return bodies.find(extents) != nullptr;
  };
  EXPECT_FALSE(kept(8, SharedBodies::kBytesMin - 1));
  EXPECT_FALSE(kept(16, SharedBodies::kBytesMax + 1));
  int held = 0;
  for (std::int64_t position = 24; position < 24 + 8 * 1000; position += 8) {
    held += kept(position, SharedBodies::kBytesMax / 4) ? 1 : 0;
    EXPECT_LE(bodies.bytes(), SharedBodies::kBytesMax);
  }
  EXPECT_GT(held, 4);  // each drops what was in its place
}

}  // namespace
}  // namespace halfmoon::adapter
