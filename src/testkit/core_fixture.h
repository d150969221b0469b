// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/crc.h"
#include "broker/core.h"
#include "model/properties.h"
#include "storage/log.h"
#include "storage/snapshot_store.h"
#include "testkit/manual_clock.h"
#include "testkit/seeded_random.h"
#include "testkit/sim_disk.h"

namespace halfmoon::testkit {

using Properties = std::vector<std::pair<std::string, std::string>>;

/// What the core said to clients.
class RecordedOutbound : public broker::Outbound {
 public:
  std::vector<broker::TransactionCheck> checks;
  std::vector<std::pair<broker::ChannelId, std::string>> changed;
  std::vector<std::pair<broker::ChannelId, std::string>> replies;  // channel, body
  void check_transaction(const broker::TransactionCheck& check) override { checks.push_back(check); }
  void consumer_ids_changed(broker::ChannelId channel, const std::string& group) override { changed.emplace_back(channel, group); }
  void push_reply(const broker::PushedReply& message, Reply<Done> reply) override {
    replies.emplace_back(message.channel, std::string(message.message.body));
    reply(Done{});
  }
  void reset_offset(const broker::OffsetReset&) override {}
};
class RecordedTopics : public broker::TopicListener {
 public:
  std::map<std::string, model::TopicConfig> topics;
  void topic_changed(const model::TopicConfig& config, const model::DataVersion&) override { topics[config.name] = config; }
  void topic_deleted(const std::string& topic, const model::DataVersion&) override { topics.erase(topic); }
};

/// A Result that a script may leave unlooked at.
template <class T>
struct Outcome : Result<T> {
  using Result<T>::Result;
  Outcome(Result<T> result) : Result<T>(std::move(result)) {}  // NOLINT: implicit on purpose
};

/// What a consumer sees of a message.
struct Seen {
  std::string body, topic, properties;
  std::int64_t offset = 0, position = 0, prepared_position = 0, store_ms = 0;
  std::int32_t queue_id = 0, reconsume_times = 0, sys_flag = 0;
  std::string property(std::string_view name) const { return std::string(model::find_property(properties, name).value_or("<none>")); }
};

/// The real core on the real log on a simulated disk with a clock that a test moves: a case reads as a script of requests and ticks.
class CoreFixture : public ::testing::Test {
 public:
  SimDisk disk;
  ManualClock clock;
  SeededRandom random{7};
  storage::LogOptions log_options{.segment_bytes = 1 << 20, .first_segment_bytes = 1 << 20, .ring_bytes = 1 << 20};
  broker::CoreOptions options;
  RecordedOutbound outbound;
  RecordedTopics topics;
  std::unique_ptr<storage::Log> log;
  std::unique_ptr<broker::Core> core;
  std::unique_ptr<broker::MessageReader> reader;
  bool auto_flush = true;  // every turn is followed by a flush, as if the syncer were infinitely quick

  void SetUp() override { open(); }
  void TearDown() override { close(); }

  // ---- life
  void open() {
    auto opened = storage::Log::open(disk, random, log_options);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    log = std::move(*opened);
    core = std::make_unique<broker::Core>(*log, random, outbound, topics, options);
    storage::SnapshotStore store(disk, log->store_id());
    auto snapshot = store.newest(std::numeric_limits<std::int64_t>::max());
    ASSERT_TRUE(snapshot.ok());
    storage::Position from = log->first_position();
    if (*snapshot) {
      const Status restored = core->restore(**snapshot);
      ASSERT_TRUE(restored.ok()) << restored.error().text;
      from = (*snapshot)->position;
    }
    const auto report = log->recover(from, [&](const storage::RecordView& r, std::int64_t wall) { return core->replay(r, wall); });
    ASSERT_TRUE(report.ok()) << report.error().text;
    reader = core->make_reader();
    turn([&] {
      const Status started = core->start();
      ASSERT_TRUE(started.ok()) << started.error().text;
    });
  }
  void close() {
    reader.reset();
    core.reset();
    log.reset();
  }
  void restart() {
    close();
    open();
  }
  void crash(SimDisk::Loss loss = SimDisk::Loss::Everything) {
    close();
    disk.crash(loss, random);
    open();
  }
  void snapshot() {
    const storage::Snapshot s = core->snapshot();
    ASSERT_TRUE(log->flush().ok());
    storage::SnapshotStore store(disk, log->store_id());
    ASSERT_TRUE(store.write(s).ok());
  }

