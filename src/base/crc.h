// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace halfmoon {

/// CRC-32C (Castagnoli) of `bytes`, continuing from `seed` (0 to begin): the checksum of our own files. Uses SSE4.2 where the
/// processor has it.
std::uint32_t crc32c(Bytes bytes, std::uint32_t seed = 0);

/// CRC-32 (IEEE, as zlib's): what RocketMQ's message records carry for the body, there masked to 31 bits.
std::uint32_t crc32_ieee(Bytes bytes);

}  // namespace halfmoon
