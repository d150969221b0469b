// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

namespace {

/// Attributes stand in a TOPIC or GROUP record, whose lengths have 16 bits; and whoever sends them shall not fill the memory.
Status may_keep(const std::map<std::string, std::string>& attributes) {
  constexpr std::size_t kAttributesMax = 64, kNameBytesMax = 255, kValueBytesMax = 4096;
  if (attributes.size() > kAttributesMax)
    return Error{ErrorCode::InvalidArgument, "at most " + std::to_string(kAttributesMax) + " attributes, not " + std::to_string(attributes.size())};
  for (const auto& [name, value] : attributes) {
    if (name.size() > kNameBytesMax || value.size() > kValueBytesMax)
      return Error{ErrorCode::InvalidArgument, "an attribute's name has at most " + std::to_string(kNameBytesMax) + " bytes and its value " +
                                                   std::to_string(kValueBytesMax)};
  }
  return Done{};
}

}  // namespace

void Core::put_topic(const model::TopicConfig& config, Reply<Done> reply) {
  Impl& s = *impl_;
  if (auto valid = s.may_write(); !valid.ok()) return reply(std::move(valid));
  if (auto valid = model::validate_topic(config.name); !valid.ok()) return reply(std::move(valid));
  if (config.read_queues < 0 || config.write_queues < 0 || config.queues() < 1 || config.queues() > kTopicQueuesMax)
    return reply(Error{ErrorCode::InvalidArgument, "a topic has between 1 and 65536 queues, not " + std::to_string(config.queues())});
  if (auto valid = may_keep(config.attributes); !valid.ok()) return reply(std::move(valid));
  const Topic* known = s.find_topic(config.name);
  if (known && known->config == config) return s.answer_when_all_is_safe(std::move(reply));
  if (auto room = s.may_grow("new topics"); !known && !room.ok()) return reply(std::move(room));
  const auto topic = s.create_topic(config);
  if (!topic.ok()) return reply(Error(topic.error()));
  s.answer_when_safe(s.log.end() - 1, std::move(reply));
}

void Core::delete_topic(std::string_view name, Reply<Done> reply) {
  Impl& s = *impl_;
  const std::string topic(name);
  if (auto valid = s.may_write(); !valid.ok()) return reply(std::move(valid));
  if (topic.empty()) return reply(Error{ErrorCode::InvalidArgument, "The specified topic is blank."});
  if (!s.find_topic(topic)) return s.answer_when_all_is_safe(std::move(reply));
  const auto position = s.append(RecordType::TopicDeleted, topic);
  if (!position.ok()) return reply(Error(position.error()));
  s.apply_topic_deleted(topic);
  s.listener.topic_deleted(topic, s.topics_version);
  log_event(LogLevel::Info, "topic.deleted", {{"topic", topic}});
  s.answer_when_safe(*position, std::move(reply));
}

Result<model::TopicConfig> Core::topic(std::string_view name) {
  const Topic* topic = impl_->find_topic(name);
  if (!topic) return Error{ErrorCode::TopicNotFound, "No topic in this broker. topic: " + std::string(name)};
  return topic->config;
}

