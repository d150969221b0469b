// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/api.h"

namespace halfmoon::broker {

/// Who is connected: producers and consumers by group and channel, and what each consumer group subscribes to. Lives in memory only; clients say it
/// again every 30 s. Pure bookkeeping: the core decides what follows from a change. Lists of groups are sorted, without duplicates. `mono_ms` never
/// goes back from one call to the next.
class ClientRegistry {
 public:
  ClientRegistry() = default;
  ClientRegistry(const ClientRegistry&) = delete;
  ClientRegistry& operator=(const ClientRegistry&) = delete;

  /// Registers the beat's producers and consumers (the core has already left out groups that may not exist). Returns the consumer groups whose members
  /// must be told to rebalance: a new channel, or a topic added to or removed from the group's subscriptions (specification 3.4, HEART_BEAT).
  /// Broadcasting groups share nothing out and are never among them, here and below.
  std::vector<std::string> heartbeat(const Heartbeat& beat, std::int64_t mono_ms);
  /// A sign of life of a producer that is not a heartbeat. False: it is none of the group.
  bool renew_producer(std::string_view group, ChannelId channel, std::int64_t mono_ms);
  /// These return the consumer groups that lost a member, also those that are now gone. A group may be empty: no such side. The channel tells who
  /// leaves; the client id is not compared, as at RocketMQ.
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
  std::optional<ChannelId> consumer_channel(std::string_view group, std::string_view client_id) const;  // the newest, if there are several
  std::optional<model::MessageModel> message_model(std::string_view group) const;
  const model::Subscription* subscription(std::string_view group, std::string_view topic) const;  // valid until the next change
  std::vector<std::string> groups_subscribing(std::string_view topic) const;

  // ---- producers
  std::vector<ClientInfo> producers(std::string_view group) const;
  /// How a registered channel's client names itself; nullptr: it is not registered. Valid until the next change.
  const ClientInfo* client(ChannelId channel) const;
  bool has_producers(std::string_view group) const;
  bool is_producer(std::string_view group, ChannelId channel) const;
  /// The next producer channel of the group in turn, so that checks spread; nullopt if none lives.
  std::optional<ChannelId> next_producer(std::string_view group);
  /// The channel on which this client id registered last, in any producer group (request-reply, specification 4.11).
  std::optional<ChannelId> channel_of_client(std::string_view client_id) const;

  /// Memberships: a channel in two groups counts twice.
  std::int64_t producer_count() const { return producer_count_; }
  std::int64_t consumer_count() const { return consumer_count_; }
  /// What all subscriptions hold, about.
  std::int64_t subscription_bytes() const { return subscription_bytes_; }
  /// What heartbeat() would add, at most.
  struct Growth {
    std::int64_t memberships = 0;
    std::int64_t of_connection = 0;        // memberships of this connection afterwards
    std::int64_t subscription_bytes = 0;
  };
  Growth growth(const Heartbeat& beat) const;

 private:
  enum class Side : std::uint8_t { Producer, Consumer };

  /// One channel's membership of one group.
  struct Seat {
    Side side{};
    std::string group;
    ChannelId channel{};
    std::int64_t last_seen_mono_ms = 0;
    std::size_t place = 0;  // in seats_of_channel_[channel]
  };
  using SeatRef = std::list<Seat>::iterator;
  struct Member {
    ClientInfo info;
    SeatRef seat;
  };
  using Members = std::map<ChannelId, Member>;
  struct ConsumerGroup {
    Members members;
    mutable std::vector<std::string> ids;  // the answer of consumer_ids(), made when asked; empty: to be made again
    std::map<std::string, model::Subscription, std::less<>> subscriptions;
    model::ConsumeType type{};
    model::MessageModel message_model{};
    model::ConsumeFrom from{};
  };
  struct ProducerGroup {
    Members members;
    ChannelId last_asked{};
  };

  bool beat_consumer(const Heartbeat& beat, const ConsumerData& data, std::int64_t mono_ms);  // whether the group must be told
  void beat_producer(const Heartbeat& beat, const std::string& group, std::int64_t mono_ms);
  SeatRef take_seat(Side side, const std::string& group, ChannelId channel, std::int64_t mono_ms);
  void renew_seat(SeatRef seat, std::int64_t mono_ms);
  /// Ends the membership; a consumer group that must hear of it is appended to `lost`.
  void leave(SeatRef seat, std::vector<std::string>& lost);
  void leave_producers(SeatRef seat);
  void leave_consumers(SeatRef seat, std::vector<std::string>& lost);
  void client_came(const std::string& client_id, ChannelId channel);
  void client_went(const std::string& client_id, ChannelId channel);

  std::map<std::string, ConsumerGroup, std::less<>> consumers_;
  std::map<std::string, ProducerGroup, std::less<>> producers_;
  std::list<Seat> seats_;  // the longest silent first
  std::unordered_map<ChannelId, std::vector<SeatRef>> seats_of_channel_;
  /// Producers only: the channels of a client id with the number of groups that it is in on each; the last registration stands last.
  std::map<std::string, std::vector<std::pair<ChannelId, std::size_t>>, std::less<>> channels_of_client_;
  std::int64_t producer_count_ = 0;
  std::int64_t consumer_count_ = 0;
  std::int64_t subscription_bytes_ = 0;
};

}  // namespace halfmoon::broker
