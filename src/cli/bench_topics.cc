// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_ask.h"
#include "cli/bench_frames.h"
#include "cli/bench_scenarios.h"

namespace halfmoon::cli {

namespace {

/// Makes topics [first, end); topics that are there already are made once more, which changes nothing.
Status make_topics(const BenchOptions& options, Links& links, std::uint32_t first, std::uint32_t end) {
  std::optional<Error> refused;
  HM_TRY_STATUS(ask_all(options, links, {.count = end - first,
                                         .make = [&](std::string& out, std::size_t i, std::int32_t opaque) {
                                           append_create_topic(out, options.header, opaque, numbered_topic(options.topic, first + static_cast<std::uint32_t>(i)), options.queues);
                                         },
                                         .use = [&](const Answer& answer) {
                                           if (answer.code == 0 || refused) return;
                                           refused = Error{ErrorCode::Internal, "the broker refuses to make a topic, code " + std::to_string(answer.code) + ": " + answer.text("remark")};
                                         }}));
  if (refused) return *refused;
  return Done{};
}

}  // namespace

Status run_topics(const BenchOptions& options, Meter& meter) {
  HM_TRY(const std::unique_ptr<Links>, links, Links::dial(options.host, options.port, options.connections));
  BenchOptions own = options;
  own.warmup = 0;
  // The warm-up goes to one topic alone: it fills the broker's buffers, so that what grows afterwards is the topics'.
  HM_TRY_STATUS(make_topics(options, *links, 0, 1));
  if (warmup_of(options) > 0) {
    own.topics = 1;
    own.topic = numbered_topic(options.topic, 0);
    own.messages = warmup_of(options);
    Meter unused({});
    HM_TRY_STATUS(run_send_over(own, *links, 0, unused));
  }
  own.topic = options.topic;
  own.topics = options.topics;
  own.messages = options.messages;

  HM_TRY(const double, before, resident_bytes(options.broker_pids));
  const std::uint64_t began_ns = mono_ns();
  HM_TRY_STATUS(make_topics(options, *links, 0, options.topics));
  const double make_s = static_cast<double>(mono_ns() - began_ns) / 1e9;
  HM_TRY(const double, made, resident_bytes(options.broker_pids));
  HM_TRY_STATUS(run_send_over(own, *links, 0, meter));
  HM_TRY(const double, after, resident_bytes(options.broker_pids));

  const double queues = static_cast<double>(options.topics) * static_cast<double>(options.queues);
  std::vector<std::pair<std::string, double>>& more = meter.result().more;
  more.emplace_back("topics", options.topics);
  more.emplace_back("topics_made_per_s", make_s > 0 ? static_cast<double>(options.topics) / make_s : 0);
  if (!options.broker_pids.empty()) {
    more.emplace_back("memory_bytes_a_queue", (made - before) / queues);
    more.emplace_back("memory_bytes_a_queue_sent", (after - before) / queues);
  }
  return Done{};
}

}  // namespace halfmoon::cli
