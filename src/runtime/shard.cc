// SPDX-License-Identifier: Apache-2.0
#include "runtime/shard.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "runtime/alarm.h"
#include "runtime/tcp_connection.h"

namespace halfmoon::runtime {
namespace {

constexpr std::size_t kPooledBytes = 4 << 20;   // of out() buffers kept for the next answers
constexpr std::size_t kPooledEach = 1 << 20;
constexpr std::int64_t kMemoryLookMs = 20;        // while connections wait for memory
constexpr std::int64_t kTurnNs = 1'000'000;       // what all connections may take of a turn, shared by those that were read in the last one, ...
constexpr std::int64_t kShareNs = 100'000;        // ... but so much for each: smaller pieces would cost more than they save
constexpr std::int64_t kTurnBytes = 1 << 20;      // what leaves by all of them in a turn; first come, first served, ...
constexpr std::int64_t kShareBytes = 64 << 10;    // ... but so much by each
constexpr auto kEndingTime = std::chrono::microseconds(200);   // of a turn, for ending sessions

std::atomic<std::uint64_t> next_connection_id{1};
thread_local const void* current_shard = nullptr;

/// send() can be told not to raise SIGPIPE, sendfile() cannot.
void refuse_broken_pipes() {
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
}

/// The counters as their one writer, the shard's thread, keeps them; copied out at the end of a turn.
struct SharedCounters {
  std::atomic<std::int64_t> turns{0}, tasks{0}, reads{0}, sends{0}, bytes_in{0}, bytes_out{0};
  std::atomic<std::int64_t> accepted{0}, closed_idle{0}, closed_slow{0}, closed_foreign{0}, closed_slow_sender{0}, paused_for_memory{0};
};

}  // namespace

struct Shard::Impl final : ShardSide {
  Impl(Clock& clock, ShardOptions o)
      : clock_(clock), options_(std::move(o)), read_buffer_(new std::byte[options_.read_bytes]),
        timer_(reactor_, [this] { if (on_timer_) on_timer_(); }),
        sweep_(reactor_, [this] { sweep(); }) {}

  // ---- ShardSide
  const ShardOptions& options() const override { return options_; }
  MutableBytes read_buffer() override { return {read_buffer_.get(), options_.read_bytes}; }
  std::int64_t mono_ms() override {
    if (now_ms_ == 0) now_ms_ = clock_.now().mono_ms;
    return now_ms_;
  }
  std::string take_out_buffer() override {
    if (pool_.empty()) return {};
    std::string buffer = std::move(pool_.back());
    pool_.pop_back();
    pooled_bytes_ -= buffer.capacity();
    return buffer;
  }
  void give_out_buffer(std::string buffer) override {
    const std::size_t capacity = buffer.capacity();
    if (capacity <= sizeof buffer || capacity > kPooledEach || pooled_bytes_ + capacity > kPooledBytes) return;
    pooled_bytes_ += capacity;
    pool_.push_back(std::move(buffer));
  }
  void flush_later(TcpConnection& connection) override { to_flush_.push_back(&connection); }
  void flush_next_turn(TcpConnection& connection) override { share_ended_.push_back(connection.shared_from_this()); }
  void end_later(TcpConnection& connection) override { to_end_.push_back(connection.shared_from_this()); }
  std::int64_t read_share_ns() const override { return read_share_ns_; }
  std::size_t send_share_bytes() const override {
    return static_cast<std::size_t>(std::max(kShareBytes, kTurnBytes - (tally_.bytes_out - bytes_out_before_)));
  }
  bool hurried() const override { return tally_.bytes_out - bytes_out_before_ > kTurnBytes - kShareBytes; }
  void read_again_later(TcpConnection& connection) override { to_read_.push_back(&connection); }
  void remove(TcpConnection& connection) override { to_remove_.push_back(connection.id()); }
  void wait_for_memory(TcpConnection& connection) override {
    waiting_for_memory_.push_back(connection.id());
    const std::int64_t now_ms = mono_ms();
    sweep_.set_at_latest(now_ms + kMemoryLookMs);
    MemoryBudget& memory = *options_.memory;
    if (const std::int64_t left_out = memory.events().ask(now_ms); left_out >= 0)
      log_event(LogLevel::Warn, "connections.memory_short", {{"used_bytes", memory.used()}, {"maxConnectionBytes", memory.limit()}, {"not_logged_since_last", left_out},
                                                             {"consequence", "connections that hold bytes are read in turn"}});
  }
  void sweep_at(std::int64_t mono_ms) override { sweep_.set_at_latest(mono_ms); }
  ShardCounters& tally() override { return tally_; }
  bool on_own_thread() const override { return current_shard == this; }
  void post(Task task) override {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      wake = mailbox_.empty() && current_shard != this;  // its own thread looks into the mailbox before it waits
      mailbox_.push_back(std::move(task));
    }
    if (wake) reactor_.wake();
  }

