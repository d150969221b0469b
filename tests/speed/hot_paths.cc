// SPDX-License-Identifier: Apache-2.0
// The broker from a connection's bytes to a connection's bytes, without sockets and threads: remoting, core and log over a connection in memory, with a
// clock and random numbers of our own, so that two runs execute the same instructions. tests/speed/run.py counts those of broker_turn().
//   halfmoon_hot_paths SCENARIO DIR: send-json, send-binary, transaction, pull, check; DIR is new. Prints how many messages broker_turn() served.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "adapter/remoting/remoting.h"
#include "base/log.h"
#include "broker/core.h"
#include "cli/bench_frames.h"
#include "nameserver/route_table.h"
#include "runtime/monitor.h"
#include "server/store.h"
#include "testkit/manual_clock.h"
#include "testkit/seeded_random.h"
#include "wire/remoting/codes.h"

namespace halfmoon {
namespace {

constexpr int kTurns = 100;
constexpr std::uint32_t kInFlight = 64;
constexpr std::uint32_t kQueues = 8;
constexpr const char* kTopic = "Speed";
constexpr const char* kGroup = "speed_group";
constexpr std::size_t kBodyBytes = 1024;

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "halfmoon_hot_paths: %s\n", text.c_str());
  std::exit(1);
}

template <class T>
T good(Result<T> result) {
  if (!result.ok()) fail(result.error().text);
  return std::move(result).value();
}

class MemoryConnection final : public runtime::Connection {
 public:
  std::uint64_t id() const override { return 1; }
  const runtime::SocketAddress& remote() const override { return address_; }
  const runtime::SocketAddress& local() const override { return address_; }
  std::string& out() override { return out_; }
  void close() override { fail("the broker closed the connection"); }
  bool closed() const override { return false; }
  bool on_own_thread() const override { return true; }
  void post(runtime::Task task) override { posted_.push_back(std::move(task)); }
  void run_posted() {
    for (std::size_t i = 0; i < posted_.size(); ++i) posted_[i]();
    posted_.clear();
  }

 private:
  runtime::SocketAddress address_{"127.0.0.1", 40001};
  std::string out_;
  std::vector<runtime::Task> posted_;
};

class Broker {
 public:
  explicit Broker(const std::string& directory) {
    settings_.store_path = directory;
    settings_.flush_disk_type = "ASYNC_FLUSH";
    settings_.transaction_timeout_ms = 1000;
    store_ = good(server::Store::open(settings_, random_));
    core_ = std::make_unique<broker::Core>(*store_.log, random_, remoting_, remoting_, server::core_options(settings_));
    good(server::recover(store_, *core_));
    remoting_.serve({*core_, *core_, *core_, *core_, *core_, *core_, *core_});
    monitor_.enter([this](Now) {
      if (const Status started = core_->start(); !started.ok()) fail(started.error().text);
    });
    session_ = remoting_.broker_sessions()(connection_);
  }

  /// What run.py counts: all that one look at a connection brought, up to the answers; or what the core's timer brings.
  void turn(const std::string& in);
  void tick();
  void turn_uncounted(const std::string& in) { work(&in); }
  /// `in` null: the core's timer instead of bytes.
  __attribute__((noinline)) void work(const std::string* in) {
    if (in == nullptr) monitor_.enter([this](Now) { core_->tick(); });
    else if (session_->on_data(as_bytes(*in)).bytes != in->size()) fail("a request was not taken");
    connection_->run_posted();
  }
  /// What came out since the last look.
  std::string take_output() {
    std::string out;
    out.swap(connection_->out());
    connection_->out().reserve(out.capacity());
    keep_house();
    return out;
  }
  void advance(std::int64_t ms) { clock_.advance(ms); }

 private:
  void end_turn() {
    core_->end();
    core_->safe_advanced();
    core_->end();
  }
  void keep_house() {
    good(store_.log->write_out());
    if (const Status prepared = store_.log->prepare_next(); !prepared.ok()) fail(prepared.error().text);
  }

  testkit::ManualClock clock_;
  testkit::SeededRandom random_{1};
  server::Settings settings_;
  server::Store store_;
  std::unique_ptr<broker::Core> core_;
  runtime::Monitor monitor_{clock_, {[this](Now now) { core_->begin(now); }, [this] { end_turn(); }}};
  nameserver::RouteTable name_server_;
  adapter::Remoting remoting_{monitor_, name_server_, {}};
  std::shared_ptr<MemoryConnection> connection_ = std::make_shared<MemoryConnection>();
  std::unique_ptr<runtime::Session> session_;
};

/// The counted function.
__attribute__((noinline)) void broker_turn(Broker& b, const std::string* in) { b.work(in); }

void Broker::turn(const std::string& in) { broker_turn(*this, &in); }
void Broker::tick() { broker_turn(*this, nullptr); }

/// Calls use(answer) for each frame.
std::size_t for_each_answer(const std::string& out, const std::function<void(const cli::Answer&)>& use) {
  std::size_t count = 0;
  for (std::string_view rest = out; !rest.empty(); ++count) {
    const wire::FrameSplit split = wire::split_frame(as_bytes(rest));
    const auto* frame = std::get_if<wire::Frame>(&split);
    const auto answer = frame != nullptr ? cli::read_answer(*frame) : std::nullopt;
    if (!answer) fail("the output is no sequence of frames");
    if (answer->is_response && answer->code != 0) fail("code " + std::to_string(answer->code) + ": " + answer->text("remark"));
    use(*answer);
    rest.remove_prefix(frame->total_bytes);
  }
  return count;
}

