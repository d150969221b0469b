// SPDX-License-Identifier: Apache-2.0
#include "storage/record_format.h"

#include <cstring>

#include "base/crc.h"

namespace halfmoon::storage {

RecordSeed::RecordSeed(std::uint64_t salt) {
  std::byte bytes[8];
  store_le(bytes, salt);
  of_salt_ = crc32c(bytes);
}

std::uint32_t RecordSeed::at(Position position) const {
  std::byte bytes[8];
  store_le(bytes, position);
  return crc32c(bytes, of_salt_);
}

RecordHeader load_record_header(const std::byte* at) {
  return {.crc = load_le<std::uint32_t>(at),
          .length = load_le<std::uint32_t>(at + 4),
          .epoch = load_le<std::uint32_t>(at + 8),
          .type = load_le<std::uint8_t>(at + 12),
          .version = load_le<std::uint8_t>(at + 13),
          .flags = load_le<std::uint16_t>(at + 14)};
}

void seal_record(std::byte* at, const RecordSeal& seal) {
  const std::int64_t used = kRecordHeaderBytes + seal.length;
  std::memset(at + used, 0, static_cast<std::size_t>(record_bytes(seal.length) - used));
  store_le(at + 4, seal.length);
  store_le(at + 8, seal.epoch);
  store_le(at + 12, static_cast<std::uint8_t>(seal.type));
  store_le(at + 13, std::uint8_t{0});
  store_le(at + 14, std::uint16_t{0});
  store_le(at, crc32c({at + 4, static_cast<std::size_t>(used - 4)}, seal.seed));
}

bool record_valid(const std::byte* at, const RecordHeader& header, std::uint32_t seed) {
  return header.plausible() &&
         crc32c({at + 4, static_cast<std::size_t>(kRecordHeaderBytes + header.length - 4)}, seed) == header.crc;
}

void store_batch_payload(std::byte* at, const BatchHeader& batch) {
  store_le(at, batch.batch_bytes);
  store_le(at + 4, batch.record_count);
  store_le(at + 8, batch.durable_before);
  store_le(at + 16, batch.wall_ms);
}

std::optional<BatchHeader> load_batch_header(const std::byte* at, std::uint32_t seed) {
  const RecordHeader header = load_record_header(at);
  if (header.type != static_cast<std::uint8_t>(RecordType::Batch) || header.length != kBatchPayloadBytes) return std::nullopt;
  if (!record_valid(at, header, seed)) return std::nullopt;
  const std::byte* p = at + kRecordHeaderBytes;
  return BatchHeader{.batch_bytes = load_le<std::uint32_t>(p),
                     .record_count = load_le<std::uint32_t>(p + 4),
                     .durable_before = load_le<Position>(p + 8),
                     .wall_ms = load_le<std::int64_t>(p + 16)};
}

}  // namespace halfmoon::storage
