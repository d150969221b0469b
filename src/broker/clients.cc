// SPDX-License-Identifier: Apache-2.0
#include "broker/clients.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/check.h"

namespace halfmoon::broker {

namespace {

std::vector<std::string> sorted_unique(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

using Subscriptions = std::map<std::string, model::Subscription, std::less<>>;

std::int64_t bytes_of(const model::Subscription& subscription) {
  std::size_t bytes = sizeof subscription + 2 * subscription.topic.size() + subscription.expression.size() + subscription.expression_type.size();
  for (const std::string& tag : subscription.tags) bytes += sizeof tag + tag.size();
  return static_cast<std::int64_t>(bytes);
}

std::int64_t bytes_of(const Subscriptions& subscriptions) {
  std::int64_t bytes = 0;
  for (const auto& [topic, subscription] : subscriptions) bytes += bytes_of(subscription);
  return bytes;
}

/// Makes `known` what the heartbeat states; true if a topic came or went. A newer version of a known one is taken silently.
bool update_subscriptions(Subscriptions& known, const std::vector<model::Subscription>& stated) {
  bool changed = false;
  std::set<std::string_view> topics;
  for (const model::Subscription& subscription : stated) {
    topics.insert(subscription.topic);
    const auto [it, added] = known.try_emplace(subscription.topic, subscription);
    if (added) changed = true;
    else if (subscription.version > it->second.version) it->second = subscription;
  }
  return std::erase_if(known, [&topics](const auto& entry) { return !topics.contains(entry.first); }) > 0 || changed;
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------ coming

std::vector<std::string> ClientRegistry::heartbeat(const Heartbeat& beat, std::int64_t mono_ms) {
  for (const std::string& group : beat.producer_groups) beat_producer(beat, group, mono_ms);
  std::vector<std::string> changed;
  for (const ConsumerData& data : beat.consumers) {
    if (beat_consumer(beat, data, mono_ms)) changed.push_back(data.group);
  }
  return sorted_unique(std::move(changed));
}

void ClientRegistry::beat_producer(const Heartbeat& beat, const std::string& group, std::int64_t mono_ms) {
  Members& members = producers_.try_emplace(group).first->second.members;
  const auto it = members.find(beat.channel);
  if (it == members.end()) {
    members.try_emplace(beat.channel, Member{beat.client, take_seat(Side::Producer, group, beat.channel, mono_ms)});
    client_came(beat.client.client_id, beat.channel);
    return;
  }
  Member& member = it->second;
  renew_seat(member.seat, mono_ms);
  if (member.info.client_id != beat.client.client_id) {
    client_went(member.info.client_id, beat.channel);
    client_came(beat.client.client_id, beat.channel);
  }
  member.info = beat.client;
}

bool ClientRegistry::renew_producer(std::string_view group, ChannelId channel, std::int64_t mono_ms) {
  const auto producers = producers_.find(group);
  if (producers == producers_.end()) return false;
  const auto member = producers->second.members.find(channel);
  if (member == producers->second.members.end()) return false;
  renew_seat(member->second.seat, mono_ms);
  return true;
}

bool ClientRegistry::beat_consumer(const Heartbeat& beat, const ConsumerData& data, std::int64_t mono_ms) {
  ConsumerGroup& group = consumers_.try_emplace(data.group).first->second;
  group.type = data.type;
  group.message_model = data.message_model;
  group.from = data.from;
  bool changed = false;
  if (const auto it = group.members.find(beat.channel); it != group.members.end()) {
    renew_seat(it->second.seat, mono_ms);
    if (it->second.info.client_id != beat.client.client_id) group.ids.clear();
    it->second.info = beat.client;
  } else {
    group.ids.clear();
    group.members.try_emplace(beat.channel, Member{beat.client, take_seat(Side::Consumer, data.group, beat.channel, mono_ms)});
    changed = true;
  }
  if (!beat.without_subscriptions) {
    subscription_bytes_ -= bytes_of(group.subscriptions);
    if (update_subscriptions(group.subscriptions, data.subscriptions)) changed = true;
    subscription_bytes_ += bytes_of(group.subscriptions);
  }
  return changed && group.message_model != model::MessageModel::Broadcasting;
}

ClientRegistry::Growth ClientRegistry::growth(const Heartbeat& beat) const {
  Growth growth;
  if (const auto seats = seats_of_channel_.find(beat.channel); seats != seats_of_channel_.end()) growth.of_connection = static_cast<std::int64_t>(seats->second.size());
  for (const std::string& group : beat.producer_groups)
    if (!is_producer(group, beat.channel)) growth.memberships++;
  for (const ConsumerData& data : beat.consumers) {
    const auto group = consumers_.find(data.group);
    if (group == consumers_.end() || !group->second.members.contains(beat.channel)) growth.memberships++;
    std::int64_t stated = 0;
    for (const model::Subscription& subscription : data.subscriptions) stated += bytes_of(subscription);
    if (!beat.without_subscriptions) growth.subscription_bytes += stated - (group == consumers_.end() ? 0 : bytes_of(group->second.subscriptions));
  }
  growth.of_connection += growth.memberships;
  return growth;
}

ClientRegistry::SeatRef ClientRegistry::take_seat(Side side, const std::string& group, ChannelId channel, std::int64_t mono_ms) {
  std::vector<SeatRef>& of_channel = seats_of_channel_[channel];
  const SeatRef seat = seats_.insert(seats_.end(), Seat{side, group, channel, mono_ms, of_channel.size()});
  of_channel.push_back(seat);
  ++(side == Side::Producer ? producer_count_ : consumer_count_);
  return seat;
}

void ClientRegistry::renew_seat(SeatRef seat, std::int64_t mono_ms) {
  seat->last_seen_mono_ms = mono_ms;
  seats_.splice(seats_.end(), seats_, seat);
}

void ClientRegistry::client_came(const std::string& client_id, ChannelId channel) {
  if (client_id.empty()) return;  // not known yet: nobody can be addressed by it
  auto& channels = channels_of_client_[client_id];
  const auto it = std::find_if(channels.begin(), channels.end(), [channel](const auto& entry) { return entry.first == channel; });
  if (it == channels.end()) {
    channels.emplace_back(channel, 1);
    return;
  }
  it->second++;
  std::rotate(it, it + 1, channels.end());
}

// ----------------------------------------------------------------------------------------------------------- leaving

void ClientRegistry::client_went(const std::string& client_id, ChannelId channel) {
  if (client_id.empty()) return;
  const auto client = channels_of_client_.find(client_id);
  HM_CHECK(client != channels_of_client_.end());
  auto& channels = client->second;
  const auto it = std::find_if(channels.begin(), channels.end(), [channel](const auto& entry) { return entry.first == channel; });
  HM_CHECK(it != channels.end());
  if (--it->second == 0) channels.erase(it);
  if (channels.empty()) channels_of_client_.erase(client);
}

void ClientRegistry::leave(SeatRef seat, std::vector<std::string>& lost) {
  if (seat->side == Side::Producer) leave_producers(seat);
  else leave_consumers(seat, lost);
  const auto of_channel = seats_of_channel_.find(seat->channel);
  HM_CHECK(of_channel != seats_of_channel_.end());
  std::vector<SeatRef>& seats = of_channel->second;
  seats[seat->place] = seats.back();
  seats[seat->place]->place = seat->place;
  seats.pop_back();
  if (seats.empty()) seats_of_channel_.erase(of_channel);
  seats_.erase(seat);
}

void ClientRegistry::leave_producers(SeatRef seat) {
  const auto group = producers_.find(seat->group);
  HM_CHECK(group != producers_.end());
  const auto member = group->second.members.find(seat->channel);
  client_went(member->second.info.client_id, seat->channel);
  group->second.members.erase(member);
  if (group->second.members.empty()) producers_.erase(group);
  producer_count_--;
}

void ClientRegistry::leave_consumers(SeatRef seat, std::vector<std::string>& lost) {
  const auto group = consumers_.find(seat->group);
  HM_CHECK(group != consumers_.end());
  if (group->second.message_model != model::MessageModel::Broadcasting) lost.push_back(seat->group);
  group->second.members.erase(seat->channel);
  group->second.ids.clear();
  if (group->second.members.empty()) {
    subscription_bytes_ -= bytes_of(group->second.subscriptions);
    consumers_.erase(group);
  }
  consumer_count_--;
}

std::vector<std::string> ClientRegistry::unregister(ChannelId channel, std::string_view /*client_id*/, std::string_view producer_group,
                                                    std::string_view consumer_group) {
  std::vector<std::string> lost;
  const auto leave_group = [&](auto& groups, std::string_view name) {
    const auto group = groups.find(name);
    if (group == groups.end()) return;
    const auto member = group->second.members.find(channel);
    if (member != group->second.members.end()) leave(member->second.seat, lost);
  };
  leave_group(producers_, producer_group);
  leave_group(consumers_, consumer_group);
  return lost;
}

std::vector<std::string> ClientRegistry::channel_closed(ChannelId channel) {
  std::vector<std::string> lost;
  for (auto it = seats_of_channel_.find(channel); it != seats_of_channel_.end(); it = seats_of_channel_.find(channel)) leave(it->second.back(), lost);
  return sorted_unique(std::move(lost));
}

std::vector<std::string> ClientRegistry::expire(std::int64_t mono_ms, std::int64_t timeout_ms) {
  std::vector<std::string> lost;
  while (!seats_.empty() && mono_ms - seats_.front().last_seen_mono_ms > timeout_ms) leave(seats_.begin(), lost);
  return sorted_unique(std::move(lost));
}

std::int64_t ClientRegistry::next_expiry(std::int64_t timeout_ms) const {
  if (seats_.empty()) return std::numeric_limits<std::int64_t>::max();
  return seats_.front().last_seen_mono_ms + timeout_ms + 1;
}

// --------------------------------------------------------------------------------------------------------- consumers

bool ClientRegistry::has_consumers(std::string_view group) const { return consumers_.contains(group); }

std::vector<std::string> ClientRegistry::consumer_ids(std::string_view group) const {
  const auto it = consumers_.find(group);
  if (it == consumers_.end()) return {};
  // After each change every member asks: a large group must not be sorted for every one of them.
  std::vector<std::string>& ids = it->second.ids;
  if (ids.empty()) {
    for (const auto& [channel, member] : it->second.members) ids.push_back(member.info.client_id);
    ids = sorted_unique(std::move(ids));
  }
  return ids;
}

std::vector<ChannelId> ClientRegistry::consumer_channels(std::string_view group) const {
  std::vector<ChannelId> channels;
  const auto it = consumers_.find(group);
  if (it == consumers_.end()) return channels;
  channels.reserve(it->second.members.size());
  for (const auto& [channel, member] : it->second.members) channels.push_back(channel);
  return channels;
}

std::optional<ConsumerConnections> ClientRegistry::consumer_connections(std::string_view group) const {
  const auto it = consumers_.find(group);
  if (it == consumers_.end()) return std::nullopt;
  ConsumerConnections connections;
  for (const auto& [channel, member] : it->second.members) connections.clients.push_back(member.info);
  for (const auto& [topic, subscription] : it->second.subscriptions) connections.subscriptions.push_back(subscription);
  connections.type = it->second.type;
  connections.message_model = it->second.message_model;
  connections.from = it->second.from;
  return connections;
}

std::optional<ChannelId> ClientRegistry::consumer_channel(std::string_view group, std::string_view client_id) const {
  const auto it = consumers_.find(group);
  if (it == consumers_.end()) return std::nullopt;
  // A client that lost its connection is back under a higher number before the old one is given up.
  const Members& members = it->second.members;
  const auto member = std::find_if(members.rbegin(), members.rend(), [client_id](const auto& m) { return m.second.info.client_id == client_id; });
  if (member == members.rend()) return std::nullopt;
  return member->first;
}

std::optional<model::MessageModel> ClientRegistry::message_model(std::string_view group) const {
  const auto it = consumers_.find(group);
  if (it == consumers_.end()) return std::nullopt;
  return it->second.message_model;
}

const model::Subscription* ClientRegistry::subscription(std::string_view group, std::string_view topic) const {
  const auto it = consumers_.find(group);
  if (it == consumers_.end()) return nullptr;
  const auto subscription = it->second.subscriptions.find(topic);
  return subscription == it->second.subscriptions.end() ? nullptr : &subscription->second;
}

std::vector<std::string> ClientRegistry::groups_subscribing(std::string_view topic) const {
  std::vector<std::string> groups;
  for (const auto& [name, group] : consumers_) {
    if (group.subscriptions.contains(topic)) groups.push_back(name);
  }
  return groups;
}

// --------------------------------------------------------------------------------------------------------- producers

std::vector<ClientInfo> ClientRegistry::producers(std::string_view group) const {
  std::vector<ClientInfo> clients;
  const auto it = producers_.find(group);
  if (it == producers_.end()) return clients;
  for (const auto& [channel, member] : it->second.members) clients.push_back(member.info);
  return clients;
}

const ClientInfo* ClientRegistry::client(ChannelId channel) const {
  const auto seats = seats_of_channel_.find(channel);
  if (seats == seats_of_channel_.end()) return nullptr;
  const ClientInfo* found = nullptr;
  for (const SeatRef& seat : seats->second) {
    const Members& members = seat->side == Side::Producer ? producers_.find(seat->group)->second.members : consumers_.find(seat->group)->second.members;
    found = &members.at(channel).info;
    if (!found->client_id.empty()) break;  // by another group it may not be named yet
  }
  return found;
}

bool ClientRegistry::has_producers(std::string_view group) const { return producers_.contains(group); }

bool ClientRegistry::is_producer(std::string_view group, ChannelId channel) const {
  const auto it = producers_.find(group);
  return it != producers_.end() && it->second.members.contains(channel);
}

std::optional<ChannelId> ClientRegistry::next_producer(std::string_view group) {
  const auto it = producers_.find(group);
  if (it == producers_.end()) return std::nullopt;
  ProducerGroup& producers = it->second;
  auto next = producers.members.upper_bound(producers.last_asked);
  if (next == producers.members.end()) next = producers.members.begin();
  producers.last_asked = next->first;
  return next->first;
}

std::optional<ChannelId> ClientRegistry::channel_of_client(std::string_view client_id) const {
  const auto it = channels_of_client_.find(client_id);
  if (it == channels_of_client_.end()) return std::nullopt;
  return it->second.back().first;
}

}  // namespace halfmoon::broker
