// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

namespace {
// Entries looked at in one pull that finds nothing to its taste: RocketMQ's maxFilterMessageSize of 16000 bytes, 20 an entry.
constexpr std::int64_t kScanMax = 800;
// So many messages that have become visible at once are compared with each waiting pull's tag before it is looked at closely.
constexpr std::int64_t kFewFresh = 8;
// No pull waits longer, whatever it asks for: clients ask for seconds.
constexpr std::int64_t kSuspendMaxMs = 600'000;
}  // namespace

// ------------------------------------------------------------------------------------------------------------------ pulls

// The order of the checks is specification 3.4's.
void Core::Impl::pull(const PullRequest& request, Reply<PullResult> reply) {
  const auto refuse = [&](Error error) {
    count.refused++;
    reply(std::move(error));
  };
  auto ensured = ensure_group(request.group);
  if (!ensured.ok()) return refuse(std::move(ensured).error());
  Group& group = **ensured;
  const std::string group_name(request.group);
  if (!group.config.consume_enable) return refuse({ErrorCode::NoPermission, "subscription group no permission, " + group_name});
  Topic* topic = find_topic(request.topic);
  if (!topic) return refuse({ErrorCode::TopicNotFound, "topic[" + std::string(request.topic) + "] not exist, apply first please!"});
  if ((topic->config.permission & model::permission::kRead) == 0)
    return refuse({ErrorCode::NoPermission, "the topic[" + topic->config.name + "] pulling message is forbidden"});
  Queue* queue = topic->queue(request.queue_id);
  if (!queue || request.queue_id >= topic->config.read_queues)
    return refuse({ErrorCode::InvalidArgument, "queueId[" + std::to_string(request.queue_id) + "] is illegal, topic:[" + topic->config.name +
                                                   "] topicConfig.readQueueNums:[" + std::to_string(topic->config.read_queues) + "]"});
  const model::Subscription* subscription = request.subscription;
  const auto message_model = clients.message_model(request.group);
  if (!subscription) {
    if (!message_model) return refuse({ErrorCode::SubscriptionNotFound, "the consumer's group info not exist: group " + group_name + " sent no heartbeat yet"});
    if (*message_model == model::MessageModel::Broadcasting && !group.config.consume_broadcast_enable)
      return refuse({ErrorCode::NoPermission, "the consumer group[" + group_name + "] can not consume by broadcast way"});
    subscription = clients.subscription(request.group, request.topic);
    if (!subscription) return refuse({ErrorCode::SubscriptionNotFound, "the consumer's subscription not exist: group " + group_name + ", topic " + topic->config.name});
    if (subscription->version < request.subscription_version)
      return refuse({ErrorCode::SubscriptionOutdated, "the consumer's subscription not latest"});
  }
  auto filter = TagFilter::of(*subscription);
  if (!filter.ok()) return refuse(std::move(filter).error());

  count.pulls++;
  const bool broadcast = message_model == model::MessageModel::Broadcasting;
  if (request.commit_offset && !broadcast) commit(group, request.group, *topic, request.queue_id, *request.commit_offset, OffsetKind::Commit);
  OffsetState unkept;
  OffsetState* const kept = offset_state(group, *topic, request.queue_id);
  OffsetState& state = kept ? *kept : unkept;
  state.pulled = request.offset;
  PullResult result;
  if (state.reset_pending) {
    state.offset = std::clamp(state.offset, queue->index.min(), std::max(queue->visible, queue->index.min()));
    if (request.offset == state.offset) adopt_reset(state, request.group, *topic, request.queue_id);
  }
  if (state.reset_pending) {
    result.status = PullStatus::OffsetMoved;
    result.next_offset = state.offset;
    result.min_offset = queue->index.min();
    result.max_offset = queue->visible;
    return reply(std::move(result));
  }
  const std::int32_t count_max = std::clamp(request.count_max, 1, options.pull_count_max);
  const std::int64_t bytes_max = request.bytes_max > 0 ? std::min(request.bytes_max, options.pull_bytes_max) : options.pull_bytes_max;
  result = scan(*topic, *queue, request.offset, count_max, bytes_max, *filter, group.config.sys_flag);
  const bool may_wait = request.suspend_ms > 0 && stopped_why.empty() && (result.status == PullStatus::NoNewMessage || result.status == PullStatus::NoMatch) &&
                        result.next_offset >= queue->visible;
  if (may_wait && static_cast<std::int64_t>(parked.size() - parked_free.size()) < options.parked_pulls_max)
    return park(request, *topic, *queue, std::move(*filter), group.config.sys_flag, std::move(reply));
  if (may_wait) count.pulls_not_parked++;
  reply(std::move(result));
}

