// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "base/bytes.h"
#include "storage/disk.h"

namespace halfmoon::storage {

/// Reads that the kernel does while the caller does something else (io_submit; the file is open with O_DIRECT, or the call itself reads). Any thread.
/// Where the kernel refuses, or a read does not bring all that was asked for, the wait for it does the whole read with read_at.
class AsyncReads : public std::enable_shared_from_this<AsyncReads> {
 public:
  /// The kernel is first asked when the first read begins.
  static std::shared_ptr<AsyncReads> make();
  ~AsyncReads();
  AsyncReads(const AsyncReads&) = delete;
  AsyncReads& operator=(const AsyncReads&) = delete;

  /// `fd`: `file`'s.
  std::unique_ptr<PendingRead> begin(File& file, int fd, std::int64_t at, MutableBytes out);

 private:
  class Pending;
  AsyncReads() = default;
  bool open();
  /// Whether it has been answered; waits for that, but no longer than `patience_ns` unless that is negative.
  bool wait(const Pending& read, std::int64_t patience_ns);

  std::once_flag opened_;
  unsigned long context_ = 0;   // the kernel's; 0: none
  std::mutex reaping_;          // one thread at a time takes the kernel's answers, everybody's
};

}  // namespace halfmoon::storage
