// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "cli/bench_frames.h"
#include "cli/bench_links.h"
#include "cli/bench_scenarios.h"
#include "model/message_image.h"
#include "wire/remoting/codes.h"

namespace halfmoon::cli {

namespace {

constexpr std::int64_t kSuspendMs = 15'000;

bool is_code(const Answer& answer, wire::ResponseCode code) { return answer.code == static_cast<std::int32_t>(code); }

/// Calls `use(fields)` for each message in the body of a pull's answer; how many there were.
template <class Use>
std::size_t for_each_message(Bytes body, Use use) {
  std::size_t count = 0;
  while (body.size() >= 4) {
    const std::size_t size = load_be<std::uint32_t>(body.data());
    if (size < 4 || size > body.size()) break;
    const std::optional<model::MessageFields> message = model::decode_image(body.first(size));
    if (!message) break;
    use(*message);
    body = body.subspan(size);
    ++count;
  }
  return count;
}

/// What both consuming runs do: ask in turn, wait for all that was asked, remember the first failure.
class ConsumeRun : public AnswerSink {
 public:
  ConsumeRun(const BenchOptions& options, Links& links, Meter& meter) : options_(options), links_(links), meter_(meter) {}
  void on_arrival() override { now_ns_ = mono_ns(); }

 protected:
  struct Queue {
    std::int64_t next = 0;
    std::int64_t end = 0;
    std::uint64_t asked_ns = 0;
  };

  PullRequest request(std::uint32_t queue, std::int64_t suspend_ms) const {
    return {options_.header, static_cast<std::int32_t>(queue), options_.topic, options_.group, queue, queues_[queue].next, suspend_ms};
  }
  /// The queue that an answer is about; nullptr, and a failure, for an opaque that was never sent.
  Queue* queue_of(const Answer& answer) {
    if (answer.opaque >= 0 && answer.opaque < static_cast<std::int32_t>(queues_.size())) {
      return &queues_[static_cast<std::size_t>(answer.opaque)];
    }
    fail({ErrorCode::Corrupt, "an answer to opaque " + std::to_string(answer.opaque) + " came, for which nothing was asked"});
    return nullptr;
  }
  void fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }
  void refuse(const char* what, const Answer& answer) {
    fail({ErrorCode::Internal, std::string("the broker refuses ") + what + " of topic " + options_.topic + ", code " +
                                   std::to_string(answer.code) + ": " + answer.text("remark") +
                                   "; check --topic and --queues (is there anything? `halfmoon bench send` fills it)"});
  }
  /// Runs until `enough()`; `each_turn()` comes before every look at the sockets.
  Status turn_until(int wait_ms, const std::function<bool()>& enough, const std::function<Status()>& each_turn) {
    progress_ns_ = mono_ns();
    while (!enough() && !failure_) {
      HM_TRY_STATUS(each_turn());
      HM_TRY_STATUS(links_.flush());
      HM_TRY_STATUS(links_.poll(wait_ms, *this));
      const std::uint64_t now = mono_ns();
      if (now > progress_ns_ + std::uint64_t{options_.timeout_s} * 1'000'000'000u) return no_answer(options_, waiting_for());
    }
    if (failure_) return *failure_;
    return Done{};
  }
  Status turn_until(const std::function<bool()>& enough) {
    return turn_until(10, enough, [] { return Status(Done{}); });
  }
  virtual std::uint64_t waiting_for() const = 0;

  const BenchOptions& options_;
  Links& links_;
  Meter& meter_;
  std::vector<Queue> queues_ = std::vector<Queue>(options_.queues);
  std::uint64_t now_ns_ = 0;
  std::uint64_t progress_ns_ = 0;  // when something came that was waited for
  std::optional<Error> failure_;
};

/// Connection 0 sends at a rate, connection 1 holds a long poll on each queue; both are served by this one thread, so both ends of
/// the latency are of one clock. A body begins with the intended time, this run's mark (the topic may hold others' messages), 8 bytes each.
class E2eRun final : public ConsumeRun {
 public:
  E2eRun(const BenchOptions& options, Links& links, Meter& meter)
      : ConsumeRun(options, links, meter), templates_(send_templates(options, MessageKind::Plain)) {}

  Status run() {
    // One message a queue: it creates the topic if need be, and shows at once whether sends are taken.
    for (std::uint32_t i = 0; i < options_.queues; ++i) put(0, 0);
    HM_TRY_STATUS(turn_until([this] { return acked_ == sent_; }));
    if (meter_.result().refused > 0) return Error{ErrorCode::Internal, "the broker refuses messages:\n" + to_text(meter_.result())};
    sent_ = acked_ = 0;
    for (std::uint32_t q = 0; q < options_.queues; ++q) append_offset_query(links_.out(kConsumer), request(q, 0), QueueEnd::Max);
    HM_TRY_STATUS(turn_until([this] { return known_ == queues_.size(); }));

    for (std::uint32_t q = 0; q < options_.queues; ++q) append_pull(links_.out(kConsumer), request(q, kSuspendMs));
    HM_TRY_STATUS(links_.flush());
    if (warmup_ == 0) HM_TRY_STATUS(meter_.start());
    const std::uint64_t start_ns = mono_ns() + 50'000'000;  // the polls are waiting by then
    HM_TRY_STATUS(turn_until(0, [this] { return delivered_ >= total_; }, [&] { return send_what_is_due(start_ns); }));
    HM_TRY_STATUS(meter_.stop());
    BenchResult& result = meter_.result();
    result.messages = options_.messages;
    result.payload_bytes = static_cast<double>(options_.messages) * static_cast<double>(options_.body_bytes);
    if (static_cast<double>(behind_max_) > std::max(2.0, options_.rate_per_s * kBehindInvalidS)) {
      meter_.invalid("deliveries were more than a second behind the rate asked for");
    }
    return Done{};
  }

