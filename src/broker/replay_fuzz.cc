// SPDX-License-Identifier: Apache-2.0
// Records with right checksums that no broker wrote: the replay refuses them by name, or the core runs with what they made of its tables, and what it then
// writes as a snapshot it reads again.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "broker/records.h"
#include "model/message_image.h"
#include "model/properties.h"
#include "storage/log.h"
#include "testkit/fuzz_input.h"
#include "testkit/fuzzed_core.h"

namespace {

using namespace halfmoon;
using storage::Position;
using storage::RecordType;

/// Writes payloads that would be right, mostly: each number is now and then the input's own.
class Forger {
 public:
  explicit Forger(testkit::FuzzInput& input) : input_(input) {}

  Position position() const { return position_; }
  RecordType type() const { return type_; }
  std::string next() {
    position_ += 8 * (128 + input_.byte());
    const auto kind = input_.below(20);
    if (kind < 3) return topic();
    if (kind < 10) return body();
    if (kind < 17) return event();
    return other();
  }

 private:
  static constexpr std::int64_t kNow = 1'700'000'000'000;
  static constexpr const char* kTopics[] = {"T", "U", "%RETRY%G", "TRANS_CHECK_MAX_TIME_TOPIC"};

  template <class T>
  T number(T usual) { return input_.byte() % 16 == 0 ? input_.number<T>() : usual; }
  std::int64_t time() { return number<std::int64_t>(kNow + input_.byte()); }
  std::int32_t queue() { return number<std::int32_t>(input_.byte() % 2); }
  std::string name() { return kTopics[input_.below(std::size(kTopics))]; }
  Position one_of(const std::vector<Position>& known) { return number<Position>(known.empty() ? 0 : known[input_.below(known.size())]); }
  std::int64_t& end_of(const std::string& topic_name, std::int32_t queue_id) { return ends_[topic_name + std::to_string(queue_id)]; }

  std::string topic() {
    type_ = input_.byte() % 8 == 0 ? RecordType::TopicDeleted : RecordType::Topic;
    model::TopicConfig config;
    config.name = name();
    if (type_ == RecordType::TopicDeleted) return config.name;
    config.read_queues = config.write_queues = number<std::int32_t>(1 + input_.byte() % 3) & 0xff;
    if (input_.byte() % 4 == 0) config.attributes[std::string(model::kCheckImmunityAttribute)] = std::to_string(number<std::int64_t>(5));
    return broker::encode(config);
  }

  std::string body() {
    static constexpr RecordType kTypes[] = {RecordType::Message, RecordType::Half, RecordType::Delayed};
    type_ = kTypes[input_.below(3)];
    const std::string topic_name = name();
    std::string properties;
    model::append_property(properties, model::property::kUniqueKey, std::to_string(position_));
    model::append_property(properties, model::property::kProducerGroup, "P");
    model::append_property(properties, model::property::kDelayLevel, std::to_string(input_.byte() % 3));
    model::MessageFields f;
    f.queue_id = queue();
    f.position = position_;
    f.store_ms = time();
    f.born_ms = kNow;
    f.body = "body";
    f.topic = topic_name;
    f.properties = properties;
    if (type_ == RecordType::Message) f.queue_offset = number<std::int64_t>(end_of(topic_name, f.queue_id)++);
    if (type_ == RecordType::Half) f.queue_offset = number<std::int64_t>(halves_made_++);
    (type_ == RecordType::Half ? halves_ : type_ == RecordType::Delayed ? timers_ : bodies_).push_back(position_);
    std::string payload(type_ == RecordType::Delayed ? broker::kDelayedPrefixBytes : 0, '\0');
    if (type_ == RecordType::Delayed) store_le(payload.data(), time());
    const std::size_t prefix = payload.size();
    payload.resize(prefix + model::image_size(f));
    model::encode_image(f, std::as_writable_bytes(std::span(payload)).subspan(prefix));
    return payload;
  }

