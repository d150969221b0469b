// SPDX-License-Identifier: Apache-2.0
#include "runtime/shared_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace halfmoon::runtime {
namespace {

#ifndef MFD_NOEXEC_SEAL
constexpr unsigned MFD_NOEXEC_SEAL = 8;
#endif

int file_in_memory() {
  const int fd = ::memfd_create("halfmoon-shared-bytes", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  return fd < 0 && errno == EINVAL ? ::memfd_create("halfmoon-shared-bytes", MFD_CLOEXEC) : fd;  // kernels before 6.3
}

}  // namespace

std::shared_ptr<const SharedBytes> SharedBytes::make(std::string_view bytes) {
  const int fd = file_in_memory();
  if (fd < 0) return nullptr;
  std::shared_ptr<const SharedBytes> made(new SharedBytes(fd, bytes.size()));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n > 0) done += static_cast<std::size_t>(n);
    else if (n == 0 || errno != EINTR) return nullptr;
  }
  return made;
}

SharedBytes::~SharedBytes() { ::close(fd_); }

void SharedBytes::append_to(std::string& out) const {
  const std::size_t before = out.size();
  out.resize(before + size_);
  for (std::size_t done = 0; done < size_;) {
    const ssize_t n = ::pread(fd_, out.data() + before + done, size_ - done, static_cast<off_t>(done));
    HM_CHECK(n > 0 || (n < 0 && errno == EINTR));
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

}  // namespace halfmoon::runtime
