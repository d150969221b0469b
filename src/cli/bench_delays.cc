// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "cli/bench_consume_run.h"

namespace halfmoon::cli {

namespace {

constexpr std::int64_t kMsNs = 1'000'000;

/// Connection 0 sends all messages in a closed loop, each with a delivery time in milliseconds, spread evenly; connection 1 holds a long poll on each
/// queue. A body begins with the message's number and this run's mark, so that each is expected once, and not before its time.
class DelayRun final : public ConsumeRun {
 public:
  DelayRun(const BenchOptions& options, Links& links, Meter& meter)
      : ConsumeRun(options, links, meter), templates_(send_templates(options, MessageKind::Plain, {.delivery_time = true})), seen_(options.messages) {}

  Status run() {
    // A message a queue, due at once, makes the topic.
    first_due_ms_ = wall_ms();
    for (std::uint32_t i = 0; i < options_.queues; ++i) put(0);
    HM_TRY_STATUS(turn_until([this] { return acked_ == sent_; }));
    if (meter_.result().refused > 0) return Error{ErrorCode::Internal, "the broker refuses messages with a delivery time:\n" + to_text(meter_.result())};
    for (std::size_t i = 0; i < places_.size(); ++i) append_offset_query(links_.out(kConsumer), request(i, 0), QueueEnd::Max);
    HM_TRY_STATUS(turn_until([this] { return known_ == places_.size(); }));
    for (std::size_t i = 0; i < places_.size(); ++i) append_pull(links_.out(kConsumer), request(i, kSuspendMs));

    first_due_ms_ = wall_ms() + static_cast<std::int64_t>(options_.lead_s * 1000);
    HM_TRY_STATUS(meter_.start());
    sent_ = acked_ = 0;
    running_ = true;
    for (std::uint32_t i = 0; i < options_.in_flight && sent_ < options_.messages; ++i) put(mark_);
    HM_TRY_STATUS(turn_until([this] { return acked_ == options_.messages; }));
    const double lead_left_s = static_cast<double>(first_due_ms_ - wall_ms()) / 1000;
    const Histogram early_ones = meter_.result().latency;
    HM_TRY_STATUS(meter_.start());  // from here on: CPU of the waiting and of the delivering
    meter_.result().latency.merge(early_ones);
    meter_.result().refused = refused_;
    HM_TRY_STATUS(turn_until(10, [this] { return delivered_ + refused_ >= options_.messages; }, [this] {
      if (wall_ms() < due_ms(options_.messages - 1)) progress_ns_ = mono_ns();
      return Status(Done{});
    }));
    HM_TRY_STATUS(meter_.stop());
    report(lead_left_s);
    return Done{};
  }

  void on_arrival() override {
    ConsumeRun::on_arrival();
    now_wall_ns_ = wall_ns();
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
      for_each_message(answer.body, [&](const model::MessageFields& message) { on_message(message); });
    } else if (!says_ask_again(answer)) {
      return refuse("pulls", answer);
    }
    place->next = std::max(place->next, answer.number("nextBeginOffset"));
    append_pull(links_.out(kConsumer), request(static_cast<std::size_t>(answer.opaque), kSuspendMs));
  }

 private:
  static constexpr std::size_t kProducer = 0;
  static constexpr std::size_t kConsumer = 1;

  std::uint64_t waiting_for() const override { return options_.messages - delivered_ - refused_; }
  std::int64_t due_ms(std::uint64_t n) const {
    return first_due_ms_ + static_cast<std::int64_t>(options_.spread_s * 1000 * static_cast<double>(n) / static_cast<double>(options_.messages));
  }

  void put(std::uint64_t mark) {
    const SendTemplate& queue = templates_[sent_ % templates_.size()];
    char* const body = queue.append(links_.out(kProducer), {.slot = 0, .sequence = sent_, .born_ms = wall_ms(), .deliver_ms = due_ms(sent_)});
    std::memcpy(body, &sent_, sizeof sent_);
    std::memcpy(body + sizeof sent_, &mark, sizeof mark);
    ++sent_;
  }

  void on_ack(const Answer& answer) {
    progress_ns_ = now_ns_;
    ++acked_;
    if (answer.code != 0) {
      meter_.refused(answer);
      ++refused_;
    }
    if (running_ && sent_ < options_.messages) put(mark_);
  }

  void on_message(const model::MessageFields& message) {
    std::uint64_t words[2] = {0, 0};
    if (message.body.size() < sizeof words) return;
    std::memcpy(words, message.body.data(), sizeof words);
    if (words[1] != mark_ || words[0] >= seen_.size()) return;
    progress_ns_ = now_ns_;
    if (seen_[words[0]]) {
      ++twice_;
      return;
    }
    seen_[words[0]] = true;
    ++delivered_;
    const std::int64_t late_ns = now_wall_ns_ - due_ms(words[0]) * kMsNs;
    if (late_ns < 0) {
      ++early_;
      earliest_ns_ = std::max(earliest_ns_, -late_ns);
    }
    meter_.done(0, static_cast<std::uint64_t>(std::max<std::int64_t>(late_ns, 0)));
    last_wall_ns_ = now_wall_ns_;
  }

  void report(double lead_left_s) {
    BenchResult& result = meter_.result();
    result.messages = delivered_;
    result.seconds = std::max(static_cast<double>(last_wall_ns_ - first_due_ms_ * kMsNs) / 1e9, 1e-9);
    result.payload_bytes = static_cast<double>(delivered_) * static_cast<double>(options_.body_bytes);
    result.more.emplace_back("first_due_to_last_there_s", result.seconds);
    result.more.emplace_back("last_due_to_last_there_s", static_cast<double>(last_wall_ns_ - due_ms(options_.messages - 1) * kMsNs) / 1e9);
    result.more.emplace_back("early", static_cast<double>(early_));
    result.more.emplace_back("earliest_us", static_cast<double>(earliest_ns_) / 1e3);
    result.more.emplace_back("twice", static_cast<double>(twice_));
    result.more.emplace_back("lead_left_s", lead_left_s);
    if (early_ > 0) meter_.invalid(std::to_string(early_) + " messages came before their time");
    if (lead_left_s < 0) meter_.invalid("the first were due before the last was sent: give a longer --lead");
  }

  const std::vector<SendTemplate> templates_;
  std::vector<bool> seen_;
  const std::uint64_t mark_ = mono_ns() | 1;
  std::int64_t first_due_ms_ = 0;
  bool running_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t acked_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t twice_ = 0;
  std::uint64_t early_ = 0;
  std::int64_t earliest_ns_ = 0;
  std::int64_t now_wall_ns_ = 0;
  std::int64_t last_wall_ns_ = 0;
  std::size_t known_ = 0;
};

}  // namespace

Status run_delays(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, 2));
  return DelayRun(options, *links, meter).run();
}

}  // namespace halfmoon::cli
