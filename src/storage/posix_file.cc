// SPDX-License-Identifier: Apache-2.0
#include "storage/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace halfmoon::storage {
namespace {

class PosixFile : public File {
 public:
  PosixFile(OwnedFd fd, const PosixOpen& how, bool direct) : fd_(std::move(fd)), path_(how.path), direct_(direct), async_(how.async), begun_(how.begun) {}
  ~PosixFile() override {
    if (under_way_) static_cast<void>(begun_->result(BegunWrites::Look::Wait));
  }

  Result<std::size_t> read_at(std::int64_t at, MutableBytes out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(fd_.get(), out.data() + done, out.size() - done, at + static_cast<std::int64_t>(done));
      if (n == 0) break;
      if (n > 0) done += static_cast<std::size_t>(n);
      else if (!go_on()) return failed_call(path_, "read");
    }
    return done;
  }

  Status write_at(std::int64_t at, Bytes bytes) override { return write_at(at, bytes, {}); }

  Status write_at(std::int64_t at, Bytes first, Bytes second) override {
    while (!first.empty() || !second.empty()) {
      const std::array<iovec, 2> parts{part(first), part(second)};
      const ssize_t n = ::pwritev(fd_.get(), parts.data(), static_cast<int>(parts.size()), at);
      if (n <= 0) {
        if (n == 0) errno = EIO;  // never seen, but must not turn for ever
        if (!go_on()) return failed_call(path_, "write");
        continue;
      }
      const auto done = static_cast<std::size_t>(n);
      at += n;
      const std::size_t of_first = std::min(done, first.size());
      first = first.subspan(of_first);
      second = second.subspan(done - of_first);
    }
    return Done{};
  }

  Result<bool> begin_write(std::int64_t at, Bytes bytes) override {
    if (!begun_ || !direct()) return false;   // through the page cache the kernel would wait
    if (!begun_->begin({.fd = fd_.get(), .at = at, .bytes = bytes})) return false;
    under_way_ = UnderWay{.at = at, .bytes = bytes};
    return true;
  }

  Result<bool> write_ended(Look look) override {
    const std::optional<std::int64_t> result = begun_->result(look == Look::Wait ? BegunWrites::Look::Wait : BegunWrites::Look::Now);
    if (!result) return false;
    const UnderWay write = *std::exchange(under_way_, std::nullopt);
    if (*result < 0) {
      errno = static_cast<int>(-*result);
      if (!go_on()) return failed_call(path_, "write");
    }
    // What is left of a short one, or all of it where the file system takes no O_DIRECT after all.
    const auto done = static_cast<std::size_t>(std::max<std::int64_t>(*result, 0));
    HM_TRY_STATUS(write_at(write.at + static_cast<std::int64_t>(done), write.bytes.subspan(done)));
    return true;
  }

  Status sync() override {
    // Not again after EINTR: a sync that failed may have forgotten its pages (docs/formats/log.md).
    if (::fdatasync(fd_.get()) != 0) return failed_call(path_, "fdatasync");
    return Done{};
  }

  Status allocate(std::int64_t bytes) override {
    HM_TRY(const std::int64_t, before, size());
    int error = 0;
    do error = ::posix_fallocate(fd_.get(), 0, bytes);
    while (error == EINTR);
    if (error == 0) return Done{};
    if (until_not_interrupted([&] { return ::ftruncate(fd_.get(), before); }) != 0) return failed_call(path_, "ftruncate");
    errno = error;
    return failed_call(path_, "fallocate");
  }

  Result<std::int64_t> size() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return failed_call(path_, "fstat");
    return static_cast<std::int64_t>(info.st_size);
  }

  bool direct() const override { return direct_.load(std::memory_order_relaxed); }

  std::unique_ptr<PendingRead> begin_read(std::int64_t at, MutableBytes out) override {
    return async_ ? async_->begin(*this, fd_.get(), at, out) : File::begin_read(at, out);
  }

 private:
  static iovec part(Bytes bytes) {
    return {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};  // NOLINT: writing does not change it
  }
  /// After a failed read or write: whether to try once more. Some file systems take O_DIRECT when opening and refuse it later
  /// (EINVAL), as does a short transfer's rest that is not aligned: from then on the file is Cached.
  bool go_on() {
    if (errno == EINTR) return true;
    if (errno != EINVAL || !direct_.exchange(false)) return false;
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    return flags >= 0 && ::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) == 0;
  }

  const OwnedFd fd_;
  const std::string path_;
  std::atomic<bool> direct_;
  const std::shared_ptr<AsyncReads> async_;
  const std::shared_ptr<BegunWrites> begun_;
  struct UnderWay {
    std::int64_t at = 0;
    Bytes bytes;
  };
  std::optional<UnderWay> under_way_;   // the writing thread's
};

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::Read: return O_RDONLY;
    case OpenMode::ReadWrite: return O_RDWR;
    case OpenMode::CreateNew: return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::CreateOrOpen: return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

int open_with(const PosixOpen& how, int extra) {
  return until_not_interrupted([&] { return ::openat(how.directory, how.name.c_str(), flags_of(how.mode) | O_CLOEXEC | O_NOFOLLOW | extra, 0640); });
}

}  // namespace

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) ::close(fd_);
}

Error failed_call(const std::string& path, const char* call) {
  const int error = errno;
  const ErrorCode code = error == ENOSPC || error == EDQUOT ? ErrorCode::DiskFull : ErrorCode::Io;
  return {code, path + ": " + call + ": " + std::strerror(error)};
}

Result<std::unique_ptr<File>> open_posix_file(const PosixOpen& how) {
  bool direct = how.caching == Caching::Direct;
  OwnedFd fd(open_with(how, direct ? O_DIRECT : 0));
  if (fd.get() < 0 && direct && errno == EINVAL) {
    direct = false;
    fd = OwnedFd(open_with(how, 0));
  }
  if (fd.get() < 0) return failed_call(how.path, "open");
  // Readers have their own read-ahead, which stays off blocks that are still to be written.
  if (how.mode == OpenMode::Read && !direct) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_RANDOM);
  return std::unique_ptr<File>(std::make_unique<PosixFile>(std::move(fd), how, direct));
}

}  // namespace halfmoon::storage
