// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_beside.h"

#include <sched.h>

#include <chrono>

#include "cli/bench_ask.h"
#include "cli/bench_consume_run.h"

namespace halfmoon::cli {

namespace {

constexpr std::size_t kPollsAConnection = 100;
constexpr std::string_view kTagNobodySends = "TagThatNobodySends";
constexpr std::chrono::milliseconds kLookAgain{5};

/// Long polls for a tag that nobody sends, spread over the topic's queues, from their ends on; each is asked again when the broker gives it up.
class PollRun final : public AnswerSink {
 public:
  PollRun(const BenchOptions& options, Links& links) : options_(options), links_(links), next_(options.queues) {}
  void on_arrival() override {}
  void on_answer(std::size_t, const Answer& answer) override {
    const auto queue = static_cast<std::size_t>(answer.opaque) % options_.queues;
    if (answer.code != 0 && !says_ask_again(answer)) {
      refused_ = answer.text("remark");
      return;
    }
    next_[queue] = std::max(next_[queue], answer.number("nextBeginOffset"));
    ++answered_;
    ask(answer.opaque);
  }
  Status find_ends() {
    std::size_t q = 0;
    return ask_all(options_, links_, {.count = options_.queues, .in_flight = 1,
                                      .make = [&](std::string& out, std::size_t queue, std::int32_t opaque) {
                                        append_offset_query(out, request(static_cast<std::int32_t>(queue), opaque), QueueEnd::Max);
                                      },
                                      .use = [&](const Answer& answer) { next_[q++] = answer.number("offset"); }});
  }
  void ask_first() {
    for (std::uint32_t i = 0; i < options_.beside_polls; ++i) ask(static_cast<std::int32_t>(i));
  }
  Status turn() {
    HM_TRY_STATUS(links_.flush());
    HM_TRY_STATUS(links_.poll(std::chrono::milliseconds(5), *this));
    if (refused_) return Error{ErrorCode::Internal, "the broker refuses long polls: " + *refused_};
    return Done{};
  }
  std::uint64_t answered() const { return answered_; }

 private:
  PullRequest request(std::int32_t queue, std::int32_t opaque) const {
    return {options_.header, opaque, options_.topic, options_.group, static_cast<std::uint32_t>(queue), next_[static_cast<std::size_t>(queue)], kSuspendMs, kTagNobodySends};
  }
  void ask(std::int32_t poll) {
    const auto link = static_cast<std::size_t>(poll) % links_.size();
    append_pull(links_.out(link), request(poll % static_cast<std::int32_t>(options_.queues), poll));
  }

  const BenchOptions& options_;
  Links& links_;
  std::vector<std::int64_t> next_;
  std::uint64_t answered_ = 0;
  std::optional<std::string> refused_;
};

/// Of this thread. What waits for an answer must not wait for a thread of ours: then the broker would be blamed for it.
void yield_to_the_sender() {
  const sched_param none{};
  (void)::sched_setscheduler(0, SCHED_IDLE, &none);
}

/// Of this thread: onto the broker's cores, if it is known and held to some.
void go_where(const std::vector<int>& brokers) {
  cpu_set_t cores;
  if (!brokers.empty() && ::sched_getaffinity(brokers.front(), sizeof cores, &cores) == 0) (void)::sched_setaffinity(0, sizeof cores, &cores);
}

}  // namespace

Result<std::unique_ptr<SideLoad>> SideLoad::start(const BenchOptions& options) {
  std::unique_ptr<SideLoad> self(new SideLoad(options));
  self->thread_ = std::thread([raw = self.get()] {
    const std::uint64_t began_ns = mono_ns();
    if (Status status = raw->run(); !status.ok()) raw->failure_ = std::move(status).error();
    raw->seconds_ = static_cast<double>(mono_ns() - began_ns) / 1e9;
    raw->ended_ = true;
  });
  while (!self->under_way_ && !self->ended_) std::this_thread::sleep_for(kLookAgain);
  if (!self->under_way_) {
    self->join();
    return self->failure_.value_or(Error{ErrorCode::Internal, "the load beside ended at once"});
  }
  return self;
}

SideLoad::~SideLoad() { join(); }

void SideLoad::join() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

Status SideLoad::stop(BenchResult& result) {
  join();
  if (failure_) return *failure_;
  if (options_.beside == SideLoadKind::Drain) result.more.emplace_back("beside_messages_per_s", static_cast<double>(messages_) / seconds_);
  if (options_.beside == SideLoadKind::Polls) {
    result.more.emplace_back("beside_polls", options_.beside_polls);
    result.more.emplace_back("beside_polls_answered", static_cast<double>(polls_answered_));
  }
  return Done{};
}

Status SideLoad::run() {
  if (options_.beside == SideLoadKind::Hog) go_where(options_.broker_pids);
  else yield_to_the_sender();
  switch (options_.beside) {
    case SideLoadKind::Polls: return hold_polls();
    case SideLoadKind::Drain: return drain();
    case SideLoadKind::Hog:
    case SideLoadKind::None: break;
  }
  under_way_ = true;
  while (!over_) {
  }
  return Done{};
}

Status SideLoad::hold_polls() {
  const std::size_t connections = std::max<std::size_t>(1, options_.beside_polls / kPollsAConnection);
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options_.host, options_.port, connections));
  // The topic may not be there yet.
  HM_TRY_STATUS(ask_all(options_, *links, {.make = [&](std::string& out, std::size_t, std::int32_t opaque) {
                                             append_create_topic(out, options_.header, opaque, options_.topic, options_.queues);
                                           },
                                           .use = [](const Answer&) {}}));
  PollRun polls(options_, *links);
  HM_TRY_STATUS(polls.find_ends());
  polls.ask_first();
  do HM_TRY_STATUS(polls.turn());
  while (links->anything_unsent());
  under_way_ = true;
  while (!over_) HM_TRY_STATUS(polls.turn());
  polls_answered_ = polls.answered();
  return Done{};
}

Status SideLoad::drain() {
  BenchOptions own = options_;
  own.topic = options_.cold_topic;
  own.group = options_.group + "-cold";
  own.connections = 1;
  while (!over_) {
    Meter meter({});
    HM_TRY_STATUS(run_pull_until(own, meter, [&] {
      if (meter.running() && meter.result().messages > 0) under_way_ = true;
      return over_.load();
    }));
    messages_ += meter.result().messages;
  }
  return Done{};
}

}  // namespace halfmoon::cli