PullResult Core::Impl::scan(const Topic& topic, const Queue& queue, std::int64_t offset, std::int32_t count_max, std::int64_t bytes_max, const TagFilter& filter,
                            std::int32_t group_sys_flag) {
  PullResult result;
  result.min_offset = queue.index.min();
  result.max_offset = queue.visible;
  result.topic_sys_flag = topic.config.sys_flag;
  result.group_sys_flag = group_sys_flag;
  result.next_offset = offset;
  if (offset == queue.visible) return result;
  if (offset < queue.index.min() || offset > queue.visible) {
    result.status = PullStatus::OffsetMoved;
    result.next_offset = offset < queue.index.min() ? queue.index.min() : queue.visible;
    return result;
  }
  std::int64_t bytes = 0;
  std::int64_t next = offset;
  const std::int64_t scan_end = std::min(queue.visible, offset + std::max<std::int64_t>(kScanMax, count_max));
  for (; next < scan_end; next++) {
    const IndexEntry& entry = queue.index.at(next);
    if (!filter.matches(entry.tag_hash)) continue;
    if (!result.extents.empty() && bytes + entry.bytes > bytes_max) break;
    if (result.extents.empty()) result.extents.reserve(static_cast<std::size_t>(std::min<std::int64_t>(count_max, scan_end - next)));
    result.extents.push_back({entry.position, next});
    bytes += entry.bytes;
    if (static_cast<std::int32_t>(result.extents.size()) == count_max) {
      next++;
      break;
    }
  }
  result.next_offset = next;
  result.status = result.extents.empty() ? PullStatus::NoMatch : PullStatus::Found;
  count.messages_out += static_cast<std::int64_t>(result.extents.size());
  count.bytes_out += bytes;
  return result;
}

void Core::Impl::park(const PullRequest& request, const Topic& topic, Queue& queue, TagFilter filter, std::int32_t group_sys_flag,
                      Reply<PullResult> reply) {
  std::uint32_t slot;
  if (parked_free.empty()) {
    slot = static_cast<std::uint32_t>(parked.size());
    parked.emplace_back();
  } else {
    slot = parked_free.back();
    parked_free.pop_back();
  }
  ParkedPull& p = parked[slot];
  p.used = true;
  p.generation++;
  p.topic = topic.id;
  p.queue_id = request.queue_id;
  p.asked_offset = request.offset;
  p.count_max = std::clamp(request.count_max, 1, options.pull_count_max);
  p.bytes_max = request.bytes_max > 0 ? std::min(request.bytes_max, options.pull_bytes_max) : options.pull_bytes_max;
  p.group_sys_flag = group_sys_flag;
  p.filter = std::move(filter);
  p.reply = std::move(reply);
  queue.parked.push_back({slot, p.filter.only_tag()});
  // Pulls that were answered leave their deadlines behind: those are thrown out when they are the most.
  if (pull_deadlines.size() > 2 * (parked.size() - parked_free.size()) + 1024) {
    std::erase_if(pull_deadlines, [&](const PullDeadline& due) { return !parked[due.slot].used || parked[due.slot].generation != due.generation; });
    std::make_heap(pull_deadlines.begin(), pull_deadlines.end());
  }
  pull_deadlines.push_back({now.mono_ms + std::min(request.suspend_ms, kSuspendMaxMs), slot, p.generation});
  std::push_heap(pull_deadlines.begin(), pull_deadlines.end());
  count.pulls_parked++;
}