  // ---- life
  void run() {
    current_shard = this;
    refuse_broken_pipes();
    while (!stopping_.load(std::memory_order_acquire)) {
      // What was read at the very end of a turn has still to be made safe and answered: then nothing waits.
      const bool idle = mailbox_is_empty() && to_flush_.empty() && share_ended_.empty() && to_end_.empty() && !read_at_end_;
      reactor_.turn(idle ? Reactor::Wait::Block : Reactor::Wait::Poll);
      run_tasks();
      end_turn();
    }
    abort_all();
  }

  bool mailbox_is_empty() {
    const std::lock_guard lock(mutex_);
    return mailbox_.empty();
  }

  void run_tasks() {
    {
      const std::lock_guard lock(mutex_);
      running_.swap(mailbox_);
    }
    for (Task& task : running_) task();
    tally_.tasks += static_cast<std::int64_t>(running_.size());
    running_.clear();
  }

  void end_turn() {
    if (on_turn_end_) on_turn_end_();
    end_sessions();
    going_on_.swap(share_ended_);
    for (const std::shared_ptr<TcpConnection>& connection : going_on_) connection->flush();
    // Sending may end a session, whose end may answer another one: the list can grow while it is worked off.
    for (std::size_t i = 0; i < to_flush_.size(); ++i) to_flush_[i]->flush();
    to_flush_.clear();
    read_at_end_ = !to_read_.empty();
    reading_.swap(to_read_);
    for (TcpConnection* connection : reading_) connection->read_again();
    reading_.clear();
    share_memory();
    std::int64_t removed = 0;
    for (std::size_t i = 0; i < to_remove_.size(); ++i) removed += static_cast<std::int64_t>(connections_.erase(to_remove_[i]));
    to_remove_.clear();
    going_on_.clear();
    ++tally_.turns;
    read_share_ns_ = std::max(kShareNs, kTurnNs / std::max<std::int64_t>(1, tally_.reads - reads_before_));
    reads_before_ = tally_.reads;
    bytes_out_before_ = tally_.bytes_out;
    publish();
    if (removed > 0) count_.fetch_sub(removed, std::memory_order_release);
    now_ms_ = 0;
  }

  /// Thousands of connections may end at once; those that go on do not wait for all of that.
  void end_sessions() {
    if (to_end_.empty()) return;
    const auto until = std::chrono::steady_clock::now() + kEndingTime;
    while (!to_end_.empty()) {
      const std::shared_ptr<TcpConnection> connection = std::move(to_end_.front());
      to_end_.pop_front();
      connection->end_session();
      if (std::chrono::steady_clock::now() >= until) return;
    }
  }

  /// First come, first served. While all connections hold too much one of this shard's may go on all the same: its frame ends, and with it the
  /// shortage, or it is closed for being slow.
  void share_memory() {
    if (waiting_for_memory_.empty()) return;
    bool over = options_.memory->over();
    // Again later for sure: the alarm may have rung for a look that was put off since, and nobody else need ever wake this shard.
    if (over && mono_ms() < memory_look_ms_) return sweep_.set_at_latest(memory_look_ms_);
    memory_look_ms_ = mono_ms() + kMemoryLookMs;
    const auto exceeding = over ? connections_.find(exceeds_memory_) : connections_.end();
    const bool somebody_exceeds = exceeding != connections_.end() && exceeding->second->may_exceed();
    for (std::size_t n = waiting_for_memory_.size(); n > 0 && !(over && somebody_exceeds); --n) {
      const std::uint64_t id = waiting_for_memory_.front();
      waiting_for_memory_.pop_front();
      const auto found = connections_.find(id);
      if (found == connections_.end()) continue;
      found->second->memory_free(over);
      if (over && found->second->may_exceed()) {
        exceeds_memory_ = id;
        break;
      }
      over = options_.memory->over();
    }
    if (!waiting_for_memory_.empty()) sweep_.set_at_latest(mono_ms() + kMemoryLookMs);
  }

  void adopt(Accepted accepted) {
    const auto connection = std::make_shared<TcpConnection>(*this, std::move(accepted), next_connection_id.fetch_add(1));
    connections_.emplace(connection->id(), connection);
    ++tally_.accepted;
    if (!connection->open(reactor_)) return;
    if (closing_) connection->close();
    if (options_.idle_ms > 0) sweep_.set_at_latest(mono_ms() + options_.idle_ms);
  }

  void close_connections() {
    closing_ = true;
    for (const auto& [id, connection] : connections_) connection->close();
  }

  void sweep() {
    const std::int64_t now_ms = mono_ms();
    std::int64_t next = Alarm::kNever;
    for (const auto& [id, connection] : connections_) next = std::min(next, connection->sweep(now_ms));
    // Not for each connection at its very millisecond: an eighth of the limit later does as well.
    if (next != Alarm::kNever) sweep_.set_at_latest(std::max(next, now_ms + std::min(options_.idle_ms, options_.linger_ms) / 8));
  }

  void abort_all() {
    for (const auto& [id, connection] : connections_) connection->abort();
    to_flush_.clear();
    share_ended_.clear();
    to_end_.clear();
    to_read_.clear();
    to_remove_.clear();
    waiting_for_memory_.clear();
    publish();
    count_.fetch_sub(static_cast<std::int64_t>(connections_.size()), std::memory_order_release);
    connections_.clear();
  }

