// SPDX-License-Identifier: Apache-2.0
// What happens in a simulated life beside transactions, to topics, queues and the disk; and what must be true of it.
#include <algorithm>

#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;
using storage::RecordType;

void SimulatedWorld::act_general() {
  switch (dice_.below(24)) {
    case 0: case 1: return send_plain();
    case 2: case 3: return send_batch();
    case 4: case 5: return send_delayed();
    case 6: case 7: return commit_offset();
    case 8: case 9: case 10: return send_back();
    case 11: return send_retry();
    case 12: return dice_.one_in(3) ? delete_topic() : change_topic();
    case 13: return dice_.one_in(3) ? delete_group() : change_group();
    case 14: case 15: return lock_something();
    case 16: case 17: return park_pull();
    case 18: return release();
    case 19: return fill_disk();
    case 20: return consumer_comes();
    case 21: return act_in_one_turn();
    case 22: return dice_.one_in(2) ? prepare_segment() : move_clock();
    default: return flush();
  }
}

/// Several requests about groups that meet in one turn.
void SimulatedWorld::act_in_one_turn() {
  begin();
  for (std::uint64_t n = 2 + dice_.below(3); n > 0 && !failed(); n--) {
    switch (dice_.below(6)) {
      case 0: case 1: commit_offset(); break;
      case 2: delete_group(); break;
      case 3: change_group(); break;
      case 4: consumer_comes(); break;
      default: lock_something();
    }
  }
  end();
}

// ------------------------------------------------------------------------------------------------------------------ disk

/// The disk fills up, to its last byte or to one of the broker's own levels, or is emptied again.
void SimulatedWorld::fill_disk() {
  if (dice_.one_in(2)) {
    begin();
    disk_level_ = disk_level_ != broker::DiskLevel::Ok ? broker::DiskLevel::Ok : dice_.one_in(2) ? broker::DiskLevel::Tight : broker::DiskLevel::Full;
    core_->set_disk_level(disk_level_);
    tally(Tally::DiskLevels);
    if (trace_) say("disk level " + std::to_string(static_cast<int>(disk_level_)));
    return end();
  }
  const auto space = disk_.space();
  if (!space.ok() || dice_.one_in(2)) return;
  if (disk_tight_) {
    disk_.set_capacity(std::int64_t{1} << 40);
    disk_tight_ = false;
    there_is_room_again();
  } else {
    disk_.set_capacity(space->total_bytes - space->free_bytes + static_cast<std::int64_t>(dice_.below(6000)));
    disk_tight_ = true;
  }
  if (trace_) say(disk_tight_ ? "disk full" : "disk emptied");
}

/// What had no room is tried again soon: what was due within 100 ms, offsets within a second.
void SimulatedWorld::there_is_room_again() {
  fires_again_mono_ms_ = mono_ms() + kFireAgainMs;
  for (auto& [key, since_mono_ms] : dirty_offsets_) since_mono_ms = mono_ms();
  prepare_segment();
}

/// What the program does behind the core's back: the next segment is made before it is needed.
void SimulatedWorld::prepare_segment() {
  if (!log_->prepare_next().ok() && log_->poisoned()) poisoned_ = true;
}

// ---------------------------------------------------------------------------------------------------------------- topics

