// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "broker/core.h"
#include "testkit/core_fixture.h"
#include "testkit/manual_clock.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::testkit {

/// A core on an empty log, for fuzz targets: they put tables into it that no broker wrote, and then it must run.
struct FuzzedCore {
  SimDisk disk;
  ManualClock clock;
  SeededRandom random{7};
  RecordedOutbound outbound;
  RecordedTopics topics;
  std::unique_ptr<storage::Log> log;
  std::unique_ptr<broker::Core> core;

  FuzzedCore() {
    auto opened = storage::Log::open(disk, random, {.segment_bytes = 64 << 10, .first_segment_bytes = 64 << 10, .ring_bytes = 64 << 10});
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

  void start() {
    turn([&] { HM_CHECK(core->start().ok()); });
  }
  /// Time passes, and somebody reads every queue.
  void run() {
    for (const model::TopicConfig& topic : core->topics()) {
      for (std::int32_t queue = 0; queue < std::min(topic.queues(), 4); ++queue) turn([&] { read({topic.name, queue}); });
    }
    for (const std::int64_t ms : {1000, 60'000, 100'000'000}) {
      clock.advance(ms);
      turn([] {});
    }
    static_cast<void>(core->snapshot());
  }

 private:
  void read(broker::QueueRef queue) {
    model::Subscription subscription;
    subscription.topic = queue.topic;
    subscription.expression = "*";
    const auto begin = core->min_offset(queue);
    broker::PullRequest pull;
    pull.group = "G";
    pull.topic = queue.topic;
    pull.queue_id = queue.queue_id;
    pull.offset = begin.ok() ? *begin : 0;
    pull.subscription = &subscription;
    core->pull(pull, [](Result<broker::PullResult>&&) {});
  }
};

}  // namespace halfmoon::testkit
