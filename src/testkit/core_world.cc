// SPDX-License-Identifier: Apache-2.0
#include "testkit/core_world.h"

#include <algorithm>

namespace halfmoon::testkit {
namespace {

constexpr int kTopics = 3;
constexpr std::int32_t kQueues = 2;

std::uint64_t mix(std::uint64_t h, std::string_view text) {
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

}  // namespace

CoreWorld::CoreWorld(std::uint64_t seed) : dice_(seed) {
  random = SeededRandom(seed ^ 0x5eed);
  log_options = {.segment_bytes = 128 << 10, .first_segment_bytes = 128 << 10, .ring_bytes = 256 << 10};
  options.check_max = 3;
  options.verdicts_remembered = 1000;
  auto_flush = false;
  open();
  for (int t = 0; t < kTopics; t++) {
    model::TopicConfig config;
    config.name = "T" + std::to_string(t);
    config.read_queues = config.write_queues = kQueues;
    turn([&] { core->put_topic(config, [](Result<Done>&&) {}); });
  }
  flush();
}

void CoreWorld::complain(const std::string& what) {
  if (violations.size() < 20) violations.push_back(what);
}

void CoreWorld::run(int steps) {
  for (int i = 0; i < steps && violations.empty(); i++) step();
}

void CoreWorld::step() {
  switch (dice_.below(20)) {
    case 0: case 1: case 2: case 3: case 4: case 5: return send_something();
    case 6: case 7: case 8: return end_something();
    case 9: case 10: case 11: return flush();
    case 12: clock.advance(static_cast<std::int64_t>(dice_.below(4000))); return tick();
    case 13: return read_everything();
    case 14: {
      const std::string topic = "T" + std::to_string(dice_.below(kTopics));
      const auto queue = static_cast<std::int32_t>(dice_.below(kQueues));
      const std::int64_t offset = static_cast<std::int64_t>(dice_.below(20));
      std::string key = topic + "/" + std::to_string(queue);
      offsets_asked_[key] = std::max(offsets_asked_[key], offset);
      turn([&] {
        core->commit_offset("CG", {topic, queue}, offset, [this, key, offset](Result<Done>&& r) {
          if (r.ok()) offsets_acked_[key] = std::max(offsets_acked_[key], offset);
        });
      });
      return;
    }
    case 15: return producer(1 + dice_.below(3));
    case 16: return disconnect(1 + dice_.below(3));
    case 17:
      if (dice_.one_in(3)) {
        flush();
        snapshot();
      }
      return;
    case 18:
      if (dice_.one_in(4)) crash_now();
      return;
    default: {
      if (!dice_.one_in(6)) return;
      // Retention, as the program does it: carry, make durable, snapshot, drop.
      Result<broker::Core::Release> release = Error{};
      turn([&] { release = core->release({.keep_ms = 1LL << 60, .keep_bytes = 512 << 10}); });
      flush();
      if (!release.ok() || release->drop_before <= log->first_position() || log->durable() < release->carried_until) return;
      snapshot();
      if (!log->drop_before(release->drop_before).ok()) complain("drop_before failed");
      for (auto& [key, offsets] : seen_) {  // what retention took may be missing from now on
        const std::size_t slash = key.find('/');
        const auto min = core->min_offset({std::string_view(key).substr(0, slash), std::stoi(key.substr(slash + 1))});
        for (auto it = offsets.begin(); it != offsets.end() && it->first < *min; it = offsets.erase(it)) messages_.erase(it->second);
      }
      return;
    }
  }
}

void CoreWorld::send_something() {
  auto m = std::make_shared<Message>();
  m->topic = "T" + std::to_string(dice_.below(kTopics));
  std::string body = "m" + std::to_string(next_++);
  if (dice_.one_in(8)) body += std::string(dice_.below(20000), '.');
  Properties properties = {{"UNIQ_KEY", "K" + std::to_string(next_)}};
  const auto kind = dice_.below(5);
  if (kind == 1) {
    const std::int64_t delay = 1 + static_cast<std::int64_t>(dice_.below(8000));
    m->not_before_ms = clock.now().wall_ms + delay;
    properties.emplace_back("TIMER_DELAY_MS", std::to_string(delay));
  } else if (kind >= 3) {
    m->half = true;
    properties.emplace_back("TRAN_MSG", "true");
    properties.emplace_back("PGROUP", "PG");
    if (dice_.one_in(4)) {
      m->delay_ms = 1000;
      properties.emplace_back("DELAY", "1");
    }
  }
  messages_[body] = m;
  if (m->half) halves_.push_back(body);
  turn([&] {
    const std::string text = encode(properties);
    broker::SendRequest r;
    r.group = "PG";
    r.topic = m->topic;
    r.queue_id = static_cast<std::int32_t>(dice_.below(kQueues));
    r.properties = text;
    r.body = body;
    r.channel = static_cast<broker::ChannelId>(1 + dice_.below(3));
    core->send(r, [this, m](Result<broker::SendResult>&& result) {
      if (!result.ok()) return;
      m->sent = Fate::Acked;
      m->place = *result;
      acknowledged++;
    });
  });
}

void CoreWorld::end_something() {
  if (halves_.empty()) return;
  const std::string& body = halves_[dice_.below(halves_.size())];
  const auto found = messages_.find(body);
  if (found == messages_.end() || found->second->sent != Fate::Acked) return;
  const std::shared_ptr<Message> m = found->second;
  const auto roll = dice_.below(10);
  broker::EndTransactionRequest r;
  r.producer_group = "PG";
  r.half_position = m->place.position;
  r.half_offset = m->place.queue_offset;
  r.from_check = dice_.one_in(3);
  const std::string key(m->place.unique_key.view());
  r.message_id = key;
  r.verdict = roll < 5 ? broker::Verdict::Commit : roll < 8 ? broker::Verdict::Rollback : broker::Verdict::Unknown;
  (r.verdict == broker::Verdict::Commit ? m->commit_asked : r.verdict == broker::Verdict::Rollback ? m->rollback_asked : r.from_check) = true;
  if (m->delay_ms > 0 && r.verdict == broker::Verdict::Commit && m->not_before_ms == 0) m->not_before_ms = clock.now().wall_ms + m->delay_ms;
  const auto verdict = r.verdict;
  const auto names = reader->forgotten_half(r.half_position);
  if (!names.ok()) return complain("the half message cannot be read: " + names.error().text);
  r.names = names->get();
  r.looked_up = true;
  turn([&] {
    core->end_transaction(r, [this, m, verdict](Result<Done>&& result) {
      if (!result.ok()) return;
      if (verdict == broker::Verdict::Commit) m->committed = Fate::Acked;
      if (verdict == broker::Verdict::Rollback) m->rolled_back = Fate::Acked;
      if (m->committed == Fate::Acked && m->rolled_back == Fate::Acked) complain("two contrary verdicts were both accepted");
    });
  });
}

void CoreWorld::check_topic(const std::string& topic, std::int32_t queue) {
  auto& known = seen_[topic + "/" + std::to_string(queue)];
  const std::int64_t min = *core->min_offset({topic, queue});
  std::int64_t expected = min;
  for (const Seen& seen : drain(topic, min, queue)) {
    delivered++;
    state_hash = mix(state_hash, seen.body);
    const std::string what = topic + "/" + std::to_string(queue) + " offset " + std::to_string(seen.offset) + " (" + seen.body.substr(0, 12) + "): ";
    if (seen.offset != expected++) complain(what + "offsets have a gap");
    const auto [it, fresh] = known.emplace(seen.offset, seen.body);
    if (!fresh && it->second != seen.body) complain(what + "held another message before");
    const auto m = messages_.find(seen.body);
    if (m == messages_.end()) {
      complain(what + "was never sent");
      continue;
    }
    if (m->second->topic != topic) complain(what + "belongs to another topic");
    if (clock.now().wall_ms < m->second->not_before_ms) complain(what + "came before it was due");
    if (m->second->half && !m->second->commit_asked) complain(what + "is a half message that nobody committed");
    if (m->second->half && m->second->rolled_back == Fate::Acked) complain(what + "was rolled back");
  }
  std::map<std::string, int> times;
  for (const auto& [offset, body] : known)
    if (++times[body] > 1) complain(topic + ": " + body.substr(0, 12) + " stands at two offsets");
}

void CoreWorld::read_everything() {
  for (int t = 0; t < kTopics; t++)
    for (std::int32_t q = 0; q < kQueues; q++) check_topic("T" + std::to_string(t), q);
}

void CoreWorld::crash_now() {
  crashes++;
  read_everything();  // whatever a consumer has seen must still be there afterwards
  const auto loss = static_cast<SimDisk::Loss>(dice_.below(3));
  if (loss == SimDisk::Loss::Nothing) {
    close();
    disk.crash(loss, random);
    open();
  } else {
    crash(loss);
  }
  for (const auto& [key, offset] : offsets_acked_) {
    const std::size_t slash = key.find('/');
    const auto stored = committed("CG", key.substr(0, slash), std::stoi(key.substr(slash + 1)));
    if (!stored.ok() ? offset > 0 : (*stored < offset || *stored > offsets_asked_[key])) complain("consumer offset of " + key + " was lost in a crash");
  }
  read_everything();
  for (const auto& [key, offsets] : seen_) {
    const std::size_t slash = key.find('/');
    const auto max = core->max_offset({std::string_view(key).substr(0, slash), std::stoi(key.substr(slash + 1))});
    if (!offsets.empty() && offsets.rbegin()->first >= *max) complain(key + ": a message that a consumer saw is gone after a crash");
  }
}

void CoreWorld::settle() {
  flush();
  clock.advance(20000);
  tick();
  flush();
  crash_now();
  const std::string before = core->snapshot().payload;
  flush();
  restart();
  if (core->snapshot().payload != before) complain("a restart changed the state");
  read_everything();
  std::set<std::string> present;
  for (const auto& [key, offsets] : seen_)
    for (const auto& [offset, body] : offsets) present.insert(body);
  for (const auto& [body, m] : messages_) {
    const std::string what = body.substr(0, 12) + ": ";
    if (!m->half && m->sent == Fate::Acked && !present.contains(body)) complain(what + "was acknowledged and is lost");
    if (m->half && m->committed == Fate::Acked && !present.contains(body)) complain(what + "was committed and is lost");
    if (m->half && m->rolled_back == Fate::Acked && present.contains(body)) complain(what + "was rolled back and delivered");
  }
}

}  // namespace halfmoon::testkit
