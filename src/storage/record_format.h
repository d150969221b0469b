// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "storage/position.h"

namespace halfmoon::storage {

// Layout of records and batches, docs/formats/log.md.
//
//    0        4        8        12   13   14     16
//    | crc32c | length | epoch  |type|ver |flags | payload ... | zeros to 8 |

inline constexpr std::int64_t kRecordHeaderBytes = 16;
inline constexpr std::int64_t kBatchPayloadBytes = 24;
inline constexpr std::int64_t kBatchRecordBytes = kRecordHeaderBytes + kBatchPayloadBytes;
inline constexpr std::uint32_t kPayloadBytesMax = 32u << 20;

/// What a record with `payload` bytes takes in the log.
constexpr std::int64_t record_bytes(std::int64_t payload) { return kRecordHeaderBytes + ((payload + 7) & ~std::int64_t{7}); }

/// Seeds the checksums of one segment's records.
class RecordSeed {
 public:
  RecordSeed() = default;
  explicit RecordSeed(std::uint64_t salt);
  std::uint32_t at(Position position) const;

 private:
  std::uint32_t of_salt_ = 0;
};

struct RecordHeader {
  std::uint32_t crc = 0;
  std::uint32_t length = 0;
  std::uint32_t epoch = 0;
  std::uint8_t type = 0;
  std::uint8_t version = 0;
  std::uint16_t flags = 0;

  std::int64_t bytes() const { return record_bytes(length); }
  /// False: certainly not a record. True says little; the checksum decides.
  bool plausible() const { return type != 0 && version == 0 && flags == 0 && length <= kPayloadBytesMax; }
};

/// `at` holds at least 16 bytes.
RecordHeader load_record_header(const std::byte* at);

/// Writes the header of the record whose payload already stands at `at` + 16, and its padding.
struct RecordSeal {
  RecordType type{};
  std::uint32_t length = 0;
  std::uint32_t epoch = 0;
  std::uint32_t seed = 0;
};
void seal_record(std::byte* at, const RecordSeal& seal);

/// `at` holds the whole record.
bool record_valid(const std::byte* at, const RecordHeader& header, std::uint32_t seed);

struct BatchHeader {
  std::uint32_t batch_bytes = 0;  // after the BATCH record
  std::uint32_t record_count = 0;
  Position durable_before = 0;
  std::int64_t wall_ms = 0;
};
void store_batch_payload(std::byte* at, const BatchHeader& batch);

/// The BATCH record at `at` (40 bytes) if it is one and its checksum holds.
std::optional<BatchHeader> load_batch_header(const std::byte* at, std::uint32_t seed);

}  // namespace halfmoon::storage
