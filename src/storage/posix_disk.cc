// SPDX-License-Identifier: Apache-2.0
#include "storage/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "storage/async_reads.h"
#include "storage/posix_file.h"

namespace halfmoon::storage {
namespace {

constexpr const char* kMarker = "halfmoon-store";
constexpr const char* kLock = "lock";
constexpr std::string_view kMarkerText = "This directory is a Halfmoon broker's store (format 1). Remove single files by its tools only.\n";

enum class Access : std::uint8_t { Exclusive, ReadOnly };

class PosixDisk : public Disk {
 public:
  PosixDisk(std::string path, OwnedFd directory, OwnedFd lock, Access access)
      : path_(std::move(path)), directory_(std::move(directory)), lock_(std::move(lock)), access_(access) {}

  Result<std::unique_ptr<File>> open(const std::string& name, OpenMode mode, Caching caching) override {
    if (access_ == Access::ReadOnly && mode != OpenMode::Read) {
      return Error{ErrorCode::Io, path_ + "/" + name + ": opened for writing in a directory that is only being looked at"};
    }
    return open_posix_file({.directory = directory_.get(), .path = path_ + "/" + name, .name = name, .mode = mode, .caching = caching, .async = async_, .begun = begun_});
  }

  Result<OwnedFd> create_mappable(const std::string& name, std::int64_t bytes) override;
  Result<std::vector<std::string>> list() override;

  Status rename(const std::string& from, const std::string& to) override {
    if (until_not_interrupted([&] { return ::renameat(directory_.get(), from.c_str(), directory_.get(), to.c_str()); }) != 0) return failed_call(path_ + "/" + from, "rename");
    return Done{};
  }
  Status remove(const std::string& name) override {
    if (until_not_interrupted([&] { return ::unlinkat(directory_.get(), name.c_str(), 0); }) != 0) return failed_call(path_ + "/" + name, "unlink");
    return Done{};
  }
  Status sync_directory() override {
    if (::fsync(directory_.get()) != 0) return failed_call(path_, "fsync");
    return Done{};
  }
  Result<Space> space() override {
    struct statvfs fs {};
    if (until_not_interrupted([&] { return ::fstatvfs(directory_.get(), &fs); }) != 0) return failed_call(path_, "statvfs");
    const auto block = static_cast<std::int64_t>(fs.f_frsize);
    return Space{.free_bytes = static_cast<std::int64_t>(fs.f_bavail) * block,
                 .total_bytes = static_cast<std::int64_t>(fs.f_blocks) * block};
  }

