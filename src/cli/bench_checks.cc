// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "cli/bench_ask.h"
#include "cli/bench_frames.h"
#include "cli/bench_links.h"
#include "cli/bench_scenarios.h"
#include "wire/remoting/codes.h"

namespace halfmoon::cli {

namespace {

constexpr std::uint64_t kHeartbeatNs = 30'000'000'000;
constexpr std::int32_t kHeartbeatOpaque = 1;
// The half messages ask for the shortest time before a check, so that all of them are due soon after the last was sent.
constexpr std::string_view kImmunity = "CHECK_IMMUNITY_TIME_IN_SECONDS\1" "1\2";
constexpr std::chrono::milliseconds kImmunityOver{1500};

/// First fills: half messages in a closed loop, nobody answers for them. Who sends one is a producer of its group and will be asked about as many as one
/// connection may owe answers for; these connections say nothing, and close. Then new ones register, and what is measured is how fast the broker asks about
/// all of them, each answered at once.
class ChecksRun final : public AnswerSink {
 public:
  ChecksRun(const BenchOptions& options, Meter& meter)
      : options_(options),
        meter_(meter),
        templates_(send_templates(options, MessageKind::Half, {.properties = kImmunity})),
        burst_bytes_(templates_.front().frame_bytes() * options.burst),
        reply_{options.header, options.topic, options.group, options.check_answer} {}

  Status run();

  void on_arrival() override { last_arrival_ns_ = mono_ns(); }
  void on_answer(std::size_t link, const Answer& answer) override;
  void on_request(std::size_t link, const Answer& request) override;

 private:
  Status dial();
  void put(std::size_t link);
  Status fill(std::uint64_t until);
  Status ask();
  Status turn(std::uint64_t missing);
  void register_all();

