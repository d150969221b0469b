// SPDX-License-Identifier: Apache-2.0
// Every call to the disk fails once, in every way it can, and the machine stops at every change of the disk: short scenarios over the real log and the real
// snapshot store. Afterwards: a clean error or none, a log that is poisoned when it must be, and after a restart everything that was acknowledged. A table
// says which call was struck by which fault; a hole in it is a failed test.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "storage/inspect.h"
#include "storage/log.h"
#include "storage/segment.h"
#include "storage/snapshot_store.h"
#include "storage/tail_file.h"
#include "testkit/lasting_pieces.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::storage {
namespace {

using testkit::SeededRandom;
using testkit::SimDisk;
using Call = SimDisk::Call;
using Loss = SimDisk::Loss;
using Repeat = SimDisk::Fault::Repeat;

constexpr std::int64_t kSegment = 32 << 10, kFirstSegment = 8 << 10;

/// Faults are expected here: their log lines would bury what matters.
class Quiet {
 public:
  Quiet() { set_log_sink([](LogLevel, std::string_view, std::initializer_list<LogField>) {}); }
  ~Quiet() { set_log_sink(text_log_sink()); }
};

// ------------------------------------------------------------------------------------------------------------------- a store, and what it owes

/// Log and snapshots as the broker uses them, and what was appended and acknowledged.
class Store {
 public:
  SimDisk disk;
  SeededRandom random{7};
  LogOptions options{.safety = Safety::Durable, .segment_bytes = kSegment, .first_segment_bytes = kFirstSegment, .ring_bytes = 64 << 10};
  std::unique_ptr<Log> log;
  std::unique_ptr<SnapshotStore> snapshots;
  bool snapshot_struck = false;   // a fault met the reading of one
  Status in_turns{Done{}};        // what came of appending while a segment is prepared

  Status open() {
    log.reset();
    recovered_.clear();
    HM_TRY(auto, opened, Log::open(disk, random, options));
    snapshots = std::make_unique<SnapshotStore>(disk, opened->store_id());
    HM_TRY(const auto, snapshot, snapshots->newest(INT64_MAX));
    snapshot_found_ = snapshot ? snapshot->position : kNoPosition;
    if (snapshot) {
      EXPECT_EQ(snapshot->payload, state_at(snapshot->position));
    }
    HM_TRY(const auto, report, opened->recover(opened->first_position(), [&](const RecordView& record, std::int64_t) -> Status {
      recovered_.emplace_back(record.position, std::string(as_text(record.payload)));
      return Done{};
    }));
    static_cast<void>(report);
    log = std::move(opened);
    check_owed();
    return Done{};
  }
  /// One batch of two records.
  Status append(std::size_t bytes) {
    const std::string payload(bytes, static_cast<char>('a' + owed_.size() % 26));
    if (!log->room_for(static_cast<std::int64_t>(2 * bytes), 2)) return log->refusal();
    for (int i = 0; i < 2; i++) {
      const auto room = log->reserve(RecordType::Message, static_cast<std::uint32_t>(bytes), Claim::OnReserve);
      if (!room.ok()) return room.error();
      std::memcpy(room->payload.data(), payload.data(), bytes);
      log->finish();
      owed_.push_back({room->position, payload, batch_});
    }
    batch_++;
    log->close_batch(1000);
    note_safe();
    return Done{};
  }
  Status flush() { return acknowledge(log->flush()); }
  Status write_out() { return acknowledge(log->write_out()); }
  Status sync_written() { return acknowledge(log->sync_written()); }
  Status append_and_flush(std::size_t bytes) {
    HM_TRY_STATUS(append(bytes));
    return flush();
  }
  Status fill(std::size_t segments) {
    while (log->segments().size() < segments) HM_TRY_STATUS(append_and_flush(1500));
    return Done{};
  }
  Status snapshot() {
    const Position position = log->durable();
    HM_TRY_STATUS(snapshots->write(lasting_.draft({.position = position, .payload = state_at(position)})));
    snapshot_written_ = std::max(snapshot_written_, position);
    return Done{};
  }
  Status drop(std::size_t segments) {
    const auto all = log->segments();
    if (all.size() <= segments) return Done{};
    dropped_ = all[segments].first;
    return log->drop_before(dropped_);
  }
  Status read_all() {
    ReadBuffer buffer;
    for (const Owed& owed : owed_) {
      if (owed.at < log->first_position()) continue;
      HM_TRY(const RecordView, record, log->read(owed.at, buffer));
      EXPECT_EQ(as_text(record.payload), owed.payload);
    }
    return Done{};
  }