void Core::Impl::wake_pulls(const Topic& topic, Queue& queue, std::int64_t from) {
  const bool few = from >= queue.index.min() && queue.visible - from <= kFewFresh;  // retention may have taken what was not shown yet
  const auto none_has = [&](std::int32_t tag) {
    for (std::int64_t offset = from; offset < queue.visible; offset++)
      if (queue.index.at(offset).tag_hash == tag) return false;
    return true;
  };
  // In one pass: thousands may wait here, for a tag that seldom comes or all for the same message.
  std::vector<WaitingPull> waiting = std::exchange(queue.parked, {});
  std::size_t kept = 0;
  for (const WaitingPull& pull : waiting) {
    if (!few || !pull.only_tag || !none_has(*pull.only_tag)) {
      ParkedPull& p = parked[pull.slot];
      PullResult result;
      for (std::int64_t offset = from; offset < queue.visible; offset = result.next_offset) {
        result = scan(topic, queue, offset, p.count_max, p.bytes_max, p.filter, p.group_sys_flag);
        if (result.status != PullStatus::NoMatch) break;
      }
      if (result.status == PullStatus::Found || result.status == PullStatus::OffsetMoved) {
        answer_parked(pull.slot, std::move(result));
        continue;
      }
    }
    waiting[kept++] = pull;
  }
  waiting.resize(kept);
  waiting.insert(waiting.end(), queue.parked.begin(), queue.parked.end());
  queue.parked = std::move(waiting);
}

void Core::Impl::unpark(std::uint32_t slot, Result<PullResult> result) {
  const ParkedPull& p = parked[slot];
  if (Topic* topic = topic_of(p.topic))
    if (Queue* queue = topic->queue(p.queue_id)) std::erase_if(queue->parked, [&](const WaitingPull& pull) { return pull.slot == slot; });
  answer_parked(slot, std::move(result));
}

void Core::Impl::answer_parked(std::uint32_t slot, Result<PullResult> result) {
  ParkedPull& p = parked[slot];
  Reply<PullResult> reply = std::move(p.reply);
  p.used = false;
  parked_free.push_back(slot);
  reply(std::move(result));
}

void Core::Impl::expire_pulls() {
  while (!pull_deadlines.empty() && pull_deadlines.front().at_mono_ms <= now.mono_ms) {
    const PullDeadline due = pull_deadlines.front();
    std::pop_heap(pull_deadlines.begin(), pull_deadlines.end());
    pull_deadlines.pop_back();
    ParkedPull& p = parked[due.slot];
    if (!p.used || p.generation != due.generation) continue;
    PullResult result;
    result.next_offset = p.asked_offset;
    result.group_sys_flag = p.group_sys_flag;
    if (const Topic* topic = topic_of(p.topic)) {
      const Queue* queue = topic->queue(p.queue_id);
      result.min_offset = queue->index.min();
      result.max_offset = result.next_offset = queue->visible;
      result.topic_sys_flag = topic->config.sys_flag;
    }
    result.status = result.next_offset > p.asked_offset ? PullStatus::NoMatch : PullStatus::NoNewMessage;
    unpark(due.slot, std::move(result));
  }
}

// ---------------------------------------------------------------------------------------------------------------- offsets

Result<Queue*> Core::Impl::queue_for(QueueRef ref, Topic** topic_out) {
  Topic* topic = find_topic(ref.topic);
  if (!topic) return Error{ErrorCode::TopicNotFound, "topic[" + std::string(ref.topic) + "] not exist, apply first please!"};
  Queue* queue = topic->queue(ref.queue_id);
  if (!queue)
    return Error{ErrorCode::InvalidArgument, "queueId[" + std::to_string(ref.queue_id) + "] is illegal, topic:[" + topic->config.name + "] has " +
                                                 std::to_string(topic->queues.size()) + " queues"};
  if (topic_out) *topic_out = topic;
  return queue;
}

void Core::Impl::commit(Group& group, std::string_view group_name, const Topic& topic, std::int32_t queue_id, std::int64_t offset, OffsetKind kind) {
  OffsetState* const kept = offset_state(group, topic, queue_id);
  if (!kept) return;  // as if it came later: the group begins there again
  OffsetState& state = *kept;
  if (kind == OffsetKind::Reset) {
    make_dirty(state, group_name, topic, queue_id);
    state.reset_pending = true;
  } else {
    // Clients go on committing what they had for some seconds after they were told to move (rocketmq-client 4.9 for ten).
    if (state.reset_pending) {
      if (offset == state.offset) adopt_reset(state, group_name, topic, queue_id);
      return;
    }
    if (offset == state.offset) return;
    if (offset < state.offset) {
      count.offsets_backwards++;
      return;
    }
    count.offsets_committed++;
  }
  make_dirty(state, group_name, topic, queue_id);
  state.offset = offset;
}