  void on_answer(std::size_t link, const Answer& answer) override {
    if (link == kProducer) return on_ack(answer);
    Queue* const queue = queue_of(answer);
    if (queue == nullptr) return;
    if (known_ < queues_.size()) {
      if (answer.code != 0) return refuse("GET_MAX_OFFSET", answer);
      queue->next = answer.number("offset");
      ++known_;
      return;
    }
    if (answer.code == 0) {
      for_each_message(answer.body, [&](const model::MessageFields& message) { on_message(message); });
    } else if (!is_code(answer, wire::ResponseCode::PullNotFound) && !is_code(answer, wire::ResponseCode::PullRetryImmediately) &&
               !is_code(answer, wire::ResponseCode::PullOffsetMoved)) {
      return refuse("pulls", answer);
    }
    queue->next = std::max(queue->next, answer.number("nextBeginOffset"));
    append_pull(links_.out(kConsumer), request(static_cast<std::uint32_t>(answer.opaque), kSuspendMs));
  }

 private:
  static constexpr std::size_t kProducer = 0;
  static constexpr std::size_t kConsumer = 1;

  std::uint64_t waiting_for() const override { return sent_ > delivered_ ? sent_ - delivered_ : 1; }

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
    if (sent_ == delivered_) progress_ns_ = now;  // nothing is owed to us
    const std::uint64_t behind = sent_ - std::min(sent_, delivered_);
    behind_max_ = std::max(behind_max_, behind);
    if (static_cast<double>(behind) > options_.rate_per_s * kBehindGiveUpS) return too_far_behind(options_);
    return Done{};
  }

  void on_ack(const Answer& answer) {
    progress_ns_ = now_ns_;
    ++acked_;
    if (answer.code == 0) return;
    meter_.refused(answer);
    if (known_ == queues_.size()) one_more();  // it is done with, though nothing will come
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
    if (++delivered_ != warmup_) return;
    if (Status started = meter_.start(); !started.ok()) fail(std::move(started).error());
  }

  const std::vector<SendTemplate> templates_;
  const std::uint64_t warmup_ = warmup_of(options_);
  const std::uint64_t total_ = warmup_ + options_.messages;
  const std::uint64_t mark_ = mono_ns() | 1;  // never the 0 of the first messages
  std::uint64_t sent_ = 0;
  std::uint64_t acked_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t behind_max_ = 0;
  std::size_t known_ = 0;  // queues whose end is known
};

/// Drains each queue from its beginning to where it ended when the run began. Latencies are those of pulls.
class PullRun final : public ConsumeRun {
 public:
  using ConsumeRun::ConsumeRun;

  Status run() {
    for (const QueueEnd end : {QueueEnd::Min, QueueEnd::Max}) {
      asking_ = end;
      waiting_ = options_.queues;
      for (std::uint32_t q = 0; q < options_.queues; ++q) append_offset_query(links_.out(q % links_.size()), request(q, 0), end);
      HM_TRY_STATUS(turn_until([this] { return waiting_ == 0; }));
    }
    asking_.reset();
    HM_TRY_STATUS(meter_.start());
    now_ns_ = mono_ns();
    for (std::uint32_t q = 0; q < options_.queues; ++q) pull(q);
    HM_TRY_STATUS(turn_until([this] { return waiting_ == 0; }));
    HM_TRY_STATUS(meter_.stop());
    if (meter_.result().messages == 0) {
      return Error{ErrorCode::NotFound, "topic " + options_.topic + " holds nothing: fill it with `halfmoon bench send` first"};
    }
    return Done{};
  }

  void on_answer(std::size_t, const Answer& answer) override {
    Queue* const queue = queue_of(answer);
    if (queue == nullptr) return;
    --waiting_;
    if (asking_) {
      progress_ns_ = now_ns_;
      if (answer.code != 0) return refuse("GET_MIN_OFFSET or GET_MAX_OFFSET", answer);
      (*asking_ == QueueEnd::Min ? queue->next : queue->end) = answer.number("offset");
      return;
    }
    meter_.done(queue->asked_ns, now_ns_);
    const std::int64_t before = queue->next;
    if (answer.code == 0) {
      BenchResult& result = meter_.result();
      result.messages += for_each_message(answer.body, [&](const model::MessageFields& message) {
        result.payload_bytes += static_cast<double>(message.body.size());
        queue->next = std::max(queue->next, message.queue_offset + 1);
      });
    } else if (!is_code(answer, wire::ResponseCode::PullRetryImmediately) && !is_code(answer, wire::ResponseCode::PullOffsetMoved)) {
      return refuse("pulls", answer);
    }
    queue->next = std::max(queue->next, answer.number("nextBeginOffset"));
    if (queue->next > before) progress_ns_ = now_ns_;  // a broker that only ever says "again" is given up on
    pull(static_cast<std::uint32_t>(answer.opaque));
  }

 private:
  std::uint64_t waiting_for() const override { return waiting_; }

  void pull(std::uint32_t index) {
    Queue& queue = queues_[index];
    if (queue.next >= queue.end) return;
    queue.asked_ns = now_ns_;
    append_pull(links_.out(index % links_.size()), request(index, 0));
    ++waiting_;
  }

  std::optional<QueueEnd> asking_;
  std::uint64_t waiting_ = 0;  // answers
};

}  // namespace

Status run_e2e(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, 2));
  return E2eRun(options, *links, meter).run();
}

Status run_pull(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, options.connections));
  return PullRun(options, *links, meter).run();
}

}  // namespace halfmoon::cli
