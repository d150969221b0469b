// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/api.h"

namespace halfmoon::broker {

/// Who is connected: producers and consumers by group and channel, and what each consumer group subscribes to. Lives in memory only; clients say it
/// again every 30 s. Pure bookkeeping: the core decides what follows from a change.
class ClientRegistry {
 public:
  /// Registers the beat's producers and consumers (the core has already left out groups that may not exist). Returns the consumer groups whose members
  /// must be told to rebalance: a new channel, or a topic added to or removed from the group's subscriptions (specification 3.4, HEART_BEAT).
  std::vector<std::string> heartbeat(const Heartbeat& beat, std::int64_t mono_ms);
  /// These return the consumer groups that lost a member.
  std::vector<std::string> unregister(ChannelId channel, std::string_view client_id, std::string_view producer_group, std::string_view consumer_group);
  std::vector<std::string> channel_closed(ChannelId channel);
  std::vector<std::string> expire(std::int64_t mono_ms, std::int64_t timeout_ms);   // silent for longer than timeout_ms
  /// When expire() may next find something; INT64_MAX if nobody is there.
  std::int64_t next_expiry(std::int64_t timeout_ms) const;

  // ---- consumers
  bool has_consumers(std::string_view group) const;
  std::vector<std::string> consumer_ids(std::string_view group) const;      // sorted, without duplicates
  std::vector<ChannelId> consumer_channels(std::string_view group) const;
  std::optional<ConsumerConnections> consumer_connections(std::string_view group) const;
  std::optional<ChannelId> consumer_channel(std::string_view group, std::string_view client_id) const;
  std::optional<model::MessageModel> message_model(std::string_view group) const;
  const model::Subscription* subscription(std::string_view group, std::string_view topic) const;  // valid until the next change
  std::vector<std::string> groups_subscribing(std::string_view topic) const;

  // ---- producers
  std::vector<ClientInfo> producers(std::string_view group) const;
  bool has_producers(std::string_view group) const;
  bool is_producer(std::string_view group, ChannelId channel) const;
  /// The next producer channel of the group in turn, so that checks spread; nullopt if none lives.
  std::optional<ChannelId> next_producer(std::string_view group);
  /// The channel on which this client id registered last, in any producer group (request-reply, specification 4.11).
  std::optional<ChannelId> channel_of_client(std::string_view client_id) const;

  std::int64_t producer_count() const;
  std::int64_t consumer_count() const;

 private:
  struct Member {
    ClientInfo info;
    std::int64_t last_seen_mono_ms = 0;
  };
  struct ConsumerGroup {
    std::map<ChannelId, Member> members;
    std::map<std::string, model::Subscription, std::less<>> subscriptions;
    model::ConsumeType type{};
    model::MessageModel message_model{};
    model::ConsumeFrom from{};
  };
  struct ProducerGroup {
    std::map<ChannelId, Member> members;
    ChannelId last_asked{};
  };
  std::map<std::string, ConsumerGroup, std::less<>> consumers_;
  std::map<std::string, ProducerGroup, std::less<>> producers_;
  std::map<std::string, ChannelId, std::less<>> channel_by_client_;  // producers only; the last registration wins
};

}  // namespace halfmoon::broker
