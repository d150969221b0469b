// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench_frames.h"
#include "cli/bench_report.h"
#include "wire/remoting/frame.h"

namespace halfmoon::cli {

enum class BenchScenario : std::uint8_t {
  Send,     // SEND_MESSAGE_V2, closed loop, or open loop at a rate
  Tx,       // half messages, each committed one-way as soon as its answer is there
  E2e,      // open loop; latency from the intended send to the arrival at a long-polling consumer
  Checks,   // half messages without a verdict, then producers that are asked about all of them
  Pull,     // drain what the topic holds, a pull in flight for each queue
  Groups,   // E2e with many groups, each of which is given every message; pulls of `batch`
  Delays,   // messages with a delivery time; how late each is delivered
  Topics,   // many topics made, then Send over all their queues
  Connections,  // many connections that only send a heartbeat, some that send messages
  Start,    // a broker's command to its first acknowledged send
  Idle,     // a broker that nobody asks anything: memory, CPU
  Disk,     // no broker: a durable write, as a broker with SYNC_FLUSH makes it
  Ceiling,  // Send against a thread of our own that answers at once: what the generator itself can do
  Compare,  // no run: the ratios of two result files
};

/// What goes on beside a Send, on a thread of the bench's own.
enum class SideLoadKind : std::uint8_t {
  None,
  Polls,  // long polls for messages that never come, on the queues that are sent to
  Drain,  // a reader of `cold_topic`, from its first message to its last, again and again
  Hog,    // a thread that only computes
};

/// What `halfmoon bench` is asked for. One thread sends and receives; no option makes it use more than a core.
struct BenchOptions {
  BenchScenario scenario = BenchScenario::Send;
  std::string host = "127.0.0.1";  // name or address
  std::uint16_t port = 10911;
  wire::SerializeType header = wire::SerializeType::Json;
  std::string topic = "BenchTopic";
  std::string group = "bench_group";  // producer and consumer group
  std::uint32_t queues = 8;           // messages go to them in turn; the topic is created with so many
  std::uint32_t connections = 1;
  std::uint32_t in_flight = 64;       // unanswered requests a connection; closed loop only
  std::size_t body_bytes = 1024;
  std::uint64_t messages = 1'000'000;         // that are measured; Pull: takes what there is
  std::optional<std::uint64_t> warmup;        // messages before the measured ones; none given: a tenth of `messages`
  CheckAnswer check_answer = CheckAnswer::Unknown;  // Checks only: what the producers say
  double rate_per_s = 0;                      // > 0: open loop; latency counts from the intended time of sending
  std::uint32_t burst = 16;                   // requests a write, where several can be written
  std::vector<int> broker_pids;               // whose CPU time is counted; empty: not reported
  std::uint32_t timeout_s = 30;               // without any answer for so long, give up
  std::uint32_t groups = 50;                  // Groups only
  std::uint32_t batch = 32;                   // Groups only: a group asks for a queue's messages once so many are there; 1: long polls
  double spread_s = 1;                        // Delays only: between the first delivery time and the last
  double lead_s = 20;                         // Delays only: from the first send to the first delivery time
  std::uint32_t topics = 1;                   // Topics only
  std::uint32_t active = 0;                   // Connections only: how many of them send messages; 0: all
  double idle_s = 10;                         // Idle only
  std::vector<std::string> command;           // Start only: program and arguments; {} is a new folder
  std::string scratch = ".";                  // Start and Disk only: where the new folders are made
  SideLoadKind beside = SideLoadKind::None;   // Send only
  std::uint32_t beside_polls = 10'000;
  std::string cold_topic = "BenchCold";
  std::string json_file;                      // where the result goes beside stdout; empty: nowhere
  std::string compare_a;                      // Compare only: two files that json_file wrote
  std::string compare_b;
};

/// Runs one scenario to its end (not Compare). Errors, each a sentence with its cure: nobody listens, the connection ended, no answer
/// in time, options that cannot be meant, a broker process that is not there.
Result<BenchResult> measure(const BenchOptions& options);

/// What the command line calls: measure, print, write the JSON; or compare. Prints to stdout, errors to stderr as one line.
/// Returns the exit code: 0 measured; 1 not measured, or every message was refused.
int run_bench(const BenchOptions& options);

}  // namespace halfmoon::cli
