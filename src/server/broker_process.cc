// SPDX-License-Identifier: Apache-2.0
#include "server/broker_process.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "adapter/remoting/remoting.h"
#include "base/log.h"
#include "broker/core.h"
#include "nameserver/route_table.h"
#include "runtime/gate.h"
#include "runtime/listener.h"
#include "runtime/monitor.h"
#include "runtime/shard.h"
#include "runtime/steady_wall_clock.h"
#include "runtime/system_clock.h"
#include "runtime/worker.h"
#include "server/janitor.h"
#include "server/limit_figures.h"
#include "server/process_limits.h"

namespace halfmoon::server {
namespace {

using namespace std::chrono_literals;

constexpr int kExitPoisoned = 74;                       // sysexits' EX_IOERR
constexpr std::int64_t kWriteHereBytes = 1 << 20;       // see make_safe_here
constexpr std::int64_t kWriteBytes = 1 << 20;           // see look_after_unwritten
constexpr std::chrono::milliseconds kSlowWrite = 2ms;
constexpr std::chrono::milliseconds kSlowDiskPause = 100ms;
constexpr std::int64_t kNameServerTickMs = 5000;
constexpr std::int64_t kRemotingTickMs = 1000;
constexpr std::chrono::milliseconds kSafePatience = 1500ms;   // for the last flush
constexpr std::chrono::milliseconds kPeerPatience = 800ms;    // for peers to take their last answers

std::string http_answer(const Settings& s) {
  const std::string text = "This is a RocketMQ remoting port of Halfmoon; it does not speak HTTP.\n"
                           "Point RocketMQ clients at the name server, port " + std::to_string(s.namesrv_listen_port) + "; the broker is on port " + std::to_string(s.listen_port) + ".\n";
  return "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
}

adapter::RemotingOptions remoting_options(const Settings& s, std::function<adapter::NamedValues()> runtime_info) {
  adapter::RemotingOptions o;
  o.runtime_info = std::move(runtime_info);
  o.broker_name = s.broker_name;
  o.cluster = s.cluster;
  o.broker_port = static_cast<std::uint16_t>(s.listen_port);
  o.advertised_host = s.broker_ip1 == "auto" ? "" : s.broker_ip1;
  o.region = s.region;
  o.trace_on = s.trace_on;
  o.frame_bytes_max = static_cast<std::size_t>(s.frame_bytes_max);
  o.config = [settings = s] { return effective_values(settings); };
  return o;
}

std::int64_t io_threads(const Settings& s) {
  if (s.io_threads > 0) return s.io_threads;
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency() / 2);
}

[[noreturn]] void end_poisoned(const std::string& text) {
  log_event(LogLevel::Error, "store.poisoned", {{"error", text}, {"consequence", "nothing more is acknowledged and the process ends; a start recovers what was acknowledged"}});
  _exit(kExitPoisoned);
}

}  // namespace

class BrokerProcess::Impl {
 public:
  explicit Impl(Settings settings)
      : settings_(std::move(settings)), monitor_(dates_, {[this](Now now) { begin_turn(now); }, [this] { end_turn(); }}),
        remoting_(monitor_, name_server_, remoting_options(settings_, [this] { return runtime_info(); })) {}
  ~Impl() { halt(); }

  Result<Started> start() {
    Started started;
    started.io_threads = io_threads(settings_);
    HM_TRY(const std::int64_t, connections, raise_file_limit(settings_.connections_max, started.warnings));
    HM_TRY_STATUS(take_ports(connections, started));
    HM_TRY_STATUS(open_store(started));
    start_threads(started);
    for (auto& listener : listeners_) listener->start(shard_pointers(), clock_);
    return started;
  }

  bool stop() {
    runtime::Gate gate(shard_pointers(), listener_pointers());
    gate.close_listeners();
    monitor_.enter([this](Now) { core_->stop_accepting("the broker is shutting down"); });
    const bool safe = make_all_safe();
    const bool taken = gate.empty(kPeerPatience);
    stop_workers();
    if (safe) {
      const Status written = janitor_->write_last_snapshot();
      if (!written.ok()) log_event(LogLevel::Warn, "snapshot.failed", {{"error", written.error().text}});
    }
    halt();
    return safe && taken;
  }

