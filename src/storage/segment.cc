// SPDX-License-Identifier: Apache-2.0
#include "storage/segment.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/crc.h"

namespace halfmoon::storage {
namespace {

constexpr std::string_view kMagic = "HMLOGSEG";
constexpr std::uint32_t kVersion = 1;
constexpr std::int64_t kZeroPieceBytes = 1 << 20;
constexpr std::size_t kNameDigits = 20;
constexpr std::string_view kSuffix = ".seg";

std::uint32_t header_crc(Bytes block) { return crc32c(block.subspan(16)); }

Status fill_with_zeros(File& file, std::int64_t bytes) {
  AlignedBuffer zeros(std::min(kZeroPieceBytes, bytes));
  std::memset(zeros.data(), 0, static_cast<std::size_t>(zeros.capacity()));
  for (std::int64_t at = 0; at < bytes; at += zeros.capacity()) {
    HM_TRY_STATUS(file.write_at(at, zeros.first(std::min(zeros.capacity(), bytes - at))));
  }
  return Done{};
}

}  // namespace

void encode_segment_header(const SegmentHeader& header, MutableBytes block) {
  HM_CHECK(block.size() == static_cast<std::size_t>(kSegmentHeaderBytes));
  std::memset(block.data(), 0, block.size());
  std::byte* p = block.data();
  std::memcpy(p, kMagic.data(), kMagic.size());
  store_le(p + 8, kVersion);
  std::memcpy(p + 16, header.store_id.data(), header.store_id.size());
  store_le(p + 32, header.salt);
  store_le(p + 40, header.first);
  store_le(p + 48, header.capacity);
  store_le(p + 56, header.previous_end);
  store_le(p + 64, header.epoch);
  store_le(p + 72, header.created_wall_ms);
  store_le(p + 12, header_crc(block));
}

Result<SegmentHeader> decode_segment_header(Bytes block) {
  HM_CHECK(block.size() == static_cast<std::size_t>(kSegmentHeaderBytes));
  const std::byte* p = block.data();
  if (as_text(block.first(kMagic.size())) != kMagic) return Error{ErrorCode::Corrupt, "byte 0: not the header of a segment"};
  if (const auto version = load_le<std::uint32_t>(p + 8); version != kVersion) {
    return Error{ErrorCode::Corrupt, "byte 8: format version " + std::to_string(version) + ", this program reads " +
                                         std::to_string(kVersion) + "; use the program version that wrote it"};
  }
  if (load_le<std::uint32_t>(p + 12) != header_crc(block)) return Error{ErrorCode::Corrupt, "byte 12: the header's checksum is wrong"};
  SegmentHeader header;
  std::memcpy(header.store_id.data(), p + 16, header.store_id.size());
  header.salt = load_le<std::uint64_t>(p + 32);
  header.first = load_le<Position>(p + 40);
  header.capacity = load_le<std::int64_t>(p + 48);
  header.previous_end = load_le<Position>(p + 56);
  header.epoch = load_le<std::uint32_t>(p + 64);
  header.created_wall_ms = load_le<std::int64_t>(p + 72);
  const bool possible = header.first >= 0 && header.first % kBlockBytes == 0 && header.capacity > 0 &&
                        header.capacity % kBlockBytes == 0 && header.capacity <= (std::int64_t{1} << 40) &&
                        header.first < (std::int64_t{1} << 62);
  if (!possible) return Error{ErrorCode::Corrupt, "byte 40: impossible position or capacity"};
  return header;
}

std::string segment_name(Position first) {
  std::string digits = std::to_string(first);
  digits.insert(0, kNameDigits - std::min(kNameDigits, digits.size()), '0');
  return digits.append(kSuffix);
}

std::optional<Position> segment_position(std::string_view name) {
  if (name.size() != kNameDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  Position first = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kNameDigits, first);
  if (error != std::errc{} || end != name.data() + kNameDigits || first < 0) return std::nullopt;
  return first;
}

Status prepare_segment(Disk& disk, const SegmentPreparation& preparation) {
  const std::string temporary = preparation.name + ".tmp";
  const std::int64_t bytes = kSegmentHeaderBytes + preparation.capacity;
  HM_TRY(auto, file, disk.open(temporary, OpenMode::CreateOrOpen, preparation.caching));
  Status made = [&]() -> Status {
    HM_TRY_STATUS(file->allocate(bytes));
    if (preparation.fill == SegmentPreparation::Fill::Zeros) HM_TRY_STATUS(preparation.zero ? preparation.zero(*file, bytes) : fill_with_zeros(*file, bytes));
    HM_TRY_STATUS(file->sync());
    return Done{};
  }();
  file.reset();
  if (!made.ok()) {
    // Gives the space back. If that fails too, opening the log removes the file; the first error is the one that matters.
    static_cast<void>(disk.remove(temporary));
    return made;
  }
  HM_TRY_STATUS(disk.rename(temporary, preparation.name));
  return disk.sync_directory();
}

Result<Segment::Reader> Segment::reader(Disk& disk) {
  const std::lock_guard lock(mutex_);
  if (forgotten_) return Error{ErrorCode::NotFound, "segment " + name + " has been deleted"};
  if (reader_) return Reader{.file = reader_};
  HM_TRY(auto, file, disk.open(name, OpenMode::Read, Caching::Direct));
  reader_ = std::move(file);
  return Reader{.file = reader_, .opened_now = true};
}

void Segment::close_reader(Close close) {
  const std::lock_guard lock(mutex_);
  reader_.reset();
  if (close == Close::Forget) forgotten_ = true;
}

}  // namespace halfmoon::storage
