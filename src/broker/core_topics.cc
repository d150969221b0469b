// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/log.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using storage::RecordType;

Topic* Core::Impl::likely_topic(std::string_view name) const {
  const auto it = topic_by_hash.find(TextHash{}(name));
  return it == topic_by_hash.end() ? nullptr : it->second;
}

Topic* Core::Impl::find_topic(std::string_view name) {
  if (last_topic && last_topic->config.name == name) return last_topic;
  if (Topic* topic = likely_topic(name); topic && topic->config.name == name) return last_topic = topic;
  const auto it = topics.find(name);
  if (it == topics.end()) return nullptr;
  return last_topic = it->second.get();
}

void Core::Impl::touch(model::DataVersion& version) const {
  version.counter++;
  version.timestamp_ms = now.wall_ms;
}

Topic& Core::Impl::apply_topic(const model::TopicConfig& config) {
  auto& slot = topics[config.name];
  if (!slot) {
    slot = std::make_unique<Topic>();
    slot->id = static_cast<std::uint32_t>(topic_by_id.size());
    topic_by_id.push_back(slot.get());
    topic_by_hash.emplace(TextHash{}(config.name), slot.get());
    slot->system = model::is_system_topic(config.name, options.cluster);
    slot->may_send = !model::is_forbidden_to_send(config.name);
  }
  slot->config = config;
  slot->check_after_ms.reset();
  if (const auto it = config.attributes.find(std::string(model::kCheckImmunityAttribute)); it != config.attributes.end())
    if (const auto seconds = model::parse_integer(it->second); seconds && is_time(*seconds)) slot->check_after_ms = *seconds * 1000;
  // Queues are never taken away: what is in them stays readable by offset, whatever the configuration says.
  while (static_cast<std::int32_t>(slot->queues.size()) < config.queues()) {
    slot->queues.push_back(std::make_unique<Queue>());
    total_queues++;
  }
  touch(topics_version);
  return *slot;
}

void Core::Impl::apply_topic_deleted(std::string_view name) {
  const auto it = topics.find(name);
  if (it == topics.end()) return;
  Topic& gone = *it->second;
  for (auto& queue : gone.queues) {
    const std::vector<WaitingPull> waiting = std::exchange(queue->parked, {});
    for (const WaitingPull& pull : waiting) answer_parked(pull.slot, Error{ErrorCode::TopicNotFound, "the topic was deleted"});
  }
  std::erase_if(unshown, [&](const auto& item) { return item.first == &gone; });
  for (auto& [group_name, group] : groups)
    total_offsets -= static_cast<std::int64_t>(std::erase_if(group.offsets, [&](const auto& item) { return item.first.first == gone.id; }));
  total_queues -= static_cast<std::int64_t>(gone.queues.size());
  // Its half messages go with it, as its messages do: a later verdict finds nothing.
  book.erase_topic(gone.id);
  if (!groups_stalled.empty()) stalled_due_mono_ms = now.mono_ms;  // whoever was asked about them can be asked about others
  boost::unordered::erase_if(resumed_ms, [&](const auto& item) { return book.find(item.first) == kNoHalf; });
  locks.forget_topic(name);
  topic_by_id[gone.id] = nullptr;
  last_topic = nullptr;
  if (likely_topic(name) == &gone) topic_by_hash.erase(TextHash{}(name));
  topics.erase(it);
  touch(topics_version);
}

Group* Core::Impl::find_group(std::string_view name) {
  const auto it = groups.find(name);
  return it == groups.end() || it->second.deleted ? nullptr : &it->second;
}

Group& Core::Impl::apply_group(const model::GroupConfig& config) {
  Group& group = groups[config.name];
  group.config = config;
  group.deleted = false;
  touch(groups_version);
  return group;
}

void Core::Impl::apply_group_deleted(std::string_view name, bool clean_offsets) {
  const auto it = groups.find(name);
  if (it == groups.end()) return;
  // Where somebody pulled and never committed there is nothing to keep; the log knows nothing of it either.
  total_offsets -= static_cast<std::int64_t>(std::erase_if(it->second.offsets, [](const auto& item) { return !item.second.worth_keeping(); }));
  if (clean_offsets || it->second.offsets.empty()) {
    total_offsets -= static_cast<std::int64_t>(it->second.offsets.size());
    groups.erase(it);
  } else {
    // RocketMQ keeps a deleted group's offsets unless asked to drop them; a group that is created again goes on there.
    it->second.deleted = true;
  }
  touch(groups_version);
}

