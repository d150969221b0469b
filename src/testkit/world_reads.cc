// SPDX-License-Identifier: Apache-2.0
// What consumers see in a simulated life, and the history of it as JSON lines.
#include <algorithm>

#include "base/crc.h"
#include "model/message_image.h"
#include "model/properties.h"
#include "testkit/simulated_world.h"

namespace halfmoon::testkit {

using storage::Position;

std::int64_t SimulatedWorld::visible_of(const ModelQueue& queue) const {
  const auto shown = std::partition_point(queue.entries.begin(), queue.entries.end(), [&](const ModelEntry& e) { return e.position < shown_; });
  return shown - queue.entries.begin();
}

void SimulatedWorld::read_queues() {
  for (const auto& [name, queue] : model_.queues) {
    if (queue.entries.empty()) continue;
    read_queue(name.first, name.second, queue);
    if (failed() || poisoned_) return;
  }
}

/// Reads the queue from its beginning: exactly what the model says, and no more.
void SimulatedWorld::read_queue(const std::string& topic, std::int32_t queue, const ModelQueue& model) {
  const std::int64_t limit = visible_of(model);
  const auto min = core_->min_offset({topic, queue});
  const auto max = core_->max_offset({topic, queue});
  if (!min.ok() || !max.ok()) return fail(topic + "/" + std::to_string(queue) + " is not there");
  if (*max != limit) return fail(topic + "/" + std::to_string(queue) + " shows messages up to " + std::to_string(*max) + ", not " + std::to_string(limit));
  if (*min > model.min) return fail(topic + "/" + std::to_string(queue) + " begins at " + std::to_string(*min) + ", not " + std::to_string(model.min));
  if (final_read_) tell_queue(topic, queue, *min, *max);
  model::Subscription all;
  all.topic = topic;
  all.expression = "*";
  for (std::int64_t at = *min; at < limit && !failed();) {
    std::optional<Result<broker::PullResult>> got;
    begin();
    broker::PullRequest r;
    r.group = "RG";
    r.topic = topic;
    r.queue_id = queue;
    r.offset = at;
    r.count_max = 32;
    r.subscription = &all;
    core_->pull(r, [&got](Result<broker::PullResult>&& result) { got = std::move(result); });
    Step step;
    step.kind = Step::Kind::Pull;
    step.group = "RG";
    step.value = -1;
    step.answer = new_answer("pull", -1);
    step.checks_end = checks_.size();
    steps_.push_back(std::move(step));
    // Rendered before the turn ends, as the shard does: what it names is safe and stays.
    if (!got) fail("a pull is not answered");
    else if (!got->ok()) {
      if (!disk_tight_ && !log_->poisoned()) fail("a pull of " + topic + "/" + std::to_string(queue) + " fails: " + got->error().text);
      at = limit;
    } else if ((*got)->status != broker::PullStatus::Found) {
      fail(topic + "/" + std::to_string(queue) + " shows nothing at " + std::to_string(at));
    } else {
      for (const broker::Extent& extent : (*got)->extents) {
        if (failed()) break;
        if (extent.queue_offset != at || at >= limit) fail(topic + "/" + std::to_string(queue) + " has a gap at " + std::to_string(at));
        else check_extent(extent, model.entries[static_cast<std::size_t>(at)], topic, queue);
        at++;
      }
    }
    if (failed()) return;
    end();
    if (poisoned_) return;
  }
}

void SimulatedWorld::check_extent(const broker::Extent& extent, const ModelEntry& entry, const std::string& topic, std::int32_t queue) {
  const std::string what = topic + "/" + std::to_string(queue) + " offset " + std::to_string(extent.queue_offset) + ": ";
  if (extent.position != entry.position) return fail(what + "made visible by the record at " + std::to_string(extent.position) + ", not " + std::to_string(entry.position));
  image_.clear();
  const Status rendered = reader_->render(extent, image_);
  if (!rendered.ok()) return fail(what + "cannot be read: " + rendered.error().text);
  const auto f = model::decode_image(as_bytes(image_));
  if (!f) return fail(what + "is no message image");
  const Message& m = messages_[static_cast<std::size_t>(entry.message)];
  if (f->body != m.body) return fail(what + "holds another body than message " + std::to_string(entry.message));
  if (f->topic != topic || f->queue_id != queue || f->queue_offset != extent.queue_offset || f->position != entry.position)
    return fail(what + "says that it is elsewhere");
  if (f->reconsume_times != entry.deliveries) return fail(what + "counts " + std::to_string(f->reconsume_times) + " deliveries, not " + std::to_string(entry.deliveries));
  if (f->store_ms != entry.store_ms) return fail(what + "stored at another time");
  if (model::find_property(f->properties, model::property::kUniqueKey) != m.key) return fail(what + "has another key");
  tally(Tally::Delivered);
  mix(std::string_view(image_));
  tell_read(*f);
}

// --------------------------------------------------------------------------------------------------------------- history

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string properties_json(std::string_view properties) {
  std::string out = "{";
  while (!properties.empty()) {
    const std::size_t end = std::min(properties.find(model::kPropertySeparator), properties.size());
    const std::string_view one = properties.substr(0, end);
    const std::size_t middle = one.find(model::kNameSeparator);
    if (middle != std::string_view::npos) {
      if (out.size() > 1) out += ",";
      out += quoted(one.substr(0, middle)) + ":" + quoted(one.substr(middle + 1));
    }
    properties.remove_prefix(std::min(end + 1, properties.size()));
  }
  return out + "}";
}

class Line {
 public:
  explicit Line(std::string_view event) : text_("{\"e\":" + quoted(event)) {}
  Line& add(std::string_view name, std::string_view value) { return raw(name, quoted(value)); }
  Line& add(std::string_view name, std::int64_t value) { return raw(name, std::to_string(value)); }
  Line& raw(std::string_view name, const std::string& value) {
    text_ += "," + quoted(name) + ":" + value;
    return *this;
  }
  void to(std::string& out) const { out += text_ + "}\n"; }