  const BenchOptions& options_;
  std::unique_ptr<Links> links_;
  Meter& meter_;
  const std::vector<SendTemplate> templates_;
  const std::size_t burst_bytes_;
  const CheckReply reply_;
  bool filling_ = true;
  std::uint64_t sent_ = 0;
  std::uint64_t until_ = 0;    // send so many
  std::uint64_t done_ = 0;     // answers to them
  std::uint64_t stored_ = 0;   // of them those that were not refused
  std::vector<bool> asked_;    // by half offset
  std::uint64_t distinct_ = 0;
  std::uint64_t checks_ = 0;
  std::uint64_t last_arrival_ns_ = 0;
  std::uint64_t registered_ns_ = 0;
  std::optional<Error> failure_;
};

Status ChecksRun::dial() {
  links_.reset();
  HM_TRY(std::unique_ptr<Links>, links, Links::dial(options_.host, options_.port, options_.connections));
  links_ = std::move(links);
  return Done{};
}

void ChecksRun::put(std::size_t link) {
  templates_[sent_ % templates_.size()].append(links_->out(link), {0, sent_, wall_ms()});
  ++sent_;
  Status status = links_->flush_over(link, burst_bytes_);
  if (!status.ok() && !failure_) failure_ = std::move(status).error();
}

void ChecksRun::on_answer(std::size_t link, const Answer& answer) {
  if (answer.opaque != kSendOpaque) return;  // to a heartbeat
  ++done_;
  if (answer.code != 0) meter_.refused(answer);
  else ++stored_;
  if (sent_ < until_) put(link);
}

void ChecksRun::on_request(std::size_t link, const Answer& request) {
  if (filling_ || request.code != static_cast<std::int32_t>(wire::RequestCode::CheckTransactionState)) return;
  ++checks_;
  append_check_reply(links_->out(link), reply_, request);
  const auto half_offset = static_cast<std::size_t>(request.number("tranStateTableOffset"));
  if (half_offset >= asked_.size()) asked_.resize(std::max(half_offset + 1, asked_.size() * 2));
  if (asked_[half_offset]) return;
  asked_[half_offset] = true;
  ++distinct_;
}

Status ChecksRun::turn(std::uint64_t missing) {
  HM_TRY_STATUS(links_->flush());
  HM_TRY_STATUS(links_->poll(std::chrono::milliseconds(100), *this));
  if (failure_) return *failure_;
  if (mono_ns() - last_arrival_ns_ > std::uint64_t{options_.timeout_s} * 1'000'000'000u) return no_answer(options_, missing);
  return Done{};
}

Status ChecksRun::fill(std::uint64_t until) {
  until_ = until;
  last_arrival_ns_ = mono_ns();
  for (std::uint32_t i = 0; i < options_.in_flight; ++i) {
    for (std::size_t link = 0; link < links_->size() && sent_ < until_; ++link) put(link);
  }
  while (done_ < until_) HM_TRY_STATUS(turn(until_ - done_));
  return Done{};
}

void ChecksRun::register_all() {
  for (std::size_t link = 0; link < links_->size(); ++link)
    append_producer_heartbeat(links_->out(link), options_.header, kHeartbeatOpaque, "bench-checks-" + std::to_string(link), options_.group);
  registered_ns_ = mono_ns();
}

Status ChecksRun::ask() {
  last_arrival_ns_ = mono_ns();
  register_all();
  while (distinct_ < stored_) {
    HM_TRY_STATUS(turn(stored_ - distinct_));
    if (mono_ns() - registered_ns_ > kHeartbeatNs) register_all();
  }
  return Done{};
}

Status ChecksRun::run() {
  const std::uint64_t total = warmup_of(options_) + options_.messages;
  HM_TRY_STATUS(dial());
  HM_TRY_STATUS(fill(warmup_of(options_)));
  HM_TRY(const double, before, resident_bytes(options_.broker_pids));
  HM_TRY_STATUS(meter_.start());
  const std::uint64_t filling_ns = mono_ns();
  HM_TRY_STATUS(fill(total));
  const double fill_s = static_cast<double>(mono_ns() - filling_ns) / 1e9;
  HM_TRY(const double, filled, resident_bytes(options_.broker_pids));
  filling_ = false;
  HM_TRY_STATUS(dial());
  std::this_thread::sleep_for(kImmunityOver);

  HM_TRY_STATUS(meter_.start());
  HM_TRY_STATUS(ask());
  HM_TRY_STATUS(meter_.stop());
  while (links_->anything_unsent()) HM_TRY_STATUS(turn(0));  // the last answers
  HM_TRY(const double, after, resident_bytes(options_.broker_pids));

  BenchResult& result = meter_.result();
  result.messages = distinct_;
  result.payload_bytes = static_cast<double>(distinct_) * static_cast<double>(options_.body_bytes);
  if (!options_.broker_pids.empty()) {
    result.more.emplace_back("memory_bytes_each", (filled - before) / static_cast<double>(options_.messages));
    result.more.emplace_back("memory_bytes_each_asked", (after - before) / static_cast<double>(options_.messages));
  }
  result.more.emplace_back("fill_per_s", fill_s > 0 ? static_cast<double>(options_.messages) / fill_s : 0);
  result.more.emplace_back("checks", static_cast<double>(checks_));
  if (stored_ < total) meter_.invalid(std::to_string(total - stored_) + " half messages were refused");
  return Done{};
}

struct BytesWritten {
  std::optional<double> log, disk;
};

/// From the runtime info; empty where the broker does not tell.
Result<BytesWritten> bytes_written(const BenchOptions& options) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, 1));
  BytesWritten out;
  HM_TRY_STATUS(ask_all(options, *links, {.make = [&](std::string& frame, std::size_t, std::int32_t opaque) { append_runtime_info_query(frame, options.header, opaque); },
                                          .use = [&](const Answer& answer) {
                                            out = {runtime_value(answer, "halfmoonLogBytes"), runtime_value(answer, "halfmoonLogBytesWritten")};
                                          }}));
  return out;
}

}  // namespace

Status run_checks(const BenchOptions& options, Meter& meter) {
  return ChecksRun(options, meter).run();
}

Status run_tx(const BenchOptions& options, Meter& meter) {
  HM_TRY(const BytesWritten, before, bytes_written(options));
  HM_TRY_STATUS(run_send(options, meter));
  HM_TRY(const BytesWritten, after, bytes_written(options));
  const double payload = static_cast<double>(warmup_of(options) + options.messages) * static_cast<double>(options.body_bytes);
  const auto per_byte = [&](const char* name, std::optional<double> from, std::optional<double> to) {
    if (from && to && payload > 0) meter.result().more.emplace_back(name, (*to - *from) / payload);
  };
  per_byte("log_bytes_per_payload_byte", before.log, after.log);
  per_byte("disk_bytes_per_payload_byte", before.disk, after.disk);
  return Done{};
}

}  // namespace halfmoon::cli
