// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "adapter/remoting/channel.h"
#include "adapter/remoting/probe.h"
#include "base/clock.h"
#include "base/reply.h"

namespace halfmoon::adapter {

/// The connections that clients talk over, and what we asked over them and wait for. Touched inside the core's monitor only,
/// which is why it needs no lock: the core's Outbound calls come from there, and sessions enter it anyway.
class ChannelRegistry {
 public:
  explicit ChannelRegistry(RemotingProbe& probe) : probe_(probe) {}

  void add(const std::shared_ptr<Channel>& channel);
  /// The connection is gone: whoever waits for an answer over it gets NotFound.
  void remove(broker::ChannelId id);
  /// nullptr: gone.
  std::shared_ptr<Channel> find(broker::ChannelId id) const;

  /// The number for our next request to any client.
  std::int32_t next_opaque();
  /// Waits at most 10 s for the answer to a request of ours. Errors for `reply`: see Outbound.
  void await(broker::ChannelId id, std::int32_t opaque, Reply<Done> reply);
  /// A client answered.
  void answered(broker::ChannelId id, std::int32_t opaque, std::int32_t code, std::string_view remark);
  /// Gives up what waits too long.
  void tick(Now now);

 private:
  static constexpr std::int64_t kTimeoutMs = 10000;
  static constexpr std::size_t kAwaitedMax = 10000;
  struct Awaited {
    broker::ChannelId channel{};
    std::int64_t deadline_mono_ms = 0;
    Reply<Done> reply;
  };

  RemotingProbe& probe_;
  std::unordered_map<std::uint64_t, std::weak_ptr<Channel>> channels_;
  std::map<std::int32_t, Awaited> awaited_;  // by opaque
  std::int32_t last_opaque_ = 0;
  std::int64_t mono_ms_ = 0;                 // of the last tick: exact enough for a timeout of 10 s
};

}  // namespace halfmoon::adapter
