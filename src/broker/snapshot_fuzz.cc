// SPDX-License-Identifier: Apache-2.0
// Snapshots: a file whose checksum is wrong is never taken; whatever payload stands behind a right one is either refused by name or restored to
// tables that a snapshot writes and reads again unchanged, and with which the core runs.
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/crc.h"
#include "broker/core.h"
#include "storage/snapshot_format.h"
#include "testkit/fuzz_input.h"
#include "testkit/core_fixture.h"
#include "testkit/manual_clock.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace {

using namespace halfmoon;

const storage::LogOptions kLogOptions{.segment_bytes = 64 << 10, .first_segment_bytes = 64 << 10, .ring_bytes = 64 << 10};

/// A core on an empty log.
struct Broker {
  testkit::SimDisk disk;
  testkit::ManualClock clock;
  testkit::SeededRandom random{7};
  testkit::RecordedOutbound outbound;
  testkit::RecordedTopics topics;
  std::unique_ptr<storage::Log> log;
  std::unique_ptr<broker::Core> core;

  Broker() {
    auto opened = storage::Log::open(disk, random, kLogOptions);
    HM_CHECK(opened.ok());
    log = std::move(*opened);
    HM_CHECK(log->recover(0, [](const storage::RecordView&, std::int64_t) -> Status { return Done{}; }).ok());
    core = std::make_unique<broker::Core>(*log, random, outbound, topics, broker::CoreOptions{});
  }
  template <class F>
  void turn(F f) {
    core->begin(clock.now());
    f();
    core->tick();
    core->end();
    for (int i = 0; i < 8 && log->flush_pending(); ++i) {
      HM_CHECK(log->flush().ok());
      core->begin(clock.now());
      core->safe_advanced();
      core->end();
    }
  }
};

/// Restored tables must stand being used: time passes, and somebody reads every queue.
void run(Broker& broker) {
  broker.turn([&] { HM_CHECK(broker.core->start().ok()); });
  for (const model::TopicConfig& topic : broker.core->topics()) {
    for (std::int32_t queue = 0; queue < std::min(topic.queues(), 4); ++queue) {
      broker.turn([&] {
        model::Subscription subscription;
        subscription.topic = topic.name;
        subscription.expression = "*";
        broker::PullRequest pull;
        pull.group = "G";
        pull.topic = topic.name;
        pull.queue_id = queue;
        pull.offset = broker.core->min_offset({topic.name, queue}).ok() ? *broker.core->min_offset({topic.name, queue}) : 0;
        pull.subscription = &subscription;
        broker.core->pull(pull, [](Result<broker::PullResult>&&) {});
      });
    }
  }
  for (const std::int64_t ms : {1000, 60'000, 100'000'000}) {
    broker.clock.advance(ms);
    broker.turn([] {});
  }
  static_cast<void>(broker.core->snapshot());
}

/// A snapshot file with these bytes, its checksum made right if `sealed`.
std::optional<storage::Snapshot> read_file(std::string bytes, bool sealed) {
  if (sealed && bytes.size() >= storage::kSnapshotHeaderBytes) {
    std::memcpy(bytes.data(), storage::kSnapshotMagic.data(), storage::kSnapshotMagic.size());
    store_le(bytes.data() + 12, crc32c(as_bytes(bytes).subspan(16)));
  }
  testkit::SimDisk disk;
  const std::string name = storage::snapshot_name(bytes.size() >= 40 ? std::max<std::int64_t>(load_le<std::int64_t>(bytes.data() + 32), 0) : 0);
  const auto file = disk.open(name, storage::OpenMode::CreateNew, storage::Caching::Cached);
  HM_CHECK(file.ok() && (*file)->write_at(0, as_bytes(bytes)).ok());
  const auto snapshot = storage::read_snapshot(disk, name, nullptr);
  if (!snapshot.ok()) {
    HM_CHECK(snapshot.error().code == ErrorCode::Corrupt && snapshot.error().text.starts_with(name));
    return std::nullopt;
  }
  std::array<std::byte, 16> id{};
  std::memcpy(id.data(), bytes.data() + 16, id.size());
  HM_CHECK(storage::encode_snapshot_header(id, *snapshot) + snapshot->payload == bytes);
  return *snapshot;
}

}  // namespace

//  | form u8: 0 the payload, 1 a file, 2 a file with its checksum made right | bytes |
HM_FUZZ_TARGET() {
  const std::size_t form = input.below(3);
  storage::Snapshot snapshot;
  if (form == 0) {
    snapshot.payload = std::string(input.rest());
  } else if (auto read = read_file(std::string(input.rest()), form == 2)) {
    snapshot = std::move(*read);
  } else {
    return;
  }
  Broker first;
  const Status restored = first.core->restore(snapshot);
  if (!restored.ok()) {
    HM_CHECK(restored.error().code == ErrorCode::Corrupt && !restored.error().text.empty());
    return;
  }
  const storage::Snapshot written = first.core->snapshot();
  Broker second;
  const Status again = second.core->restore(written);
  if (!again.ok()) std::fprintf(stderr, "what the core wrote is refused: %s\n", again.error().text.c_str());
  HM_CHECK(again.ok());
  HM_CHECK(second.core->snapshot().payload == written.payload);
  run(first);
}
