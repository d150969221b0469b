// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "storage/owned_fd.h"

namespace halfmoon::storage {

enum class OpenMode : std::uint8_t {
  Read,           // must exist
  ReadWrite,      // must exist
  CreateNew,      // must not exist
  CreateOrOpen,
};

/// Whether reads and writes go through the operating system's page cache. Direct asks for O_DIRECT: addresses, lengths and file
/// positions are then multiples of 4096; where the file system cannot, the file opens Cached and `direct()` says so.
enum class Caching : std::uint8_t { Cached, Direct };

/// The patience of who waits as long as it takes; any that is negative means that.
inline constexpr std::int64_t kForEver = -1;

/// A read that may still be under way. Its memory and its file outlive it; destroying it waits for its end.
class PendingRead {
 public:
  virtual ~PendingRead() = default;
  /// Waits for its end, once; as File::read_at.
  virtual Result<std::size_t> wait() = 0;
  /// Whether wait() need not wait for the disk any more; gives it `patience_ns` to get there.
  virtual bool there(std::int64_t /*patience_ns*/) { return true; }
};

/// An open file. Reads may come from any thread; writes from one at a time; a sync may overlap them (it then says nothing of the
/// writes it overlaps). Errors: Io, DiskFull (allocate, write).
class File {
 public:
  virtual ~File() = default;
  /// Reads up to out.size() bytes at `at`; fewer only at the end of the file. Retries EINTR and short reads itself.
  virtual Result<std::size_t> read_at(std::int64_t at, MutableBytes out) = 0;
  /// Writes all of `bytes` at `at`, or fails. Retries EINTR and short writes itself.
  virtual Status write_at(std::int64_t at, Bytes bytes) = 0;
  /// The same for two pieces of memory that stand one behind the other in the file: one system call, no copying together.
  virtual Status write_at(std::int64_t at, Bytes first, Bytes second) = 0;
  /// Begins what write_at does and does not wait for the disk: true if the write is under way now. Until it has ended, its bytes stay as they are, nothing else
  /// is written to the file, and a sync says nothing of it. False: not possible here; nothing was done. One at a time a disk. Closing the file waits for it.
  virtual Result<bool> begin_write(std::int64_t /*at*/, Bytes /*bytes*/) { return false; }
  enum class Look : std::uint8_t { Now, Wait };
  /// Whether the begun write has ended, as if write_at had returned; its error, once. Only while one is under way.
  virtual Result<bool> write_ended(Look /*look*/) { return true; }
  /// Returns when the data written before is on stable storage (fdatasync).
  virtual Status sync() = 0;
  /// Makes the file `bytes` long with blocks allocated (fallocate), or fails with DiskFull and leaves it as it was.
  virtual Status allocate(std::int64_t bytes) = 0;
  virtual Result<std::int64_t> size() = 0;
  virtual bool direct() const = 0;
  /// Begins what read_at does, and returns at once where the system can: the disk works while the caller does something else.
  virtual std::unique_ptr<PendingRead> begin_read(std::int64_t at, MutableBytes out);
};

/// The data directory as the log sees it: a port, so that tests can lose writes, tear sectors and fill the disk. File names are
/// relative, without sub-directories. A created, renamed or removed name is durable after sync_directory().
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& name, OpenMode mode, Caching caching) = 0;
  /// Makes the file anew (in place of one of that name), `bytes` long, zeros, with blocks allocated, to be mapped into memory shared: what is stored
  /// there outlives the process, as if written; not the machine. Errors: DiskFull, Io.
  virtual Result<OwnedFd> create_mappable(const std::string& name, std::int64_t bytes) = 0;
  virtual Result<std::vector<std::string>> list() = 0;  // sorted
  virtual Status rename(const std::string& from, const std::string& to) = 0;  // replaces `to`, atomically
  virtual Status remove(const std::string& name) = 0;
  virtual Status sync_directory() = 0;
  /// Bytes that can still be allocated, and the size of the file system.
  struct Space { std::int64_t free_bytes; std::int64_t total_bytes; };
  virtual Result<Space> space() = 0;
};

}  // namespace halfmoon::storage
