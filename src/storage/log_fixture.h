// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/log.h"

namespace halfmoon::storage {

/// The vocabulary of the log's tests: a log on a disk that can crash. `Disk` is testkit's SimDisk and `Rng` its SeededRandom
/// (parameters, because a header of this module must not include testkit).
template <class SimulatedDisk, class Rng>
struct LogWorld {
  using Loss = typename SimulatedDisk::Loss;
  using Record = std::pair<Position, std::string>;

  SimulatedDisk disk;
  Rng random{7};
  LogOptions options{.segment_bytes = 256 << 10, .first_segment_bytes = 64 << 10, .ring_bytes = 64 << 10};
  std::unique_ptr<Log> log;
  RecoveryReport report;
  std::vector<Record> recovered;   // what the last reopen() visited
  std::vector<Record> appended;    // what append() wrote since the world began, in order
  std::int64_t wall_ms = 1000;

  LogWorld() = default;
  explicit LogWorld(LogOptions o) : options(o) {}

  Status try_open(Position from = 0) {
    log.reset();
    recovered.clear();
    HM_TRY(auto, opened, Log::open(disk, random, options));
    log = std::move(opened);
    HM_TRY(const RecoveryReport, settled, log->recover(from, [this](const RecordView& record, std::int64_t) -> Status {
      recovered.emplace_back(record.position, std::string(as_text(record.payload)));
      return Done{};
    }));
    report = settled;
    return Done{};
  }
  void open(Position from = 0) {
    Status opened = try_open(from);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
  }
  void reopen(Position from = 0) { open(from); }

  /// Adds a record to the open batch.
  Result<Position> add(std::string_view payload) {
    HM_TRY(const Log::Reservation, room, log->reserve(RecordType::Message, static_cast<std::uint32_t>(payload.size())));
    if (!payload.empty()) std::memcpy(room.payload.data(), payload.data(), payload.size());
    log->finish();
    appended.emplace_back(room.position, std::string(payload));
    return room.position;
  }
  Position close() { return log->close_batch(wall_ms); }
  /// One batch of these records; returns the first one's position.
  Position append(std::initializer_list<std::string_view> payloads) {
    Position first = kNoPosition;
    for (std::string_view payload : payloads) {
      Result<Position> position = add(payload);
      EXPECT_TRUE(position.ok()) << position.error().text;
      if (position.ok() && first == kNoPosition) first = *position;
    }
    close();
    return first;
  }
  Position append(std::string_view payload) { return append({payload}); }
  Position flush() {
    Result<Position> durable = log->flush();
    EXPECT_TRUE(durable.ok()) << durable.error().text;
    return durable.ok() ? *durable : kNoPosition;
  }
  void crash(Loss loss) {
    log.reset();
    disk.crash(loss, random);
  }
  std::string read(Position position) {
    ReadBuffer buffer;
    Result<RecordView> record = log->read(position, buffer);
    return record.ok() ? std::string(as_text(record->payload)) : "error: " + record.error().text;
  }
  void expect_records(std::initializer_list<std::string_view> payloads) const {
    std::vector<std::string> expected(payloads.begin(), payloads.end());
    std::vector<std::string> found;
    for (const Record& record : recovered) found.push_back(record.second);
    EXPECT_EQ(found, expected);
  }
};

}  // namespace halfmoon::storage
