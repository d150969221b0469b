// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "cli/bench_consume_run.h"

namespace halfmoon::cli {

namespace {

/// Connection 0 sends at a rate; each of the groups has a connection of its own and reads every queue to its end: with a long poll, or, when it asks
/// for batches, as soon as so many messages are known to be there. All are served by this one thread, so both ends of the latency are of one clock. A
/// body begins with the intended time and this run's mark (the topic may hold others' messages), 8 bytes each.
class E2eRun final : public ConsumeRun {
 public:
  E2eRun(const BenchOptions& options, Links& links, Meter& meter, std::uint32_t groups, std::uint32_t batch)
      : ConsumeRun(options, links, meter, groups),
        batch_(batch),
        templates_(send_templates(options, MessageKind::Plain)),
        stored_(options.queues),
        deliveries_total_(total_ * groups) {}

  Status run() {
    // One message a queue: it creates the topic if need be, and shows at once whether sends are taken.
    for (std::uint32_t i = 0; i < options_.queues; ++i) put(0, 0);
    HM_TRY_STATUS(turn_until([this] { return acked_ == sent_; }));
    if (meter_.result().refused > 0) return Error{ErrorCode::Internal, "the broker refuses messages:\n" + to_text(meter_.result())};
    sent_ = acked_ = 0;
    for (std::size_t i = 0; i < places_.size(); ++i) append_offset_query(links_.out(link_of(i)), request(i, 0), QueueEnd::Max);
    HM_TRY_STATUS(turn_until([this] { return known_ == places_.size(); }));

    for (std::size_t i = 0; i < places_.size(); ++i) ask(i);
    HM_TRY_STATUS(links_.flush());
    if (warmup_ == 0) HM_TRY_STATUS(meter_.start());
    const std::uint64_t start_ns = mono_ns() + 50'000'000;  // the polls are waiting by then
    HM_TRY_STATUS(turn_until(0, [this] { return delivered_ >= deliveries_total_; }, [&] { return send_what_is_due(start_ns); }));
    HM_TRY_STATUS(meter_.stop());
    BenchResult& result = meter_.result();
    result.messages = options_.messages * groups_.size();
    result.payload_bytes = static_cast<double>(result.messages) * static_cast<double>(options_.body_bytes);
    if (pulls_ > 0) result.more.emplace_back("messages_a_pull", static_cast<double>(pulled_) / static_cast<double>(pulls_));
    if (static_cast<double>(behind_max_) > std::max(2.0, options_.rate_per_s * kBehindInvalidS)) {
      meter_.invalid("deliveries were more than a second behind the rate asked for");
    }
    return Done{};
  }

  void on_answer(std::size_t link, const Answer& answer) override {
    if (link == kProducer) return on_ack(answer);
    Place* const place = place_of(answer);
    if (place == nullptr) return;
    if (known_ < places_.size()) {
      if (answer.code != 0) return refuse("GET_MAX_OFFSET", answer);
      place->next = answer.number("offset");
      ++known_;
      return;
    }
    if (answer.code == 0) {
      ++pulls_;
      pulled_ += for_each_message(answer.body, [&](const model::MessageFields& message) { on_message(message); });
    } else if (!says_ask_again(answer)) {
      return refuse("pulls", answer);
    }
    place->next = std::max(place->next, answer.number("nextBeginOffset"));
    place->asking = false;
    ask(static_cast<std::size_t>(answer.opaque));
  }

 private:
  static constexpr std::size_t kProducer = 0;

  std::size_t link_of(std::size_t place) const { return 1 + place / options_.queues; }
  std::uint64_t waiting_for() const override { return deliveries_total_ - std::min(deliveries_total_, delivered_); }