// Before the change: what stands there is what the log knows.
void Core::Impl::make_dirty(OffsetState& state, std::string_view group_name, const Topic& topic, std::int32_t queue_id) {
  if (state.dirty) return;
  state.dirty = true;
  dirty_offsets.push_back({std::string(group_name), topic.id, queue_id, state.offset, state.reset_pending});
  if (offsets_due_mono_ms == kNever) offsets_due_mono_ms = now.mono_ms + options.offset_flush_ms;
}

void Core::Impl::adopt_reset(OffsetState& state, std::string_view group_name, const Topic& topic, std::int32_t queue_id) {
  make_dirty(state, group_name, topic, queue_id);
  state.reset_pending = false;
}

OffsetState* Core::Impl::known_offset(std::string_view group_name, std::uint32_t topic, std::int32_t queue_id) {
  const auto group = groups.find(group_name);
  if (group == groups.end() || !topic_of(topic)) return nullptr;
  const auto state = group->second.offsets.find({topic, queue_id});
  return state == group->second.offsets.end() ? nullptr : &state->second;
}

// One record for everything that changed since the last one.
Status Core::Impl::flush_offsets() {
  offsets_due_mono_ms = kNever;
  std::vector<OffsetItem> items;
  for (const DirtyOffset& d : dirty_offsets) {
    OffsetState* const state = known_offset(d.group, d.topic, d.queue_id);
    if (!state) continue;  // its topic was deleted
    state->dirty = false;
    items.push_back({d.group, topic_of(d.topic)->config.name, d.queue_id, state->offset, state->reset_pending ? OffsetKind::Reset : OffsetKind::Commit});
  }
  std::vector<Reply<Done>> replies = std::move(offset_replies);
  offset_replies.clear();
  Result<storage::Position> record = storage::Position{0};  // nothing to write: safe already
  if (!items.empty()) record = append(RecordType::Offsets, encode(items));
  if (!record.ok()) {  // disk full or busy: they stay dirty
    for (const DirtyOffset& d : dirty_offsets)
      if (OffsetState* const state = known_offset(d.group, d.topic, d.queue_id)) state->dirty = true;
    offsets_due_mono_ms = now.mono_ms + options.offset_flush_ms;
    for (auto& reply : replies) reply(Error(record.error()));
    return std::move(record).error();
  }
  dirty_offsets.clear();
  for (auto& reply : replies) {
    if (items.empty()) answer_when_all_is_safe(std::move(reply));
    else answer_when_safe(*record, std::move(reply));
  }
  return Done{};
}

void Core::Impl::apply_offset(const OffsetItem& item) {
  const auto group = groups.find(item.group);
  const Topic* topic = find_topic(item.topic);
  if (group == groups.end() || !topic) return;
  OffsetState& state = group->second.offsets[{topic->id, item.queue_id}];
  state.offset = item.offset;
  state.reset_pending = item.kind == OffsetKind::Reset;
}

Result<std::int64_t> Core::committed_offset(std::string_view group_name, QueueRef ref, bool set_zero_if_absent) {
  Impl& s = *impl_;
  Topic* topic = nullptr;
  const auto queue = s.queue_for(ref, &topic);
  if (!queue.ok()) {
    if (queue.error().code == ErrorCode::TopicNotFound) return Error{ErrorCode::NotFound, "Not found, the topic does not exist"};
    return Error(queue.error());
  }
  if (const Group* group = s.find_group(group_name))
    if (const auto it = group->offsets.find({topic->id, ref.queue_id}); it != group->offsets.end() && it->second.offset >= 0) return it->second.offset;
  if (!set_zero_if_absent) return Error{ErrorCode::NotFound, "Not found, do not set to zero, maybe this group boot first"};
  // A young queue is read from its beginning, so that a new group does not lose what arrives while it asks (specification, App. F).
  const QueueIndex& index = (*queue)->index;
  const bool young = index.min() == 0 && (index.end() == 0 || s.log.end() - index.at(0).position <= s.options.young_queue_bytes);
  if (young) return std::int64_t{0};
  return Error{ErrorCode::NotFound, "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"};
}

