// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "testkit/core_fixture.h"

namespace halfmoon::testkit {

/// One seed's life of the real core on the real log: random requests, ticks, flushes, snapshots, crashes, and beside it a model of what
/// clients were promised. The same seed gives the same run. A broken promise lands in `violations` as a sentence.
class CoreWorld : public CoreFixture {
 public:
  explicit CoreWorld(std::uint64_t seed);
  ~CoreWorld() override { close(); }
  void TestBody() override {}

  void run(int steps);
  /// Everything settles (commits answered, timers due), one more crash, and the books are closed.
  void settle();

  std::vector<std::string> violations;
  std::int64_t crashes = 0, acknowledged = 0, delivered = 0;
  std::uint64_t state_hash = 0;   // of everything that was delivered, for the proof of determinism

 private:
  enum class Fate : std::uint8_t { Unknown, Acked };           // of a send or a verdict
  struct Message {
    std::string topic;
    Fate sent = Fate::Unknown;
    bool half = false;
    std::int64_t not_before_ms = 0;                            // delayed: due time at the earliest
    std::int64_t delay_ms = 0;                                 // half with a delay: from the commit
    bool commit_asked = false, rollback_asked = false;
    Fate committed = Fate::Unknown, rolled_back = Fate::Unknown;
    broker::SendResult place;
  };

  void step();
  void send_something();
  void end_something();
  void read_everything();
  void check_topic(const std::string& topic, std::int32_t queue);
  void crash_now();
  void complain(const std::string& what);

  SeededRandom dice_;
  std::map<std::string, std::shared_ptr<Message>> messages_;   // by body
  std::vector<std::string> halves_;
  std::map<std::string, std::map<std::int64_t, std::string>> seen_;  // "topic/queue" -> offset -> body
  std::map<std::string, std::int64_t> offsets_acked_;          // "topic/queue" -> offset
  std::map<std::string, std::int64_t> offsets_asked_;
  int next_ = 0;
};

}  // namespace halfmoon::testkit
