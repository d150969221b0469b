// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "runtime/listener.h"
#include "runtime/shard.h"

namespace halfmoon::runtime {

/// The way in, and the orderly way out: first nobody new comes in, then (when the caller knows that every request has its answer) the
/// answers leave and the connections end. Not a shard's thread.
class Gate {
 public:
  Gate(std::vector<Shard*> shards, std::vector<Listener*> listeners) : shards_(std::move(shards)), listeners_(std::move(listeners)) {}
  /// The ports are free when it returns; the connections that are open stay and are served.
  void close_listeners();
  /// Ends the connections, each after its answers; false if some peer had not taken them by the time `patience` is over.
  bool empty(std::chrono::milliseconds patience);

 private:
  std::vector<Shard*> shards_;
  std::vector<Listener*> listeners_;
};

}  // namespace halfmoon::runtime
