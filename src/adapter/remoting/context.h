// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "adapter/remoting/channel_registry.h"
#include "adapter/remoting/event_limiter.h"
#include "adapter/remoting/options.h"
#include "adapter/remoting/probe.h"
#include "adapter/remoting/shared_bodies.h"
#include "nameserver/api.h"
#include "runtime/monitor.h"

namespace halfmoon::adapter {

/// What a thread needs to answer pulls, for all its connections: what it keeps in memory is the thread's, not each connection's.
struct PullTools {
  std::unique_ptr<broker::MessageReader> reader;
  SharedBodies bodies;
  std::chrono::steady_clock::time_point patient_from{};   // the disk is slow: until then no pull waits for it
};

/// What all sessions share. `options` and `ports` do not change once there are sessions; everything else is touched inside the
/// monitor only.
struct Context {
  Context(runtime::Monitor& the_monitor, nameserver::NameServer& the_name_server, RemotingOptions the_options)
      : monitor(the_monitor), name_server(the_name_server), options(std::move(the_options)) {}

  runtime::Monitor& monitor;
  nameserver::NameServer& name_server;
  RemotingOptions options;
  std::optional<BrokerPorts> ports;  // none: a name server without a broker

  RemotingProbe probe;
  ChannelRegistry registry{probe};
  EventLimiter bad_input_events;
  std::atomic<std::int64_t> busy_pulls{0};   // refused because memory was short; written by I/O threads outside the monitor

  /// The calling thread's. Outside the monitor as well.
  PullTools& pull_tools() {
    const std::lock_guard lock(pull_tools_mutex_);
    auto& tools = pull_tools_[std::this_thread::get_id()];
    if (!tools) tools = std::make_unique<PullTools>(PullTools{.reader = ports->readers.make_reader(), .bodies = {}, .patient_from = {}});
    return *tools;
  }

 private:
  std::mutex pull_tools_mutex_;
  std::unordered_map<std::thread::id, std::unique_ptr<PullTools>> pull_tools_;
};

}  // namespace halfmoon::adapter
