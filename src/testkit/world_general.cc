// SPDX-License-Identifier: Apache-2.0
// What happens in a simulated life beside transactions: offsets, retries, deletions, locks, pulls that wait; and what must be true of it.
#include <algorithm>

#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;
using storage::RecordType;

namespace {

constexpr const char* kConsumers = "CG";
constexpr const char* kRetryTopic = "%RETRY%CG";
constexpr const char* kDeadTopic = "%DLQ%CG";
constexpr std::int64_t kLevelsMs[] = {1'000, 5'000, 10'000, 30'000, 60'000, 120'000, 180'000, 240'000, 300'000};
constexpr std::int32_t kRetriesMax = 2;

}  // namespace

void SimulatedWorld::commit_offset() {
  Step step;
  step.kind = Step::Kind::CommitOffset;
  step.group = kConsumers;
  step.topic = any_topic();
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
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

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
  step.message = entry->message;
  step.value = entry->position;
  step.queue = entry->deliveries;
  step.level = static_cast<std::int32_t>(dice_.below(4)) - 1;
  step.answer = new_answer("send back", -1);
  begin();
  broker::SendBackRequest r;
  r.message = message->get();
  r.group = kConsumers;
  r.delay_level = step.level;
  r.max_reconsume_times = kRetriesMax;
  core_->send_back(r, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_send_back(Step& step) {
  const auto group = model_.groups.find(kConsumers);
  if (group == model_.groups.end() || group->second) return wants_error(step, ErrorCode::GroupNotFound);
  const bool dead = step.queue >= kRetriesMax || step.level < 0;
  const std::string topic = dead ? kDeadTopic : kRetryTopic;
  if (!model_.topics.contains(topic) && !take(RecordType::Topic)) {
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
  const std::int32_t level = step.level > 0 ? step.level : 3 + step.queue;
  const std::int64_t due = dead ? 0 : r->wall_ms + kLevelsMs[level - 1] + 1;
  if (r->topic != topic || r->dead != dead || r->number != step.queue + 1 || r->due_ms != due || (r->queue_offset >= 0) != dead)
    return fail(about(step) + "stored otherwise than asked");
  tally(dead ? Tally::DeadLetters : Tally::Retries);
  wants_done(step, r->position, r->position);
}

void SimulatedWorld::delete_something() {
  Step step;
  step.answer = new_answer("deletion", -1);
  const auto reply = [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  };
  begin();
  if (dice_.one_in(2)) {
    step.kind = Step::Kind::DeleteTopic;
    step.topic = dice_.one_in(3) ? kRetryTopic : any_topic();
    core_->delete_topic(step.topic, reply);
  } else {
    step.kind = Step::Kind::DeleteGroup;
    step.group = kConsumers;
    step.clean = dice_.one_in(2);
    core_->delete_group(step.group, step.clean, reply);
  }
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

/// Requests that write at most one record of their own.
void SimulatedWorld::check_admin(Step& step) {
  const Record* r = nullptr;
  switch (step.kind) {
    case Step::Kind::DeleteTopic:
      if (!model_.topics.contains(step.topic)) return wants_done(step, -1, journal_end_ - 1);
      r = take(RecordType::TopicDeleted);
      if (r && r->topic == step.topic) {
        tally(Tally::TopicsDeleted);
        const auto gone = [&](const OffsetKey& key) { return std::get<1>(key) == step.topic; };
        std::erase_if(offsets_, [&](const auto& item) { return gone(item.first); });
        std::erase_if(dirty_offsets_, gone);
        std::erase_if(locks_, [&](const auto& item) { return item.first.first == step.topic; });
      }
      break;
    case Step::Kind::DeleteGroup:
      if (!model_.groups.contains(step.group)) return wants_done(step, -1, journal_end_ - 1);
      skip_history();
      while (next_record_ < model_.journal.size() && model_.journal[next_record_].type == RecordType::Offsets) {
        check_offsets_record(model_.journal[next_record_]);
        if (failed() || !take(RecordType::Offsets)) return;
      }
      r = take(RecordType::GroupDeleted);
      if (r && r->topic == step.group) {
        tally(Tally::GroupsDeleted);
        if (!model_.groups.contains(step.group)) {
          std::erase_if(offsets_, [&](const auto& item) { return std::get<0>(item.first) == step.group; });
          std::erase_if(dirty_offsets_, [&](const OffsetKey& key) { return std::get<0>(key) == step.group; });
        }
      }
      break;
    case Step::Kind::Pull: {
      const auto group = model_.groups.find(step.group);
      if (group != model_.groups.end() && !group->second) return;
      if (!take(RecordType::Group) && !disk_tight_) fail("a pull does not create its group");
      return;
    }
    case Step::Kind::CommitOffset: {
      if (!model_.topics.contains(step.topic)) return wants_error(step, ErrorCode::TopicNotFound);
      const auto group = model_.groups.find(step.group);
      if ((group == model_.groups.end() || group->second) && !take(RecordType::Group)) {
        if (!disk_tight_) fail(about(step) + "its group is not created");
        return;
      }
      const OffsetKey key{step.group, step.topic, step.queue};
      const auto known = offsets_.find(key);
      if (known == offsets_.end() || known->second < step.value) {
        offsets_[key] = step.value;
        dirty_offsets_.insert(key);
      }
      const auto now = core_->committed_offset(step.group, {step.topic, step.queue}, false);
      if (!now.ok() || *now != offsets_[key]) return fail(about(step) + "the group's offset is another than was committed");
      if (!step.awaited) return;
      if (step.answer->error) {
        if (!had_no_room(step)) fail(about(step) + "refused with '" + step.answer->error->text + "'");
        return;
      }
      // The record comes at the turn's end; check_offsets_record looks at it, and nothing of the turn may be acknowledged before it is safe.
      wants_done(step, journal_end_ > shown_ && dirty_offsets_.contains(key) ? log_->end() - 1 : -1, journal_end_ - 1);
      return;
    }
    default: break;
  }
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not written");
    return;
  }
  wants_done(step, r->position, r->position);
}

/// One record holds all offsets that changed since the last one, with their values of the moment.
void SimulatedWorld::check_offsets_record(const Record& r) {
  for (const Record::Offset& o : r.offsets) {
    const OffsetKey key{o.group, o.topic, o.queue};
    const auto known = offsets_.find(key);
    if (known == offsets_.end() || known->second != o.offset) return fail("an offset is written that is not the group's");
    dirty_offsets_.erase(key);
    tally(Tally::OffsetsCommitted);
  }
}

void SimulatedWorld::lock_something() {
  const std::string topic = any_topic();
  const std::string client = dice_.one_in(2) ? "one" : "two";
  const std::vector<broker::QueueRef> queues = {{topic, 0}, {topic, 1}};
  const std::int64_t mono = clock_.now().mono_ms;
  begin();
  const bool unlock = dice_.one_in(4);
  std::vector<broker::QueueRef> granted;
  if (unlock) core_->unlock_queues({kConsumers, client, queues});
  else granted = core_->lock_queues({kConsumers, client, queues});
  for (const auto& queue : queues) {
    const auto key = std::make_pair(topic, queue.queue_id);
    const auto held = locks_.find(key);
    if (unlock) {
      if (held != locks_.end() && held->second.client == client) locks_.erase(held);
      continue;
    }
    const bool there = model_.queues.contains(key);
    const bool free = held == locks_.end() || held->second.client == client || mono - held->second.renewed_mono_ms > options_.lock_ms;
    const bool got = std::any_of(granted.begin(), granted.end(), [&](const auto& g) { return g.queue_id == queue.queue_id && g.topic == topic; });
    if (got != (there && free)) fail("the lock of " + topic + "/" + std::to_string(queue.queue_id) + (got ? " is granted to two" : " is free and not granted"));
    if (got) locks_[key] = {client, mono};
    tally(got ? Tally::LocksGranted : Tally::LocksRefused);
  }
  end();
}

// ------------------------------------------------------------------------------------------------------ pulls that wait

void SimulatedWorld::park_pull() {
  const std::string topic = any_topic();
  const auto queue = model_.queues.find({topic, 0});
  if (queue == model_.queues.end() || pulls_.size() > 4) return;
  WaitingPull pull{.topic = topic, .queue = 0, .offset = visible_of(queue->second),
                   .until_mono_ms = clock_.now().mono_ms + 1 + static_cast<std::int64_t>(dice_.below(5000)),
                   .result = std::make_shared<std::optional<Result<broker::PullResult>>>()};
  model::Subscription all;
  all.topic = topic;
  all.expression = "*";
  broker::PullRequest r;
  r.group = "RG";
  r.topic = topic;
  r.offset = pull.offset;
  r.suspend_ms = pull.until_mono_ms - clock_.now().mono_ms;
  r.subscription = &all;
  begin();
  core_->pull(r, [result = pull.result](Result<broker::PullResult>&& got) { *result = std::move(got); });
  pulls_.push_back(std::move(pull));
  tally(Tally::PullsParked);
  Step step;
  step.kind = Step::Kind::Pull;
  step.group = "RG";
  step.answer = new_answer("pull", -1);
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

/// A pull that waits is answered when a message comes, when its time is over, or when its topic goes; and not otherwise.
void SimulatedWorld::check_pulls() {
  std::erase_if(pulls_, [&](const WaitingPull& pull) {
    const auto queue = model_.queues.find({pull.topic, pull.queue});
    const bool answered = pull.result->has_value();
    if (queue == model_.queues.end() || (answered && !(**pull.result).ok())) {
      if (!answered) fail("a pull waits on a topic that is gone");
      return true;
    }
    const bool message = visible_of(queue->second) > pull.offset;
    const bool over = clock_.now().mono_ms >= pull.until_mono_ms;
    if (!answered) {
      if (message) fail("a pull waits though a message is there");
      return failed();
    }
    const broker::PullResult& result = ***pull.result;
    if (result.status == broker::PullStatus::Found ? !message : !over) fail("a pull that waits is answered without a reason");
    if (result.status == broker::PullStatus::Found) {
      for (const broker::Extent& e : result.extents)
        if (e.queue_offset >= visible_of(queue->second)) fail("a pull that waits is given what is not safe");
    }
    return true;
  });
}

}  // namespace halfmoon::testkit
