// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/inline_function.h"
#include "runtime/shared_bytes.h"

namespace halfmoon::runtime {

/// Work handed from one thread to another.
using Task = InlineFunction<void(), 256>;

/// One end of a connection: an IP literal ("192.0.2.1", "2001:db8::1") and a port.
struct SocketAddress {
  std::string ip;
  std::uint16_t port = 0;
  std::string text() const;   // "ip:port", "[ip]:port"
};

/// What a protocol makes of a connection's bytes. Lives on the connection's shard: every call comes on that shard's thread.
class Session {
 public:
  virtual ~Session() = default;

  struct Consumed {
    std::size_t bytes = 0;    // taken from the front of `data`
    std::size_t wanted = 0;   // size of the next whole frame if known, so that the connection's buffer grows once; else 0
    bool close = false;       // close after what is in out() has left
    bool paused = false;      // out() is full(): call again with the rest when half of it has left
  };
  /// All bytes that arrived and were not consumed yet. They stay valid during the call only.
  virtual Consumed on_data(Bytes data) = 0;
  /// The connection is gone; the last call.
  virtual void on_closed() = 0;
};

/// One accepted TCP connection; stays on one shard for its life. Shared: a late answer may hold it after the peer has gone, and then
/// simply leads nowhere.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Never reused while the process lives; > 0.
  virtual std::uint64_t id() const = 0;
  virtual const SocketAddress& remote() const = 0;
  virtual const SocketAddress& local() const = 0;   // how this peer reached us

  /// Shard thread only. Append answers here; they leave in one write at the end of the shard's turn. Appending from outside on_data (a
  /// long poll answered in another session's turn) is fine as well: the call itself marks the connection.
  virtual std::string& out() = 0;
  /// Shard thread only: these bytes leave behind what out() holds now.
  virtual void send_shared(std::shared_ptr<const SharedBytes> bytes) { bytes->append_to(out()); }
  /// Shard thread only: whole frames that out() holds may leave before the end of the turn; they do if they are many bytes. For large answers: one
  /// buffer, still in the processor's cache, then serves all connections of the turn.
  virtual void send_early() {}
  /// Shard thread only: closes once out() has left.
  virtual void close() = 0;
  virtual bool closed() const = 0;
  /// Shard thread only: so many answers wait that no more requests should be taken now (see Session::Consumed::paused).
  virtual bool full() const { return false; }
  /// Shard thread only: so much has left in this turn that the others should not be kept waiting for many more large answers.
  virtual bool hurried() const { return false; }
  /// Shard thread only: all connections together hold more bytes than they may, and this one some of them (or it is half as much again),
  /// so that a large answer should be refused. Counts what out() holds: ask also after an answer was appended.
  virtual bool short_of_memory() { return false; }

  /// Any thread.
  virtual bool on_own_thread() const = 0;
  /// Any thread: runs the task on this connection's shard; one wake for many tasks.
  virtual void post(Task task) = 0;
};

/// Makes the session for a new connection; called on its shard's thread. Which listener it came through is the factory's to know.
using SessionFactory = std::function<std::unique_ptr<Session>(std::shared_ptr<Connection>)>;

}  // namespace halfmoon::runtime
