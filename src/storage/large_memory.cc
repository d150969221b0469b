// SPDX-License-Identifier: Apache-2.0
#include "storage/large_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "storage/aligned_buffer.h"

namespace halfmoon::storage {
namespace {

constexpr std::size_t kHugePage = 2 << 20;
constexpr std::size_t kMappedFrom = 2 * kHugePage;   // smaller is not worth two system calls

std::byte* next_multiple(std::byte* p, std::size_t of) { return p + (of - reinterpret_cast<std::uintptr_t>(p) % of) % of; }

/// `bytes` of the system's memory beginning at a multiple of a huge page: what was mapped too much before and behind is given back.
std::byte* map_aligned(std::size_t bytes) {
  const std::size_t more = bytes + kHugePage;
  void* const all = ::mmap(nullptr, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::byte*>(all);
  std::byte* const begin = next_multiple(first, kHugePage);
  if (begin > first) ::munmap(first, static_cast<std::size_t>(begin - first));
  if (begin + bytes < first + more) ::munmap(begin + bytes, static_cast<std::size_t>(first + more - (begin + bytes)));
  ::madvise(begin, bytes, MADV_HUGEPAGE);  // where there are none it is as good without
  return begin;
}

}  // namespace

LargeMemory::LargeMemory(std::size_t bytes) : size_(bytes) {
  if (bytes < kMappedFrom) {
    begin_ = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{kBlockBytes}));
    std::memset(begin_, 0, bytes);
    return;
  }
  mapped_ = static_cast<std::size_t>(block_ceiling(static_cast<std::int64_t>(bytes)));
  begin_ = map_aligned(mapped_);
}

LargeMemory::~LargeMemory() {
  if (mapped_ != 0) ::munmap(begin_, mapped_);
  else ::operator delete(begin_, std::align_val_t{kBlockBytes});
}

std::shared_ptr<const std::byte> LargeMemory::piece(const std::shared_ptr<const LargeMemory>& memory, Bytes piece) {
  if (!memory->mapped()) return {memory, piece.data()};
  const auto give_back = [memory, bytes = piece.size()](const std::byte* begin) {
    auto* const from = next_multiple(const_cast<std::byte*>(begin), kBlockBytes);  // NOLINT: the memory itself is not const
    const auto whole = block_floor(begin + bytes - from);
    if (whole > 0) ::madvise(from, static_cast<std::size_t>(whole), MADV_DONTNEED);
  };
  return {piece.data(), give_back};
}

}  // namespace halfmoon::storage
