// SPDX-License-Identifier: Apache-2.0
#include "testkit/sim_disk.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/check.h"

namespace halfmoon::testkit {
namespace {

constexpr std::int64_t kSectorBytes = 512;
constexpr std::int64_t kBlockBytes = 4096;

std::int64_t size_of(const std::vector<std::byte>& bytes) { return static_cast<std::int64_t>(bytes.size()); }

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

struct SimDisk::Inode {
  std::vector<std::byte> cached;
  std::vector<std::byte> durable;
  std::set<std::int64_t> dirty;     // sectors that the next sync brings to the disk
  std::map<std::int64_t, std::string> previous;  // what sectors held before they were last written, if it is remembered
  std::set<std::int64_t> mistaken;  // sectors that look clean in the cache, but a failed sync did not bring to the disk
  struct BegunWrite {
    std::int64_t at = 0;
    Bytes memory;                   // the caller's
    std::vector<std::byte> bytes;   // what it held
    int looks = 1;
  };
  std::optional<BegunWrite> begun;  // under way
  storage::OwnedFd memory;          // of a mapped file: its content lives here, and `cached` is a look at it

  bool mapped() const { return memory.get() >= 0; }
  /// Looks at what has been stored through mappings.
  void look() {
    if (!mapped()) return;
    const ssize_t got = ::pread(memory.get(), cached.data(), cached.size(), 0);
    HM_CHECK(got == static_cast<ssize_t>(cached.size()));
  }
  /// Gives the content new memory, out of reach of old mappings.
  void give_memory() {
    memory = storage::OwnedFd(::memfd_create("simulated", MFD_CLOEXEC));
    HM_CHECK(mapped() && ::ftruncate(memory.get(), size_of(cached)) == 0);
    const ssize_t put = ::pwrite(memory.get(), cached.data(), cached.size(), 0);
    HM_CHECK(put == static_cast<ssize_t>(cached.size()));
  }

  void remember(std::int64_t at, std::size_t bytes) {
    for (std::int64_t sector = at / kSectorBytes; sector * kSectorBytes < at + static_cast<std::int64_t>(bytes); sector++) {
      std::string held(static_cast<std::size_t>(kSectorBytes), '\0');
      const std::int64_t n = std::min(kSectorBytes, size_of(cached) - sector * kSectorBytes);
      if (n > 0) std::memcpy(held.data(), cached.data() + sector * kSectorBytes, static_cast<std::size_t>(n));
      previous[sector] = std::move(held);
    }
  }
  void write(std::int64_t at, Bytes bytes) {
    if (bytes.empty()) return;
    const std::int64_t end = at + static_cast<std::int64_t>(bytes.size());
    if (size_of(cached) < end) cached.resize(static_cast<std::size_t>(end));
    std::memcpy(cached.data() + at, bytes.data(), bytes.size());
    for (std::int64_t sector = at / kSectorBytes; sector <= (end - 1) / kSectorBytes; sector++) {
      dirty.insert(dirty.end(), sector);
      mistaken.erase(sector);
    }
  }
  void copy_sector(std::int64_t sector, const std::vector<std::byte>& from, std::vector<std::byte>& to) const {
    const std::int64_t begin = sector * kSectorBytes;
    const std::int64_t end = std::min({begin + kSectorBytes, size_of(from), size_of(to)});
    if (begin < end) std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
  }
  void sync() {
    durable.resize(cached.size());
    for (const std::int64_t sector : dirty) copy_sector(sector, cached, durable);
    dirty.clear();
  }
  /// As Linux: the pages are marked clean, the data is nowhere but in the cache.
  void fail_sync() {
    mistaken.insert(dirty.begin(), dirty.end());
    dirty.clear();
  }
};

/// One change of a directory entry: inode set: `to` now names it; `from` set: that name is gone.
struct SimDisk::Change {
  std::string from;
  std::string to;
  std::shared_ptr<Inode> inode;
};

class SimDisk::Handle : public storage::File {
 public:
  struct Opened {
    SimDisk& disk;
    std::shared_ptr<Inode> inode;
    std::string name;
    bool writable = false;
    bool direct = false;
  };
  explicit Handle(Opened opened) : opened_(std::move(opened)), generation_(opened_.disk.generation_) {}