 private:
  /// What code 28 tells beside what RocketMQ's brokers tell. Inside the core.
  adapter::NamedValues runtime_info() const {
    if (!core_) return {};
    const broker::CoreCounters core = core_->counters();
    const storage::LogCounters log = store_.log->counters();
    adapter::NamedValues values = {{"halfmoonLogBytes", std::to_string(log.bytes)},
                                   {"halfmoonLogBytesWritten", std::to_string(log.flushed_bytes)},
                                   {"halfmoonHalvesPending", std::to_string(core.halves_pending)},
                                   {"halfmoonChecksSent", std::to_string(core.checks_sent)},
                                   {"halfmoonChecksAnswered", std::to_string(core.checks_answered)}};
    if (!janitor_) return values;
    adapter::NamedValues limits = limit_figures({.core = core,
                                                 .probe = remoting_.probe(),
                                                 .busy_pulls = remoting_.busy_pulls(),
                                                 .shards = shard_pointers(),
                                                 .admission = *admission_,
                                                 .memory = *memory_,
                                                 .disk = janitor_->disk_state()});
    values.insert(values.end(), std::make_move_iterator(limits.begin()), std::make_move_iterator(limits.end()));
    return values;
  }

  // ---- turns

  void begin_turn(Now now) {
    core_->begin(now);
  }

  void end_turn() {
    core_->end();
    if (kept()) {  // closed is safe: answered in the same turn
      core_->safe_advanced();
      core_->end();
    }
    // A shard looks after it at the end of its turn, when it has taken in what all its connections sent.
    if (store_.log->flush_pending() && syncer_ && !on_shard()) syncer_->kick();
    if (janitor_) janitor_->turn_ended();
    shards_.front()->run_at(std::min(core_->next_due_mono_ms(), next_tick_ms_.load(std::memory_order_relaxed)));
  }

  /// At the end of a shard's turn: what its requests appended is made safe, here or by the syncer.
  void turn_ended() {
    if (kept()) {
      look_after_unwritten();
      return;
    }
    if (store_.log->flush_pending() && !make_safe_here()) syncer_->kick();
  }

  bool kept() const { return store_.log->safety() == storage::Safety::Kept; }

  /// What is in the tail file goes on to its segment in large pieces, by the syncer. A disk that cannot keep up holds back who sends, before the ring
  /// is full and the log has to refuse.
  void look_after_unwritten() {
    const std::int64_t unwritten = store_.log->unwritten_bytes();
    if (unwritten < kWriteBytes) return;
    if (unwritten < settings_.tail_buffer_bytes / 2) {
      if (syncer_) syncer_->kick();
      return;
    }
    write_out();
  }

  void write_out() {
    const std::lock_guard lock(flush_mutex_);
    write_and_sync();
  }

  /// Few bytes: the thread that appended them writes (and with SYNC_FLUSH syncs) them itself and answers in the same turn, because waking the
  /// syncer and being woken by it takes about as long as the write. Whoever comes meanwhile is gathered in the sockets and makes the next
  /// batch. Not while the syncer is at work, and not for a while after a write took long: then everybody else shall not wait for the disk.
  bool make_safe_here() {
    const storage::Log& log = *store_.log;
    const auto began = std::chrono::steady_clock::now();
    if (log.flush_pending_bytes() > kWriteHereBytes || began < write_here_from_.load()) return false;
    {
      const std::unique_lock lock(flush_mutex_, std::try_to_lock);
      if (!lock.owns_lock()) return false;
      write_and_sync();
    }
    const auto ended = std::chrono::steady_clock::now();
    if (ended - began > kSlowWrite) write_here_from_.store(ended + kSlowDiskPause);
    monitor_.enter([this](Now) { core_->safe_advanced(); });
    return !log.flush_pending();
  }

  /// On the syncer's thread: one write for all batches closed meanwhile, the next as soon as it is done.
  void flush() {
    if (kept()) return write_out();
    while (store_.log->flush_pending()) {
      {
        const std::lock_guard lock(flush_mutex_);
        write_and_sync();
      }
      if (!safe_posted_.exchange(true, std::memory_order_acq_rel)) shards_.front()->post([this] {
        safe_posted_.store(false, std::memory_order_release);
        monitor_.enter([this](Now) { core_->safe_advanced(); });
      });
    }
  }

