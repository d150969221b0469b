// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "storage/disk.h"

namespace halfmoon::storage {

/// A file descriptor that closes itself.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

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
