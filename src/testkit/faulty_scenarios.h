// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "testkit/faulty_store.h"

/// For tests only: what happens to a store while its disk fails.
namespace halfmoon::testkit::faults {

struct Scenario {
  const char* name;
  Status (*prepare)(Store&);   // without faults
  Status (*run)(Store&);
};

inline Status nothing(Store&) { return Done{}; }
inline Status opened(Store& store) { return store.open(); }
inline Status with_written_safety(Store& store) {
  store.options.safety = Safety::Written;
  return store.open();
}
inline Status with_kept_safety(Store& store) {
  store.options.safety = Safety::Kept;
  return store.open();
}
inline Status three_segments(Store& store) {
  HM_TRY_STATUS(store.open());
  HM_TRY_STATUS(store.fill(3));
  HM_TRY_STATUS(store.snapshot());
  return store.append_and_flush(300);
}
/// A power cut in the middle of a write: a torn tail, a half-prepared segment, a half-written snapshot.
inline Status torn(Store& store) {
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
inline Status killed(Store& store) {
  HM_TRY_STATUS(with_kept_safety(store));
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(store.append_and_flush(1500));
  while (store.log->segments().size() < 2) HM_TRY_STATUS(store.append(600));
  HM_TRY_STATUS(store.append(600));
  store.crash(Loss::Nothing, 0);
  return Done{};
}

/// Snapshots whose pieces are damaged in their first copy.
inline Status damaged_pieces(Store& store) {
  HM_TRY_STATUS(three_segments(store));
  store.disk.corrupt(piece_file_name(0, PieceCopy::First), 100, "damaged");
  store.crash(Loss::Nothing, 0);
  return Done{};
}
/// Half of a pair of piece files is missing.
inline Status lost_copy(Store& store) {
  HM_TRY_STATUS(three_segments(store));
  HM_TRY_STATUS(store.disk.remove(piece_file_name(0, PieceCopy::Second)));
  HM_TRY_STATUS(store.disk.sync_directory());
  store.crash(Loss::Nothing, 0);
  return Done{};
}

inline Status append_and_flush(Store& store) {
  for (const std::size_t bytes : {100, 3000, 40}) HM_TRY_STATUS(store.append_and_flush(bytes));
  return Done{};
}
inline Status write_and_sync_later(Store& store) {
  for (const std::size_t bytes : {100, 3000, 40}) {
    HM_TRY_STATUS(store.append(bytes));
    HM_TRY_STATUS(store.write_out());
  }
  HM_TRY_STATUS(store.sync_written());
  HM_TRY_STATUS(store.append(200));
  return store.write_out();
}
inline Status roll(Store& store) {
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(store.fill(2));
  return store.fill(3);
}
/// Between two looks of the thread that prepares a segment the log is appended to and flushed; the flusher begins the pieces.
inline Status prepared_in_turns(Store& store) {
  store.options.prepare_pause = [&store] { store.in_turns = store.append_and_flush(600); };
  HM_TRY_STATUS(store.open());
  return store.append_and_flush(100);
}
inline Status roll_in_turns(Store& store) {
  store.in_turns = Done{};
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(std::exchange(store.in_turns, Done{}));
  HM_TRY_STATUS(store.fill(2));
  return store.append_and_flush(100);
}
inline Status snapshots(Store& store) {
  for (int i = 0; i < 4; i++) {
    HM_TRY_STATUS(store.append_and_flush(200));
    HM_TRY_STATUS(store.snapshot());
  }
  return Done{};
}
inline Status start(Store& store) {
  HM_TRY_STATUS(store.open());
  return store.append_and_flush(100);
}
inline Status start_and_snapshot(Store& store) {
  HM_TRY_STATUS(start(store));
  return store.snapshot();
}
/// The second one is the last that names nothing of the files that were there.
inline Status start_and_two_snapshots(Store& store) {
  HM_TRY_STATUS(start_and_snapshot(store));
  HM_TRY_STATUS(store.append_and_flush(100));
  return store.snapshot();
}
inline Status start_with_sync_flush(Store& store) {
  store.options.safety = Safety::Durable;
  return start(store);
}
inline Status retention(Store& store) {
  HM_TRY_STATUS(store.log->prepare_next());
  HM_TRY_STATUS(store.drop(2));
  return store.append_and_flush(100);
}
inline Status read_old(Store& store) {
  HM_TRY_STATUS(store.open());
  return store.read_all();
}
inline Status look(Store& store) {
  HM_TRY(const VerifyReport, report, verify_log(store.disk, {}));
  if (!report.damage.empty()) return Error{ErrorCode::Corrupt, report.damage.front()};
  HM_TRY_STATUS(dump_log(store.disk, 0, [](const RecordView&) { return true; }));
  return Done{};
}
/// The disk fills up, sending is refused, something is deleted, and sending goes on: no restart.
inline Status full_and_back(Store& store) {
  store.disk.set_capacity(kFirstSegment + 3 * kSegment + (32 << 10));
  Status sent = Done{};
  for (int i = 0; i < 100 && sent.ok(); i++) sent = store.append_and_flush(1500);
  if (sent.ok() || sent.error().code != ErrorCode::DiskFull) return sent;
  HM_TRY_STATUS(store.drop(1));
  store.disk.set_capacity(std::int64_t{1} << 30);
  HM_TRY_STATUS(store.log->prepare_next());
  return store.append_and_flush(1500);
}

inline const Scenario kScenarios[] = {
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

}  // namespace halfmoon::testkit::faults
