// SPDX-License-Identifier: Apache-2.0
#include "broker/core.h"

#include <algorithm>

#include "broker/core_impl.h"
#include "broker/reader.h"

namespace halfmoon::broker {

Core::Impl::Impl(storage::Log& log_, Random& random_, Outbound& outbound_, TopicListener& listener_, CoreOptions options_)
    : log(log_), random(random_), outbound(outbound_), listener(listener_), options(std::move(options_)), ended(options.verdicts_remembered), locks(options.lock_ms) {
  if (options.delay_levels_ms.empty()) options.delay_levels_ms.assign(kDefaultDelayLevelsMs.begin(), kDefaultDelayLevelsMs.end());
}

Core::Core(storage::Log& log, Random& random, Outbound& outbound, TopicListener& topics, CoreOptions options)
    : impl_(std::make_unique<Impl>(log, random, outbound, topics, std::move(options))) {}
Core::~Core() = default;

// ------------------------------------------------------------------------------------------------------------------ life

Status Core::restore(const storage::Snapshot& snapshot) {
  return restore(storage::LoadedSnapshot{.position = snapshot.position, .memory = nullptr, .payload = snapshot.payload});
}

Status Core::restore(const storage::LoadedSnapshot& snapshot) {
  HM_TRY_STATUS(impl_->decode_snapshot(snapshot));
  impl_->ended.not_sure_below(snapshot.position);  // of verdicts before it, only the newest are in it
  impl_->publish_known_halves();
  return Done{};
}

Status Core::replay(const storage::RecordView& record, std::int64_t batch_wall_ms) {
  if (!is_time(batch_wall_ms)) return Error{ErrorCode::Corrupt, "the batch with the record at position " + std::to_string(record.position) + " has no possible time"};
  impl_->now.wall_ms = std::max(impl_->now.wall_ms, batch_wall_ms);
  return impl_->replay(record);
}

Status Core::start() {
  Impl& s = *impl_;
  struct System {
    std::string name;
    std::int32_t queues;
    std::int32_t permission;
  };
  using namespace model::permission;
  // The template's inherit bit decides whether sending may create topics (specification 4.1); the others are what RocketMQ's tools expect.
  const std::vector<System> wanted = {
      {std::string(model::kDefaultTopic), s.options.default_queues, kRead | kWrite | (s.options.auto_create_topics ? kInherit : 0)},
      {s.options.cluster, 16, kRead | kWrite | kInherit},
      {s.options.broker_name, 1, kRead | kWrite | kInherit},
      {"SELF_TEST_TOPIC", 1, kRead | kWrite},
      {s.options.cluster + "_REPLY_TOPIC", 1, kRead | kWrite},
      {std::string(model::kParkedTopic), 1, kRead | kWrite},
  };
  for (const System& system : wanted) {
    const Topic* known = s.find_topic(system.name);
    if (known && known->config.permission == system.permission && known->config.write_queues == system.queues) continue;
    model::TopicConfig config;
    config.name = system.name;
    config.read_queues = config.write_queues = system.queues;
    config.permission = system.permission;
    if (auto created = s.create_topic(config); !created.ok()) return std::move(created).error();
  }
  // What replay found below the end of the log is safe: recovery has synced it.
  for (auto& [name, topic] : s.topics)
    for (auto& queue : topic->queues) {
      queue->visible = queue->index.end();
      queue->unshown = false;
    }
  s.unshown.clear();
  for (const auto& [target, timer] : s.replayed_timers) s.timers.push_back(timer);
  std::make_heap(s.timers.begin(), s.timers.end());
  s.replayed_timers.clear();
  for (auto& [name, topic] : s.topics) s.listener.topic_changed(topic->config, s.topics_version);
  s.book_start = s.now;
  s.total_offsets = 0;
  for (const auto& [name, group] : s.groups) s.total_offsets += static_cast<std::int64_t>(group.offsets.size());
  s.started = true;
  return Done{};
}

// ----------------------------------------------------------------------------------------------------------------- turns

void Core::begin(Now now) {
  // Store times never go backwards within a log (docs/formats/log.md); offset search relies on it.
  impl_->now.wall_ms = std::max(impl_->now.wall_ms, now.wall_ms);
  impl_->now.mono_ms = std::max(impl_->now.mono_ms, now.mono_ms);
  impl_->log.note_time(impl_->now.wall_ms);
}

void Core::end() {
  Impl& s = *impl_;
  if (!s.offset_replies.empty()) (void)s.flush_offsets();
  s.log.close_batch(s.now.wall_ms);
}

void Core::safe_advanced() { impl_->safe_advanced(); }
void Core::tick() { impl_->tick(); }
std::int64_t Core::next_due_mono_ms() const { return impl_->next_due_mono_ms(); }

void Core::Impl::tick() {
  fire_due();
  run_due_checks();
  go_on_asking();
  expire_pulls();
  if (now.mono_ms >= offsets_due_mono_ms) (void)flush_offsets();
  if (now.mono_ms >= clients_due_mono_ms) {
    tell_consumers(clients.expire(now.mono_ms, options.client_timeout_ms));
    locks.expire(now.mono_ms);
    const std::int64_t next = clients.next_expiry(options.client_timeout_ms);
    clients_due_mono_ms = next == kNever ? kNever : std::max(next, now.mono_ms + 1000);
  }
}

std::int64_t Core::Impl::next_due_mono_ms() const {
  std::int64_t due = std::min(offsets_due_mono_ms, clients_due_mono_ms);
  if (!timers.empty()) due = std::min(due, std::max(mono_of_wall(timers.front().due_ms), fire_again_mono_ms));
  if (book.next_due_ms() != kNever) due = std::min(due, now.mono_ms + (book.next_due_ms() - book_ms()));
  if (!groups_to_ask.empty()) due = now.mono_ms;
  due = std::min(due, stalled_due_mono_ms);
  if (!pull_deadlines.empty()) due = std::min(due, pull_deadlines.front().at_mono_ms);
  return due;
}

void Core::set_disk_level(DiskLevel level) { impl_->disk_level = level; }

void Core::stop_accepting(const std::string& why) {
  Impl& s = *impl_;
  s.stopped_why = why;
  for (std::uint32_t slot = 0; slot < s.parked.size(); slot++) {
    if (!s.parked[slot].used) continue;
    PullResult result;
    const Topic* topic = s.topic_of(s.parked[slot].topic);
    result.next_offset = topic ? topic->queue(s.parked[slot].queue_id)->visible : s.parked[slot].asked_offset;
    s.unpark(slot, std::move(result));
  }
  (void)s.flush_offsets();
}

storage::Snapshot Core::snapshot() const {
  HM_CHECK(!impl_->log.batch_open());
  return storage::joined(impl_->draft_snapshot());
}

storage::SnapshotDraft Core::draft_snapshot() const {
  HM_CHECK(!impl_->log.batch_open());
  return impl_->draft_snapshot();
}

Result<Core::Release> Core::release(const RetentionPolicy& policy) { return impl_->release(policy); }

CoreCounters Core::counters() const {
  const Impl& s = *impl_;
  CoreCounters c = s.count;
  c.halves_pending = static_cast<std::int64_t>(s.book.size());
  c.delayed_pending = static_cast<std::int64_t>(s.timers.size());
  c.topics = static_cast<std::int64_t>(s.topics.size());
  c.groups = static_cast<std::int64_t>(s.groups.size());
  c.queues = s.total_queues;
  c.offsets = s.total_offsets;
  c.pulls_waiting = static_cast<std::int64_t>(s.parked.size() - s.parked_free.size());
  c.subscription_bytes = s.clients.subscription_bytes();
  c.producers = s.clients.producer_count();
  c.consumers = s.clients.consumer_count();
  return c;
}

// ----------------------------------------------------------------------------------------------------------------- ports

void Core::foresee(std::span<const SendPlace> places) { impl_->foresee(places); }
void Core::send(const SendRequest& request, Reply<SendResult> reply) { impl_->store_message(request, std::move(reply)); }
void Core::send_batch(const SendRequest& request, const std::vector<BatchItem>& items, Reply<SendResult> reply) {
  impl_->store_batch(request, items, std::move(reply));
}
void Core::send_back(const SendBackRequest& request, Reply<Done> reply) { impl_->send_back(request, std::move(reply)); }
void Core::send_reply(const SendRequest& request, Reply<SendResult> reply) { impl_->send_reply(request, std::move(reply)); }
void Core::end_transaction(const EndTransactionRequest& request, Reply<Done> reply) { impl_->end_transaction(request, std::move(reply)); }
void Core::pull(const PullRequest& request, Reply<PullResult> reply) { impl_->pull(request, std::move(reply)); }

std::vector<QueueRef> Core::lock_queues(const LockRequest& request) {
  // A group that nobody knows locks nothing: made-up names would fill the table.
  if (!impl_->find_group(request.group)) return {};
  LockRequest real = request;  // locks on queues that do not exist would only fill the table
  std::erase_if(real.queues, [&](const QueueRef& queue) { return !impl_->queue_for(queue).ok(); });
  return impl_->locks.lock(real, impl_->now.mono_ms);
}
void Core::unlock_queues(const LockRequest& request) { impl_->locks.unlock(request); }

std::unique_ptr<MessageReader> Core::make_reader() {
  return make_message_reader({impl_->log, impl_->carried, impl_->halves_known_from}, {impl_->options.region, impl_->options.cluster, impl_->options.trace_on});
}

}  // namespace halfmoon::broker
