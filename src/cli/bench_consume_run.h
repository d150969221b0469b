// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "cli/bench_frames.h"
#include "cli/bench_links.h"
#include "cli/bench_scenarios.h"
#include "model/message_image.h"
#include "wire/remoting/codes.h"

namespace halfmoon::cli {

inline constexpr std::int64_t kSuspendMs = 15'000;

inline bool is_code(const Answer& answer, wire::ResponseCode code) { return answer.code == static_cast<std::int32_t>(code); }
/// A pull's answer that holds no messages and is no refusal: ask again.
bool says_ask_again(const Answer& answer);

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

/// What all consuming runs do: ask in turn, wait for all that was asked, remember the first failure. A *place* is one queue for one of
/// `readers` groups; its number is the opaque of what is asked about it.
class ConsumeRun : public AnswerSink {
 public:
  ConsumeRun(const BenchOptions& options, Links& links, Meter& meter, std::uint32_t readers = 1)
      : options_(options), links_(links), meter_(meter), places_(std::size_t{options.queues} * readers) {
    for (std::uint32_t i = 0; i < readers; ++i) groups_.push_back(readers == 1 ? options.group : options.group + "-" + std::to_string(i));
  }
  void on_arrival() override { now_ns_ = mono_ns(); }

 protected:
  struct Place {
    std::int64_t next = 0;
    std::int64_t end = 0;
    std::uint64_t asked_ns = 0;
    bool asking = false;
  };

  PullRequest request(std::size_t place, std::int64_t suspend_ms) const;
  /// The place that an answer is about; nullptr, and a failure, for an opaque that was never sent.
  Place* place_of(const Answer& answer);
  void fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }
  void refuse(const char* what, const Answer& answer);
  /// Runs until `enough()`; `each_turn()` comes before every look at the sockets.
  Status turn_until(int wait_ms, const std::function<bool()>& enough, const std::function<Status()>& each_turn);
  Status turn_until(const std::function<bool()>& enough) {
    return turn_until(10, enough, [] { return Status(Done{}); });
  }
  /// How many answers or messages are owed to the run, for the text of a failure.
  virtual std::uint64_t waiting_for() const = 0;

  const BenchOptions& options_;
  Links& links_;
  Meter& meter_;
  std::vector<std::string> groups_;
  std::vector<Place> places_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t progress_ns_ = 0;  // when something came that was waited for
  std::optional<Error> failure_;
};

}  // namespace halfmoon::cli