 private:
  std::string text_;
};

std::string id_of(std::int32_t message) { return "m" + std::to_string(message); }
int code_of(broker::Verdict verdict) { return verdict == broker::Verdict::Commit ? 8 : verdict == broker::Verdict::Rollback ? 12 : 0; }

}  // namespace

void SimulatedWorld::tell_sent(std::int32_t number) {
  if (!history_) return;
  const Message& m = messages_[static_cast<std::size_t>(number)];
  Line line("send");
  line.add("id", id_of(number)).add("kind", m.kind == Message::Kind::Half ? "half" : m.kind == Message::Kind::Delayed ? "delayed" : "plain");
  line.add("topic", m.topic).add("queue", m.queue).add("at", wall_ms_).add("life", life_).add("crc", crc32c(as_bytes(m.body)));
  line.add("delay", m.delay == Message::Delay::Relative ? m.delay_ms : 0).raw("props", properties_json(m.properties)).to(*history_);
}

void SimulatedWorld::tell_verdict(const Verdict& v, const Answer& answer) {
  if (!history_ || v.misnamed || v.message < 0 || v.verdict == broker::Verdict::Unknown) return;
  Line("verdict").add("n", answer.number).add("id", id_of(v.message)).add("kind", code_of(v.verdict)).add("how", v.from_check ? "check" : "sender")
      .add("at", wall_ms_).add("life", life_).to(*history_);
}

void SimulatedWorld::tell_answer(const Answer& answer) {
  if (!history_ || answer.message < 0) return;
  const bool refused = answer.error.has_value();
  const int code = !refused ? 0 : answer.error->code == ErrorCode::IllegalOperation ? 604 : answer.error->code == ErrorCode::Io ? 10 : 1;
  Line line(std::string_view(answer.of) == "verdict" ? "verdict answered" : "sent");
  line.add("n", answer.number).add("id", id_of(answer.message)).add("code", code).add("at", mono_ms());
  if (answer.result) line.add("offset", answer.result->queue_offset);
  line.to(*history_);
}

void SimulatedWorld::tell_asked(std::int32_t message) {
  if (!history_) return;
  Line("asked").add("id", id_of(message)).add("at", mono_ms()).add("life", life_).to(*history_);
}

void SimulatedWorld::tell_read(const model::MessageFields& f) {
  if (!history_) return;
  Line("read").add("topic", f.topic).add("queue", f.queue_id).add("offset", f.queue_offset).add("position", f.position).add("store_ms", f.store_ms)
      .add("body", f.body.substr(0, f.body.find('|'))).add("crc", crc32c(as_bytes(f.body))).raw("props", properties_json(f.properties)).add("at", wall_ms_)
      .add("life", life_).add("final", final_read_ ? 1 : 0).to(*history_);
}

void SimulatedWorld::tell_released() {
  if (history_) Line("released").add("at", wall_ms_).to(*history_);
}

void SimulatedWorld::tell_queue(const std::string& topic, std::int32_t queue, std::int64_t min, std::int64_t max) {
  if (!history_) return;
  Line("queue").add("topic", topic).add("queue", queue).add("min", min).add("max", max).to(*history_);
}

}  // namespace halfmoon::testkit