  /// The process or the machine ends.
  void crash(Loss loss, std::uint64_t seed) {
    log.reset();
    power_failed_ = power_failed_ || loss != Loss::Nothing;
    SeededRandom dice(seed);
    disk.crash(loss, dice);
  }
  /// A restart finds all that is owed, goes on, and another one finds that too.
  void check_restart() {
    for (int twice = 0; twice < 2; twice++) {
      const Status opened = open();
      ASSERT_TRUE(opened.ok()) << opened.error().text;
      if (::testing::Test::HasFailure()) return;
      const Status more = append_and_flush(500);
      ASSERT_TRUE(more.ok()) << more.error().text;
      const Status seen = snapshot();
      ASSERT_TRUE(seen.ok()) << seen.error().text;
      crash(Loss::Everything, 1);
    }
  }

 private:
  struct Owed {
    Position at = 0;
    std::string payload;
    std::int64_t batch = 0;
  };

  /// Its beginning is always the same, the rest another one each time.
  static std::string state_at(Position position) {
    std::string state;
    while (state.size() < 12000) state += "line " + std::to_string(state.size()) + (state.size() < 8000 ? "\n" : " at " + std::to_string(position) + "\n");
    return state;
  }
  void note_safe() {
    handed_over_ = std::max(handed_over_, log->safe());
    durable_ = std::max(durable_, log->durable());
  }
  /// A failed write or sync of the log: nothing is acknowledged any more, and nobody is told otherwise.
  Status acknowledge(const Result<Position>& done) {
    if (done.ok()) {
      note_safe();
      return Done{};
    }
    EXPECT_EQ(done.error().code, ErrorCode::Io);
    EXPECT_TRUE(log->poisoned());
    power_failed_ = true;  // a failed sync may lose what power would lose
    const Position before = log->durable();
    EXPECT_FALSE(log->flush().ok());
    EXPECT_FALSE(log->write_out().ok());
    EXPECT_FALSE(log->room_for(1, 1));
    EXPECT_EQ(log->durable(), before);
    return done.error();
  }
  void check_owed() {
    const Position first = log->first_position();
    EXPECT_LE(first, dropped_);
    std::erase_if(owed_, [&](const Owed& owed) { return owed.at < first; });
    const Position promised = power_failed_ ? durable_ : handed_over_;
    ASSERT_LE(recovered_.size(), owed_.size());
    for (std::size_t i = 0; i < recovered_.size(); i++) {
      ASSERT_EQ(recovered_[i].first, owed_[i].at);
      ASSERT_EQ(recovered_[i].second, owed_[i].payload);
    }
    for (std::size_t i = recovered_.size(); i < owed_.size(); i++) ASSERT_GE(owed_[i].at, promised) << "an acknowledged record is gone";
    const std::size_t n = recovered_.size();
    ASSERT_TRUE(n == 0 || n == owed_.size() || owed_[n - 1].batch != owed_[n].batch) << "half a batch came back";
    // One that cannot be read is skipped: an older one or the log alone serves.
    if (!snapshot_struck) {
      EXPECT_GE(snapshot_found_, snapshot_written_);
    }
    snapshot_struck = false;
    owed_.resize(n);
    handed_over_ = durable_ = log->end();
    power_failed_ = false;
  }

