// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>

#include "runtime/reactor.h"

namespace halfmoon::runtime {

/// A timer on CLOCK_BOOTTIME, the clock that Now::mono_ms reads, so it keeps its promise over a suspended machine. Rings at most once for
/// each time it was set; ringing early (because an earlier time had been set) is up to the callee to notice.
class Alarm {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  /// `ring` is called on the reactor's thread.
  Alarm(Reactor& reactor, std::function<void()> ring);
  ~Alarm();
  /// Any thread: rings at `mono_ms`, or at once if that has passed. A later time than the one that is set changes nothing, so the hot
  /// path pays for no system call; kNever likewise.
  void set_at_latest(std::int64_t mono_ms);

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace halfmoon::runtime