  // ---- turns
  template <class F>
  void turn(F f) {
    core->begin(clock.now());
    f();
    core->tick();
    core->end();
    if (auto_flush) flush();
  }
  void flush() {
    for (int i = 0; i < 8 && log->flush_pending(); i++) {
      if (!log->flush().ok()) return;
      core->begin(clock.now());
      core->safe_advanced();
      core->end();
    }
  }
  void tick() {
    turn([] {});
  }
  void advance(std::int64_t ms) {
    clock.advance(ms);
    tick();
  }

  // ---- producing
  static std::string encode(const Properties& list) {
    std::string text;
    for (const auto& [name, value] : list) model::append_property(text, name, value);
    return text;
  }
  using Sent = std::optional<Result<broker::SendResult>>;
  std::shared_ptr<Sent> send_later(const std::string& topic, const std::string& body, const Properties& properties = {}, std::int32_t queue = 0,
                                   std::uint64_t channel = 0, std::int32_t reconsume = 0) {
    auto sent = std::make_shared<Sent>();
    turn([&] {
      const std::string text = encode(properties);
      broker::SendRequest r;
      r.group = "PG";
      r.topic = topic;
      r.default_topic = "TBW102";
      r.queue_id = queue;
      r.properties = text;
      r.body = body;
      r.body_crc = crc32_ieee(as_bytes(body));
      r.born_ms = clock.now().wall_ms;
      r.reconsume_times = reconsume;
      r.channel = static_cast<broker::ChannelId>(channel);
      core->send(r, [sent](Result<broker::SendResult>&& result) { *sent = std::move(result); });
    });
    return sent;
  }
  Outcome<broker::SendResult> send(const std::string& topic, const std::string& body, const Properties& properties = {}, std::int32_t queue = 0,
                                  std::uint64_t channel = 0, std::int32_t reconsume = 0) {
    const auto sent = send_later(topic, body, properties, queue, channel, reconsume);
    if (!*sent) return Error{ErrorCode::Internal, "not answered"};
    return Outcome<broker::SendResult>(std::move(**sent));
  }
  broker::SendResult half(const std::string& topic, const std::string& body, Properties more = {}, std::uint64_t channel = 0) {
    more.emplace_back("TRAN_MSG", "true");
    more.emplace_back("PGROUP", "PG");
    more.emplace_back("UNIQ_KEY", "KEY-" + body.substr(0, 16));
    auto sent = send(topic, body, more, 0, channel);
    EXPECT_TRUE(sent.ok()) << sent.error().text;
    return sent.ok() ? std::move(*sent) : broker::SendResult{};
  }
  Outcome<Done> end_transaction(const broker::SendResult& half_result, broker::Verdict verdict, bool from_check = false,
                               const std::string& group = "PG", std::optional<std::string> id = std::nullopt) {
    Result<Done> answer = Error{ErrorCode::Internal, "not answered"};
    const auto names = reader->forgotten_half(half_result.position);  // as the adapter does
    EXPECT_TRUE(names.ok()) << names.error().text;
    turn([&] {
      broker::EndTransactionRequest r;
      r.names = names.ok() ? names->get() : nullptr;
      r.looked_up = true;
      r.producer_group = group;
      r.half_position = half_result.position;
      r.half_offset = half_result.queue_offset;
      r.verdict = verdict;
      r.from_check = from_check;
      const std::string key = id.value_or(std::string(half_result.unique_key.view()));
      r.message_id = key;
      core->end_transaction(r, [&answer](Result<Done>&& result) { answer = std::move(result); });
    });
    return answer;
  }
  Outcome<Done> commit(const broker::SendResult& h) { return end_transaction(h, broker::Verdict::Commit); }
  Outcome<Done> rollback(const broker::SendResult& h) { return end_transaction(h, broker::Verdict::Rollback); }
  Outcome<Done> answer_unknown(const broker::SendResult& h) { return end_transaction(h, broker::Verdict::Unknown, true); }

  // ---- clients
  void producer(std::uint64_t channel, const std::string& group = "PG") {
    turn([&] {
      broker::Heartbeat beat;
      beat.channel = static_cast<broker::ChannelId>(channel);
      beat.client.client_id = "producer-" + std::to_string(channel);
      beat.producer_groups = {group};
      EXPECT_TRUE(core->heartbeat(beat).ok());
    });
  }
  void consumer(std::uint64_t channel, const std::string& group, const std::string& topic, const std::string& expression = "*") {
    turn([&] {
      broker::Heartbeat beat;
      beat.channel = static_cast<broker::ChannelId>(channel);
      beat.client.client_id = "consumer-" + std::to_string(channel);
      broker::ConsumerData data;
      data.group = group;
      model::Subscription subscription;
      subscription.topic = topic;
      subscription.expression = expression;
      subscription.version = 1;
      data.subscriptions.push_back(subscription);
      subscription.topic = "%RETRY%" + group;
      subscription.expression = "*";
      data.subscriptions.push_back(subscription);
      beat.consumers.push_back(data);
      EXPECT_TRUE(core->heartbeat(beat).ok());
    });
  }
  void disconnect(std::uint64_t channel) {
    turn([&] { core->channel_closed(static_cast<broker::ChannelId>(channel)); });
  }