  /// Asks for a place's messages if it is time to.
  void ask(std::size_t index) {
    Place& place = places_[index];
    const std::int64_t there = stored_[index % options_.queues] - place.next;
    const bool last = acked_ == total_;  // what is left may be less than a batch
    if (place.asking || (batch_ > 1 && there < (last ? 1 : std::int64_t{batch_}))) return;
    place.asking = true;
    append_pull(links_.out(link_of(index)), request(index, kSuspendMs));
  }

  void put(std::uint64_t intended, std::uint64_t mark) {
    const auto slot = static_cast<std::int32_t>(sent_ % 1'000'000'000u);
    const SendTemplate& queue = templates_[sent_ % templates_.size()];
    char* const body = queue.append(links_.out(kProducer), {slot, sent_, wall_ms()});
    std::memcpy(body, &intended, sizeof intended);
    std::memcpy(body + sizeof intended, &mark, sizeof mark);
    ++sent_;
  }

  Status send_what_is_due(std::uint64_t start_ns) {
    const std::uint64_t now = mono_ns();
    while (sent_ < total_) {
      const std::uint64_t due = intended_ns(options_, start_ns, sent_);
      if (due > now) break;
      put(due, mark_);
    }
    const std::uint64_t everywhere = delivered_ / groups_.size();
    if (sent_ == everywhere) progress_ns_ = now;  // nothing is owed to us
    const std::uint64_t behind = sent_ - std::min(sent_, everywhere);
    behind_max_ = std::max(behind_max_, behind);
    if (static_cast<double>(behind) > options_.rate_per_s * kBehindGiveUpS) return too_far_behind(options_);
    return Done{};
  }

  void on_ack(const Answer& answer) {
    progress_ns_ = now_ns_;
    ++acked_;
    if (answer.code != 0) {
      meter_.refused(answer);
      for (std::size_t i = 0; known_ == places_.size() && i < groups_.size(); ++i) one_more();  // it is done with, though nothing will come
    } else if (batch_ > 1) {
      const auto queue = static_cast<std::size_t>(answer.number("queueId")) % options_.queues;
      stored_[queue] = std::max(stored_[queue], answer.number("queueOffset") + 1);
      if (known_ == places_.size())
        for (std::size_t i = queue; i < places_.size(); i += options_.queues) ask(i);
    }
    if (batch_ > 1 && acked_ == total_)
      for (std::size_t i = 0; i < places_.size(); ++i) ask(i);
  }

  void on_message(const model::MessageFields& message) {
    std::uint64_t words[2] = {0, 0};
    if (message.body.size() < sizeof words) return;
    std::memcpy(words, message.body.data(), sizeof words);
    if (words[1] != mark_) return;
    progress_ns_ = now_ns_;
    meter_.done(words[0], now_ns_);
    one_more();
  }

  void one_more() {
    if (++delivered_ != warmup_ * groups_.size()) return;
    pulls_ = pulled_ = 0;
    if (Status started = meter_.start(); !started.ok()) fail(std::move(started).error());
  }

  const std::uint32_t batch_;
  const std::vector<SendTemplate> templates_;
  const std::uint64_t warmup_ = warmup_of(options_);
  const std::uint64_t total_ = warmup_ + options_.messages;
  const std::uint64_t mark_ = mono_ns() | 1;  // never the 0 of the first messages
  std::vector<std::int64_t> stored_;          // by queue: messages whose answers are here; only where batches are asked for
  std::uint64_t sent_ = 0;
  std::uint64_t acked_ = 0;
  std::uint64_t delivered_ = 0;               // over all groups
  const std::uint64_t deliveries_total_;
  std::uint64_t behind_max_ = 0;
  std::uint64_t pulls_ = 0;                   // that brought messages
  std::uint64_t pulled_ = 0;
  std::size_t known_ = 0;                     // places whose end is known
};

}  // namespace

Status run_e2e(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, 2));
  return E2eRun(options, *links, meter, 1, 1).run();
}

Status run_groups(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, 1 + options.groups));
  return E2eRun(options, *links, meter, options.groups, options.batch).run();
}

}  // namespace halfmoon::cli
