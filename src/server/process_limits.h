// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace halfmoon::server {

/// Raises the limit of open files as far as this user may, and returns how many connections it leaves room for, at most `connections_wanted`.
/// The kernel's table of descriptors is made large enough for them: call it before there are other threads.
/// Errors: Io, when fewer than 256 files may be open. A warning when it had to be less than wanted.
Result<std::int64_t> raise_file_limit(std::int64_t connections_wanted, std::vector<std::string>& warnings);

}  // namespace halfmoon::server