  // ---- consuming
  std::shared_ptr<std::optional<Result<broker::PullResult>>> pull_later(const std::string& topic, std::int64_t offset, std::int64_t suspend_ms,
                                                                        const std::string& expression = "*", std::int32_t queue = 0,
                                                                        const std::string& group = "CG") {
    auto got = std::make_shared<std::optional<Result<broker::PullResult>>>();
    turn([&] {
      model::Subscription subscription;
      subscription.topic = topic;
      subscription.expression = expression;
      broker::PullRequest r;
      r.group = group;
      r.topic = topic;
      r.queue_id = queue;
      r.offset = offset;
      r.suspend_ms = suspend_ms;
      r.subscription = &subscription;
      core->pull(r, [got](Result<broker::PullResult>&& result) { *got = std::move(result); });
    });
    return got;
  }
  Result<broker::PullResult> pull(const std::string& topic, std::int64_t offset = 0, const std::string& expression = "*", std::int32_t queue = 0,
                                  const std::string& group = "CG") {
    auto got = pull_later(topic, offset, 0, expression, queue, group);
    if (!*got) return Error{ErrorCode::Internal, "not answered"};
    return std::move(**got);
  }
  std::vector<Seen> render(const std::vector<broker::Extent>& extents) {
    std::vector<Seen> seen;
    for (const broker::Extent& extent : extents) {
      std::string image;
      const Status rendered = reader->render(extent, image);
      EXPECT_TRUE(rendered.ok()) << rendered.error().text;
      if (!rendered.ok()) continue;
      const auto f = model::decode_image(as_bytes(image));
      EXPECT_TRUE(f.has_value());
      if (!f) continue;
      EXPECT_EQ(f->queue_offset, extent.queue_offset);
      seen.push_back({std::string(f->body), std::string(f->topic), std::string(f->properties), f->queue_offset, f->position, f->prepared_position,
                      f->store_ms, f->queue_id, f->reconsume_times, f->sys_flag});
    }
    return seen;
  }
  /// Everything in the queue from `offset` on.
  std::vector<Seen> drain(const std::string& topic, std::int64_t offset = 0, std::int32_t queue = 0) {
    std::vector<Seen> all;
    for (;;) {
      auto result = pull(topic, offset, "*", queue);
      if (!result.ok() || result->status != broker::PullStatus::Found) return all;
      for (Seen& seen : render(result->extents)) all.push_back(std::move(seen));
      offset = result->next_offset;
    }
  }
  std::vector<std::string> bodies(const std::string& topic, std::int32_t queue = 0) {
    std::vector<std::string> names;
    for (const Seen& seen : drain(topic, 0, queue)) names.push_back(seen.body);
    return names;
  }
  Outcome<Done> send_back(std::int64_t position, const std::string& group, std::int32_t level = 0, std::optional<std::int32_t> max = std::nullopt) {
    auto message = reader->find(position);
    if (!message.ok()) return Error(message.error());
    Result<Done> answer = Error{ErrorCode::Internal, "not answered"};
    turn([&] {
      broker::SendBackRequest r;
      r.message = message->get();
      r.group = group;
      r.delay_level = level;
      r.max_reconsume_times = max;
      core->send_back(r, [&answer](Result<Done>&& result) { answer = std::move(result); });
    });
    return answer;
  }
  Outcome<Done> commit_offset(const std::string& group, const std::string& topic, std::int64_t offset, std::int32_t queue = 0) {
    Result<Done> answer = Error{ErrorCode::Internal, "not answered"};
    turn([&] { core->commit_offset(group, {topic, queue}, offset, [&answer](Result<Done>&& r) { answer = std::move(r); }); });
    return answer;
  }
  Result<std::int64_t> committed(const std::string& group, const std::string& topic, std::int32_t queue = 0) {
    return core->committed_offset(group, {topic, queue}, false);
  }
};

}  // namespace halfmoon::testkit