  /// Makes what is closed as safe as flushDiskType says. With ASYNC_FLUSH the janitor syncs later.
  void write_and_sync() {
    const auto done = settings_.durable() ? store_.log->flush() : store_.log->write_out();
    if (!done.ok()) end_poisoned(done.error().text);
    if (settings_.durable()) janitor_->durable_moved();
  }

  bool on_shard() const {
    return std::any_of(shards_.begin(), shards_.end(), [](const auto& shard) { return shard->on_own_thread(); });
  }

  void on_timer() {
    monitor_.enter([this](Now now) {
      core_->tick();
      if (now.mono_ms < next_tick_ms_.load(std::memory_order_relaxed)) return;
      remoting_.tick(now);
      if (now.mono_ms >= name_server_tick_ms_) {
        name_server_.tick(now);
        name_server_tick_ms_ = now.mono_ms + kNameServerTickMs;
      }
      // Nobody connected: nothing to give up, and no reason to wake an idle machine every second.
      next_tick_ms_.store(now.mono_ms + (remoting_.probe().channels > 0 ? kRemotingTickMs : kNameServerTickMs), std::memory_order_relaxed);
    });
  }

  // ---- start

  Status take_ports(std::int64_t connections, Started& started) {
    admission_ = std::make_shared<runtime::Admission>(runtime::Admission::Limits{connections, settings_.connections_per_address_max});
    runtime::ListenerOptions options;
    options.address = settings_.bind_address;
    options.http_answer = http_answer(settings_);

    options.port = static_cast<std::uint16_t>(settings_.namesrv_listen_port);
    options.purpose = "the name server's";
    options.port_key = "namesrvListenPort";
    HM_TRY(auto, name_server, runtime::Listener::open(options, remoting_.name_server_sessions(), admission_));
    started.name_server_port = name_server->port();
    listeners_.push_back(std::move(name_server));

    options.port = static_cast<std::uint16_t>(settings_.listen_port);
    options.purpose = "the broker's";
    options.port_key = "listenPort";
    HM_TRY(auto, broker, runtime::Listener::open(options, remoting_.broker_sessions(), admission_));
    started.broker_port = broker->port();
    remoting_.set_broker_port(broker->port());
    listeners_.push_back(std::move(broker));

    if (!settings_.vip_port || started.broker_port <= 2 || settings_.listen_port == 0) return Done{};
    options.port = static_cast<std::uint16_t>(started.broker_port - 2);
    options.purpose = "for clients with a VIP channel";
    options.port_key = "vipPortEnable=false, or listenPort";
    auto vip = runtime::Listener::open(options, remoting_.broker_sessions(), admission_);
    if (!vip.ok()) {
      started.warnings.push_back("not listening on " + std::to_string(options.port) + ", which clients with a VIP channel dial: " + vip.error().text);
      return Done{};
    }
    started.vip_port = (*vip)->port();
    listeners_.push_back(std::move(vip).value());
    return Done{};
  }

  Status open_store(Started& started) {
    HM_TRY(Store, store, Store::open(settings_, random_));
    store_ = std::move(store);
    core_ = std::make_unique<broker::Core>(*store_.log, random_, remoting_, remoting_, core_options(settings_));
    HM_TRY(Recovered, recovered, recover(store_, *core_));
    started.recovered = std::move(recovered);
    started.new_store = started.recovered.report.end == 0;
    remoting_.serve({*core_, *core_, *core_, *core_, *core_, *core_, *core_});

    for (std::int64_t i = 0; i < started.io_threads; ++i) {
      runtime::ShardOptions options;
      options.name = "io-" + std::to_string(i);
      options.idle_ms = settings_.idle_s * 1000;
      options.out_pause_bytes = static_cast<std::size_t>(settings_.answer_pause_bytes);
      options.out_max_bytes = static_cast<std::size_t>(settings_.answer_bytes_max);
      options.frame_grace_ms = settings_.frame_timeout_s * 1000;
      options.frame_bytes_per_s = settings_.frame_bytes_per_s;
      options.memory = memory_;
      shards_.push_back(std::make_unique<runtime::Shard>(clock_, options));
    }
    Janitor::Hooks hooks{[this] { if (syncer_) syncer_->kick(); }, [this] { write_out(); }, [](const std::string& text) { end_poisoned(text); }};
    janitor_ = std::make_unique<Janitor>(settings_, store_, *core_, monitor_, clock_, std::move(hooks));

    Status ready{Done{}};
    monitor_.enter([&](Now) {
      ready = core_->start();
      if (!ready.ok()) return;
      remoting_.register_own(core_->topics(), core_->topics_version());
      const broker::CoreCounters counters = core_->counters();
      started.topics = counters.topics;
      started.groups = counters.groups;
      started.halves_pending = counters.halves_pending;
    });
    return ready;
  }