OffsetState* Core::Impl::offset_state(Group& group, const Topic& topic, std::int32_t queue_id) {
  const std::pair key{topic.id, queue_id};
  if (const auto it = group.offsets.find(key); it != group.offsets.end()) return &it->second;
  if (total_offsets >= options.offsets_max) {
    count.refused_offsets++;
    return nullptr;
  }
  total_offsets++;
  return &group.offsets[key];
}

Result<Topic*> Core::Impl::create_topic(const model::TopicConfig& config) {
  const auto known = topics.find(config.name);
  if (known == topics.end() && static_cast<std::int32_t>(topics.size()) >= options.topics_max) {
    count.refused_topics++;
    return Error{ErrorCode::NotWritable, "the broker holds its maximum of " + std::to_string(options.topics_max) + " topics; delete some or raise maxTopics"};
  }
  const std::int64_t more = config.queues() - (known == topics.end() ? 0 : static_cast<std::int64_t>(known->second->queues.size()));
  if (more > 0 && total_queues + more > options.queues_max) {
    count.refused_topics++;
    return Error{ErrorCode::NotWritable, "the broker's topics have " + std::to_string(total_queues) + " of at most " + std::to_string(options.queues_max) +
                                             " queues; delete topics or raise maxQueues"};
  }
  // A consumer's heartbeat creates its retry topic: without it nobody new could read on a full disk.
  const storage::Claim claim = model::is_retry_topic(config.name) ? storage::Claim::OnReserve : storage::Claim::Ordinary;
  HM_TRY(const storage::Position, position, append(RecordType::Topic, encode(config), claim));
  (void)position;
  Topic& topic = apply_topic(config);
  if (started) listener.topic_changed(topic.config, topics_version);
  log_event(LogLevel::Info, "topic.stored", {{"topic", config.name}, {"queues", config.queues()}, {"permission", config.permission}});
  return &topic;
}

Result<Topic*> Core::Impl::ensure_plain_topic(const std::string& name, std::int32_t queues, std::int32_t permission) {
  if (Topic* topic = find_topic(name)) return topic;
  HM_TRY_STATUS(model::validate_topic(name));
  model::TopicConfig config;
  config.name = name;
  config.read_queues = config.write_queues = queues;
  config.permission = permission;
  return create_topic(config);
}

// Creation by sending: specification 4.1.
Result<Topic*> Core::Impl::topic_for_sending(const SendRequest& request) {
  if (Topic* topic = find_topic(request.topic)) {
    if (!topic->may_send)
      return Error{ErrorCode::NoPermission, "Sending message to topic[" + topic->config.name + "] is forbidden."};
    return topic;
  }
  HM_TRY_STATUS(model::validate_topic(request.topic));
  const std::string name(request.topic);
  if (model::is_forbidden_to_send(name)) return Error{ErrorCode::NoPermission, "Sending message to topic[" + name + "] is forbidden."};
  const auto missing = [&] { return Error{ErrorCode::TopicNotFound, "topic[" + name + "] not exist, apply first please!"}; };
  if (model::is_retry_topic(name)) return ensure_plain_topic(name, 1, model::permission::kRead | model::permission::kWrite);
  HM_TRY_STATUS(may_grow("new topics"));
  const Topic* base = find_topic(request.default_topic.empty() ? model::kDefaultTopic : request.default_topic);
  if (!base || (base->config.permission & model::permission::kInherit) == 0 || base->config.write_queues < 1) return missing();
  model::TopicConfig config;
  config.name = name;
  config.read_queues = config.write_queues = std::clamp(request.default_queues, 1, base->config.write_queues);
  config.permission = base->config.permission & ~model::permission::kInherit;
  config.multi_tag = base->config.multi_tag;
  return create_topic(config);
}

Result<Group*> Core::Impl::ensure_group(std::string_view name) {
  if (Group* group = find_group(name)) return group;
  HM_TRY_STATUS(model::validate_group(name));
  if (!options.auto_create_groups && !model::is_system_group(name))
    return Error{ErrorCode::GroupNotFound, "subscription group [" + std::string(name) + "] does not exist; create it, or set autoCreateSubscriptionGroup=true"};
  if (static_cast<std::int32_t>(groups.size()) >= options.groups_max) {
    count.refused_groups++;
    return Error{ErrorCode::NotWritable, "the broker holds its maximum of " + std::to_string(options.groups_max) + " groups; delete some or raise maxGroups"};
  }
  model::GroupConfig config;
  config.name = std::string(name);
  HM_TRY(const storage::Position, position, append(RecordType::Group, encode(config)));
  (void)position;
  return &apply_group(config);
}

}  // namespace halfmoon::broker
