// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_ask.h"

namespace halfmoon::cli {

namespace {

class AskRun final : public AnswerSink {
 public:
  AskRun(Links& links, const Questions& questions) : links_(links), questions_(questions) {}
  void on_arrival() override { last_arrival_ns_ = mono_ns(); }
  void on_answer(std::size_t, const Answer& answer) override {
    ++answered_;
    questions_.use(answer);
    put();
  }
  Status run(const BenchOptions& options) {
    on_arrival();
    for (std::size_t i = 0; i < questions_.in_flight; ++i) put();
    while (answered_ < questions_.count) {
      HM_TRY_STATUS(links_.flush());
      HM_TRY_STATUS(links_.poll(std::chrono::milliseconds(100), *this));
      if (mono_ns() - last_arrival_ns_ > std::uint64_t{options.timeout_s} * 1'000'000'000u) return no_answer(options, questions_.count - answered_);
    }
    return Done{};
  }

 private:
  void put() {
    if (asked_ == questions_.count) return;
    questions_.make(links_.out(asked_ % links_.size()), asked_, static_cast<std::int32_t>(asked_ % 1'000'000'000u));
    ++asked_;
  }

  Links& links_;
  const Questions& questions_;
  std::size_t asked_ = 0;
  std::size_t answered_ = 0;
  std::uint64_t last_arrival_ns_ = 0;
};

}  // namespace

Status ask_all(const BenchOptions& options, Links& links, const Questions& questions) { return AskRun(links, questions).run(options); }

}  // namespace halfmoon::cli
