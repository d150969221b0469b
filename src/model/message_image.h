// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "model/host_address.h"

namespace halfmoon::model {

/// Bits of a message's sysFlag (remoting specification, 2.3).
namespace sys_flag {
inline constexpr std::int32_t kCompressed = 0x1;
inline constexpr std::int32_t kTransactionMask = 0xC;
inline constexpr std::int32_t kTransactionPrepared = 0x4;
inline constexpr std::int32_t kTransactionCommit = 0x8;
inline constexpr std::int32_t kTransactionRollback = 0xC;
inline constexpr std::int32_t kBornHostV6 = 0x10;
inline constexpr std::int32_t kStoreHostV6 = 0x20;
}  // namespace sys_flag

/// A message as it is stored, replicated and served: RocketMQ's V1 record, big-endian (remoting specification, 2.1). With IPv4 hosts:
///
///    0 total size | 4 magic | 8 body crc | 12 queue id | 16 flag | 20 queue offset (8) | 28 position (8) | 36 sysFlag
///   40 born time (8) | 48 born host 4+4 | 56 store time (8) | 64 store host 4+4 | 72 reconsume times | 76 prepared position (8)
///   84 body length, body | topic length (1), topic | properties length (2), properties
///
/// Hosts take 16+4 bytes where sysFlag says IPv6, and everything behind them moves.
struct MessageFields {
  std::uint32_t body_crc = 0;  // CRC-32 (IEEE) masked to 31 bits
  std::int32_t queue_id = 0;
  std::int32_t flag = 0;       // the application's
  std::int64_t queue_offset = 0;
  std::int64_t position = 0;
  std::int32_t sys_flag = 0;   // its two host bits are set by the encoder
  std::int64_t born_ms = 0;
  HostAddress born_host;
  std::int64_t store_ms = 0;
  HostAddress store_host;
  std::int32_t reconsume_times = 0;
  std::int64_t prepared_position = 0;
  std::string_view body;
  std::string_view topic;       // <= 127 bytes
  std::string_view properties;  // <= 32767 bytes
};

inline constexpr std::uint32_t kImageMagicV1 = 0xDAA320A7u;
inline constexpr std::size_t kTopicBytesMax = 127;
inline constexpr std::size_t kPropertiesBytesMax = 32767;

/// Bytes that encode_image writes for `fields`.
std::size_t image_size(const MessageFields& fields);
/// Writes the image to out.data(); out.size() is image_size(fields).
void encode_image(const MessageFields& fields, MutableBytes out);
/// Views into `image`; nullopt if it is none that encode_image can have written: lengths, magic, ports, checksum of 31 bits.
std::optional<MessageFields> decode_image(Bytes image);

/// Patches an encoded image in place.
void set_image_queue_offset(MutableBytes image, std::int64_t queue_offset);
void set_image_position(MutableBytes image, std::int64_t position);

/// RocketMQ's id of a stored message: upper-case hex of host address, port (i32) and position (i64); 32 digits, 56 with IPv6. Needs no
/// memory of its own.
class OffsetMessageId {
 public:
  OffsetMessageId(const HostAddress& store_host, std::int64_t position);
  std::string_view view() const { return {digits_.data(), size_}; }

 private:
  std::array<char, 56> digits_;
  std::size_t size_;
};
/// The same as text.
std::string offset_message_id(const HostAddress& store_host, std::int64_t position);
/// The position in such an id; nullopt if it is none.
std::optional<std::int64_t> position_of_message_id(std::string_view id);

}  // namespace halfmoon::model