void Core::commit_offset(std::string_view group_name, QueueRef ref, std::int64_t offset, Reply<Done> reply) {
  Impl& s = *impl_;
  const auto answer = [&](Result<Done> result) {
    if (reply) reply(std::move(result));
  };
  Topic* topic = nullptr;
  const auto queue = s.queue_for(ref, &topic);
  if (!queue.ok()) return answer(Error(queue.error()));
  auto group = s.ensure_group(group_name);
  if (!group.ok()) return answer(Error{ErrorCode::GroupNotFound, "Group " + std::string(group_name) + " not exist!"});
  if (offset < 0) return answer(Error{ErrorCode::InvalidArgument, "an offset cannot be negative: " + std::to_string(offset)});
  if (!s.offset_state(**group, *topic, ref.queue_id))
    return answer(Error{ErrorCode::NotWritable, "the broker holds its maximum of " + std::to_string(s.options.offsets_max) + " offsets; delete groups or raise maxOffsets"});
  s.commit(**group, group_name, *topic, ref.queue_id, offset, OffsetKind::Commit);
  if (!reply) return;
  s.offset_replies.push_back(std::move(reply));
}

Result<std::int64_t> Core::max_offset(QueueRef ref) {
  HM_TRY(const Queue*, queue, impl_->queue_for(ref));
  return queue->visible;
}

Result<std::int64_t> Core::min_offset(QueueRef ref) {
  HM_TRY(const Queue*, queue, impl_->queue_for(ref));
  return queue->index.min();
}

// Boundary rules: specification 3.4, below the offset codes.
Result<std::int64_t> Core::offset_at_time(QueueRef ref, std::int64_t wall_ms, Boundary boundary) {
  HM_TRY(const Queue*, queue, impl_->queue_for(ref));
  const QueueIndex& index = queue->index;
  if (index.min() == queue->visible) return index.min();
  if (boundary == Boundary::Lower) return index.first_not_before(wall_ms, queue->visible);
  return std::max<std::int64_t>(index.first_after(wall_ms, queue->visible) - 1, 0);
}

Result<std::int64_t> Core::earliest_store_time(QueueRef ref) {
  HM_TRY(const Queue*, queue, impl_->queue_for(ref));
  if (queue->index.min() == queue->visible) return std::int64_t{-1};
  return queue->index.at(queue->index.min()).store_ms;
}

// ---------------------------------------------------------------------------------------------------------------- clients

void Core::Impl::tell_consumers(const std::vector<std::string>& groups_changed) {
  for (const std::string& name : groups_changed) {
    const Group* group = find_group(name);
    if (group && !group->config.notify_ids_changed) continue;
    for (const ChannelId channel : clients.consumer_channels(name)) outbound.consumer_ids_changed(channel, name);
  }
}

/// What a client may make the tables of the connected grow by.
Status Core::Impl::may_join(const Heartbeat& beat) const {
  constexpr std::size_t kClientIdBytesMax = 255;
  const auto limit = [](const char* what, std::int64_t most, const char* key) {
    return Error{ErrorCode::NotWritable, std::string("more than ") + std::to_string(most) + " " + what + " (" + key + ")"};
  };
  if (beat.client.client_id.size() > kClientIdBytesMax)
    return Error{ErrorCode::InvalidArgument, "a client's id has at most " + std::to_string(kClientIdBytesMax) + " bytes, not " + std::to_string(beat.client.client_id.size())};
  for (const ConsumerData& consumer : beat.consumers)
    if (static_cast<std::int64_t>(consumer.subscriptions.size()) > options.subscriptions_max)
      return limit("subscriptions of one group", options.subscriptions_max, "maxSubscriptionsPerGroup");
  const auto growth = clients.growth(beat);
  if (growth.memberships > 0 && growth.of_connection > options.memberships_per_connection_max)
    return limit("groups on one connection", options.memberships_per_connection_max, "maxGroupsPerConnection");
  if (growth.memberships > 0 && clients.producer_count() + clients.consumer_count() + growth.memberships > options.memberships_max)
    return limit("connected members of groups", options.memberships_max, "maxGroupMembers");
  if (growth.subscription_bytes > 0 && clients.subscription_bytes() + growth.subscription_bytes > options.subscription_bytes_max)
    return limit("bytes of subscriptions", options.subscription_bytes_max, "maxSubscriptionBytes");
  return Done{};
}

