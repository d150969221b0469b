// SPDX-License-Identifier: Apache-2.0
#include "runtime/tcp_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/log.h"
#include "runtime/alarm.h"

namespace halfmoon::runtime {
namespace {

constexpr std::size_t kGrowBytes = 1 << 20;      // at most so much memory ahead of the bytes that have come
constexpr std::size_t kLeastRoom = 64 << 10;
constexpr std::size_t kEarlyBytes = 128 << 10;   // unsent that leave before the end of a turn
constexpr std::size_t kModestBytes = 64 << 10;   // unsent, or read at once, while all connections together hold too much
constexpr std::size_t kLeastRead = 2 << 10;      // bytes; reads below it are not timed
constexpr std::int64_t kShortGraceMs = 5000;     // then: time for a frame that has begun
constexpr std::byte kTlsHandshake{0x16};

void set_option(int fd, int level, int name, int value) { (void)setsockopt(fd, level, name, &value, sizeof value); }

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

std::string SocketAddress::text() const {
  return (ip.find(':') == std::string::npos ? ip : "[" + ip + "]") + ":" + std::to_string(port);
}

TcpConnection::TcpConnection(ShardSide& shard, Accepted accepted, std::uint64_t id)
    : shard_(shard), id_(id), remote_(std::move(accepted.remote)), local_(std::move(accepted.local)), entrance_(std::move(accepted.entrance)),
      accepted_fd_(accepted.fd), last_active_ms_(shard.mono_ms()) {}

TcpConnection::~TcpConnection() = default;

bool TcpConnection::open(Reactor& reactor) {
  const int fd = accepted_fd_;
  watch_.emplace(reactor, fd);
  if (watch_->fd() < 0) {
    watch_.reset();
    abort();
    return false;
  }
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
  session_ = entrance_->sessions(shared_from_this());
  if (!session_) {
    abort();
    return false;
  }
  read_again();
  return true;
}

std::string& TcpConnection::out() {
  if (state_ == State::Lingering || state_ == State::Closed || peer_hears_nothing_) {
    out_.clear();  // leads nowhere
    return out_.text();
  }
  if (out_.needs_buffer()) out_.take_buffer(shard_.take_out_buffer());
  if (!flush_asked_) {
    flush_asked_ = true;
    shard_.flush_later(*this);
  }
  return out_.text();
}

void TcpConnection::send_shared(std::shared_ptr<const SharedBytes> bytes) {
  (void)out();
  const bool leads_nowhere = state_ == State::Lingering || state_ == State::Closed || peer_hears_nothing_;
  if (!leads_nowhere) out_.append(std::move(bytes));
}

void TcpConnection::close() {
  if (state_ != State::Open) return;
  state_ = State::Closing;
  if (!flush_asked_) {
    flush_asked_ = true;
    shard_.flush_later(*this);
  }
}

// ------------------------------------------------------------------------------------------------------------------ reading

bool TcpConnection::over_budget() const { return !may_exceed_ && shard_.options().memory->over(); }

bool TcpConnection::full() const {
  if (share_used_up() && unsent() > kEarlyBytes) return true;
  return unsent() > (over_budget() ? kModestBytes : shard_.options().out_pause_bytes);
}

bool TcpConnection::short_of_memory() {
  account();
  const MemoryBudget& memory = *shard_.options().memory;
  return memory.over() && (unsent() > 0 || memory.used() > memory.limit() + memory.limit() / 2);
}

/// Whoever holds nothing may go on also when memory is short: small requests come and go within one turn.
bool TcpConnection::wants_to_read() const {
  if (state_ == State::Open) return !held_ && !full() && (in_.empty() || !over_budget());
  return state_ == State::Lingering;
}

void TcpConnection::read_again() {
  if (held_ && !full()) go_on();
  if (read_waiting_ || !watch_) return;
  if (!wants_to_read()) {
    if (state_ != State::Open || waits_for_memory_ || !over_budget() || unsent() > shard_.options().out_pause_bytes) return;
    waits_for_memory_ = true;
    ++shard_.tally().paused_for_memory;
    return shard_.wait_for_memory(*this);
  }
  read_waiting_ = true;
  watch_->wait_readable(shared_from_this());
}

void TcpConnection::memory_free(bool exceeding) {
  waits_for_memory_ = false;
  may_exceed_ = exceeding && !in_.empty() && !held_;
  read_again();
}

/// The requests that were held back because their answers had no room.
void TcpConnection::go_on() {
  held_ = false;
  if (state_ == State::Open) consume(in_.bytes(), true);
}

void TcpConnection::begin_frame() {
  if (frame_began_ms_ != 0) return;
  frame_began_ms_ = shard_.mono_ms();
  if (shard_.options().frame_bytes_per_s > 0) shard_.sweep_at(frame_deadline());
}

std::int64_t TcpConnection::frame_deadline() const {
  const ShardOptions& options = shard_.options();
  if (frame_began_ms_ == 0 || held_ || options.frame_bytes_per_s <= 0) return Alarm::kNever;
  // While memory is short the slow ones hold what the others need.
  if (options.memory->over()) return frame_began_ms_ + std::min(kShortGraceMs, options.frame_grace_ms);
  return frame_began_ms_ + options.frame_grace_ms + static_cast<std::int64_t>(in_.size()) * 1000 / options.frame_bytes_per_s;
}

void TcpConnection::account() {
  const auto held = state_ == State::Closed ? 0 : static_cast<std::int64_t>(in_.capacity() + unsent());
  if (held == accounted_) return;
  shard_.options().memory->change(held - accounted_);
  accounted_ = held;
}

void TcpConnection::on_readable() {
  read_waiting_ = false;
  // Memory may have become short since it began to wait.
  if (state_ == State::Open && wants_to_read()) receive();
  else if (state_ == State::Lingering) drain();
  account();
  if (held_) return shard_.read_again_later(*this);   // with what it holds already; after this turn's answers have left
  if (state_ == State::Open || state_ == State::Lingering) read_again();
}

/// recv; -1: nothing there now; 0: the connection is over (and was dealt with).
ssize_t TcpConnection::receive_some(MutableBytes into) {
  const ssize_t n = ::recv(watch_->fd(), into.data(), into.size(), 0);
  if (n > 0) {
    last_active_ms_ = shard_.mono_ms();
    ++shard_.tally().reads;
    shard_.tally().bytes_in += n;
    return n;
  }
  if (n < 0 && would_block(errno)) return -1;
  peer_ended_ = n == 0;
  if (peer_ended_) close();  // the peer sends no more; what it asked for so far is answered as far as the answers are there
  else abort();
  return 0;
}

void TcpConnection::receive() {
  const MutableBytes shared = shard_.read_buffer();
  const std::size_t kept = in_.size();
  if (wanted_ > shared.size() || kept > shared.size() / 2) {
    const std::size_t missing = wanted_ > kept ? wanted_ - kept : 0;
    const ssize_t n = receive_some(in_.tail(std::clamp(missing, kLeastRoom, kGrowBytes)));
    if (n <= 0) return;
    in_.filled(static_cast<std::size_t>(n));
    begin_frame();
    if (in_.size() >= wanted_) consume(in_.bytes(), true);
    return;
  }
  std::size_t most = shared.size() - kept;
  if (read_bytes_ > 0) most = std::min<std::size_t>(most, std::max<std::size_t>(read_bytes_, wanted_ - std::min(wanted_, kept)));
  if (over_budget()) most = std::min(most, kModestBytes);
  const ssize_t n = receive_some(shared.subspan(kept, most));
  if (n <= 0) return;
  const MutableBytes fresh = shared.subspan(kept, static_cast<std::size_t>(n));
  if (kept + fresh.size() < wanted_) {
    in_.append(fresh);
    begin_frame();
    return;
  }
  if (kept > 0) std::memcpy(shared.data(), in_.bytes().data(), kept);
  consume_read(shared.first(kept + fresh.size()), fresh.size());
}

/// Serves what a read brought, and learns from how long that took how much the next one shall bring.
void TcpConnection::consume_read(Bytes data, std::size_t fresh_bytes) {
  if (fresh_bytes < kLeastRead) return consume(data, false);
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  consume(data, false);
  const std::int64_t took_ns = std::max<std::int64_t>(1, (Clock::now() - began) / std::chrono::nanoseconds(1));
  const auto in_the_share = static_cast<std::uint64_t>(fresh_bytes) * static_cast<std::uint64_t>(shard_.read_share_ns()) / static_cast<std::uint64_t>(took_ns);
  const std::size_t all = shard_.read_buffer().size();
  read_bytes_ = in_the_share >= all ? 0 : std::max(static_cast<std::uint32_t>(in_the_share), static_cast<std::uint32_t>(kLeastRead));
}

void TcpConnection::consume(Bytes data, bool in_own_buffer) {
  if (!looked_at_first_bytes_) {
    looked_at_first_bytes_ = true;
    if (!entrance_->http_answer.empty() && is_foreign(data)) {
      in_.keep({});
      return;
    }
  }
  const Session::Consumed consumed = session_->on_data(data);
  if (state_ == State::Closed) return;
  wanted_ = consumed.wanted;
  held_ = consumed.paused;
  const Bytes rest = data.subspan(std::min(consumed.bytes, data.size()));
  if (consumed.close || state_ != State::Open) {
    in_.keep({});
    wanted_ = 0;
    held_ = false;
    close();
    return;
  }
  if (!in_own_buffer || consumed.bytes > 0) in_.keep(rest);
  if (consumed.bytes == 0) return begin_frame();
  frame_began_ms_ = 0;
  may_exceed_ = false;
  if (!in_.empty()) begin_frame();
}

/// True if the peer speaks TLS or HTTP: it has been told where it could, and the connection closes.
bool TcpConnection::is_foreign(Bytes first) {
  const auto letter = static_cast<char>(first[0]);
  const bool tls = first[0] == kTlsHandshake;
  if (!tls && (letter < 'A' || letter > 'Z')) return false;
  ++shard_.tally().closed_foreign;
  const std::int64_t left_out = entrance_->foreign_log.ask(shard_.mono_ms());
  if (left_out >= 0) {
    log_event(LogLevel::Warn, tls ? "tls.not_enabled" : "http.wrong_port",
              {{"remote", remote_.text()}, {"local", local_.text()}, {"not_logged_since_last", left_out},
               {"cure", tls ? "set useTLS to false in the client: this port speaks plain remoting" : "point a RocketMQ client at this port, not a browser or an HTTP client"}});
  }
  if (!tls) out() += entrance_->http_answer;
  close();
  return true;
}

void TcpConnection::drain() {
  const ssize_t n = ::recv(watch_->fd(), shard_.read_buffer().data(), shard_.read_buffer().size(), 0);
  if (n == 0 || (n < 0 && !would_block(errno))) abort();
}

// ------------------------------------------------------------------------------------------------------------------ writing

void TcpConnection::on_writable() {
  write_waiting_ = false;
  if (!flush_asked_ && (state_ == State::Open || state_ == State::Closing)) {
    flush_asked_ = true;
    shard_.flush_later(*this);
  }
}

ssize_t TcpConnection::send_some() {
  const ssize_t n = out_.send(watch_->fd(), shard_.send_share_bytes() - sent_in_turn_);
  if (n > 0) {
    sent_in_turn_ += static_cast<std::size_t>(n);
    last_active_ms_ = shard_.mono_ms();
    ++shard_.tally().sends;
    shard_.tally().bytes_out += n;
  }
  return n;
}

void TcpConnection::send_early() {
  if (state_ != State::Open || write_waiting_ || peer_hears_nothing_ || unsent() < kEarlyBytes || share_used_up()) return;
  (void)send_some();  // flush(), at the end of the turn, meets any error again
  if (unsent() > 0) return;
  shard_.give_out_buffer(out_.give_buffer());
}

void TcpConnection::flush() {
  flush_asked_ = false;
  if (state_ != State::Open && state_ != State::Closing) return;
  if (!write_waiting_ && unsent() > 0 && !share_used_up()) {
    if (send_some() < 0 && !would_block(errno)) hear_out();
  }
  const bool share_ended = share_used_up();
  sent_in_turn_ = 0;
  if (unsent() == 0) {
    shard_.give_out_buffer(out_.give_buffer());
    if (state_ == State::Closing) return shard_.end_later(*this);
  } else {
    if (unsent() > shard_.options().out_max_bytes) {
      ++shard_.tally().closed_slow;
      if (const std::int64_t left_out = entrance_->slow_log.ask(shard_.mono_ms()); left_out >= 0)
        log_event(LogLevel::Warn, "connection.too_slow",
                  {{"remote", remote_.text()}, {"unsent_bytes", unsent()}, {"not_logged_since_last", left_out}, {"cure", "the client asks for more than it reads; it will reconnect"}});
      return abort();
    }
    out_.compact();
    if (!write_waiting_ && share_ended) {
      flush_asked_ = true;
      shard_.flush_next_turn(*this);
    } else if (!write_waiting_) {
      write_waiting_ = true;
      watch_->wait_writable(shared_from_this());
    }
  }
  // A reader that was paused goes on below half of the limit, so that it does not stop and go with every packet.
  if (state_ == State::Open && !read_waiting_ && unsent() <= shard_.options().out_pause_bytes / 2) {
    if (held_) shard_.read_again_later(*this);  // after this list of connections is worked off: it makes new answers
    else read_again();
  }
  account();
}

/// The peer has reset the connection, but what it sent before that is still in the socket: a client that sends one-way and closes with an
/// answer unread does just this. Answers are thrown away from here on; reading goes on until it meets the end.
void TcpConnection::hear_out() {
  peer_hears_nothing_ = true;
  out_.clear();
}

// ------------------------------------------------------------------------------------------------------------------ the end

void TcpConnection::end_session() {
  if (state_ == State::Closed || state_ == State::Lingering) return;
  if (peer_ended_) return abort();
  state_ = State::Lingering;
  gone_.store(true, std::memory_order_relaxed);
  in_.keep({});
  last_active_ms_ = shard_.mono_ms();
  const std::unique_ptr<Session> session = std::move(session_);
  if (session) session->on_closed();
  ::shutdown(watch_->fd(), SHUT_WR);
  shard_.sweep_at(last_active_ms_ + shard_.options().linger_ms);
  account();
  read_again();
}

void TcpConnection::abort() {
  if (state_ == State::Closed) return;
  state_ = State::Closed;
  gone_.store(true, std::memory_order_relaxed);
  const std::unique_ptr<Session> session = std::move(session_);
  if (session) session->on_closed();
  watch_.reset();
  in_.keep({});
  (void)out_.give_buffer();
  account();
  entrance_->admission->leave(remote_.ip);
  shard_.remove(*this);
}

std::int64_t TcpConnection::sweep(std::int64_t mono_ms) {
  if (state_ == State::Closed) return Alarm::kNever;
  const ShardOptions& options = shard_.options();
  const std::int64_t frame = state_ == State::Open ? frame_deadline() : Alarm::kNever;
  if (mono_ms >= frame) {
    ++shard_.tally().closed_slow_sender;
    if (const std::int64_t left_out = entrance_->slow_log.ask(mono_ms); left_out >= 0)
      log_event(LogLevel::Warn, "connection.frame_too_slow", {{"remote", remote_.text()}, {"received_bytes", in_.size()}, {"of_bytes", wanted_},
                                                              {"in_ms", mono_ms - frame_began_ms_}, {"not_logged_since_last", left_out}});
    abort();
    return Alarm::kNever;
  }
  const std::int64_t limit = state_ == State::Lingering ? options.linger_ms : options.idle_ms;
  if (limit == 0) return frame;
  if (mono_ms < last_active_ms_ + limit) return std::min(frame, last_active_ms_ + limit);
  if (state_ != State::Lingering) {
    ++shard_.tally().closed_idle;
    log_event(LogLevel::Debug, "connection.idle", {{"remote", remote_.text()}, {"idle_ms", mono_ms - last_active_ms_}});
  }
  abort();
  return Alarm::kNever;
}

}  // namespace halfmoon::runtime
