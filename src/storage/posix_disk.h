// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "storage/disk.h"

namespace halfmoon::storage {

/// The real Disk on directory `path`, which is created (mode 0750) if missing. Holds an exclusive flock on `<path>/lock` until it
/// is destroyed: a second broker on the same directory gets ErrorCode::Locked with the cure in the text. A directory that holds
/// files but no `halfmoon-store` marker is foreign and refused (InvalidArgument) untouched.
Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& path);

/// The same directory for reading only (dump, verify): takes no lock and creates nothing.
Result<std::unique_ptr<Disk>> open_posix_disk_read_only(const std::string& path);

}  // namespace halfmoon::storage
