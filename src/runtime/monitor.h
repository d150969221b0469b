// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <mutex>
#include <utility>

#include "base/clock.h"

namespace halfmoon::runtime {

/// Serialises entries into the core, which has no thread of its own: whoever has work enters, runs it to completion, and leaves.
/// `begin` and `end` bracket each turn: they stamp the time once for a whole batch, close the log's batch and wake the syncer.
/// Never enter from inside.
class Monitor {
 public:
  struct Hooks {
    std::function<void(Now)> begin;
    std::function<void()> end;
  };
  Monitor(Clock& clock, Hooks hooks) : clock_(clock), hooks_(std::move(hooks)) {}

  /// Runs f(now) inside. Blocks while another thread is inside (tens of microseconds at most: nobody inside waits for anything).
  template <class F>
  void enter(F&& f) {
    const std::lock_guard lock(mutex_);
    const Now now = clock_.now();
    hooks_.begin(now);
    f(now);
    hooks_.end();
  }

  /// Runs f() inside but between turns, without the hooks: for reading what a turn has left (a snapshot of the tables).
  template <class F>
  void between_turns(F&& f) {
    const std::lock_guard lock(mutex_);
    f();
  }

 private:
  std::mutex mutex_;
  Clock& clock_;
  Hooks hooks_;
};

}  // namespace halfmoon::runtime
