// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>

#include "cli/bench_consume_run.h"

namespace halfmoon::cli {

namespace {

/// Drains each queue from its beginning to where it ended when the run began, or until `enough`. Latencies are those of pulls.
class PullRun final : public ConsumeRun {
 public:
  PullRun(const BenchOptions& options, Links& links, Meter& meter, std::function<bool()> enough)
      : ConsumeRun(options, links, meter), enough_(std::move(enough)) {}

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
    if (meter_.result().messages == 0 && !enough_()) {
      return Error{ErrorCode::NotFound, "topic " + options_.topic + " holds nothing: fill it with `halfmoon bench send` first"};
    }
    return Done{};
  }

  void on_answer(std::size_t, const Answer& answer) override {
    Place* const queue = place_of(answer);
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
    Place& queue = places_[index];
    if (queue.next >= queue.end || enough_()) return;
    queue.asked_ns = now_ns_;
    append_pull(links_.out(index % links_.size()), request(index, 0));
    ++waiting_;
  }

  const std::function<bool()> enough_;
  std::optional<QueueEnd> asking_;
  std::uint64_t waiting_ = 0;  // answers
};

}  // namespace

Status run_pull_until(const BenchOptions& options, Meter& meter, const std::function<bool()>& enough) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, options.connections));
  return PullRun(options, *links, meter, enough).run();
}

Status run_pull(const BenchOptions& options, Meter& meter) {
  return run_pull_until(options, meter, [] { return false; });
}

}  // namespace halfmoon::cli