  testkit::LastingPieces lasting_{4096};
  std::vector<Owed> owed_;
  std::vector<std::pair<Position, std::string>> recovered_;
  std::int64_t batch_ = 0;
  Position durable_ = 0, handed_over_ = 0;     // what was said to be safe against the loss of power, against the end of the process
  Position snapshot_written_ = kNoPosition, snapshot_found_ = kNoPosition;
  Position dropped_ = 0;
  bool power_failed_ = false;
};

// ----------------------------------------------------------------------------------------------------------------------------------- scenarios

struct Scenario {
  const char* name;
  Status (*prepare)(Store&);   // without faults
  Status (*run)(Store&);
};

Status nothing(Store&) { return Done{}; }
Status opened(Store& store) { return store.open(); }
Status with_written_safety(Store& store) {
  store.options.safety = Safety::Written;
  return store.open();
}
Status with_kept_safety(Store& store) {
  store.options.safety = Safety::Kept;
  return store.open();
}
Status three_segments(Store& store) {
  HM_TRY_STATUS(store.open());
  HM_TRY_STATUS(store.fill(3));
  HM_TRY_STATUS(store.snapshot());
  return store.append_and_flush(300);
}
/// A power cut in the middle of a write: a torn tail, a half-prepared segment, a half-written snapshot.
Status torn(Store& store) {
  HM_TRY_STATUS(three_segments(store));
  HM_TRY_STATUS(store.append(2000));
  store.disk.fail({.call = Call::Write, .nth = 1, .bytes_done = 4096 + 700, .repeat = Repeat::Forever});
  EXPECT_FALSE(store.flush().ok());
  store.disk.heal();
  std::vector<std::string> names = {"00000000000000999424.seg.tmp", "snapshot.tmp"};
  for (int i = 0; i < 8; i++) names.push_back("torn-0000000000000000000" + std::to_string(i) + ".bin");
  for (const std::string& name : names) {
    HM_TRY(const auto, file, store.disk.open(name, OpenMode::CreateNew, Caching::Cached));
    HM_TRY_STATUS(file->write_at(0, as_bytes("left over")));
  }
  store.crash(Loss::Nothing, 0);
  return Done{};
}

/// The process ended with closed batches that are in the tail file only, some of them in a next segment.
Status killed(Store& store) {
  HM_TRY_STATUS(with_kept_safety(store));
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(store.append_and_flush(1500));
  while (store.log->segments().size() < 2) HM_TRY_STATUS(store.append(600));
  HM_TRY_STATUS(store.append(600));
  store.crash(Loss::Nothing, 0);
  return Done{};
}

/// Snapshots whose pieces are damaged in their first copy.
Status damaged_pieces(Store& store) {
  HM_TRY_STATUS(three_segments(store));
  store.disk.corrupt(piece_file_name(0, PieceCopy::First), 100, "damaged");
  store.crash(Loss::Nothing, 0);
  return Done{};
}
/// Half of a pair of piece files is missing.
Status lost_copy(Store& store) {
  HM_TRY_STATUS(three_segments(store));
  HM_TRY_STATUS(store.disk.remove(piece_file_name(0, PieceCopy::Second)));
  HM_TRY_STATUS(store.disk.sync_directory());
  store.crash(Loss::Nothing, 0);
  return Done{};
}

Status append_and_flush(Store& store) {
  for (const std::size_t bytes : {100, 3000, 40}) HM_TRY_STATUS(store.append_and_flush(bytes));
  return Done{};
}
Status write_and_sync_later(Store& store) {
  for (const std::size_t bytes : {100, 3000, 40}) {
    HM_TRY_STATUS(store.append(bytes));
    HM_TRY_STATUS(store.write_out());
  }
  HM_TRY_STATUS(store.sync_written());
  HM_TRY_STATUS(store.append(200));
  return store.write_out();
}
Status roll(Store& store) {
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(store.fill(2));
  return store.fill(3);
}
/// Between two looks of the thread that prepares a segment the log is appended to and flushed; the flusher begins the pieces.
Status prepared_in_turns(Store& store) {
  store.options.prepare_pause = [&store] { store.in_turns = store.append_and_flush(600); };
  HM_TRY_STATUS(store.open());
  return store.append_and_flush(100);
}
Status roll_in_turns(Store& store) {
  store.in_turns = Done{};
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(std::exchange(store.in_turns, Done{}));
  HM_TRY_STATUS(store.fill(2));
  return store.append_and_flush(100);
}
Status snapshots(Store& store) {
  for (int i = 0; i < 4; i++) {
    HM_TRY_STATUS(store.append_and_flush(200));
    HM_TRY_STATUS(store.snapshot());
  }
  return Done{};
}
Status start(Store& store) {
  HM_TRY_STATUS(store.open());
  return store.append_and_flush(100);
}
Status start_and_snapshot(Store& store) {
  HM_TRY_STATUS(start(store));
  return store.snapshot();
}
/// The second one is the last that names nothing of the files that were there.
Status start_and_two_snapshots(Store& store) {
  HM_TRY_STATUS(start_and_snapshot(store));
  HM_TRY_STATUS(store.append_and_flush(100));
  return store.snapshot();
}
Status start_with_sync_flush(Store& store) {
  store.options.safety = Safety::Durable;
  return start(store);
}
Status retention(Store& store) {
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(store.drop(2));
  return store.append_and_flush(100);
}
Status read_old(Store& store) {
  HM_TRY_STATUS(store.open());
  return store.read_all();
}
Status look(Store& store) {
  HM_TRY(const VerifyReport, report, verify_log(store.disk, {}));
  if (!report.damage.empty()) return Error{ErrorCode::Corrupt, report.damage.front()};
  HM_TRY_STATUS(dump_log(store.disk, 0, [](const RecordView&) { return true; }));
  return Done{};
}
/// The disk fills up, sending is refused, something is deleted, and sending goes on: no restart.
Status full_and_back(Store& store) {
  store.disk.set_capacity(kFirstSegment + 3 * kSegment + (32 << 10));
  Status sent = Done{};
  for (int i = 0; i < 100 && sent.ok(); i++) sent = store.append_and_flush(1500);
  if (sent.ok() || sent.error().code != ErrorCode::DiskFull) return sent;
  HM_TRY_STATUS(store.drop(1));
  store.disk.set_capacity(std::int64_t{1} << 30);
  HM_TRY_STATUS(store.log->prepare_next());
  return store.append_and_flush(1500);
}

const Scenario kScenarios[] = {
    {"an empty store is opened", nothing, start},
    {"appending, SYNC_FLUSH", opened, append_and_flush},
    {"appending, ASYNC_FLUSH", with_written_safety, write_and_sync_later},
    {"appending, ASYNC_FLUSH with a tail file", with_kept_safety, write_and_sync_later},
    {"segments roll", opened, roll},
    {"segments roll, with a tail file", with_kept_safety, roll},
    {"a segment is zeroed while the log is written", prepared_in_turns, roll_in_turns},
    {"snapshots", opened, snapshots},
    {"a start after a crash", torn, start_and_snapshot},
    {"a start after the process was killed", killed, start},
    {"such a start, now with SYNC_FLUSH", killed, start_with_sync_flush},
    {"a start with damaged pieces", damaged_pieces, start_and_snapshot},
    {"piece files are left and removed", lost_copy, start_and_two_snapshots},
    {"retention", three_segments, retention},
    {"old records are read", three_segments, read_old},
    {"a store is verified", three_segments, look},
    {"a full disk, and back", opened, full_and_back},
};

// ------------------------------------------------------------------------------------------------------------------------------ sites and faults

const char* kind_of(std::string_view file) {
  if (file.empty()) return "directory";
  if (file.ends_with(".seg.tmp")) return "segment.tmp";
  if (file.ends_with(".seg")) return "segment";
  if (file.starts_with("torn-")) return file.ends_with(".tmp") ? "torn.tmp" : "torn";
  if (file == kTailName) return "tail";
  if (file == "snapshot.tmp") return "snapshot.tmp";
  if (file.starts_with("snapshot-")) return "snapshot";
  if (piece_file_number(file)) return file.ends_with(".copy") ? "pieces copy" : "pieces";
  return "other";
}

const char* verb_of(const SimDisk::Visit& visit) {
  switch (visit.call) {
    case Call::Open: return visit.creates ? "create" : "open";
    case Call::Read: return "read";
    case Call::Write: return "write";
    case Call::Sync: return "sync";
    case Call::Allocate: return "allocate";
    case Call::Rename: return "rename";
    case Call::Remove: return "remove";
    case Call::SyncDirectory: return "sync";
    case Call::List: return "list";
    case Call::Size: return "size";
    case Call::BeginWrite: return "begin to write";
    case Call::EndWrite: return "end a write of";
  }
  return "?";
}

/// "write segment header", "create snapshot.tmp": a call of src/storage, as far as the disk can tell it from others.
std::string site_of(const SimDisk::Visit& visit) {
  std::string site = std::string(verb_of(visit)) + " " + kind_of(visit.file);
  const bool placed = visit.call == Call::Read || visit.call == Call::Write;
  if (placed && visit.at < kSegmentHeaderBytes && site.ends_with(" segment")) site += " header";
  if (visit.call == Call::Open && !visit.creates && visit.writable) site += " to write";
  return site;
}

struct FaultKind {
  const char* name;
  ErrorCode code;
  Repeat repeat;
  std::int64_t bytes_done;
  std::set<Call> calls;      // to which it can happen
  bool of_changes = false;   // not to an Open of what exists
};
const std::set<Call> kAnything = {Call::Open, Call::Read, Call::Write, Call::Sync, Call::Allocate, Call::Rename, Call::Remove, Call::SyncDirectory, Call::List, Call::Size, Call::BeginWrite, Call::EndWrite};
const FaultKind kFaults[] = {
    {"EIO", ErrorCode::Io, Repeat::Once, 0, kAnything},
    {"EIO for good", ErrorCode::Io, Repeat::Forever, 0, kAnything},
    {"EIO in the middle", ErrorCode::Io, Repeat::Once, 700, {Call::Write, Call::EndWrite}},
    {"ENOSPC", ErrorCode::DiskFull, Repeat::Once, 0, {Call::Open, Call::Write, Call::Allocate, Call::Rename, Call::BeginWrite, Call::EndWrite}},
    {"ENOSPC in the middle", ErrorCode::DiskFull, Repeat::Forever, 700, {Call::Write, Call::EndWrite}},
};
// What can happen to a change besides: the machine stops in the middle of it, or after it and before it is durable.
const FaultKind kStop{"the machine stops", ErrorCode::Io, Repeat::Forever, 0, {Call::Open, Call::Write, Call::Sync, Call::Allocate, Call::Rename, Call::Remove, Call::SyncDirectory, Call::BeginWrite, Call::EndWrite}, true};
const FaultKind kLost{"lost with the power", ErrorCode::Io, Repeat::Forever, 0, {Call::Open, Call::Rename, Call::Remove}, true};

/// The calls of src/storage. Who adds one adds it here, and a scenario that makes it.
struct Site {
  const char* name;
  Call call;
};
const Site kSites[] = {
    {"allocate segment.tmp", Call::Allocate}, {"begin to write segment.tmp", Call::BeginWrite}, {"end a write of segment.tmp", Call::EndWrite},
    {"create segment.tmp", Call::Open}, {"create snapshot.tmp", Call::Open}, {"create tail", Call::Open},
    {"create torn.tmp", Call::Open}, {"list directory", Call::List}, {"open segment", Call::Open}, {"open segment to write", Call::Open},
    {"open snapshot", Call::Open}, {"open tail", Call::Open}, {"read segment", Call::Read}, {"read segment header", Call::Read},
    {"read snapshot", Call::Read}, {"read tail", Call::Read}, {"remove segment", Call::Remove}, {"remove segment.tmp", Call::Remove},
    {"remove snapshot", Call::Remove}, {"remove snapshot.tmp", Call::Remove}, {"remove tail", Call::Remove}, {"remove torn", Call::Remove},
    {"rename segment.tmp", Call::Rename}, {"rename snapshot.tmp", Call::Rename}, {"rename torn.tmp", Call::Rename}, {"size segment", Call::Size},
    {"size snapshot", Call::Size}, {"size tail", Call::Size}, {"sync directory", Call::SyncDirectory}, {"sync segment", Call::Sync},
    {"sync segment.tmp", Call::Sync}, {"sync snapshot.tmp", Call::Sync}, {"sync torn.tmp", Call::Sync}, {"write segment", Call::Write},
    {"write segment header", Call::Write}, {"write segment.tmp", Call::Write}, {"write snapshot.tmp", Call::Write}, {"write torn.tmp", Call::Write},
    {"allocate pieces", Call::Allocate}, {"allocate pieces copy", Call::Allocate}, {"create pieces", Call::Open}, {"create pieces copy", Call::Open},
    {"open pieces", Call::Open}, {"open pieces copy", Call::Open}, {"open pieces to write", Call::Open}, {"open pieces copy to write", Call::Open},
    {"read pieces", Call::Read}, {"read pieces copy", Call::Read}, {"remove pieces", Call::Remove}, {"size pieces", Call::Size},
    {"size pieces copy", Call::Size}, {"sync pieces", Call::Sync}, {"sync pieces copy", Call::Sync}, {"write pieces", Call::Write},
    {"write pieces copy", Call::Write},
};

/// site -> fault -> how often it was struck.
class Coverage {
 public:
  void saw(const std::string& site) { table_[site]; }
  void struck(const std::string& site, const std::string& fault) { table_[site][fault]++; }
  std::int64_t runs = 0;