std::vector<model::TopicConfig> Core::topics() {
  std::vector<model::TopicConfig> all;
  for (const auto& [name, topic] : impl_->topics) all.push_back(topic->config);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

model::DataVersion Core::topics_version() { return impl_->topics_version; }

void Core::put_group(const model::GroupConfig& config, Reply<Done> reply) {
  Impl& s = *impl_;
  if (auto valid = s.may_write(); !valid.ok()) return reply(std::move(valid));
  if (auto valid = model::validate_group(config.name); !valid.ok()) return reply(std::move(valid));
  if (config.retry_queues < 0 || config.retry_queues > 1024)
    return reply(Error{ErrorCode::InvalidArgument, "retryQueueNums lies between 0 and 1024, not " + std::to_string(config.retry_queues)});
  if (auto valid = may_keep(config.attributes); !valid.ok()) return reply(std::move(valid));
  if (const Group* known = s.find_group(config.name); known && known->config == config) return s.answer_when_all_is_safe(std::move(reply));
  if (!s.groups.contains(config.name) && static_cast<std::int32_t>(s.groups.size()) >= s.options.groups_max) {
    s.count.refused_groups++;
    return reply(Error{ErrorCode::NotWritable, "the broker holds its maximum of " + std::to_string(s.options.groups_max) + " groups; delete some or raise maxGroups"});
  }
  const auto position = s.append(RecordType::Group, encode(config));
  if (!position.ok()) return reply(Error(position.error()));
  s.apply_group(config);
  s.answer_when_safe(*position, std::move(reply));
}

void Core::delete_group(std::string_view name, bool clean_offsets, Reply<Done> reply) {
  Impl& s = *impl_;
  if (auto valid = s.may_write(); !valid.ok()) return reply(std::move(valid));
  if (!s.groups.contains(name)) return s.answer_when_all_is_safe(std::move(reply));
  // What the group committed and is not in the log yet goes there first: a replay must find the offsets that the deletion is to keep.
  if (auto flushed = s.flush_offsets(); !flushed.ok()) return reply(std::move(flushed));
  const auto position = s.append(RecordType::GroupDeleted, encode_group_deleted(name, clean_offsets));
  if (!position.ok()) return reply(Error(position.error()));
  s.apply_group_deleted(name, clean_offsets);
  s.answer_when_safe(*position, std::move(reply));
}

Result<model::GroupConfig> Core::group(std::string_view name) {
  const Group* group = impl_->find_group(name);
  if (!group) return Error{ErrorCode::GroupNotFound, "No group in this broker. group: " + std::string(name)};
  return group->config;
}

std::vector<model::GroupConfig> Core::groups() {
  std::vector<model::GroupConfig> all;
  for (const auto& [name, group] : impl_->groups)
    if (!group.deleted) all.push_back(group.config);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

model::DataVersion Core::groups_version() { return impl_->groups_version; }

Result<std::vector<QueueStats>> Core::topic_stats(std::string_view name) {
  const Topic* topic = impl_->find_topic(name);
  if (!topic) return Error{ErrorCode::TopicNotFound, "topic[" + std::string(name) + "] not exist"};
  std::vector<QueueStats> stats;
  for (std::int32_t id = 0; id < topic->config.queues(); id++) {
    const Queue& queue = *topic->queue(id);
    const std::int64_t last = queue.visible > queue.index.min() ? queue.index.at(queue.visible - 1).store_ms : 0;
    stats.push_back({id, queue.index.min(), queue.visible, last});
  }
  return stats;
}

Result<std::vector<ConsumeProgress>> Core::consume_progress(std::string_view group_name, std::string_view topic_name) {
  Impl& s = *impl_;
  const Group* group = s.find_group(group_name);
  if (!group) return Error{ErrorCode::GroupNotFound, "subscription group not exist, " + std::string(group_name)};
  std::set<std::uint32_t> wanted;
  if (!topic_name.empty()) {
    if (const Topic* topic = s.find_topic(topic_name)) wanted.insert(topic->id);
  } else {
    // Topics that the online group does not subscribe to any more are left out (specification 3.7, code 208).
    const bool online = s.clients.has_consumers(group_name);
    for (const auto& [key, state] : group->offsets) {
      const Topic* topic = s.topic_of(key.first);
      if (topic && (!online || s.clients.subscription(group_name, topic->config.name))) wanted.insert(key.first);
    }
  }
  std::vector<ConsumeProgress> progress;
  for (const std::uint32_t id : wanted) {
    const Topic& topic = *s.topic_of(id);
    for (std::int32_t q = 0; q < topic.config.read_queues; q++) {
      const Queue& queue = *topic.queue(q);
      ConsumeProgress p;
      p.topic = topic.config.name;
      p.queue_id = q;
      p.broker_offset = queue.visible;
      if (const auto it = group->offsets.find({id, q}); it != group->offsets.end()) {
        p.consumer_offset = std::max<std::int64_t>(it->second.offset, 0);
        p.pull_offset = std::max(it->second.pulled, p.consumer_offset);
      }
      const std::int64_t last = p.consumer_offset - 1;
      if (last >= queue.index.min() && last < queue.visible) p.last_store_ms = queue.index.at(last).store_ms;
      progress.push_back(std::move(p));
    }
  }
  return progress;
}

std::vector<std::string> Core::groups_of_topic(std::string_view name) {
  Impl& s = *impl_;
  std::set<std::string> names;
  for (std::string& group : s.clients.groups_subscribing(name)) names.insert(std::move(group));
  if (const Topic* topic = s.find_topic(name))
    for (const auto& [group_name, group] : s.groups) {
      const auto it = group.offsets.lower_bound({topic->id, 0});
      if (it != group.offsets.end() && it->first.first == topic->id) names.insert(group_name);
    }
  return {names.begin(), names.end()};
}

// INVOKE_BROKER_TO_RESET_OFFSET: specification 3.7, code 222, the server-side form.
Result<std::map<std::int32_t, std::int64_t>> Core::reset_offsets(const ResetRequest& request) {
  Impl& s = *impl_;
  Topic* topic = s.find_topic(request.topic);
  if (!topic) return Error{ErrorCode::TopicNotFound, "Topic " + std::string(request.topic) + " does not exist"};
  Group* group = s.find_group(request.group);
  if (!group) return Error{ErrorCode::GroupNotFound, "Group " + std::string(request.group) + " does not exist"};
  std::map<std::int32_t, std::int64_t> moved;
  const std::int32_t first = request.queue_id >= 0 ? request.queue_id : 0;
  const std::int32_t last = request.queue_id >= 0 ? request.queue_id : topic->config.read_queues - 1;
  for (std::int32_t q = first; q <= last; q++) {
    const Queue* queue = topic->queue(q);
    if (!queue) return Error{ErrorCode::InvalidArgument, "topic " + topic->config.name + " has no queue " + std::to_string(q)};
    std::int64_t target;
    if (request.offset && request.queue_id >= 0) {
      target = *request.offset;
      if (target < queue->index.min() || target > queue->visible + 1)
        return Error{ErrorCode::InvalidArgument, "Target offset " + std::to_string(target) + " not in consume queue range [" +
                                                     std::to_string(queue->index.min()) + "-" + std::to_string(queue->visible) + "]"};
    } else if (request.wall_ms == -1) {
      target = queue->visible;
    } else {
      target = queue->index.first_not_before(request.wall_ms, queue->visible);
    }
    moved[q] = target;
  }
  for (const auto& [q, offset] : moved) s.commit(*group, request.group, *topic, q, offset, OffsetKind::Reset);
  (void)s.flush_offsets();
  log_event(LogLevel::Info, "group.reset", {{"group", request.group}, {"topic", request.topic}, {"queues", moved.size()}});
  return moved;
}

}  // namespace halfmoon::broker
