// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "storage/disk.h"

namespace halfmoon::testkit {

/// A data directory in memory that can lose what was not synced. Every 512-byte sector has a durable and a cached version;
/// directory entries are tracked apart from the files and are durable after sync_directory() only. A begun write reaches the cache when its end is
/// looked at (delay_begun_writes), or is left to the crash. Deterministic: what a crash
/// keeps depends on the given Random alone. Of a mapped file any page may have been written at any time, unasked; before that it was zeros.
/// Any thread may call it.
///
///   SimDisk disk;
///   disk.fail({.call = SimDisk::Call::Sync, .nth = 3});        // the third sync from now on fails
///   disk.crash(SimDisk::Loss::RandomSectors, random);          // handles are dead; open the log again on the same disk
class SimDisk : public storage::Disk {
 public:
  enum class Call : std::uint8_t { Open, Read, Write, Sync, Allocate, Rename, Remove, SyncDirectory, List, Size, BeginWrite, EndWrite };
  static constexpr std::size_t kCalls = 12;
  /// What a read that says it succeeded brings in place of the truth, in one sector of what it reads.
  enum class Lie : std::uint8_t {
    None,
    FlippedBit,
    Stale,          // what stood there before it was last written: remember_previous() first
    Misdirected,    // another sector of the file
  };

  struct Fault {
    std::optional<Call> call;                 // nullopt: any call that changes something (all but Read, and Open of what exists)
    std::int64_t nth = 1;                     // 1: the next one
    ErrorCode code = ErrorCode::Io;
    std::int64_t bytes_done = 0;              // a failing write does so much of its work
    enum class Repeat : std::uint8_t { Once, Forever } repeat = Repeat::Once;
    Lie lie = Lie::None;                      // of a read, which then does not fail
    std::uint64_t lie_sector = 0;             // modulo the sectors that are read
  };
  /// One call as it was made.
  struct Visit {
    Call call{};
    std::string_view file;                    // empty: the directory
    std::int64_t at = 0;                      // of a read or write
    bool creates = false;                     // an Open that made the file
    bool writable = false;                    // an Open for writing
    bool struck = false;                      // a fault was done to it
  };
  /// What a crash does with what was not synced.
  enum class Loss : std::uint8_t {
    Nothing,        // the process is killed: the operating system writes everything sooner or later, and its cache lives on
    Everything,     // power cut, nothing unsynced reached the disk
    RandomSectors,  // power cut, any subset of sectors and of directory changes did
  };

  SimDisk();
  ~SimDisk() override;

  // ---- the port
  Result<std::unique_ptr<storage::File>> open(const std::string& name, storage::OpenMode mode, storage::Caching caching) override;
  Result<storage::OwnedFd> create_mappable(const std::string& name, std::int64_t bytes) override;
  Result<std::vector<std::string>> list() override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& name) override;
  Status sync_directory() override;
  Result<Space> space() override;

  // ---- faults
  void fail(Fault fault);
  void heal();                                       // forgets all faults
  /// Tells of every call from now on. The watcher must not call the disk.
  void watch(std::function<void(const Visit&)> watcher);
  void remember_previous();                          // from now on; for Lie::Stale
  /// A failed sync leaves the cache looking clean though the disk has none of it, as Linux does; a later sync does not help.
  void crash(Loss loss, Random& random);
  void set_capacity(std::int64_t bytes);             // of the whole disk; allocate and growing writes beyond it: DiskFull
  void support_direct(bool supported);               // false: Direct opens fall back to Cached
  void delay_begun_writes(int looks);                // a begun write ends at the looks-th look that does not wait; 1 unless set
  void support_begun_writes(bool supported);         // false: none can be begun, as where the kernel refuses
  void support_mapping(bool supported);              // false: create_mappable fails, as on a file system that cannot

  // ---- looking and meddling
  std::int64_t calls(Call call) const;
  std::int64_t changes() const;                      // calls that a Fault with call = nullopt counts
  std::string content(const std::string& name) const;                     // as cached; "" if there is no such file
  void corrupt(const std::string& name, std::int64_t at, std::string_view bytes);  // on disk and in the cache
  std::map<std::string, std::string> image() const;                       // name -> durable content

 private:
  class Handle;
  struct Inode;
  struct Change;
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  struct Entry {
    std::string_view file = {};
    std::int64_t at = 0;
    bool creates = false;
    bool writable = false;
  };
  Status enter(Call call, bool changes, std::int64_t* bytes_done) { return enter(call, changes, bytes_done, {}); }
  Status enter(Call call, bool changes, std::int64_t* bytes_done, Entry entry);
  void tell_lie(const Inode& inode, std::int64_t at, MutableBytes out);
  void lose(Inode& inode, Loss loss, Random& random);
  std::int64_t used() const;

  mutable std::mutex mutex_;
  Names names_;
  Names durable_names_;
  std::vector<Change> unsynced_changes_;
  std::vector<Fault> faults_;
  std::array<std::int64_t, kCalls> calls_{};
  std::int64_t changes_ = 0;
  std::int64_t capacity_ = std::int64_t{1} << 40;
  std::int64_t generation_ = 0;                      // a crash makes older handles useless
  bool direct_supported_ = true;
  bool mapping_supported_ = true;
  bool begun_writes_supported_ = true;
  int begun_write_looks_ = 1;
  bool remembers_previous_ = false;
  Fault lie_;                                        // for the read that is being done; Lie::None: none
  std::function<void(const Visit&)> watcher_;
};

}  // namespace halfmoon::testkit