  /// Every site of kSites was seen and no other, and each was struck by everything in `faults` that can happen to it.
  void expect_no_hole(std::span<const FaultKind> faults) const {
    std::map<std::string, std::int64_t> strikes;
    for (const auto& [site, struck] : table_) EXPECT_TRUE(is_known(site)) << "'" << site << "' is a call of src/storage that kSites does not name";
    for (const Site& site : kSites) {
      const auto row = table_.find(site.name);
      EXPECT_TRUE(row != table_.end()) << "no scenario makes the call '" << site.name << "'";
      if (row == table_.end()) continue;
      for (const FaultKind& fault : faults) {
        const bool opens = site.call == Call::Open && !std::string_view(site.name).starts_with("create");
        if (!fault.calls.contains(site.call) || (fault.of_changes && opens)) continue;
        const auto cell = row->second.find(fault.name);
        EXPECT_TRUE(cell != row->second.end()) << "'" << site.name << "' was never struck by '" << fault.name << "'";
        if (cell != row->second.end()) strikes[fault.name] += cell->second;
      }
    }
    std::printf("%ld runs, %zu calls", static_cast<long>(runs), std::size(kSites));
    for (const auto& [fault, n] : strikes) std::printf(", %s: %ld", fault.c_str(), static_cast<long>(n));
    std::printf("\n");
  }