 private:
  const std::string path_;
  const OwnedFd directory_;
  const OwnedFd lock_;  // flock: the kernel lets go of it with the process, however that ends
  const Access access_;
  const std::shared_ptr<AsyncReads> async_ = AsyncReads::make();
  const std::shared_ptr<BegunWrites> begun_ = std::make_shared<BegunWrites>();   // for the segment that is zeroed: nobody else begins one
};

/// All entries but . and .., sorted.
Result<std::vector<std::string>> entries_of(int directory, const std::string& path) {
  // Of its own: a DIR owns its position.
  const int fd = until_not_interrupted([&] { return ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return failed_call(path, "open");
  DIR* dir = nullptr;
  do dir = ::fdopendir(fd);  // it looks what `fd` is
  while (!dir && errno == EINTR);
  if (!dir) {
    ::close(fd);
    return failed_call(path, "opendir");
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(dir);
  errno = error;
  if (error != 0) return failed_call(path, "readdir");
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::string>> PosixDisk::list() {
  HM_TRY(auto, names, entries_of(directory_.get(), path_));
  std::vector<std::string> files;
  for (std::string& name : names) {
    struct stat info {};
    if (until_not_interrupted([&] { return ::fstatat(directory_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW); }) != 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      return failed_call(path_ + "/" + name, "stat");  // left out, the newest segment would be an end of the log
    }
    if (S_ISREG(info.st_mode) && name != kMarker && name != kLock) files.push_back(std::move(name));
  }
  return files;
}

Result<OwnedFd> PosixDisk::create_mappable(const std::string& name, std::int64_t bytes) {
  const std::string path = path_ + "/" + name;
  if (access_ == Access::ReadOnly) return Error{ErrorCode::Io, path + ": made in a directory that is only being looked at"};
  // Not truncated: somebody may still have the old one mapped, and would be killed by a signal where it became shorter.
  if (until_not_interrupted([&] { return ::unlinkat(directory_.get(), name.c_str(), 0); }) != 0 && errno != ENOENT) return failed_call(path, "unlink");
  OwnedFd fd(until_not_interrupted([&] { return ::openat(directory_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640); }));
  if (fd.get() < 0) return failed_call(path, "open");
  // Blocks, not a hole: a store into a hole of a full disk would kill the process.
  if (until_not_interrupted([&] { return ::fallocate(fd.get(), 0, 0, bytes); }) == 0) return fd;
  const Error error = failed_call(path, "fallocate");
  ::unlinkat(directory_.get(), name.c_str(), 0);
  return error;
}

/// mkdir -p. New directories are durable in their parents.
Status make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) == 0) {
    const std::size_t slash = path.find_last_of('/');
    const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const OwnedFd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0 || ::fsync(fd.get()) != 0) return failed_call(parent, "fsync");
    return Done{};
  }
  if (errno == EEXIST) return Done{};
  const std::size_t slash = path.find_last_of('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) return failed_call(path, "mkdir");
  HM_TRY_STATUS(make_directory(path.substr(0, slash)));
  return make_directory(path);
}

Result<OwnedFd> open_directory(const std::string& path) {
  OwnedFd fd(until_not_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (fd.get() < 0) return failed_call(path, "open");
  return fd;
}

enum class Kind : std::uint8_t { Store, Empty };

/// Whether the directory is a store or may become one. Changes nothing.
Result<Kind> kind_of(int directory, const std::string& path) {
  HM_TRY(const auto, names, entries_of(directory, path));
  if (std::find(names.begin(), names.end(), kMarker) != names.end()) return Kind::Store;
  for (const std::string& name : names) {
    if (name == kLock || name == "lost+found") continue;
    return Error{ErrorCode::InvalidArgument,
                 path + " holds files that are not a Halfmoon store (for example " + name +
                     "); nothing has been touched: set storePathRootDir to an empty or a new directory"};
  }
  return Kind::Empty;
}

Result<OwnedFd> take_lock(int directory, const std::string& path) {
  OwnedFd fd(until_not_interrupted([&] { return ::openat(directory, kLock, O_RDWR | O_CREAT | O_CLOEXEC, 0640); }));
  if (fd.get() < 0) return failed_call(path + "/" + kLock, "open");
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return failed_call(path + "/" + kLock, "flock");
    return Error{ErrorCode::Locked, path + " is in use by another process; stop that broker, or set another storePathRootDir"};
  }
  return fd;
}

Status write_marker(int directory, const std::string& path) {
  HM_TRY(const auto, file, open_posix_file({.directory = directory, .path = path + "/" + kMarker, .name = kMarker,
                                            .mode = OpenMode::CreateOrOpen, .caching = Caching::Cached}));
  HM_TRY_STATUS(file->write_at(0, as_bytes(kMarkerText)));
  HM_TRY_STATUS(file->sync());
  if (::fsync(directory) != 0) return failed_call(path, "fsync");
  return Done{};
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

Result<std::unique_ptr<Disk>> open_posix_disk(const std::string& given) {
  const std::string path = without_trailing_slashes(given);
  if (path.empty()) return Error{ErrorCode::InvalidArgument, "the data directory has no name; set storePathRootDir"};
  HM_TRY_STATUS(make_directory(path));
  HM_TRY(OwnedFd, directory, open_directory(path));
  HM_TRY(const Kind, kind, kind_of(directory.get(), path));
  HM_TRY(OwnedFd, lock, take_lock(directory.get(), path));
  if (kind == Kind::Empty) HM_TRY_STATUS(write_marker(directory.get(), path));
  return std::unique_ptr<Disk>(std::make_unique<PosixDisk>(path, std::move(directory), std::move(lock), Access::Exclusive));
}

Result<std::unique_ptr<Disk>> open_posix_disk_read_only(const std::string& given) {
  const std::string path = without_trailing_slashes(given);
  HM_TRY(OwnedFd, directory, open_directory(path));
  HM_TRY(const Kind, kind, kind_of(directory.get(), path));
  if (kind != Kind::Store) return Error{ErrorCode::InvalidArgument, path + " is empty: there is no Halfmoon store in it"};
  return std::unique_ptr<Disk>(std::make_unique<PosixDisk>(path, std::move(directory), OwnedFd(), Access::ReadOnly));
}

}  // namespace halfmoon::storage
