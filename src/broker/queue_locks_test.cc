// SPDX-License-Identifier: Apache-2.0
#include "broker/queue_locks.h"

#include <gtest/gtest.h>

#include <string>

namespace halfmoon::broker {
namespace {

constexpr std::int64_t kLockMs = 60'000;

class QueueLocksTest : public testing::Test {
 protected:
  /// What `client` holds of the asked queues, as "T:0 T:1".
  std::string lock(std::string_view group, std::string_view client, std::vector<QueueRef> queues) {
    std::string held;
    for (const QueueRef& queue : locks_.lock({group, client, std::move(queues)}, now_)) {
      held += (held.empty() ? "" : " ") + std::string(queue.topic) + ":" + std::to_string(queue.queue_id);
    }
    return held;
  }
  void unlock(std::string_view group, std::string_view client, std::vector<QueueRef> queues) { locks_.unlock({group, client, std::move(queues)}); }
  bool any_held(std::string_view group) { return locks_.any_held(group, now_); }
  void advance(std::int64_t ms) { now_ += ms; }

  std::int64_t now_ = 1'000;
  QueueLocks locks_{kLockMs};
};

TEST_F(QueueLocksTest, FreeQueuesAreGranted) { EXPECT_EQ(lock("g", "a", {{"T", 0}, {"T", 1}, {"U", 0}}), "T:0 T:1 U:0"); }

TEST_F(QueueLocksTest, HeldQueuesStayWithTheirClient) {
  lock("g", "a", {{"T", 0}});
  EXPECT_EQ(lock("g", "b", {{"T", 0}, {"T", 1}}), "T:1");
  EXPECT_EQ(lock("g", "a", {{"T", 0}, {"T", 1}}), "T:0");
}

TEST_F(QueueLocksTest, GroupsDoNotMeet) {
  lock("g", "a", {{"T", 0}});
  EXPECT_EQ(lock("h", "b", {{"T", 0}}), "T:0");
}

TEST_F(QueueLocksTest, AskingForNothingHoldsNothing) {
  EXPECT_EQ(lock("g", "a", {}), "");
  EXPECT_FALSE(any_held("g"));
}

TEST_F(QueueLocksTest, LockEndsAfterItsTime) {
  lock("g", "a", {{"T", 0}});
  advance(kLockMs);
  EXPECT_TRUE(any_held("g"));
  EXPECT_EQ(lock("g", "b", {{"T", 0}}), "");
  advance(1);
  EXPECT_FALSE(any_held("g"));
  EXPECT_EQ(lock("g", "b", {{"T", 0}}), "T:0");
  EXPECT_EQ(lock("g", "a", {{"T", 0}}), "") << "the former holder waits like anybody";
}

TEST_F(QueueLocksTest, RenewalProlongs) {
  lock("g", "a", {{"T", 0}});
  advance(kLockMs);
  lock("g", "a", {{"T", 0}});
  advance(kLockMs);
  EXPECT_EQ(lock("g", "b", {{"T", 0}}), "");
}

TEST_F(QueueLocksTest, RefusedRequestDoesNotProlong) {
  lock("g", "a", {{"T", 0}});
  advance(kLockMs);
  lock("g", "b", {{"T", 0}});
  advance(1);
  EXPECT_EQ(lock("g", "b", {{"T", 0}}), "T:0");
}

TEST_F(QueueLocksTest, OnlyTheHolderUnlocks) {
  lock("g", "a", {{"T", 0}, {"T", 1}});
  unlock("g", "b", {{"T", 0}});
  unlock("h", "a", {{"T", 0}});
  EXPECT_EQ(lock("g", "b", {{"T", 0}}), "");
  unlock("g", "a", {{"T", 0}, {"nothing", 7}});
  EXPECT_EQ(lock("g", "b", {{"T", 0}, {"T", 1}}), "T:0");
}

TEST_F(QueueLocksTest, AnyHeldIsAboutTheGroup) {
  EXPECT_FALSE(any_held("g"));
  lock("g", "a", {{"T", 0}});
  EXPECT_TRUE(any_held("g"));
  EXPECT_FALSE(any_held("h"));
  unlock("g", "a", {{"T", 0}});
  EXPECT_FALSE(any_held("g"));
}

TEST_F(QueueLocksTest, ForgottenTopicIsFreeInEveryGroup) {
  lock("g", "a", {{"T", 0}, {"U", 0}});
  lock("h", "a", {{"T", 0}});
  locks_.forget_topic("T");
  EXPECT_FALSE(any_held("h"));
  EXPECT_EQ(lock("g", "b", {{"T", 0}, {"U", 0}}), "T:0");
}

TEST_F(QueueLocksTest, ExpireKeepsTheLiving) {
  lock("g", "a", {{"T", 0}});
  lock("h", "a", {{"T", 0}});
  advance(kLockMs);
  lock("g", "a", {{"T", 1}});
  advance(1);
  locks_.expire(now_);
  now_ -= kLockMs;  // as if no time had passed: what expire() left is all there is
  EXPECT_FALSE(any_held("h"));
  EXPECT_TRUE(any_held("g"));
  EXPECT_EQ(lock("g", "b", {{"T", 0}, {"T", 1}}), "T:0");
}

}  // namespace
}  // namespace halfmoon::broker
