// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/channel_registry.h"

#include <limits>
#include <string>
#include <vector>

namespace halfmoon::adapter {

void ChannelRegistry::add(const std::shared_ptr<Channel>& channel) {
  channels_[static_cast<std::uint64_t>(channel->id())] = channel;
  ++probe_.channels;
}

void ChannelRegistry::remove(broker::ChannelId id) {
  if (channels_.erase(static_cast<std::uint64_t>(id)) > 0) --probe_.channels;
  // Taken out first: a reply runs core code, which may ask another client something at once.
  std::vector<Reply<Done>> orphans;
  for (auto it = awaited_.begin(); it != awaited_.end();) {
    if (it->second.channel != id) {
      ++it;
      continue;
    }
    orphans.push_back(std::move(it->second.reply));
    it = awaited_.erase(it);
  }
  for (Reply<Done>& reply : orphans) reply(Error{ErrorCode::NotFound, "the client closed its connection before it answered"});
}

std::shared_ptr<Channel> ChannelRegistry::find(broker::ChannelId id) const {
  const auto found = channels_.find(static_cast<std::uint64_t>(id));
  return found == channels_.end() ? nullptr : found->second.lock();
}

std::int32_t ChannelRegistry::next_opaque() {
  last_opaque_ = last_opaque_ == std::numeric_limits<std::int32_t>::max() ? 1 : last_opaque_ + 1;
  return last_opaque_;
}

void ChannelRegistry::await(broker::ChannelId id, std::int32_t opaque, Reply<Done> reply) {
  if (awaited_.size() >= kAwaitedMax) {
    reply(Error{ErrorCode::Busy, std::to_string(kAwaitedMax) + " requests to clients wait for their answers; try again later"});
    return;
  }
  awaited_.insert_or_assign(opaque, Awaited{id, mono_ms_ + kTimeoutMs, std::move(reply)});
}

void ChannelRegistry::answered(broker::ChannelId id, std::int32_t opaque, std::int32_t code, std::string_view remark) {
  const auto found = awaited_.find(opaque);
  if (found == awaited_.end() || found->second.channel != id) {
    ++probe_.stray_answers;
    return;
  }
  Reply<Done> reply = std::move(found->second.reply);
  awaited_.erase(found);
  if (code == static_cast<std::int32_t>(wire::ResponseCode::Success)) {
    reply(Done{});
  } else {
    reply(Error{ErrorCode::Internal, "the client answered code " + std::to_string(code) + ": " + std::string(remark)});
  }
}

void ChannelRegistry::tick(Now now) {
  mono_ms_ = now.mono_ms;
  std::vector<Reply<Done>> late;
  for (auto it = awaited_.begin(); it != awaited_.end();) {
    if (now.mono_ms < it->second.deadline_mono_ms) {
      ++it;
      continue;
    }
    late.push_back(std::move(it->second.reply));
    it = awaited_.erase(it);
  }
  probe_.push_timeouts += static_cast<std::int64_t>(late.size());
  for (Reply<Done>& reply : late) reply(Error{ErrorCode::Busy, "the client did not answer within 10 s"});
}

}  // namespace halfmoon::adapter
