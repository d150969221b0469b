// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_consume_run.h"

namespace halfmoon::cli {

bool says_ask_again(const Answer& answer) {
  return is_code(answer, wire::ResponseCode::PullNotFound) || is_code(answer, wire::ResponseCode::PullRetryImmediately) ||
         is_code(answer, wire::ResponseCode::PullOffsetMoved);
}

PullRequest ConsumeRun::request(std::size_t place, std::int64_t suspend_ms) const {
  const auto queue = static_cast<std::uint32_t>(place % options_.queues);
  return {options_.header, static_cast<std::int32_t>(place), options_.topic, groups_[place / options_.queues], queue, places_[place].next, suspend_ms};
}

ConsumeRun::Place* ConsumeRun::place_of(const Answer& answer) {
  if (answer.opaque >= 0 && static_cast<std::size_t>(answer.opaque) < places_.size()) return &places_[static_cast<std::size_t>(answer.opaque)];
  fail({ErrorCode::Corrupt, "an answer to opaque " + std::to_string(answer.opaque) + " came, for which nothing was asked"});
  return nullptr;
}

void ConsumeRun::refuse(const char* what, const Answer& answer) {
  fail({ErrorCode::Internal, std::string("the broker refuses ") + what + " of topic " + options_.topic + ", code " + std::to_string(answer.code) +
                                 ": " + answer.text("remark") +
                                 "; check --topic and --queues (is there anything? `halfmoon bench send` fills it)"});
}

Status ConsumeRun::turn_until(int wait_ms, const std::function<bool()>& enough, const std::function<Status()>& each_turn) {
  progress_ns_ = mono_ns();
  while (!enough() && !failure_) {
    HM_TRY_STATUS(each_turn());
    HM_TRY_STATUS(links_.flush());
    HM_TRY_STATUS(links_.poll(std::chrono::milliseconds(wait_ms), *this));
    const std::uint64_t now = mono_ns();
    if (now > progress_ns_ + std::uint64_t{options_.timeout_s} * 1'000'000'000u) return no_answer(options_, waiting_for());
  }
  if (failure_) return *failure_;
  return Done{};
}

}  // namespace halfmoon::cli