  Result<std::size_t> read_at(std::int64_t at, MutableBytes out) override {
    const std::lock_guard lock(opened_.disk.mutex_);
    HM_TRY_STATUS(usable(Call::Read, false, nullptr, at));
    check_alignment(at, out);
    Inode& inode = *opened_.inode;
    inode.look();
    const std::int64_t n = std::clamp<std::int64_t>(size_of(inode.cached) - at, 0, static_cast<std::int64_t>(out.size()));
    if (n == 0) {
      opened_.disk.lie_ = {};
      return std::size_t{0};
    }
    std::memcpy(out.data(), inode.cached.data() + at, static_cast<std::size_t>(n));
    if (opened_.direct) read_through(at, out.first(static_cast<std::size_t>(n)));
    opened_.disk.tell_lie(inode, at, out.first(static_cast<std::size_t>(n)));
    return static_cast<std::size_t>(n);
  }

  Status write_at(std::int64_t at, Bytes bytes) override { return write_at(at, bytes, {}); }

  Status write_at(std::int64_t at, Bytes first, Bytes second) override {
    const std::lock_guard lock(opened_.disk.mutex_);
    HM_CHECK(opened_.writable && !opened_.inode->begun);
    check_alignment(at, first);
    check_alignment(at, second);
    std::int64_t done = 0;
    const auto total = static_cast<std::int64_t>(first.size() + second.size());
    Status status = usable(Call::Write, true, &done, at);
    const std::int64_t growth = at + total - size_of(opened_.inode->cached);
    if (status.ok() && growth > 0 && opened_.disk.used() + growth > opened_.disk.capacity_) {
      status = Error{ErrorCode::DiskFull, opened_.name + ": write: no space left (simulated)"};
    }
    const auto n = static_cast<std::size_t>(status.ok() ? total : std::min(done, total));
    const std::size_t of_first = std::min(n, first.size());
    if (opened_.disk.remembers_previous_) opened_.inode->remember(at, n);
    opened_.inode->write(at, first.first(of_first));
    opened_.inode->write(at + static_cast<std::int64_t>(first.size()), second.first(n - of_first));
    return status;
  }

  Result<bool> begin_write(std::int64_t at, Bytes bytes) override {
    const std::lock_guard lock(opened_.disk.mutex_);
    HM_CHECK(opened_.writable && !opened_.inode->begun);
    check_alignment(at, bytes);
    if (!opened_.direct || !opened_.disk.begun_writes_supported_) return false;
    HM_TRY_STATUS(usable(Call::BeginWrite, true, nullptr, at));
    opened_.inode->begun = Inode::BegunWrite{.at = at, .memory = bytes, .bytes = {bytes.begin(), bytes.end()}, .looks = opened_.disk.begun_write_looks_};
    return true;
  }

  Result<bool> write_ended(Look look) override {
    const std::lock_guard lock(opened_.disk.mutex_);
    HM_CHECK(opened_.inode->begun);
    if (look == Look::Now && --opened_.inode->begun->looks > 0) return false;
    const Inode::BegunWrite write = *std::exchange(opened_.inode->begun, std::nullopt);
    std::int64_t done = 0;
    Status status = usable(Call::EndWrite, true, &done, write.at);
    HM_CHECK(std::equal(write.bytes.begin(), write.bytes.end(), write.memory.begin()));   // the device reads them when it likes
    const auto total = static_cast<std::int64_t>(write.bytes.size());
    opened_.inode->write(write.at, Bytes(write.bytes).first(static_cast<std::size_t>(status.ok() ? total : std::min(done, total))));
    if (!status.ok()) return std::move(status).error();
    return true;
  }

  Status sync() override {
    const std::lock_guard lock(opened_.disk.mutex_);
    const bool alive = generation_ == opened_.disk.generation_;
    Status status = usable(Call::Sync, true, nullptr);
    if (status.ok()) opened_.inode->sync();
    else if (alive) opened_.inode->fail_sync();
    return status;
  }

  Status allocate(std::int64_t bytes) override {
    const std::lock_guard lock(opened_.disk.mutex_);
    HM_TRY_STATUS(usable(Call::Allocate, true, nullptr));
    const std::int64_t growth = bytes - size_of(opened_.inode->cached);
    if (growth <= 0) return Done{};
    if (opened_.disk.used() + growth > opened_.disk.capacity_) {
      return Error{ErrorCode::DiskFull, opened_.name + ": allocate: no space left (simulated)"};
    }
    opened_.inode->cached.resize(static_cast<std::size_t>(bytes));
    return Done{};
  }

  Result<std::int64_t> size() override {
    const std::lock_guard lock(opened_.disk.mutex_);
    HM_TRY_STATUS(usable(Call::Size, false, nullptr));
    return size_of(opened_.inode->cached);
  }

