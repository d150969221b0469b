// SPDX-License-Identifier: Apache-2.0
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "cli/bench_beside.h"
#include "cli/bench_frames.h"
#include "cli/bench_links.h"
#include "cli/bench_scenarios.h"

namespace halfmoon::cli {

namespace {

/// Sends, and sends the next when an answer comes (closed loop), or when its time has come (open loop). Times are read once a wake-up:
/// in a closed loop a message counts from the wake-up that made room for it.
class SendRun final : public AnswerSink {
 public:
  SendRun(const BenchOptions& options, Links& links, std::size_t active, Meter& meter)
      : options_(options),
        links_(links),
        active_(active == 0 ? links.size() : std::min(active, links.size())),
        meter_(meter),
        kind_(options.scenario == BenchScenario::Tx ? MessageKind::Half : MessageKind::Plain),
        templates_(send_templates(options, kind_)),
        warmup_(warmup_of(options)),
        total_(warmup_ + options.messages),
        burst_bytes_(templates_.front().frame_bytes() * options.burst) {}

  Status run();

  void on_arrival() override {
    now_ns_ = mono_ns();
    now_ms_ = wall_ms();
    last_arrival_ns_ = now_ns_;
  }
  void on_answer(std::size_t link, const Answer& answer) override;

 private:
  /// A request under way. Its index is in the opaque and is used again as soon as the answer is there.
  struct Slot {
    std::uint64_t from_ns = 0;
    std::uint64_t sequence = 0;
    bool busy = false;
  };

  bool open_loop() const { return options_.rate_per_s > 0; }
  /// Whether a thread of ours that must not starve is on this core.
  bool shares_its_core() const { return options_.beside == SideLoadKind::Polls || options_.beside == SideLoadKind::Drain; }
  std::chrono::nanoseconds until_next(std::uint64_t start_ns) const;
  void put(std::size_t link, std::uint64_t from_ns);
  Status send_what_is_due(std::uint64_t start_ns);
  void keep(Status status) {
    if (!status.ok() && !failure_) failure_ = std::move(status).error();
  }

