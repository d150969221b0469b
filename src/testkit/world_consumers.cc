// SPDX-License-Identifier: Apache-2.0
// Consumer groups in a simulated life: their offsets, retries and locks; and what must be true of them.
#include <algorithm>

#include "model/properties.h"
#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;
using storage::RecordType;

namespace {

constexpr const char* kConsumers = "CG";
constexpr const char* kRetryTopic = "%RETRY%CG";
constexpr const char* kDeadTopic = "%DLQ%CG";
constexpr std::int64_t kLevelsMs[] = {1'000, 5'000, 10'000, 30'000, 60'000, 120'000, 180'000, 240'000, 300'000};

}  // namespace

// ---------------------------------------------------------------------------------------------------------------- groups

/// Whether the step's group is there, or has just been made for it.
bool SimulatedWorld::check_group_there(const Step& step) {
  if (model_.has_group(step.group)) return true;
  if (take_named(RecordType::Group, step.group)) return true;
  if (!disk_tight_) fail(about(step) + "its group is not created");
  return false;
}

void SimulatedWorld::delete_group() {
  Step step;
  step.kind = Step::Kind::DeleteGroup;
  step.answer = new_answer("deletion of a group", -1);
  step.group = dice_.one_in(3) ? "RG" : kConsumers;
  step.clean = dice_.one_in(2);
  begin();
  core_->delete_group(step.group, step.clean, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_delete_group(Step& step) {
  if (!model_.groups.contains(step.group)) return wants_done(step, -1, journal_end_ - 1);
  take_offsets_records();  // what was committed one-way goes into the log before
  settle_offset_waits();
  if (failed()) return;
  const Record* r = take_named(RecordType::GroupDeleted, step.group);
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not written");
    return;
  }
  if (r->clean != step.clean) return fail(about(step) + "written otherwise than asked");
  tally(Tally::GroupsDeleted);
  const auto of_group = [&](const auto& item) { return std::get<0>(item.first) == step.group; };
  if (std::any_of(dirty_offsets_.begin(), dirty_offsets_.end(), of_group)) return fail(about(step) + "an offset of it is not in the log yet");
  if (model_.groups.contains(step.group)) tally(Tally::OffsetsKept);
  else std::erase_if(offsets_, of_group);
  wants_done(step, r->position, r->position);
}

void SimulatedWorld::change_group() {
  Step step;
  step.kind = Step::Kind::ChangeGroup;
  step.answer = new_answer("change of a group", -1);
  step.group = kConsumers;
  step.limit = static_cast<std::int32_t>(dice_.below(4));
  model::GroupConfig config;
  config.name = step.group;
  config.retry_max = step.limit;
  begin();
  core_->put_group(config, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_change_group(Step& step) {
  const auto known = model_.groups.find(step.group);
  if (known != model_.groups.end() && !known->second.deleted && known->second.retry_max == step.limit) return wants_done(step, -1, journal_end_ - 1);
  const Record* r = take_named(RecordType::Group, step.group);
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not written");
    return;
  }
  if (r->number != step.limit) return fail(about(step) + "written otherwise than asked");
  tally(Tally::GroupsChanged);
  wants_done(step, r->position, r->position);
}

void SimulatedWorld::consumer_comes() {
  Step step;
  step.kind = Step::Kind::ConsumerBeat;
  step.answer = new_answer("consumer's heartbeat", -1);
  step.group = kConsumers;
  broker::ConsumerData consumer;
  consumer.group = kConsumers;
  consumer.subscriptions.emplace_back();
  consumer.subscriptions.back().topic = any_topic();
  consumer.subscriptions.back().expression = "*";
  broker::Heartbeat beat;
  beat.channel = broker::ChannelId{next_channel_++};
  beat.client.client_id = "consumer-" + std::to_string(dice_.below(3));
  beat.consumers.push_back(std::move(consumer));
  begin();
  const Status done = core_->heartbeat(beat);
  if (!done.ok()) step.answer->error = done.error();
  step.answer->given = true;
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_consumer_beat(Step& step) {
  tally(Tally::ConsumersCame);
  if (!check_group_there(step)) return;
  if (!model_.topics.contains(kRetryTopic) && !take_named(RecordType::Topic, kRetryTopic)) {
    if (!had_no_room(step)) fail(about(step) + "its retry topic is not created");
    return;
  }
  if (step.answer->error) fail(about(step) + "refused with '" + step.answer->error->text + "'");
}

// --------------------------------------------------------------------------------------------------------------- offsets

void SimulatedWorld::commit_offset() {
  Step step;
  step.kind = Step::Kind::CommitOffset;
  step.group = dice_.one_in(4) ? "RG" : kConsumers;
  step.topic = dice_.one_in(8) ? kRetryTopic : any_topic();
  step.queue = static_cast<std::int32_t>(dice_.below(2));
  step.awaited = dice_.one_in(2);
  step.value = static_cast<std::int64_t>(dice_.below(12));
  step.answer = new_answer("offset", -1);
  begin();
  Reply<Done> reply;
  if (step.awaited) {
    reply = [this, answer = step.answer](Result<Done>&& result) {
      if (!result.ok()) answer->error = std::move(result).error();
      take_answer(*answer);
    };
  }
  core_->commit_offset(step.group, {step.topic, step.queue}, step.value, std::move(reply));
  const auto now = core_->committed_offset(step.group, {step.topic, step.queue}, false);
  if (now.ok()) step.seen = *now;
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::note_commit(const OffsetKey& key, std::int64_t offset) {
  const auto known = offsets_.find(key);
  if (known != offsets_.end() && known->second >= offset) {
    if (known->second > offset) tally(Tally::OffsetsBackwards);
    return;
  }
  offsets_[key] = offset;
  dirty_offsets_.emplace(key, mono_ms());
}

void SimulatedWorld::check_commit_offset(Step& step) {
  const auto topic = model_.topics.find(step.topic);
  if (topic == model_.topics.end()) return wants_error(step, ErrorCode::TopicNotFound);
  if (step.queue >= topic->second) return wants_error(step, ErrorCode::InvalidArgument);
  if (!check_group_there(step)) return;
  const OffsetKey key{step.group, step.topic, step.queue};
  note_commit(key, step.value);
  if (step.seen != offsets_[key]) return fail(about(step) + "the group's offset is another than was committed");
  if (!step.awaited) return;
  if (step.answer->error) {
    if (!had_no_room(step)) fail(about(step) + "refused with '" + step.answer->error->text + "'");
    return;
  }
  offset_waits_.push_back({&step, key, std::nullopt});
}

void SimulatedWorld::take_offsets_records() {
  while (const Record* r = next(RecordType::Offsets)) {
    check_offsets_record(*r);
    if (failed() || !take(RecordType::Offsets)) return;
  }
}

/// One record holds all offsets that changed since the last one, with their values of the moment.
void SimulatedWorld::check_offsets_record(const Record& r) {
  for (const Record::Offset& o : r.offsets) {
    const OffsetKey key{o.group, o.topic, o.queue};
    const auto known = offsets_.find(key);
    if (known == offsets_.end() || known->second != o.offset) return fail("an offset is written that is not the group's");
    if (dirty_offsets_.erase(key) == 0) return fail("an offset is written again");
    offset_records_[key] = r.position;
    for (OffsetWait& wait : offset_waits_)
      if (wait.key == key && !wait.record) wait.record = r.position;
    tally(Tally::OffsetsCommitted);
  }
  if (!dirty_offsets_.empty()) fail("an offsets record leaves out the offset of " + std::get<0>(dirty_offsets_.begin()->first));
}

/// Who waits is answered when the record is safe that has the offset.
void SimulatedWorld::settle_offset_waits() {
  for (const OffsetWait& wait : offset_waits_) {
    if (!wait.record && dirty_offsets_.contains(wait.key)) return fail(about(*wait.step) + "it is not in the log");
    const auto record = offset_records_.find(wait.key);
    wants_done(*wait.step, wait.record ? *wait.record : record == offset_records_.end() ? -1 : record->second, journal_end_ - 1);
  }
  offset_waits_.clear();
}

/// What was one-way is written within a second.
void SimulatedWorld::check_offsets_written() {
  settle_offset_waits();
  if (failed() || disk_tight_) return;
  for (const auto& [key, since_mono_ms] : dirty_offsets_)
    if (mono_ms() >= since_mono_ms + options_.offset_flush_ms) return fail("an offset of " + std::get<0>(key) + " is not in the log after a second");
}

/// Topics, groups and offsets are what the model says, and no more.
void SimulatedWorld::check_tables() {
  const auto topics = core_->topics();
  if (topics.size() != model_.topics.size()) return fail("there are " + std::to_string(topics.size()) + " topics, not " + std::to_string(model_.topics.size()));
  for (const auto& topic : topics) {
    const auto known = model_.topics.find(topic.name);
    if (known == model_.topics.end() || known->second != topic.queues()) return fail("topic " + topic.name + " has " + std::to_string(topic.queues()) + " queues");
  }
  std::size_t there = 0;
  for (const auto& [name, group] : model_.groups) {
    if (group.deleted) continue;
    there++;
    const auto config = core_->group(name);
    if (!config.ok() || config->retry_max != group.retry_max) return fail("group " + name + " is not there, or not as it was stored");
    for (const auto& [queue, unused] : model_.queues) {
      const auto offset = core_->committed_offset(name, {queue.first, queue.second}, false);
      const auto known = offsets_.find({name, queue.first, queue.second});
      if (offset.ok() != (known != offsets_.end()) || (offset.ok() && *offset != known->second))
        return fail("the offset of " + name + " in " + queue.first + "/" + std::to_string(queue.second) + " is " +
                    (offset.ok() ? std::to_string(*offset) : "none") + ", not " + (known != offsets_.end() ? std::to_string(known->second) : "none"));
    }
  }
  if (core_->groups().size() != there) fail("there are " + std::to_string(core_->groups().size()) + " groups, not " + std::to_string(there));
}

// ----------------------------------------------------------------------------------------------------------------- pulls

/// The request itself; what comes of it is looked at elsewhere.
void SimulatedWorld::check_pull(Step& step) {
  if (check_group_there(step) && step.value >= 0) note_commit({step.group, step.topic, step.queue}, step.value);
}

// --------------------------------------------------------------------------------------------------------------- retries

void SimulatedWorld::send_back() {
  // Some message that a consumer can have got.
  std::vector<std::pair<const ModelEntry*, std::string>> candidates;
  for (const auto& [name, queue] : model_.queues) {
    if (name.first.starts_with("TRANS_") || name.first == kDeadTopic) continue;
    const std::int64_t visible = visible_of(queue);
    for (std::int64_t i = queue.min; i < visible; i++) candidates.emplace_back(&queue.entries[static_cast<std::size_t>(i)], name.first);
  }
  if (candidates.empty()) return flush();
  const auto& [entry, topic] = candidates[dice_.below(candidates.size())];
  const auto message = reader_->find(entry->position);
  if (!message.ok()) return fail("a visible message at " + std::to_string(entry->position) + " cannot be read: " + message.error().text);
  Step step;
  step.kind = Step::Kind::SendBack;
  step.group = kConsumers;
  step.message = entry->message;
  step.value = entry->position;
  step.queue = entry->deliveries;
  step.level = static_cast<std::int32_t>(dice_.below(5)) - 1;
  if (dice_.one_in(2)) step.limit = static_cast<std::int32_t>(dice_.below(4));
  step.answer = new_answer("send back", -1);
  begin();
  broker::SendBackRequest r;
  r.message = message->get();
  r.group = step.group;
  r.delay_level = step.level;
  if (step.limit >= 0) r.max_reconsume_times = step.limit;
  core_->send_back(r, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_send_back(Step& step) {
  if (!model_.has_group(step.group)) return wants_error(step, ErrorCode::GroupNotFound);
  const std::int32_t limit = step.limit >= 0 ? step.limit : model_.groups[step.group].retry_max;
  const bool dead = step.queue >= limit || step.level < 0;
  const std::string topic = dead ? kDeadTopic : kRetryTopic;
  if (!model_.topics.contains(topic) && !take_named(RecordType::Topic, topic)) {
    if (!had_no_room(step)) fail(about(step) + "its topic is not created");
    return;
  }
  const Record* r = take(RecordType::Reference);
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not stored" + (step.answer->error ? ": " + step.answer->error->text : ""));
    return;
  }
  const auto body = model_.bodies.find(r->half);
  if (body == model_.bodies.end() || body->second != step.message) return fail(about(step) + "another body");
  const std::int32_t level = std::min<std::int32_t>(step.level > 0 ? step.level : 3 + step.queue, std::size(kLevelsMs));
  const std::int64_t due = dead ? 0 : r->wall_ms + kLevelsMs[level - 1] + 1;
  if (r->topic != topic || r->dead != dead || r->number != step.queue + 1 || r->due_ms != due || (r->queue_offset >= 0) != dead)
    return fail(about(step) + "stored otherwise than asked");
  tally(dead ? Tally::DeadLetters : Tally::Retries);
  wants_done(step, r->position, r->position);
}

/// A consumer in order, or one that sends its failures itself, sends the message to the group's retry topic.
void SimulatedWorld::send_retry() {
  const std::int32_t number = new_message(Message::Kind::Delayed);
  Message& m = messages_.back();
  m.retry_of = kConsumers;
  m.queue = 0;
  m.deliveries = 1 + static_cast<std::int32_t>(dice_.below(4));
  if (dice_.one_in(2)) m.deliveries_max = static_cast<std::int32_t>(dice_.below(4));
  const auto group = model_.groups.find(kConsumers);
  const std::int32_t limit = m.deliveries_max >= 0 || group == model_.groups.end() ? m.deliveries_max : group->second.retry_max;
  const std::int64_t now_mono_ms = clock_.now().mono_ms;
  const bool in_order = std::any_of(locks_.begin(), locks_.end(), [&](const auto& item) {
    return std::get<0>(item.first) == kConsumers && now_mono_ms - item.second.renewed_mono_ms <= options_.lock_ms;
  });
  std::string text;
  model::append_property(text, model::property::kUniqueKey, m.key);
  model::append_property(text, model::property::kDelayLevel, "2");
  if (m.deliveries > limit || in_order) {
    m.kind = Message::Kind::Plain;
    m.topic = kDeadTopic;
  } else {
    m.topic = kRetryTopic;
    m.delay = Message::Delay::Relative;
    m.delay_ms = kLevelsMs[1];
  }
  begin();
  send(number, text, broker::ChannelId{next_channel_++});
  end();
}

// ----------------------------------------------------------------------------------------------------------------- locks

void SimulatedWorld::lock_something() {
  Step step;
  step.kind = Step::Kind::Lock;
  step.answer = new_answer("lock", -1);
  step.answer->given = true;
  step.group = dice_.one_in(4) ? "RG" : kConsumers;
  step.topic = any_topic();
  step.client = dice_.one_in(2) ? "one" : "two";
  step.unlock = dice_.one_in(4);
  const std::vector<broker::QueueRef> queues = {{step.topic, 0}, {step.topic, 1}};
  begin();
  if (step.unlock) {
    core_->unlock_queues({step.group, step.client, queues});
  } else {
    for (const broker::QueueRef& granted : core_->lock_queues({step.group, step.client, queues})) step.granted |= 1u << granted.queue_id;
  }
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

/// What is free, expired or the client's own is granted; queues that do not exist and groups that nobody knows are not (docs/operating.md).
void SimulatedWorld::check_lock(Step& step) {
  for (std::int32_t queue = 0; queue < 2; queue++) {
    const auto key = std::make_tuple(step.group, step.topic, queue);
    const auto held = locks_.find(key);
    if (step.unlock) {
      if (held != locks_.end() && held->second.client == step.client) locks_.erase(held);
      continue;
    }
    const bool there = model_.queues.contains({step.topic, queue}) && model_.has_group(step.group);
    const bool own = held != locks_.end() && held->second.client == step.client;
    const bool expired = held != locks_.end() && mono_ms() - held->second.renewed_mono_ms > options_.lock_ms;
    const bool wanted = there && (held == locks_.end() || own || expired);
    const bool got = (step.granted >> queue & 1) != 0;
    if (got != wanted) return fail("the lock of " + step.topic + "/" + std::to_string(queue) + (got ? " is granted to two" : " is free and not granted"));
    if (got && expired && !own) tally(Tally::LocksTaken);
    if (got) locks_[key] = {step.client, mono_ms()};
    tally(got ? Tally::LocksGranted : Tally::LocksRefused);
  }
}

}  // namespace halfmoon::testkit
