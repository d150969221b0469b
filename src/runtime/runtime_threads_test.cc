// SPDX-License-Identifier: Apache-2.0
// Workers, the monitor, timers and clocks.
#include <condition_variable>
#include <mutex>

#include "runtime/alarm.h"
#include "runtime/monitor.h"
#include "runtime/runtime_fixture.h"
#include "runtime/worker.h"

namespace halfmoon::runtime {
namespace {

using namespace std::chrono_literals;

TEST(ShardTest, TheTimerRingsAtTheEarliestTimeAskedFor) {
  SystemClock clock;
  Shard shard(clock, {});
  std::atomic<int> rings{0};
  std::atomic<std::int64_t> rung_at{0};
  shard.start([&] {
    rung_at = clock.now().mono_ms;
    ++rings;
  });
  const std::int64_t begin = clock.now().mono_ms;
  shard.run_at(Alarm::kNever);
  shard.run_at(begin + 3600000);
  shard.run_at(begin + 30);
  shard.run_at(begin + 60000);
  ASSERT_TRUE(eventually([&] { return rings == 1; }));
  EXPECT_GE(rung_at, begin + 30);
  shard.run_at(begin - 5);  // has passed: at once
  EXPECT_TRUE(eventually([&] { return rings == 2; }));
}

TEST(WorkerTest, KicksDuringARunAreOneMoreRun) {
  std::mutex mutex;
  std::condition_variable changed;
  int runs = 0;
  bool hold = true;
  Worker worker("test", 0, [&] {
    std::unique_lock lock(mutex);
    ++runs;
    changed.notify_all();
    changed.wait(lock, [&] { return !hold; });
  });
  const auto wait_for_runs = [&](int n) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return runs >= n; });
  };
  worker.kick();
  ASSERT_TRUE(wait_for_runs(1));
  for (int i = 0; i < 10; ++i) worker.kick();
  {
    const std::lock_guard lock(mutex);
    hold = false;
  }
  changed.notify_all();
  ASSERT_TRUE(wait_for_runs(2));
  worker.stop();
  EXPECT_EQ(runs, 2);
}

TEST(WorkerTest, RunsByItselfEverySoOften) {
  std::atomic<int> runs{0};
  Worker worker("test", 5, [&] { ++runs; });
  EXPECT_TRUE(eventually([&] { return runs >= 3; }));
}

TEST(MonitorTest, TurnsOfManyThreadsNeverOverlap) {
  SystemClock clock;
  int inside = 0, overlaps = 0, turns = 0;
  Monitor monitor(clock, {[&](Now) { overlaps += ++inside != 1; }, [&] { --inside; }});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) monitor.enter([&](Now) { ++turns; });
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(overlaps, 0);
  EXPECT_EQ(turns, 4000);
}

TEST(SystemClockTest, BothClocksRun) {
  SystemClock clock;
  const Now a = clock.now(), b = clock.now();
  EXPECT_GT(a.wall_ms, 1600000000000);
  EXPECT_GE(b.mono_ms, a.mono_ms);
  SystemRandom random;
  EXPECT_NE(random.next(), random.next());
}

}  // namespace
}  // namespace halfmoon::runtime