class Sender {
 public:
  Sender(wire::SerializeType header, cli::MessageKind kind) : header_(header) {
    for (std::uint32_t q = 0; q < kQueues; ++q) templates_.emplace_back(cli::SendShape{header, kind, kTopic, kGroup, q, kQueues, kBodyBytes});
  }
  wire::SerializeType header() const { return header_; }
  std::uint64_t sent() const { return sent_; }
  /// `count` requests, one after the other.
  std::string some(std::uint32_t count) {
    std::string in;
    for (std::uint32_t i = 0; i < count; ++i, ++sent_)
      templates_[sent_ % kQueues].append(in, {.slot = static_cast<std::int32_t>(i), .sequence = sent_, .born_ms = 1'700'000'000'000});
    return in;
  }

 private:
  wire::SerializeType header_;
  std::vector<cli::SendTemplate> templates_;
  std::uint64_t sent_ = 0;
};

void expect(std::size_t got, std::size_t wanted) {
  if (got != wanted) fail(std::to_string(got) + " answers instead of " + std::to_string(wanted));
}

std::uint64_t run_send(Broker& broker, wire::SerializeType header) {
  Sender sender(header, cli::MessageKind::Plain);
  for (int i = 0; i < kTurns; ++i) {
    broker.turn(sender.some(kInFlight));
    expect(for_each_answer(broker.take_output(), [](const cli::Answer&) {}), kInFlight);
  }
  return sender.sent();
}

std::uint64_t run_transaction(Broker& broker) {
  Sender sender(wire::SerializeType::Json, cli::MessageKind::Half);
  for (int i = 0; i < kTurns; ++i) {
    const std::uint64_t first = sender.sent();
    broker.turn(sender.some(kInFlight));
    std::string commits;
    expect(for_each_answer(broker.take_output(), [&](const cli::Answer& answer) {
      const auto slot = static_cast<std::uint64_t>(answer.opaque - cli::kSendOpaque);
      if (!cli::append_commit(commits, {sender.header(), kTopic, kGroup, first + slot}, answer)) fail("no half message in an answer");
    }), kInFlight);
    broker.turn(commits);
    broker.take_output();
  }
  return sender.sent();
}

std::uint64_t run_pull(Broker& broker) {
  Sender sender(wire::SerializeType::Json, cli::MessageKind::Plain);
  for (int i = 0; i < kTurns; ++i) {
    broker.turn_uncounted(sender.some(kInFlight));
    broker.take_output();
  }
  std::uint64_t messages = 0;
  const auto a_queue = static_cast<std::int64_t>(sender.sent() / kQueues);
  for (std::int64_t offset = 0; offset + 32 <= a_queue; offset += 32) {
    for (std::uint32_t q = 0; q < kQueues; ++q, messages += 32) {
      std::string in;
      cli::append_pull(in, {.opaque = 1, .topic = kTopic, .group = kGroup, .queue = q, .offset = offset});
      broker.turn(in);
      expect(for_each_answer(broker.take_output(), [&](const cli::Answer& answer) {
        if (answer.number("nextBeginOffset") != offset + 32) fail("a pull brought less than 32 messages");
      }), 1);
    }
  }
  return messages;
}

std::uint64_t run_check(Broker& broker) {
  Sender sender(wire::SerializeType::Json, cli::MessageKind::Half);
  for (int i = 0; i < kTurns; ++i) {
    broker.turn_uncounted(sender.some(kInFlight));
    broker.take_output();
  }
  std::string in;
  cli::append_producer_heartbeat(in, wire::SerializeType::Json, 1, "speed", kGroup);
  broker.turn_uncounted(in);
  broker.take_output();
  std::uint64_t asked = 0;
  broker.advance(2000);
  for (int idle = 0; asked < sender.sent() && idle < 1000; ++idle) {
    broker.tick();
    std::string replies;
    for_each_answer(broker.take_output(), [&](const cli::Answer& request) {
      if (request.is_response || request.code != static_cast<std::int32_t>(wire::RequestCode::CheckTransactionState)) return;
      cli::append_check_reply(replies, {wire::SerializeType::Json, kTopic, kGroup, cli::CheckAnswer::Unknown}, request);
      ++asked;
      idle = 0;
    });
    if (!replies.empty()) broker.turn(replies);
    for_each_answer(broker.take_output(), [&](const cli::Answer& request) {  // answers let the next ones out
      std::string more;
      cli::append_check_reply(more, {wire::SerializeType::Json, kTopic, kGroup, cli::CheckAnswer::Unknown}, request);
      ++asked;
      broker.turn(more);
    });
    broker.advance(1);
  }
  if (asked < sender.sent()) fail("only " + std::to_string(asked) + " half messages were asked about");
  return asked;
}

}  // namespace
}  // namespace halfmoon

int main(int argc, char** argv) {
  using namespace halfmoon;
  if (argc != 3) fail("halfmoon_hot_paths SCENARIO DIR");
  set_log_level(LogLevel::Error);
  const std::string scenario = argv[1];
  Broker broker(argv[2]);
  std::uint64_t messages = 0;
  if (scenario == "send-json") messages = run_send(broker, wire::SerializeType::Json);
  else if (scenario == "send-binary") messages = run_send(broker, wire::SerializeType::Binary);
  else if (scenario == "transaction") messages = run_transaction(broker);
  else if (scenario == "pull") messages = run_pull(broker);
  else if (scenario == "check") messages = run_check(broker);
  else fail("no scenario " + scenario);
  std::printf("%llu\n", static_cast<unsigned long long>(messages));
  std::fflush(stdout);
  std::_Exit(0);  // nothing more to see
}