void Core::Impl::note_half_sender(const SendRequest& request, std::string_view producer_group) {
  if (request.channel == ChannelId{} || clients.renew_producer(producer_group, request.channel, now.mono_ms)) return;
  Heartbeat beat;
  beat.channel = request.channel;
  beat.producer_groups.emplace_back(producer_group);
  if (const ClientInfo* known = clients.client(request.channel)) beat.client = *known;
  else beat.client = {.client_id = {}, .language = "OTHER", .version = 0, .remote_address = model::to_string(request.born_host)};
  // If it may not join, the message is stored all the same, and others of the group are asked; the sender's own heartbeat hears why.
  if (model::validate_group(beat.producer_groups.front()).ok() && may_join(beat).ok()) join(beat);
}

void Core::Impl::join(const Heartbeat& beat) {
  tell_consumers(clients.heartbeat(beat, now.mono_ms));
  if (clients_due_mono_ms == kNever) clients_due_mono_ms = now.mono_ms + options.client_timeout_ms;
  // Half messages that found nobody to ask are asked about now.
  for (const std::string& group : beat.producer_groups)
    if (const auto known_group = book.find_group(group)) dispatch_checks_to(*known_group, beat.channel);
}

Status Core::heartbeat(const Heartbeat& beat) {
  Impl& s = *impl_;
  if (auto joins = s.may_join(beat); !joins.ok()) {
    s.count.refused_heartbeats++;
    return joins;
  }
  Heartbeat known = beat;
  known.consumers.clear();
  for (const ConsumerData& consumer : beat.consumers) {
    auto group = s.ensure_group(consumer.group);
    if (!group.ok()) {
      if (group.error().code == ErrorCode::InvalidArgument) return std::move(group).error();
      continue;  // may not be created: its pulls will say so
    }
    if (!model::is_retry_topic(consumer.group) && (*group)->config.retry_queues > 0) {
      const auto retry = s.ensure_plain_topic(model::retry_topic_of(consumer.group), (*group)->config.retry_queues,
                                              model::permission::kRead | model::permission::kWrite);
      if (!retry.ok()) return Error(retry.error());
    }
    known.consumers.push_back(consumer);
  }
  for (const std::string& group : beat.producer_groups) HM_TRY_STATUS(model::validate_group(group));
  s.join(known);
  return Done{};
}

void Core::unregister(ChannelId channel, std::string_view client_id, std::string_view producer_group, std::string_view consumer_group) {
  impl_->tell_consumers(impl_->clients.unregister(channel, client_id, producer_group, consumer_group));
  if (const auto known_group = impl_->book.find_group(producer_group)) impl_->ask_others(channel, *known_group);
}

void Core::channel_closed(ChannelId channel) {
  impl_->tell_consumers(impl_->clients.channel_closed(channel));
  impl_->ask_others(channel, std::nullopt);
  impl_->named_clients.erase(channel);
}

Result<std::vector<std::string>> Core::consumer_ids(std::string_view group) {
  auto ids = impl_->clients.consumer_ids(group);
  if (ids.empty()) return Error{ErrorCode::NotFound, "no consumer for this group, " + std::string(group)};
  return ids;
}

Result<ConsumerConnections> Core::consumer_connections(std::string_view group) {
  auto connections = impl_->clients.consumer_connections(group);
  if (!connections) return Error{ErrorCode::ConsumerOffline, "the consumer group[" + std::string(group) + "] not online"};
  return *std::move(connections);
}

Result<std::vector<ClientInfo>> Core::producer_connections(std::string_view group) {
  auto producers = impl_->clients.producers(group);
  if (producers.empty()) return Error{ErrorCode::NotFound, "the producer group[" + std::string(group) + "] not exist"};
  return producers;
}

Result<ChannelId> Core::consumer_channel(std::string_view group, std::string_view client_id) {
  const auto channel = impl_->clients.consumer_channel(group, client_id);
  if (!channel) return Error{ErrorCode::ConsumerOffline, "The Consumer <" + std::string(group) + "> <" + std::string(client_id) + "> not online"};
  return *channel;
}

}  // namespace halfmoon::broker