  std::string event() {
    const Position half = one_of(halves_);
    switch (input_.below(8)) {
      case 0: {
        type_ = RecordType::Checked;
        return encode(broker::CheckedRecord{.half = half, .answered = number<std::uint32_t>(1), .wall_ms = time(), .previous = broker::kFirstEvent, .by = broker::kNobody});
      }
      case 1: {
        type_ = RecordType::Parked;
        return encode(broker::ParkedRecord{.half = half, .queue_offset = number<std::int64_t>(end_of(kTopics[3], 0)++), .wall_ms = time(), .previous = broker::kFirstEvent});
      }
      case 2: {
        type_ = RecordType::Resumed;
        return encode(broker::ResumedRecord{.half = half, .wall_ms = time(), .previous = broker::kFirstEvent, .by = broker::kNobody, .operator_name = "op", .reason = "r"});
      }
      case 3: {
        type_ = RecordType::Asked;
        return encode(broker::AskedRecord{.half = half, .previous = broker::kFirstEvent, .by = broker::kNobody, .wall_ms = time()});
      }
      case 4: {
        type_ = RecordType::Refused;
        return encode(broker::RefusedRecord{.half = half, .previous = half, .by = broker::kNobody, .wall_ms = time(), .count = number<std::uint32_t>(1), .commit = true, .source = broker::VerdictSource::Check, .operator_name = {}});
      }
      default: return verdict(half);
    }
  }

  std::string verdict(Position half) {
    type_ = RecordType::Verdict;
    broker::VerdictRecord v;
    v.half = half;
    v.commit = input_.byte() % 2 == 0;
    v.wall_ms = time();
    if (input_.byte() % 4 == 0) v.due_ms = time();
    else v.queue_offset = number<std::int64_t>(v.commit ? end_of(name(), queue())++ : -1);
    if (v.due_ms > 0) timers_.push_back(position_);
    return encode(v);
  }

  std::string other() {
    switch (input_.below(6)) {
      case 0: {
        type_ = RecordType::Reference;
        broker::ReferenceRecord r;
        const std::string topic_name = name();
        r.topic = topic_name;
        r.body = one_of(bodies_);
        r.queue_id = queue();
        r.store_ms = time();
        if (input_.byte() % 2 == 0) r.due_ms = time();
        else r.queue_offset = number<std::int64_t>(end_of(topic_name, r.queue_id)++);
        r.bytes = number<std::uint32_t>(100);
        if (r.queue_offset < 0) timers_.push_back(position_);
        return encode(r);
      }
      case 1: {
        type_ = RecordType::Fire;
        return encode(broker::FireRecord{one_of(timers_), number<std::int64_t>(end_of(name(), queue())++), time()});
      }
      case 2: {
        type_ = RecordType::Offsets;
        const std::string topic_name = name();
        return broker::encode(std::vector<broker::OffsetItem>{{.group = "G", .topic = topic_name, .queue_id = queue(), .offset = number<std::int64_t>(1), .kind = broker::OffsetKind::Commit}});
      }
      case 3: {
        type_ = RecordType::Group;
        model::GroupConfig config;
        config.name = "G";
        return broker::encode(config);
      }
      case 4: {
        type_ = RecordType::Carried;
        return encode(broker::CarriedRecord{one_of(halves_), RecordType::Half, {}});
      }
      default: {
        type_ = static_cast<RecordType>(input_.byte());
        return std::string(input_.text(input_.byte()));
      }
    }
  }

  testkit::FuzzInput& input_;
  RecordType type_{};
  Position position_ = 0;
  std::int64_t halves_made_ = 0;
  std::map<std::string, std::int64_t> ends_;
  std::vector<Position> halves_, bodies_, timers_;
};

}  // namespace

//  | records, as Forger makes them |
HM_FUZZ_TARGET() {
  testkit::FuzzedCore first;
  Forger forger(input);
  for (int n = 0; n < 200 && !input.empty(); ++n) {
    const std::string payload = forger.next();
    const Status replayed = first.core->replay({.type = forger.type(), .epoch = 1, .position = forger.position(), .payload = as_bytes(payload)}, 1'700'000'000'000);
    if (replayed.ok()) continue;
    HM_CHECK(replayed.error().code == ErrorCode::Corrupt && replayed.error().text.find(std::to_string(forger.position())) != std::string::npos);
    return;
  }
  first.start();
  storage::Snapshot written = first.core->snapshot();
  written.position = forger.position() + 8;
  testkit::FuzzedCore second;
  const Status restored = second.core->restore(written);
  if (!restored.ok()) std::fprintf(stderr, "what the core wrote is refused: %s\n", restored.error().text.c_str());
  HM_CHECK(restored.ok());
  first.run();
}
