// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/remoting/frame.h"

namespace halfmoon::adapter {

/// The opaque of a header that could not be read, so that its sender can be told what is wrong instead of waiting for its timeout.
/// Looks no further than it must: the fixed place in a binary header, the text after the key "opaque" in JSON. nullopt: not found, or the
/// header says that it is a response or one-way.
std::optional<std::int32_t> opaque_of_broken_header(wire::SerializeType type, Bytes header);

}  // namespace halfmoon::adapter
