// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "storage/disk.h"
#include "storage/owned_fd.h"

namespace halfmoon::storage {

/// errno as an Error: DiskFull for ENOSPC and EDQUOT, else Io; the text names path, call and reason.
Error failed_call(const std::string& path, const char* call);

/// A File of the operating system, for PosixDisk.
struct PosixOpen {
  int directory = -1;   // the open directory that `name` is in
  std::string path;     // for messages
  std::string name;
  OpenMode mode = OpenMode::Read;
  Caching caching = Caching::Cached;
};
Result<std::unique_ptr<File>> open_posix_file(const PosixOpen& how);

}  // namespace halfmoon::storage