  const BenchOptions& options_;
  Links& links_;
  const std::size_t active_;  // connections that send
  Meter& meter_;
  const MessageKind kind_;
  const std::vector<SendTemplate> templates_;
  const std::uint64_t warmup_;
  const std::uint64_t total_;
  const std::size_t burst_bytes_;
  std::vector<Slot> slots_;
  std::vector<std::int32_t> free_slots_;
  std::uint64_t sent_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t behind_max_ = 0;  // open loop: due and not answered
  std::uint64_t now_ns_ = 0;
  std::int64_t now_ms_ = 0;
  std::uint64_t last_arrival_ns_ = 0;
  std::size_t next_link_ = 0;
  std::size_t next_queue_ = 0;
  std::uint32_t next_topic_ = 0;
  std::optional<Error> failure_;
};

void SendRun::put(std::size_t link, std::uint64_t from_ns) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::int32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[static_cast<std::size_t>(slot)] = {from_ns, sent_, true};
  templates_[next_queue_].append(links_.out(link), {.slot = slot, .sequence = sent_, .born_ms = now_ms_, .topic = next_topic_});
  if (++next_topic_ == options_.topics) {
    next_topic_ = 0;
    if (++next_queue_ == templates_.size()) next_queue_ = 0;
  }
  ++sent_;
  keep(links_.flush_over(link, burst_bytes_));
}

void SendRun::on_answer(std::size_t link, const Answer& answer) {
  const std::int64_t index = std::int64_t{answer.opaque} - kSendOpaque;
  if (index < 0 || index >= static_cast<std::int64_t>(slots_.size()) || !slots_[static_cast<std::size_t>(index)].busy) {
    keep(Error{ErrorCode::Corrupt, "an answer to opaque " + std::to_string(answer.opaque) + " came, for which nothing was asked"});
    return;
  }
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  slot.busy = false;
  free_slots_.push_back(static_cast<std::int32_t>(index));
  meter_.done(slot.from_ns, now_ns_);
  if (answer.code != 0) {
    meter_.refused(answer);
  } else if (kind_ == MessageKind::Half) {
    const CommitRequest commit{options_.header, options_.topic, options_.group, slot.sequence};
    if (!append_commit(links_.out(link), commit, answer)) {
      keep(Error{ErrorCode::Corrupt, "the answer to a half message has no usable msgId"});
    }
  }
  if (++done_ == warmup_) keep(meter_.start());
  if (!open_loop() && sent_ < total_) put(link, now_ns_);
}

Status SendRun::send_what_is_due(std::uint64_t start_ns) {
  now_ns_ = mono_ns();
  now_ms_ = wall_ms();
  for (; sent_ < total_; next_link_ = (next_link_ + 1) % active_) {
    const std::uint64_t due_ns = intended_ns(options_, start_ns, sent_);
    if (due_ns > now_ns_) break;
    put(next_link_, due_ns);
  }
  behind_max_ = std::max(behind_max_, sent_ - done_);
  if (static_cast<double>(sent_ - done_) > options_.rate_per_s * kBehindGiveUpS) return too_far_behind(options_);
  return Done{};
}

/// How long to wait for answers. An open loop that is alone never sleeps: a wake-up that comes late would count as the broker's latency.
std::chrono::nanoseconds SendRun::until_next(std::uint64_t start_ns) const {
  if (!open_loop() || sent_ == total_) return std::chrono::milliseconds(open_loop() && !shares_its_core() ? 0 : 100);
  if (!shares_its_core()) return std::chrono::nanoseconds(0);
  const std::uint64_t due_ns = intended_ns(options_, start_ns, sent_), now_ns = mono_ns();
  return std::chrono::nanoseconds(due_ns > now_ns ? due_ns - now_ns : 0);
}

Status SendRun::run() {
  if (shares_its_core()) ::prctl(PR_SET_TIMERSLACK, 1);
  on_arrival();
  if (warmup_ == 0) HM_TRY_STATUS(meter_.start());
  const std::uint64_t start_ns = mono_ns();
  if (!open_loop()) {
    for (std::uint32_t i = 0; i < options_.in_flight; ++i) {
      for (std::size_t link = 0; link < active_ && sent_ < total_; ++link) put(link, now_ns_);
    }
  }
  while (done_ < total_ && !failure_) {
    if (open_loop()) HM_TRY_STATUS(send_what_is_due(start_ns));
    HM_TRY_STATUS(links_.flush());
    HM_TRY_STATUS(links_.poll(until_next(start_ns), *this));
    if (done_ == sent_) last_arrival_ns_ = now_ns_;  // nothing is owed to us
    if (mono_ns() - last_arrival_ns_ > std::uint64_t{options_.timeout_s} * 1'000'000'000u) return no_answer(options_, sent_ - done_);
  }
  while (!failure_ && links_.anything_unsent()) {  // the last commits
    HM_TRY_STATUS(links_.flush());
    HM_TRY_STATUS(links_.poll(std::chrono::milliseconds(1), *this));
  }
  if (failure_) return *failure_;
  HM_TRY_STATUS(meter_.stop());
  meter_.result().messages = options_.messages;
  meter_.result().payload_bytes = static_cast<double>(options_.messages) * static_cast<double>(options_.body_bytes);
  if (open_loop() && static_cast<double>(behind_max_) > std::max(2.0, options_.rate_per_s * kBehindInvalidS)) {
    meter_.invalid("the broker or the generator was more than a second behind the rate asked for");
  }
  return Done{};
}

}  // namespace

Status run_send_over(const BenchOptions& options, Links& links, std::size_t active, Meter& meter) {
  return SendRun(options, links, active, meter).run();
}

Status run_send(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, options.connections));
  if (options.beside == SideLoadKind::None) return run_send_over(options, *links, 0, meter);
  HM_TRY(const std::unique_ptr<SideLoad>, beside, SideLoad::start(options));
  HM_TRY_STATUS(run_send_over(options, *links, 0, meter));
  return beside->stop(meter.result());
}

}  // namespace halfmoon::cli