  bool direct() const override { return opened_.direct; }

 private:
  Status usable(Call call, bool changes, std::int64_t* done, std::int64_t at = 0) {
    if (generation_ != opened_.disk.generation_) return Error{ErrorCode::Io, opened_.name + ": the machine crashed (simulated)"};
    Status status = opened_.disk.enter(call, changes, done, {.file = opened_.name, .at = at, .creates = false, .writable = false});
    if (!status.ok()) return Error{status.error().code, opened_.name + ": " + status.error().text};
    return status;
  }
  void check_alignment(std::int64_t at, Bytes bytes) const {
    if (!opened_.direct) return;
    HM_CHECK(at % kBlockBytes == 0);
    HM_CHECK(bytes.size() % static_cast<std::size_t>(kBlockBytes) == 0);
    HM_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % static_cast<std::uintptr_t>(kBlockBytes) == 0);
  }
  /// A direct read sees what the disk has, not what the cache wrongly believes that it has.
  void read_through(std::int64_t at, MutableBytes out) const {
    const Inode& inode = *opened_.inode;
    const std::int64_t end = at + static_cast<std::int64_t>(out.size());
    for (auto it = inode.mistaken.lower_bound(at / kSectorBytes); it != inode.mistaken.end() && *it * kSectorBytes < end; ++it) {
      const std::int64_t from = std::max(at, *it * kSectorBytes);
      for (std::int64_t i = from; i < std::min(end, (*it + 1) * kSectorBytes); i++) {
        out[static_cast<std::size_t>(i - at)] = i < size_of(inode.durable) ? inode.durable[static_cast<std::size_t>(i)] : std::byte{0};
      }
    }
  }

  Opened opened_;
  std::int64_t generation_;
};

SimDisk::SimDisk() = default;
SimDisk::~SimDisk() = default;

/// Counts the call and fails it if a fault is due. `bytes_done`: what a failing write does all the same.
Status SimDisk::enter(Call call, bool changes, std::int64_t* bytes_done, Entry entry) {
  Visit visit{.call = call, .file = entry.file, .at = entry.at, .creates = entry.creates, .writable = entry.writable, .struck = false};
  calls_[static_cast<std::size_t>(call)]++;
  if (changes) changes_++;
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if (fault->call ? *fault->call != call : !changes) continue;
    if (--fault->nth > 0) continue;
    visit.struck = true;
    if (watcher_) watcher_(visit);
    if (fault->lie != Lie::None) {
      lie_ = *fault;
      if (fault->repeat == Fault::Repeat::Once) faults_.erase(fault);
      return Done{};
    }
    const Error error{fault->code, fault->code == ErrorCode::DiskFull ? "no space left (simulated)" : "input/output error (simulated)"};
    if (bytes_done) *bytes_done = fault->bytes_done;
    if (fault->repeat == Fault::Repeat::Once) faults_.erase(fault);
    return error;
  }
  if (watcher_) watcher_(visit);
  return Done{};
}

void SimDisk::tell_lie(const Inode& inode, std::int64_t at, MutableBytes out) {
  const Fault lie = std::exchange(lie_, {});
  if (lie.lie == Lie::None || out.empty()) return;
  const std::int64_t first = at / kSectorBytes, sectors = (at + static_cast<std::int64_t>(out.size()) - 1) / kSectorBytes - first + 1;
  const std::int64_t sector = first + static_cast<std::int64_t>(lie.lie_sector % static_cast<std::uint64_t>(sectors));
  const std::int64_t from = std::max(at, sector * kSectorBytes), to = std::min(at + static_cast<std::int64_t>(out.size()), (sector + 1) * kSectorBytes);
  const MutableBytes lies = out.subspan(static_cast<std::size_t>(from - at), static_cast<std::size_t>(to - from));
  if (lie.lie == Lie::FlippedBit) {
    lies[lie.lie_sector * 7 % lies.size()] ^= std::byte{4};
    return;
  }
  std::string other(static_cast<std::size_t>(kSectorBytes), '\0');
  if (lie.lie == Lie::Stale) {
    const auto held = inode.previous.find(sector);
    if (held == inode.previous.end()) return;
    other = held->second;
  } else {
    const std::int64_t there = (sector * kSectorBytes + kBlockBytes) % std::max(size_of(inode.cached), std::int64_t{1});
    std::memcpy(other.data(), inode.cached.data() + there, static_cast<std::size_t>(std::min(kSectorBytes, size_of(inode.cached) - there)));
  }
  std::memcpy(lies.data(), other.data() + from % kSectorBytes, lies.size());
}

