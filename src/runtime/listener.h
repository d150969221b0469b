// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/admission.h"
#include "runtime/connection.h"
#include "runtime/shard.h"

namespace halfmoon::runtime {

struct ListenerOptions {
  std::string address = "0.0.0.0";   // an IP literal; "::" takes IPv4 and IPv6
  std::uint16_t port = 0;            // 0: the kernel's choice, see Listener::port()
  std::string purpose;               // for the error text: "the name server"
  std::string port_key;              // for the error text: the configuration key that moves the port
  std::string http_answer;           // see Entrance
};

/// Accepts connections on one port and deals them out to the shards in turn. Accepting itself is done on the first shard's thread.
///
/// Above a limit of `admission` a connection is accepted and closed at once, with a rate-limited event, so that the peer sees it. The same
/// when the process is out of file descriptors: one is kept for that. Where even that does not help accepting pauses for 100 ms.
class Listener {
 public:
  /// Binds and listens; nothing is accepted before start(). Errors: AddressInUse (the text names the cure), InvalidArgument (address), Io.
  static Result<std::unique_ptr<Listener>> open(ListenerOptions options, SessionFactory sessions, std::shared_ptr<Admission> admission);
  ~Listener();

  /// `shards` outlive the listener, and run until it has stopped.
  void start(std::vector<Shard*> shards, Clock& clock);
  /// Any thread but the first shard's: no more connections. Returns when the port is free.
  void stop();
  std::uint16_t port() const;

 private:
  class State;
  explicit Listener(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace halfmoon::runtime
