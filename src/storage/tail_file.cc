// SPDX-License-Identifier: Apache-2.0
#include "storage/tail_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/crc.h"
#include "storage/record_format.h"

namespace halfmoon::storage {
namespace {

constexpr std::string_view kMagic = "HMLGTAIL";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = 64;   // of the first block
constexpr std::int64_t kRingAt = kBlockBytes * (1 + static_cast<std::int64_t>(kTailSegments));
constexpr std::int64_t kRingBytesMax = std::int64_t{1} << 40;

std::int64_t segment_at_byte(std::size_t slot) { return kBlockBytes * (1 + static_cast<std::int64_t>(slot)); }

std::uint32_t head_crc(const std::byte* head) { return crc32c(Bytes(head + 16, kHeadBytes - 16)); }

/// The ring of `tail` as the file of one segment: reading wraps around. Nothing is written through it.
class RingView : public File {
 public:
  RingView(File& tail, std::int64_t ring_bytes, Position first) : tail_(tail), ring_bytes_(ring_bytes), first_(first) {}

  Result<std::size_t> read_at(std::int64_t at, MutableBytes out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const Position position = first_ + at - kSegmentHeaderBytes + static_cast<Position>(done);
      const std::int64_t index = position & (ring_bytes_ - 1);
      const auto n = static_cast<std::size_t>(std::min(static_cast<std::int64_t>(out.size() - done), ring_bytes_ - index));
      HM_TRY(const std::size_t, got, tail_.read_at(kRingAt + index, out.subspan(done, n)));
      done += got;
      if (got < n) break;
    }
    return done;
  }
  Status write_at(std::int64_t, Bytes) override { return refused(); }
  Status write_at(std::int64_t, Bytes, Bytes) override { return refused(); }
  Status sync() override { return refused(); }
  Status allocate(std::int64_t) override { return refused(); }
  Result<std::int64_t> size() override { return tail_.size(); }
  bool direct() const override { return false; }

 private:
  static Status refused() { return Error{ErrorCode::Io, std::string(kTailName) + ": only to be read"}; }

  File& tail_;
  const std::int64_t ring_bytes_;
  const Position first_;
};

}  // namespace

TailFile::~TailFile() {
  if (head_) ::munmap(head_, static_cast<std::size_t>(kRingAt));
}

Result<std::unique_ptr<TailFile>> TailFile::create(Disk& disk, const StoreId& store_id, std::int64_t ring_bytes, MirrorRing& ring) {
  HM_TRY(const OwnedFd, fd, disk.create_mappable(std::string(kTailName), kRingAt + ring_bytes));
  auto tail = std::make_unique<TailFile>();
  void* const head = ::mmap(nullptr, static_cast<std::size_t>(kRingAt), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (head == MAP_FAILED) return Error{ErrorCode::Io, std::string(kTailName) + ": mmap: " + std::strerror(errno)};
  tail->head_ = static_cast<std::byte*>(head);
  HM_TRY_STATUS(ring.map_file(fd.get(), kRingAt, ring_bytes));
  std::byte* p = tail->head_;
  std::memcpy(p, kMagic.data(), kMagic.size());
  store_le(p + 8, kVersion);
  std::memcpy(p + 16, store_id.data(), store_id.size());
  store_le(p + 32, ring_bytes);
  store_le(p + 12, head_crc(p));
  return tail;
}

void TailFile::note_segment(const SegmentHeader& header) {
  const std::int64_t at = segment_at_byte(noted_++ % kTailSegments);
  encode_segment_header(header, MutableBytes(head_ + at, static_cast<std::size_t>(kBlockBytes)));
}

std::string name_in_tail(const SegmentHeader& segment) { return std::string(kTailName) + ", for " + segment_name(segment.first); }

Result<std::unique_ptr<LeftTail>> LeftTail::open(Disk& disk, const StoreId& store_id, SecondReading& second) {
  HM_TRY(const auto, names, disk.list());
  if (std::find(names.begin(), names.end(), kTailName) == names.end()) return std::unique_ptr<LeftTail>();
  HM_TRY(auto, file, disk.open(std::string(kTailName), OpenMode::Read, Caching::Cached));
  std::array<std::byte, kHeadBytes> head{};
  HM_TRY(const std::size_t, got, second.read(*file, std::string(kTailName), 0, head));
  HM_TRY(const std::int64_t, bytes, file->size());
  const auto ring_bytes = load_le<std::int64_t>(head.data() + 32);
  const bool ours = got == kHeadBytes && as_text(Bytes(head).first(kMagic.size())) == kMagic && load_le<std::uint32_t>(head.data() + 8) == kVersion &&
                    load_le<std::uint32_t>(head.data() + 12) == head_crc(head.data()) &&
                    std::memcmp(head.data() + 16, store_id.data(), store_id.size()) == 0;
  const bool whole = ring_bytes >= kBlockBytes && ring_bytes <= kRingBytesMax && std::has_single_bit(static_cast<std::uint64_t>(ring_bytes)) &&
                     bytes >= kRingAt + ring_bytes;
  if (!ours || !whole) return std::unique_ptr<LeftTail>();
  auto left = std::make_unique<LeftTail>();
  left->file_ = std::move(file);
  left->ring_bytes_ = ring_bytes;
  return left;
}

std::unique_ptr<File> LeftTail::as_segment(const SegmentHeader& segment) const {
  return std::make_unique<RingView>(*file_, ring_bytes_, segment.first);
}

Result<std::optional<SegmentHeader>> LeftTail::segment_at(Position first, SecondReading& second) const {
  std::array<std::byte, static_cast<std::size_t>(kBlockBytes)> block;
  for (std::size_t slot = 0; slot < kTailSegments; slot++) {
    HM_TRY(const std::size_t, got, second.read(*file_, std::string(kTailName), segment_at_byte(slot), block));
    if (got < block.size()) break;
    const Result<SegmentHeader> header = decode_segment_header(block);
    if (header.ok() && header->first == first) return std::optional(*header);
  }
  return std::optional<SegmentHeader>{};
}

}  // namespace halfmoon::storage
