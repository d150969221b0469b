// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "runtime/entrance.h"
#include "runtime/out_queue.h"
#include "runtime/reactor.h"
#include "runtime/receive_buffer.h"
#include "runtime/shard.h"

namespace halfmoon::runtime {

/// What a connection needs of its shard; the shard's thread only, but for post and on_own_thread.
class ShardSide {
 public:
  virtual ~ShardSide() = default;
  virtual const ShardOptions& options() const = 0;
  virtual MutableBytes read_buffer() = 0;
  virtual std::int64_t mono_ms() = 0;                    // as of this turn
  virtual std::string take_out_buffer() = 0;             // empty, with the capacity of an earlier use
  virtual void give_out_buffer(std::string buffer) = 0;
  virtual void flush_later(class TcpConnection& connection) = 0;     // at the end of this turn
  virtual void flush_next_turn(class TcpConnection& connection) = 0; // its share of this one is used up
  virtual void end_later(class TcpConnection& connection) = 0;       // end_session() at the end of this turn, or of one soon after when many end
  virtual std::int64_t read_share_ns() const = 0;                    // how long one connection may keep the others waiting in this turn, ...
  virtual std::size_t send_share_bytes() const = 0;                  // ... and how much may leave by it, ...
  virtual bool hurried() const = 0;                                  // ... which is little, because much has left already
  virtual void read_again_later(class TcpConnection& connection) = 0;
  virtual void remove(class TcpConnection& connection) = 0;          // at the end of this turn
  virtual void wait_for_memory(class TcpConnection& connection) = 0; // memory_free() when there is some again, or its turn to exceed it
  virtual void sweep_at(std::int64_t mono_ms) = 0;                   // call sweep() of all at this time at the latest
  virtual ShardCounters& tally() = 0;
  virtual bool on_own_thread() const = 0;
  virtual void post(Task task) = 0;
};

/// A TCP socket and its session. An idle one owns no buffers: it reads into the shard's, and its out() comes from the shard's pool.
///
///   Open --close() or peer's end--> Closing --out() has left--> Lingering --peer's end or linger_ms--> Closed
///   and from each to Closed at once on an error in reading; after one in sending it is read to its end first.
/// The session is told on_closed when Closing ends. Lingering reads on and throws away, because closing a socket with unread bytes
/// would reset the connection and could take the last answers with it; when the peer's end has been read there are none, and Closing goes
/// straight to Closed.
///
/// What is sent beyond send_share_bytes() leaves in the next turn, and until then the session gets no more requests to answer.
/// Bytes that are costly to serve are taken in smaller pieces: a read brings what the last one's pace lets expect to take read_share_ns().
class TcpConnection final : public Connection, public Watcher, public std::enable_shared_from_this<TcpConnection> {
 public:
  TcpConnection(ShardSide& shard, Accepted accepted, std::uint64_t id);
  ~TcpConnection() override;

  // ---- Connection
  std::uint64_t id() const override { return id_; }
  const SocketAddress& remote() const override { return remote_; }
  const SocketAddress& local() const override { return local_; }
  std::string& out() override;
  void send_shared(std::shared_ptr<const SharedBytes> bytes) override;
  void send_early() override;
  void close() override;
  bool full() const override;
  bool hurried() const override { return shard_.hurried(); }
  bool short_of_memory() override;
  bool closed() const override { return gone_.load(std::memory_order_relaxed); }
  bool on_own_thread() const override { return shard_.on_own_thread(); }
  void post(Task task) override { shard_.post(std::move(task)); }

  // ---- Watcher
  void on_readable() override;
  void on_writable() override;

  // ---- shard
  /// Opens the watch and makes the session; false if the kernel or the factory refused.
  bool open(Reactor& reactor);
  void read_again();
  void flush();
  void end_session();
  /// There is memory again; or (`exceeding`) there is none, but this one may finish its frame, so that somebody's does.
  void memory_free(bool exceeding);
  bool may_exceed() const { return may_exceed_; }
  /// Closes it if it has been idle or lingering too long, or its frame is not coming; returns when to ask again.
  std::int64_t sweep(std::int64_t mono_ms);
  /// Closed, at once; the session is told.
  void abort();

 private:
  enum class State : std::uint8_t { Open, Closing, Lingering, Closed };
  bool wants_to_read() const;
  void receive();
  void consume(Bytes data, bool in_own_buffer);
  void consume_read(Bytes data, std::size_t fresh_bytes);
  void go_on();
  void begin_frame();
  std::int64_t frame_deadline() const;
  bool over_budget() const;
  void account();
  bool is_foreign(Bytes first);
  ssize_t receive_some(MutableBytes into);
  void drain();
  void hear_out();
  bool share_used_up() const { return sent_in_turn_ >= shard_.send_share_bytes(); }
  /// One send() of what waits and is in this turn's share; its result.
  ssize_t send_some();
  std::size_t unsent() const { return out_.unsent(); }

  ShardSide& shard_;
  const std::uint64_t id_;
  const SocketAddress remote_, local_;
  std::shared_ptr<Entrance> entrance_;
  int accepted_fd_;
  std::optional<Watch> watch_;
  std::unique_ptr<Session> session_;
  ReceiveBuffer in_;                 // the beginning of a frame whose rest has not come
  std::size_t wanted_ = 0;           // no use in asking the session before in_ has so many
  std::uint32_t read_bytes_ = 64 << 10;   // so many at once; 0: as many as the shard's buffer holds
  OutQueue out_;
  std::size_t sent_in_turn_ = 0;     // bytes
  std::int64_t last_active_ms_ = 0;
  std::int64_t frame_began_ms_ = 0;  // when in_ got its first bytes; 0: it holds none
  std::int64_t accounted_ = 0;       // bytes of the budget that are ours
  State state_ = State::Open;
  std::atomic<bool> gone_{false};
  bool looked_at_first_bytes_ = false;
  bool read_waiting_ = false;
  bool write_waiting_ = false;
  bool flush_asked_ = false;
  bool peer_hears_nothing_ = false;  // sending failed
  bool peer_ended_ = false;          // all that it sent has been read
  bool held_ = false;                // in_ holds requests that wait until answers have left
  bool waits_for_memory_ = false;
  bool may_exceed_ = false;          // the budget, with the frame that is coming
};

}  // namespace halfmoon::runtime
