// SPDX-License-Identifier: Apache-2.0
#include "runtime/gate.h"

#include <thread>

namespace halfmoon::runtime {

void Gate::close_listeners() {
  for (Listener* listener : listeners_) listener->stop();
}

bool Gate::empty(std::chrono::milliseconds patience) {
  for (Shard* shard : shards_) shard->close_connections();
  const auto end = std::chrono::steady_clock::now() + patience;
  const auto open = [this] {
    std::int64_t n = 0;
    for (const Shard* shard : shards_) n += shard->connections();
    return n;
  };
  // Asked, not told: this happens once in a process's life, and a condition that every closing connection signals would cost each of them.
  while (open() > 0) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace halfmoon::runtime