Result<std::unique_ptr<storage::File>> SimDisk::open(const std::string& name, storage::OpenMode mode, storage::Caching caching) {
  const std::lock_guard lock(mutex_);
  HM_CHECK(!name.empty() && name.find('/') == std::string::npos);
  auto found = names_.find(name);
  const bool exists = found != names_.end();
  const bool may_create = mode == storage::OpenMode::CreateNew || mode == storage::OpenMode::CreateOrOpen;
  Status status = enter(Call::Open, !exists && may_create, nullptr, {.file = name, .at = 0, .creates = !exists, .writable = mode != storage::OpenMode::Read});
  if (!status.ok()) return Error{status.error().code, name + ": open: " + status.error().text};
  if (!exists && !may_create) return Error{ErrorCode::Io, name + ": open: no such file (simulated)"};
  if (exists && mode == storage::OpenMode::CreateNew) return Error{ErrorCode::Io, name + ": open: file exists (simulated)"};
  if (!exists) {
    found = names_.emplace(name, std::make_shared<Inode>()).first;
    unsynced_changes_.push_back({.from = {}, .to = name, .inode = found->second});
  }
  return std::unique_ptr<storage::File>(
      new Handle({.disk = *this, .inode = found->second, .name = name, .writable = mode != storage::OpenMode::Read,
                  .direct = caching == storage::Caching::Direct && direct_supported_}));
}

Result<storage::OwnedFd> SimDisk::create_mappable(const std::string& name, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  Status status = enter(Call::Open, true, nullptr, {.file = name, .at = 0, .creates = true, .writable = true});
  if (!status.ok()) return Error{status.error().code, name + ": open: " + status.error().text};
  if (!mapping_supported_) return Error{ErrorCode::Io, name + ": fallocate: operation not supported (simulated)"};
  if (used() + bytes > capacity_) return Error{ErrorCode::DiskFull, name + ": fallocate: no space left (simulated)"};
  auto inode = std::make_shared<Inode>();
  inode->cached.resize(static_cast<std::size_t>(bytes));
  inode->durable = inode->cached;
  inode->give_memory();
  const int again = ::dup(inode->memory.get());
  HM_CHECK(again >= 0);
  names_[name] = inode;
  unsynced_changes_.push_back({.from = {}, .to = name, .inode = std::move(inode)});
  return storage::OwnedFd(again);
}

Result<std::vector<std::string>> SimDisk::list() {
  const std::lock_guard lock(mutex_);
  HM_TRY_STATUS(enter(Call::List, false, nullptr));
  std::vector<std::string> names;
  for (const auto& [name, inode] : names_) names.push_back(name);
  return names;
}

Status SimDisk::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  HM_TRY_STATUS(enter(Call::Rename, true, nullptr, {.file = from, .at = 0, .creates = false, .writable = false}));
  const auto found = names_.find(from);
  if (found == names_.end()) return Error{ErrorCode::Io, from + ": rename: no such file (simulated)"};
  unsynced_changes_.push_back({.from = from, .to = to, .inode = found->second});
  names_[to] = found->second;
  names_.erase(from);
  return Done{};
}

Status SimDisk::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  HM_TRY_STATUS(enter(Call::Remove, true, nullptr, {.file = name, .at = 0, .creates = false, .writable = false}));
  if (names_.erase(name) == 0) return Error{ErrorCode::Io, name + ": remove: no such file (simulated)"};
  unsynced_changes_.push_back({.from = name, .to = {}, .inode = nullptr});
  return Done{};
}

Status SimDisk::sync_directory() {
  const std::lock_guard lock(mutex_);
  HM_TRY_STATUS(enter(Call::SyncDirectory, true, nullptr));
  durable_names_ = names_;
  unsynced_changes_.clear();
  return Done{};
}

std::int64_t SimDisk::used() const {
  std::int64_t bytes = 0;
  for (const auto& [name, inode] : names_) bytes += size_of(inode->cached);
  return bytes;
}

Result<storage::Disk::Space> SimDisk::space() {
  const std::lock_guard lock(mutex_);
  return Space{.free_bytes = std::max<std::int64_t>(0, capacity_ - used()), .total_bytes = capacity_};
}

void SimDisk::fail(Fault fault) {
  const std::lock_guard lock(mutex_);
  HM_CHECK(fault.nth >= 1);
  faults_.push_back(fault);
}

void SimDisk::heal() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