  void start_threads(const Started& started) {
    // start() of the core may have left something to flush: the threads that look after it know nothing of it yet.
    monitor_.between_turns([&] {
      janitor_->start(started.recovered.snapshot);
      syncer_ = std::make_unique<runtime::Worker>("syncer", 0, [this] { flush(); });
      syncer_->kick();
    });
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      std::function<void()> timer;
      if (i == 0) timer = [this] { on_timer(); };
      shards_[i]->start(std::move(timer), [this] { turn_ended(); });
    }
    shards_.front()->run_at(0);
  }

  // ---- stop

  /// Waits until everything that was appended is as safe as its sender is told, and tells the senders.
  bool make_all_safe() {
    const auto give_up = std::chrono::steady_clock::now() + kSafePatience;
    while (store_.log->flush_pending()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      if (syncer_) syncer_->kick();
      std::this_thread::sleep_for(1ms);
    }
    monitor_.enter([this](Now) { core_->safe_advanced(); });
    return true;
  }

  /// The writers end first, so that what they leave is the end of the log.
  void stop_workers() {
    janitor_->stop();
    if (syncer_) syncer_->stop();
    const std::lock_guard lock(flush_mutex_);
    if (const auto flushed = store_.log->flush(); !flushed.ok()) end_poisoned(flushed.error().text);
  }

  void halt() {
    for (auto& listener : listeners_) listener->stop();
    listeners_.clear();
    for (auto& shard : shards_) shard->stop();
    if (janitor_) janitor_->stop();
    if (syncer_) syncer_->stop();
  }

  std::vector<runtime::Shard*> shard_pointers() const {
    std::vector<runtime::Shard*> out;
    for (const auto& shard : shards_) out.push_back(shard.get());
    return out;
  }
  std::vector<runtime::Listener*> listener_pointers() const {
    std::vector<runtime::Listener*> out;
    for (const auto& listener : listeners_) out.push_back(listener.get());
    return out;
  }

  // In the order in which they need each other: what comes later may use what comes before, to its end.
  const Settings settings_;
  runtime::SystemClock clock_;
  runtime::SteadyWallClock dates_{clock_};         // inside the monitor only
  runtime::SystemRandom random_;
  std::vector<std::unique_ptr<runtime::Shard>> shards_;
  runtime::Monitor monitor_;
  nameserver::RouteTable name_server_;
  adapter::Remoting remoting_;
  Store store_;
  std::unique_ptr<broker::Core> core_;
  std::shared_ptr<runtime::Admission> admission_;
  std::shared_ptr<runtime::MemoryBudget> memory_ = std::make_shared<runtime::MemoryBudget>(settings_.connection_bytes_max);
  std::vector<std::unique_ptr<runtime::Listener>> listeners_;
  std::unique_ptr<Janitor> janitor_;
  std::unique_ptr<runtime::Worker> syncer_;        // stopped, it still takes kicks

  std::atomic<std::int64_t> next_tick_ms_{0};
  std::int64_t name_server_tick_ms_ = 0;           // inside the monitor
  std::atomic<bool> safe_posted_{false};           // the task that tells the core is on its way
  std::mutex flush_mutex_;                         // one flush at a time: the syncer's or a turn's own
  std::atomic<std::chrono::steady_clock::time_point> write_here_from_{};
};

BrokerProcess::BrokerProcess(Settings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
BrokerProcess::~BrokerProcess() = default;
Result<BrokerProcess::Started> BrokerProcess::start() { return impl_->start(); }
bool BrokerProcess::stop() { return impl_->stop(); }

}  // namespace halfmoon::server
