// SPDX-License-Identifier: Apache-2.0
#include "storage/mirror_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "storage/owned_fd.h"

namespace halfmoon::storage {
namespace {

Error refused(const char* call) {
  return {ErrorCode::Io, std::string("memory for the log's tail: ") + call + ": " + std::strerror(errno)};
}

}  // namespace

MirrorRing::~MirrorRing() {
  if (base_) ::munmap(base_, static_cast<std::size_t>(bytes()) * 2);
}

Status MirrorRing::map(std::int64_t bytes) {
  const OwnedFd fd(::memfd_create("halfmoon-tail", MFD_CLOEXEC));
  if (fd.get() < 0) return refused("memfd_create");
  if (::ftruncate(fd.get(), bytes) != 0) return refused("ftruncate");
  return map_file(fd.get(), 0, bytes);
}

Status MirrorRing::map_file(int fd, std::int64_t offset, std::int64_t bytes) {
  HM_CHECK(base_ == nullptr && bytes >= 4096 && (bytes & (bytes - 1)) == 0 && offset % 4096 == 0);
  const auto n = static_cast<std::size_t>(bytes);
  void* const both = ::mmap(nullptr, 2 * n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (both == MAP_FAILED) return refused("mmap");
  for (std::byte* half : {static_cast<std::byte*>(both), static_cast<std::byte*>(both) + n}) {
    if (::mmap(half, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) != MAP_FAILED) continue;
    const Error error = refused("mmap");
    ::munmap(both, 2 * n);
    return error;
  }
  ::madvise(both, 2 * n, MADV_DONTDUMP);  // message bodies have no place in a core dump
  // Of a file: the first touch of a page brings in that page. Read-ahead would zero 8 MiB at once, and somebody wait 25 ms for it.
  ::madvise(both, 2 * n, MADV_RANDOM);
  base_ = static_cast<std::byte*>(both);
  mask_ = bytes - 1;
  return Done{};
}

}  // namespace halfmoon::storage
