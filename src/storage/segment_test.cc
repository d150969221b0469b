// SPDX-License-Identifier: Apache-2.0
// The on-disk layouts: segment header, names, records, batches; the ring's double mapping.
#include "storage/segment.h"

#include <gtest/gtest.h>

#include <cstring>

#include "storage/mirror_ring.h"
#include "storage/record_format.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

TEST(SegmentFormat, HeaderSurvivesAndEveryFlippedBitIsNoticed) {
  const SegmentHeader header{.store_id = {std::byte{1}, std::byte{2}}, .salt = 0xABCDEF0123456789u, .first = 1 << 20, .capacity = 64 << 10,
                             .previous_end = (1 << 20) - 48, .epoch = 3, .created_wall_ms = 1'700'000'000'000};
  AlignedBuffer block(kBlockBytes);
  encode_segment_header(header, block.first(kBlockBytes));
  const auto decoded = decode_segment_header(block.first(kBlockBytes));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->store_id, header.store_id);
  EXPECT_EQ(decoded->salt, header.salt);
  EXPECT_EQ(decoded->first, header.first);
  EXPECT_EQ(decoded->capacity, header.capacity);
  EXPECT_EQ(decoded->previous_end, header.previous_end);
  EXPECT_EQ(decoded->epoch, header.epoch);
  EXPECT_EQ(decoded->created_wall_ms, header.created_wall_ms);
  for (std::size_t i = 0; i < static_cast<std::size_t>(kBlockBytes); i++) {
    block.data()[i] ^= std::byte{0x40};
    EXPECT_FALSE(decode_segment_header(block.first(kBlockBytes)).ok()) << i;
    block.data()[i] ^= std::byte{0x40};
  }
}

TEST(SegmentFormat, TheHeaderOnDiskIsWhatThePageSays) {
  AlignedBuffer block(kBlockBytes);
  encode_segment_header({.salt = 7, .first = 4096, .capacity = 8192, .previous_end = 4000, .epoch = 2, .created_wall_ms = 5},
                        block.first(kBlockBytes));
  const std::byte* p = block.data();
  EXPECT_EQ(as_text(block.first(8)), "HMLOGSEG");
  EXPECT_EQ(load_le<std::uint32_t>(p + 8), 1u);
  EXPECT_EQ(load_le<std::uint64_t>(p + 32), 7u);
  EXPECT_EQ(load_le<std::int64_t>(p + 40), 4096);
  EXPECT_EQ(load_le<std::int64_t>(p + 48), 8192);
  EXPECT_EQ(load_le<std::int64_t>(p + 56), 4000);
  EXPECT_EQ(load_le<std::uint32_t>(p + 64), 2u);
  EXPECT_EQ(load_le<std::int64_t>(p + 72), 5);
}

TEST(SegmentFormat, Names) {
  EXPECT_EQ(segment_name(0), "00000000000000000000.seg");
  EXPECT_EQ(segment_name(INT64_MAX), "09223372036854775807.seg");
  EXPECT_EQ(segment_position("00000000000000016384.seg"), 16384);
  for (const char* name : {"16384.seg", "00000000000000016384.tmp", "0000000000000001638x.seg", "-0000000000000016384.seg",
                           "99999999999999999999.seg", "00000000000000016384.seg.tmp", ""}) {
    EXPECT_FALSE(segment_position(name)) << name;
  }
}

TEST(SegmentFormat, APreparedSegmentIsDurableZerosUnderItsName) {
  testkit::SimDisk disk;
  ASSERT_TRUE(prepare_segment(disk, {.name = segment_name(0), .capacity = 3 << 20, .caching = Caching::Direct}).ok());
  const auto image = disk.image();
  ASSERT_EQ(image.size(), 1u);
  EXPECT_EQ(image.at(segment_name(0)), std::string(4096 + (3 << 20), '\0'));
}

TEST(SegmentFormat, WhereNobodyWaitsForWritesTheZerosAreNotWritten) {
  testkit::SimDisk disk;
  ASSERT_TRUE(prepare_segment(disk, {.name = segment_name(0), .capacity = 3 << 20, .fill = SegmentPreparation::Fill::Allocated}).ok());
  EXPECT_EQ(disk.calls(testkit::SimDisk::Call::Write), 0);
  EXPECT_EQ(disk.image().at(segment_name(0)), std::string(4096 + (3 << 20), '\0'));
}

TEST(RecordFormat, SizesAreMultiplesOfEight) {
  EXPECT_EQ(record_bytes(0), 16);
  EXPECT_EQ(record_bytes(1), 24);
  EXPECT_EQ(record_bytes(8), 24);
  EXPECT_EQ(record_bytes(9), 32);
}

TEST(RecordFormat, ARecordValidatesAtItsPositionInItsSegmentOnly) {
  alignas(8) std::byte record[32];
  std::memset(record, 0xEE, sizeof record);
  std::memcpy(record + 16, "payload", 7);
  const RecordSeed seed(42);
  seal_record(record, {.type = RecordType::Message, .length = 7, .epoch = 1, .seed = seed.at(4096)});
  const RecordHeader header = load_record_header(record);
  EXPECT_EQ(header.length, 7u);
  EXPECT_EQ(header.type, 2);
  EXPECT_EQ(record[23], std::byte{0});     // padding
  EXPECT_EQ(record[24], std::byte{0xEE});  // not ours
  EXPECT_TRUE(record_valid(record, header, seed.at(4096)));
  EXPECT_FALSE(record_valid(record, header, seed.at(4104)));
  EXPECT_FALSE(record_valid(record, header, RecordSeed(43).at(4096)));
}

TEST(RecordFormat, ZeroedSpaceIsNoRecord) {
  const std::byte zeros[40]{};
  EXPECT_FALSE(load_record_header(zeros).plausible());
  EXPECT_FALSE(load_batch_header(zeros, 0));
}

TEST(MirrorRing, EveryPlaceIsContiguous) {
  MirrorRing ring;
  ASSERT_TRUE(ring.map(64 << 10).ok());
  std::memcpy(ring.at((64 << 10) - 4), "12345678", 8);
  EXPECT_EQ(std::memcmp(ring.at(0), "5678", 4), 0);
  EXPECT_EQ(std::memcmp(ring.at((10 * 64 << 10) - 4), "12345678", 8), 0);
  std::memset(ring.at(4096), 7, 64 << 10);
  EXPECT_EQ(*ring.at(4095), std::byte{7});
}

}  // namespace
}  // namespace halfmoon::storage
