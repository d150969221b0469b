// SPDX-License-Identifier: Apache-2.0
// Every call to the disk fails once, in every way it can, and the machine stops at every change of the disk: short scenarios over the real log and the real
// snapshot store. Afterwards: a clean error or none, a log that is poisoned when it must be, and after a restart everything that was acknowledged. A table
// says which call was struck by which fault; a hole in it is a failed test.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "testkit/faulty_scenarios.h"

namespace halfmoon::storage {
namespace {

using namespace testkit::faults;
using testkit::SimDisk;

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