void SimulatedWorld::delete_topic() {
  Step step;
  step.kind = Step::Kind::DeleteTopic;
  step.answer = new_answer("deletion of a topic", -1);
  step.topic = dice_.one_in(3) ? dice_.one_in(2) ? "%RETRY%CG" : "%DLQ%CG" : any_topic();
  begin();
  core_->delete_topic(step.topic, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_delete_topic(Step& step) {
  if (!model_.topics.contains(step.topic)) return wants_done(step, -1, journal_end_ - 1);
  const Record* r = take_named(RecordType::TopicDeleted, step.topic);
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not written");
    return;
  }
  tally(Tally::TopicsDeleted);
  const auto gone = [&](const auto& item) { return std::get<1>(item.first) == step.topic; };
  std::erase_if(offsets_, gone);
  std::erase_if(dirty_offsets_, gone);
  std::erase_if(locks_, gone);
  wants_done(step, r->position, r->position);
}

/// A topic is made, or gets more queues.
void SimulatedWorld::change_topic() {
  Step step;
  step.kind = Step::Kind::ChangeTopic;
  step.answer = new_answer("change of a topic", -1);
  step.topic = any_topic();
  const auto known = model_.topics.find(step.topic);
  step.queue = std::max(known == model_.topics.end() ? 1 : known->second, 1 + static_cast<std::int32_t>(dice_.below(3)));
  model::TopicConfig config;
  config.name = step.topic;
  config.read_queues = config.write_queues = step.queue;
  begin();
  core_->put_topic(config, [this, answer = step.answer](Result<Done>&& result) {
    if (!result.ok()) answer->error = std::move(result).error();
    take_answer(*answer);
  });
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

void SimulatedWorld::check_change_topic(Step& step) {
  const auto known = model_.topics.find(step.topic);
  if (known != model_.topics.end() && known->second == step.queue) return wants_done(step, -1, journal_end_ - 1);
  if (known == model_.topics.end() && disk_level_ != broker::DiskLevel::Ok) return wants_error(step, ErrorCode::DiskFull);
  const Record* r = take_named(RecordType::Topic, step.topic);
  if (!r) {
    if (!had_no_room(step)) fail(about(step) + "not written");
    return;
  }
  if (r->queue != step.queue) return fail(about(step) + "another number of queues");
  tally(Tally::TopicsChanged);
  wants_done(step, r->position, r->position);
}

// ------------------------------------------------------------------------------------------------------ pulls that wait

void SimulatedWorld::park_pull() {
  const std::string topic = any_topic();
  const auto known = model_.topics.find(topic);
  if (known == model_.topics.end() || pulls_.size() > 4) return;
  const auto id = static_cast<std::int32_t>(dice_.below(static_cast<std::uint64_t>(known->second)));
  const ModelQueue& queue = model_.queues.at({topic, id});
  const std::int64_t now_mono_ms = clock_.now().mono_ms;
  WaitingPull pull{.topic = topic, .queue = id, .offset = visible_of(queue), .until_mono_ms = now_mono_ms + 1 + static_cast<std::int64_t>(dice_.below(5000)),
                   .result = std::make_shared<std::optional<Result<broker::PullResult>>>()};
  model::Subscription all;
  all.topic = topic;
  all.expression = "*";
  broker::PullRequest r;
  r.group = "RG";
  r.topic = topic;
  r.queue_id = id;
  r.offset = pull.offset;
  r.suspend_ms = pull.until_mono_ms - now_mono_ms;
  r.subscription = &all;
  Step step;
  step.kind = Step::Kind::Pull;
  step.group = "RG";
  step.topic = topic;
  step.queue = id;
  step.value = -1;
  if (dice_.one_in(2)) r.commit_offset = step.value = static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(pull.offset) + 1));
  step.answer = new_answer("pull", -1);
  begin();
  core_->pull(r, [result = pull.result](Result<broker::PullResult>&& got) { *result = std::move(got); });
  pulls_.push_back(std::move(pull));
  tally(Tally::PullsParked);
  step.checks_end = checks_.size();
  steps_.push_back(std::move(step));
  end();
}

/// A pull that waits is answered when a message comes, when its time is over, or when what it waits on goes; and not otherwise.
void SimulatedWorld::check_pulls() {
  std::erase_if(pulls_, [&](const WaitingPull& pull) {
    const auto queue = model_.queues.find({pull.topic, pull.queue});
    const bool answered = pull.result->has_value();
    if (answered && !(**pull.result).ok()) {
      const ErrorCode code = (**pull.result).error().code;
      if (code == ErrorCode::TopicNotFound ? queue != model_.queues.end() : !(code == ErrorCode::DiskFull && disk_tight_))
        fail("a pull that waits is refused: " + (**pull.result).error().text);
      return true;
    }
    if (queue == model_.queues.end()) {
      fail("a pull waits on a topic that is gone");
      return true;
    }
    const bool message = visible_of(queue->second) > pull.offset;
    const bool over = mono_ms() >= pull.until_mono_ms;
    if (!answered) {
      if (message) fail("a pull waits though a message is there");
      if (over) fail("a pull waits for longer than it asked for");
      return failed();
    }
    take_pull(pull, queue->second, message, over);
    return true;
  });
}

void SimulatedWorld::take_pull(const WaitingPull& pull, const ModelQueue& queue, bool message, bool over) {
  const broker::PullResult& result = ***pull.result;
  mix(static_cast<std::uint64_t>(result.status) * 1000003 + static_cast<std::uint64_t>(result.next_offset));
  const auto wrong = [&](bool is) {
    if (is) fail("a pull that waits is answered without a reason");
  };
  switch (result.status) {
    case broker::PullStatus::NoNewMessage:
      tally(Tally::PullsExpired);
      return wrong(!over || message || result.next_offset != pull.offset);
    case broker::PullStatus::OffsetMoved:
      tally(Tally::PullsMoved);
      return wrong(queue.min <= pull.offset || result.next_offset != queue.min);
    case broker::PullStatus::NoMatch: return fail("a pull that takes everything is told that nothing matches");
    case broker::PullStatus::Found: break;
  }
  tally(Tally::PullsWoken);
  wrong(!message);
  std::int64_t at = pull.offset;
  for (const broker::Extent& e : result.extents) {
    if (e.queue_offset != at || at >= visible_of(queue)) return fail("a pull that waits is given what is not safe, or not what is next");
    if (e.position != queue.entries[static_cast<std::size_t>(at)].position) return fail("a pull that waits is given another message");
    at++;
  }
}

}  // namespace halfmoon::testkit