void SimDisk::watch(std::function<void(const Visit&)> watcher) {
  const std::lock_guard lock(mutex_);
  watcher_ = std::move(watcher);
}

void SimDisk::remember_previous() {
  const std::lock_guard lock(mutex_);
  remembers_previous_ = true;
}

/// What the kernel had been given is written whole when the process is killed, and in any part when the power fails.
void SimDisk::lose(Inode& inode, Loss loss, Random& random) {
  if (const auto begun = std::exchange(inode.begun, std::nullopt); begun && loss != Loss::Everything) inode.write(begun->at, begun->bytes);
  if (loss == Loss::Nothing) return;
  const bool some = loss == Loss::RandomSectors;
  if (inode.mapped()) {  // page by page: written back before the crash, or not
    inode.look();
    const std::uint64_t kept_of_8 = some ? random.next() % 9 : 0;
    for (std::int64_t at = 0; at < size_of(inode.cached); at += kBlockBytes) {
      if (kept_of_8 > 0 && random.next() % 8 < kept_of_8) continue;
      const auto begin = inode.cached.begin() + at;
      std::fill(begin, begin + std::min(kBlockBytes, size_of(inode.cached) - at), std::byte{0});
    }
    inode.durable = inode.cached;
    inode.give_memory();
    return;
  }
  const bool grown = inode.durable.size() != inode.cached.size();
  if (grown && some && random.next() % 2 == 0) inode.durable.resize(inode.cached.size());
  if (some) {
    // Now nearly all, now nearly none: both ends are where recoveries go wrong.
    const std::uint64_t kept_of_8 = random.next() % 9;
    for (const std::int64_t sector : inode.dirty) {
      if (random.next() % 8 < kept_of_8) inode.copy_sector(sector, inode.cached, inode.durable);
    }
  }
  inode.cached = inode.durable;
  inode.dirty.clear();
  inode.mistaken.clear();
}

void SimDisk::crash(Loss loss, Random& random) {
  const std::lock_guard lock(mutex_);
  generation_++;
  faults_.clear();
  if (loss == Loss::Nothing) {
    for (const auto& [name, inode] : names_) lose(*inode, loss, random);
    return;
  }
  if (loss == Loss::RandomSectors) {
    for (const Change& change : unsynced_changes_) {
      if (random.next() % 2 == 0) continue;
      const bool known = change.from.empty() || durable_names_.contains(change.from);
      if (!known) continue;
      if (!change.from.empty()) durable_names_.erase(change.from);
      if (change.inode) durable_names_[change.to] = change.inode;
    }
  }
  unsynced_changes_.clear();
  names_ = durable_names_;
  for (const auto& [name, inode] : names_) lose(*inode, loss, random);
}

void SimDisk::set_capacity(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void SimDisk::delay_begun_writes(int looks) {
  const std::lock_guard lock(mutex_);
  HM_CHECK(looks >= 1);
  begun_write_looks_ = looks;
}

void SimDisk::support_begun_writes(bool supported) {
  const std::lock_guard lock(mutex_);
  begun_writes_supported_ = supported;
}

void SimDisk::support_mapping(bool supported) {
  const std::lock_guard lock(mutex_);
  mapping_supported_ = supported;
}

void SimDisk::support_direct(bool supported) {
  const std::lock_guard lock(mutex_);
  direct_supported_ = supported;
}

std::int64_t SimDisk::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  return calls_[static_cast<std::size_t>(call)];
}

std::int64_t SimDisk::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

std::string SimDisk::content(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(name);
  if (found == names_.end()) return {};
  found->second->look();
  return text_of(found->second->cached);
}

void SimDisk::corrupt(const std::string& name, std::int64_t at, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  Inode& inode = *names_.at(name);
  HM_CHECK(at >= 0 && at + static_cast<std::int64_t>(bytes.size()) <= size_of(inode.cached));
  if (bytes.empty()) return;
  std::memcpy(inode.cached.data() + at, bytes.data(), bytes.size());
  if (size_of(inode.durable) >= at + static_cast<std::int64_t>(bytes.size())) {
    std::memcpy(inode.durable.data() + at, bytes.data(), bytes.size());
  }
}

std::map<std::string, std::string> SimDisk::image() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string> files;
  // What is mapped is made anew by every recovery: nothing to compare.
  for (const auto& [name, inode] : durable_names_)
    if (!inode->mapped()) files.emplace(name, text_of(inode->durable));
  return files;
}

}  // namespace halfmoon::testkit