 private:
  static bool is_known(const std::string& name) {
    return std::any_of(std::begin(kSites), std::end(kSites), [&](const Site& site) { return name == site.name; });
  }

  std::map<std::string, std::map<std::string, std::int64_t>> table_;
};

/// Which calls a scenario makes when nothing fails.
std::map<Call, std::int64_t> count_calls(const Scenario& scenario, Coverage& coverage) {
  Store store;
  EXPECT_TRUE(scenario.prepare(store).ok());
  std::map<Call, std::int64_t> calls;
  store.disk.watch([&](const SimDisk::Visit& visit) {
    calls[visit.call]++;
    coverage.saw(site_of(visit));
  });
  const Status ran = scenario.run(store);
  EXPECT_TRUE(ran.ok()) << ran.error().text;
  store.disk.watch({});
  return calls;
}

Loss loss_of(std::int64_t n) { return n % 3 == 0 ? Loss::Nothing : n % 3 == 1 ? Loss::Everything : Loss::RandomSectors; }

void one_failure(const Scenario& scenario, Call call, std::int64_t k, const FaultKind& kind, Coverage& coverage) {
  Store store;
  ASSERT_TRUE(scenario.prepare(store).ok());
  store.disk.watch([&](const SimDisk::Visit& visit) {
    if (!visit.struck) return;
    coverage.struck(site_of(visit), kind.name);
    const std::string_view file = kind_of(visit.file);
    if (file == "snapshot" || file == "pieces copy") store.snapshot_struck = true;   // a first copy that fails is no reason
  });
  store.disk.fail({.call = call, .nth = k, .code = kind.code, .bytes_done = kind.bytes_done, .repeat = kind.repeat});
  const Status ran = scenario.run(store);
  if (!ran.ok()) {
    EXPECT_TRUE(ran.error().code == ErrorCode::Io || ran.error().code == kind.code) << ran.error().text;
    EXPECT_FALSE(ran.error().text.empty());
  }
  store.disk.watch({});
  store.disk.heal();
  store.disk.set_capacity(std::int64_t{1} << 30);
  store.crash(loss_of(k), static_cast<std::uint64_t>(k));
  store.check_restart();
  coverage.runs++;
}

void one_stop(const Scenario& scenario, std::int64_t k, Loss loss, std::uint64_t seed, Coverage& coverage) {
  Store store;
  ASSERT_TRUE(scenario.prepare(store).ok());
  std::vector<std::string> unsynced_names;
  bool first = true;
  store.disk.watch([&](const SimDisk::Visit& visit) {
    if (visit.struck && first) coverage.struck(site_of(visit), kStop.name);
    if (visit.struck) first = false;
    if (visit.struck) return;
    if (visit.call == Call::SyncDirectory) unsynced_names.clear();
    if (visit.creates || visit.call == Call::Rename || visit.call == Call::Remove) unsynced_names.push_back(site_of(visit));
  });
  store.disk.fail({.call = {}, .nth = k, .code = ErrorCode::Io, .bytes_done = static_cast<std::int64_t>(seed * 1111 % 9000), .repeat = Repeat::Forever});
  static_cast<void>(scenario.run(store));
  store.disk.watch({});
  store.disk.heal();
  store.disk.set_capacity(std::int64_t{1} << 30);
  if (loss == Loss::Everything)
    for (const std::string& site : unsynced_names) coverage.struck(site, kLost.name);
  store.crash(loss, seed);
  store.check_restart();
  coverage.runs++;
}

// ------------------------------------------------------------------------------------------------------------------------------------- the tests

TEST(DiskFaults, EveryCallOfEveryScenarioFailsInEveryWay) {
  const Quiet quiet;
  Coverage coverage;
  for (const Scenario& scenario : kScenarios) {
    for (const auto& [call, n] : count_calls(scenario, coverage)) {
      for (const FaultKind& kind : kFaults) {
        if (!kind.calls.contains(call)) continue;
        for (std::int64_t k = 1; k <= n; k++) {
          SCOPED_TRACE(std::string(scenario.name) + ": call " + std::to_string(static_cast<int>(call)) + " number " + std::to_string(k) + ": " + kind.name);
          one_failure(scenario, call, k, kind, coverage);
          if (HasFailure()) return;
        }
      }
    }
  }
  coverage.expect_no_hole(kFaults);
}

TEST(DiskFaults, TheMachineStopsAtEveryChangeOfEveryScenario) {
  const Quiet quiet;
  Coverage coverage;
  for (const Scenario& scenario : kScenarios) {
    std::int64_t changes = 0;
    for (const auto& [call, n] : count_calls(scenario, coverage)) changes += call == Call::Read || call == Call::List || call == Call::Size ? 0 : n;
    for (std::int64_t k = 1; k <= changes + 1; k++) {
      for (std::uint64_t seed = 0; seed < 8; seed++) {
        const Loss loss = seed == 0 ? Loss::Nothing : seed == 1 ? Loss::Everything : Loss::RandomSectors;
        SCOPED_TRACE(std::string(scenario.name) + ": change " + std::to_string(k) + " seed " + std::to_string(seed));
        one_stop(scenario, k, loss, seed, coverage);
        if (HasFailure()) return;
      }
    }
  }
  coverage.expect_no_hole(std::array{kStop, kLost});
}

/// The same for a start, which cuts, rewrites and skips by what it reads: after one lie it goes on with everything that was acknowledged, or stops, and the next
/// one has it. (Store::open compares what it finds with what is owed.)
TEST(DiskFaults, AReadThatLiesToAStartCostsNothing) {
  const Quiet quiet;
  const Scenario scenarios[] = {{"a start after a crash", torn, start_and_snapshot},
                                {"a start of a full store", three_segments, start_and_snapshot},
                                {"a start after the process was killed", killed, start},
                                {"such a start, now with SYNC_FLUSH", killed, start_with_sync_flush},
                                {"a start of a store that was just begun", opened, start}};
  std::int64_t runs = 0, stopped = 0, differed = 0;
  set_log_sink([&](LogLevel, std::string_view event, std::initializer_list<LogField>) { differed += event == "disk.readings_differ"; });
  for (const Scenario& scenario : scenarios) {
    Coverage coverage;
    for (std::int64_t k = count_calls(scenario, coverage)[Call::Read] + 1; k >= 1; k--) {
      for (const SimDisk::Lie lie : {SimDisk::Lie::FlippedBit, SimDisk::Lie::Stale, SimDisk::Lie::Misdirected}) {
        for (std::uint64_t n = 0; n < 8; n++) {
          const std::uint64_t sector = 4 * n + static_cast<std::uint64_t>(k) % 4;
          SCOPED_TRACE(std::string(scenario.name) + ": read " + std::to_string(k) + " lie " + std::to_string(static_cast<int>(lie)) + " sector " + std::to_string(sector));
          Store store;
          store.disk.remember_previous();
          ASSERT_TRUE(scenario.prepare(store).ok());
          store.disk.fail({.call = Call::Read, .nth = k, .lie = lie, .lie_sector = sector});
          const Status ran = scenario.run(store);
          if (!ran.ok()) {
            EXPECT_TRUE(ran.error().code == ErrorCode::Corrupt || ran.error().code == ErrorCode::Io) << ran.error().text;
            stopped++;
          }
          store.disk.heal();
          store.crash(loss_of(k), sector);
          store.check_restart();
          runs++;
          if (HasFailure()) return;
        }
      }
    }
  }
  EXPECT_GT(differed, 0);
  std::printf("%ld runs, %ld times two readings differed, %ld starts were stopped\n", static_cast<long>(runs), static_cast<long>(differed), static_cast<long>(stopped));
}

/// A read that says it succeeded and brings something else: the reader gets the right record or an error, and the file is as it was.
TEST(DiskFaults, AReadThatLiesIsNoticed) {
  const Quiet quiet;
  const Scenario scenarios[] = {{"old records are read", three_segments, [](Store& store) { return store.read_all(); }}, {"a store is verified", three_segments, look}};
  std::int64_t runs = 0, noticed = 0;
  for (const Scenario& scenario : scenarios) {
    Coverage coverage;
    for (std::int64_t k = count_calls(scenario, coverage)[Call::Read]; k >= 1; k--) {
      for (const SimDisk::Lie lie : {SimDisk::Lie::FlippedBit, SimDisk::Lie::Stale, SimDisk::Lie::Misdirected}) {
        for (std::uint64_t sector = 0; sector < 16; sector++) {
          SCOPED_TRACE(std::string(scenario.name) + ": read " + std::to_string(k) + " lie " + std::to_string(static_cast<int>(lie)) + " sector " + std::to_string(sector));
          Store store;
          store.disk.remember_previous();
          ASSERT_TRUE(scenario.prepare(store).ok());
          store.disk.fail({.call = Call::Read, .nth = k, .lie = lie, .lie_sector = sector});
          const Status ran = scenario.run(store);
          if (!ran.ok()) {
            EXPECT_EQ(ran.error().code, ErrorCode::Corrupt) << ran.error().text;
            noticed++;
          }
          store.disk.heal();
          store.crash(Loss::Everything, 1);
          store.check_restart();
          runs++;
          if (HasFailure()) return;
        }
      }
    }
  }
  EXPECT_GT(noticed, 0);
  std::printf("%ld runs, %ld ended with an error that names the damage\n", static_cast<long>(runs), static_cast<long>(noticed));
}

}  // namespace
}  // namespace halfmoon::storage
