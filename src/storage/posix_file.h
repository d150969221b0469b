// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <memory>
#include <string>

#include "storage/async_reads.h"
#include "storage/begun_writes.h"
#include "storage/disk.h"
#include "storage/owned_fd.h"

namespace halfmoon::storage {

/// Makes a system call that a signal may interrupt (-1 and EINTR) until none does. Not for syncs: one that failed may have forgotten its pages.
template <class F>
auto until_not_interrupted(F call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

/// errno as an Error: DiskFull for ENOSPC and EDQUOT, else Io; the text names path, call and reason.
Error failed_call(const std::string& path, const char* call);

/// A File of the operating system, for PosixDisk.
struct PosixOpen {
  int directory = -1;   // the open directory that `name` is in
  std::string path;     // for messages
  std::string name;
  OpenMode mode = OpenMode::Read;
  Caching caching = Caching::Cached;
  std::shared_ptr<AsyncReads> async = {};   // what its begin_read uses; null: reads at once
  std::shared_ptr<BegunWrites> begun = nullptr;   // for begin_write; may be null
};
Result<std::unique_ptr<File>> open_posix_file(const PosixOpen& how);

}  // namespace halfmoon::storage
