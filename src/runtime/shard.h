// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "runtime/connection.h"
#include "runtime/entrance.h"
#include "runtime/memory_budget.h"
#include "runtime/reactor.h"

namespace halfmoon::runtime {

struct ShardOptions {
  std::string name = "io-0";                        // of its thread, up to 15 letters
  std::int64_t idle_ms = 120000;                    // a connection that neither reads nor writes for so long is closed; 0: never
  std::int64_t linger_ms = 1000;                    // how long a closed connection waits for the peer to take the last answers
  std::size_t read_bytes = 512 << 10;               // one buffer for all connections of the shard
  std::size_t out_pause_bytes = 8 << 20;            // unsent answers above which a connection is not read until half of that
  std::size_t out_max_bytes = 64 << 20;             // unsent answers above which it is closed
  std::int64_t frame_grace_ms = 30000;              // a frame that has begun must come within so long, ...
  std::int64_t frame_bytes_per_s = 1024;            // ... and so much longer as it brings bytes at this pace; 0: there is no such limit
  std::shared_ptr<MemoryBudget> memory = std::make_shared<MemoryBudget>();   // of all shards; not null
};

/// Only grows; read from any thread.
struct ShardCounters {
  std::int64_t turns = 0, tasks = 0, reads = 0, sends = 0, bytes_in = 0, bytes_out = 0;
  std::int64_t accepted = 0, closed_idle = 0, closed_slow = 0, closed_foreign = 0;
  std::int64_t closed_slow_sender = 0;   // a frame did not come in time
  std::int64_t paused_for_memory = 0;    // times that a connection was not read because all hold too much
};

/// One thread, its sockets and its mailbox. It works in turns: takes what is ready from each connection once, runs the tasks that were
/// posted, then sends what the sessions left in out(), one send a connection. So the answers to all that one read brought leave in one
/// write, and no connection is served twice before each was served once.
///
/// A shard outlives everything that may still post to it; after stop() a task only waits to be destroyed with it.
class Shard {
 public:
  Shard(Clock& clock, ShardOptions options);
  ~Shard();
  /// Starts the thread. `on_timer` is what run_at runs.
  /// `on_turn_end` runs on the shard's thread after everything that one look at the sockets brought was handled and before the answers leave: what
  /// it answers leaves with them.
  void start(std::function<void()> on_timer = {}, std::function<void()> on_turn_end = {});
  /// Any other thread: closes every connection as it stands and joins. For an orderly end call close_connections first.
  void stop();

  // ---- any thread
  void post(Task task);
  bool on_own_thread() const;
  /// Runs on_timer on the shard's thread at `mono_ms` at the latest; one timer, the earliest time counts. Never is INT64_MAX.
  void run_at(std::int64_t mono_ms);
  void adopt(Accepted accepted);
  /// Nothing more is read from any connection; each closes as soon as its answers have left.
  void close_connections();
  std::int64_t connections() const;
  ShardCounters counters() const;

  // ---- its own thread
  Reactor& reactor();

 private:
  friend class TcpConnection;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace halfmoon::runtime