  void publish() {
    const auto put = [](std::atomic<std::int64_t>& to, std::int64_t value) { to.store(value, std::memory_order_relaxed); };
    put(shared_.turns, tally_.turns);
    put(shared_.tasks, tally_.tasks);
    put(shared_.reads, tally_.reads);
    put(shared_.sends, tally_.sends);
    put(shared_.bytes_in, tally_.bytes_in);
    put(shared_.bytes_out, tally_.bytes_out);
    put(shared_.accepted, tally_.accepted);
    put(shared_.closed_idle, tally_.closed_idle);
    put(shared_.closed_slow, tally_.closed_slow);
    put(shared_.closed_foreign, tally_.closed_foreign);
    put(shared_.closed_slow_sender, tally_.closed_slow_sender);
    put(shared_.paused_for_memory, tally_.paused_for_memory);
  }

  Clock& clock_;
  const ShardOptions options_;
  Reactor reactor_;
  std::unique_ptr<std::byte[]> read_buffer_;
  std::function<void()> on_timer_;
  std::function<void()> on_turn_end_;
  Alarm timer_;
  Alarm sweep_;
  std::int64_t now_ms_ = 0;     // read once a turn, when first asked for; 0: not yet
  bool closing_ = false;
  ShardCounters tally_;
  SharedCounters shared_;
  std::atomic<std::int64_t> count_{0};   // adopted, also when still in the mailbox, and not removed

  std::unordered_map<std::uint64_t, std::shared_ptr<TcpConnection>> connections_;
  std::vector<TcpConnection*> to_flush_, to_read_, reading_;
  std::vector<std::shared_ptr<TcpConnection>> share_ended_, going_on_;   // what they may send in this turn has left; what they could not in the last one
  std::deque<std::shared_ptr<TcpConnection>> to_end_;
  std::int64_t read_share_ns_ = kTurnNs;
  std::int64_t reads_before_ = 0, bytes_out_before_ = 0;   // this turn
  std::deque<std::uint64_t> waiting_for_memory_;
  std::int64_t memory_look_ms_ = 0;
  std::uint64_t exceeds_memory_ = 0;   // who may go on although there is none
  bool read_at_end_ = false;    // the last turn ended with reading
  std::vector<std::uint64_t> to_remove_;
  std::vector<std::string> pool_;
  std::size_t pooled_bytes_ = 0;

  std::mutex mutex_;
  std::vector<Task> mailbox_;   // under mutex_
  std::vector<Task> running_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

Shard::Shard(Clock& clock, ShardOptions options) : impl_(std::make_unique<Impl>(clock, std::move(options))) {}

Shard::~Shard() { stop(); }

void Shard::start(std::function<void()> on_timer, std::function<void()> on_turn_end) {
  HM_CHECK(!impl_->thread_.joinable());
  impl_->on_timer_ = std::move(on_timer);
  impl_->on_turn_end_ = std::move(on_turn_end);
  impl_->thread_ = std::thread([impl = impl_.get()] { impl->run(); });
  pthread_setname_np(impl_->thread_.native_handle(), impl_->options_.name.substr(0, 15).c_str());
}

void Shard::stop() {
  if (!impl_->thread_.joinable()) return;
  impl_->stopping_.store(true, std::memory_order_release);
  impl_->reactor_.wake();
  impl_->thread_.join();
}

void Shard::post(Task task) { impl_->post(std::move(task)); }
bool Shard::on_own_thread() const { return impl_->on_own_thread(); }
void Shard::run_at(std::int64_t mono_ms) { impl_->timer_.set_at_latest(mono_ms); }

void Shard::adopt(Accepted accepted) {
  impl_->count_.fetch_add(1, std::memory_order_relaxed);
  if (impl_->on_own_thread()) return impl_->adopt(std::move(accepted));
  impl_->post([impl = impl_.get(), accepted = std::move(accepted)]() mutable { impl->adopt(std::move(accepted)); });
}

void Shard::close_connections() {
  impl_->post([impl = impl_.get()] { impl->close_connections(); });
}

std::int64_t Shard::connections() const { return impl_->count_.load(std::memory_order_acquire); }

ShardCounters Shard::counters() const {
  const SharedCounters& s = impl_->shared_;
  const auto get = [](const std::atomic<std::int64_t>& from) { return from.load(std::memory_order_relaxed); };
  ShardCounters c;
  c.turns = get(s.turns);
  c.tasks = get(s.tasks);
  c.reads = get(s.reads);
  c.sends = get(s.sends);
  c.bytes_in = get(s.bytes_in);
  c.bytes_out = get(s.bytes_out);
  c.accepted = get(s.accepted);
  c.closed_idle = get(s.closed_idle);
  c.closed_slow = get(s.closed_slow);
  c.closed_foreign = get(s.closed_foreign);
  c.closed_slow_sender = get(s.closed_slow_sender);
  c.paused_for_memory = get(s.paused_for_memory);
  return c;
}

Reactor& Shard::reactor() { return impl_->reactor_; }

}  // namespace halfmoon::runtime
