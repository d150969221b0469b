// SPDX-License-Identifier: Apache-2.0
#include "storage/large_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "storage/aligned_buffer.h"

namespace halfmoon::storage {
namespace {

constexpr std::size_t kLarge = 8 << 20;

/// How many of the 4 KiB blocks are in memory.
std::size_t resident(MutableBytes bytes) {
  std::vector<unsigned char> in(bytes.size() / static_cast<std::size_t>(kBlockBytes));
  EXPECT_EQ(::mincore(bytes.data(), bytes.size(), in.data()), 0);
  return static_cast<std::size_t>(std::count_if(in.begin(), in.end(), [](unsigned char c) { return (c & 1) != 0; }));
}

TEST(LargeMemory, IsZerosAndTakesWhatIsWrittenToItsLastByte) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100'000}, kLarge - 1, kLarge + 5}) {
    const LargeMemory memory(size);
    ASSERT_EQ(memory.bytes().size(), size);
    EXPECT_EQ(memory.mapped(), size >= kLarge / 2);
    for (std::byte& b : memory.bytes()) {
      ASSERT_EQ(b, std::byte{0});
      b = std::byte{7};
    }
  }
}

TEST(LargeMemory, APieceThatIsLetGoOfIsGivenBackAndItsNeighboursStay) {
  const auto memory = std::make_shared<const LargeMemory>(kLarge);
  std::fill(memory->bytes().begin(), memory->bytes().end(), std::byte{7});
  const std::size_t all = resident(memory->bytes());
  EXPECT_EQ(all, kLarge / 4096);
  // Nothing begins or ends at a block: what is shared with a neighbour must stay.
  constexpr std::size_t kPiece = 98304, kFirst = 24;
  std::vector<std::shared_ptr<const std::byte>> pieces;
  for (std::size_t at = kFirst; at + kPiece <= kLarge; at += kPiece) pieces.push_back(LargeMemory::piece(memory, Bytes(memory->bytes()).subspan(at, kPiece)));
  auto also = pieces[3];
  for (std::size_t i = 1; i < 60; i += 2) pieces[i].reset();
  EXPECT_LT(resident(memory->bytes()), all - 28 * 23);
  for (std::size_t i = 0; i < pieces.size(); i++) {
    if (!pieces[i] && i != 3) continue;
    const Bytes bytes = Bytes(memory->bytes()).subspan(kFirst + i * kPiece, kPiece);
    ASSERT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{7}; })) << i;
  }
}

TEST(LargeMemory, APieceKeepsItAlive) {
  auto memory = std::make_shared<const LargeMemory>(kLarge);
  memory->bytes()[5] = std::byte{9};
  const auto piece = LargeMemory::piece(memory, Bytes(memory->bytes()).subspan(5, 4096));
  memory.reset();
  EXPECT_EQ(*piece, std::byte{9});
}

}  // namespace
}  // namespace halfmoon::storage
