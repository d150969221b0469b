// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cli/bench_frames.h"

namespace halfmoon::cli {

/// A stand-in for a broker, on a thread of its own and a free loopback port: it answers what the bench asks at once. Against it the
/// bench measures itself (`ceiling`), and the tests run every scenario. With Keep::Messages it holds what is sent, in memory and
/// without end, and serves pulls.
class StandIn {
 public:
  enum class Keep : std::uint8_t { Nothing, Messages };
  struct Behaviour {
    Keep keep = Keep::Nothing;
    std::uint64_t refuse_every = 0;  // the n-th, 2n-th ... send gets SYSTEM_BUSY; 0: none
    bool mute = false;               // reads, and never answers
  };

  /// Io: no socket could be had.
  static Result<std::unique_ptr<StandIn>> start(Behaviour behaviour);
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;
  /// Ends the thread and its connections.
  ~StandIn();

  std::uint16_t port() const { return port_; }
  /// Valid once the clients are gone and the StandIn was told to stop().
  void stop();
  std::uint64_t commits() const { return commits_; }

 private:
  struct Client {
    int fd = -1;
    std::string partial;
    std::string out;
  };
  struct Parked {
    std::size_t client = 0;
    std::size_t queue = 0;
    std::int64_t offset = 0;
    std::int32_t opaque = 0;
    wire::SerializeType type = wire::SerializeType::Json;
  };

  StandIn() = default;
  void serve();
  void accept_one();
  void receive(std::size_t client);
  void drop(Client& client);
  void answer(std::size_t client, const wire::Frame& frame);
  void answer_send(std::size_t client, const Answer& request);
  void answer_pull(const Parked& pull);
  /// Asks the client about each message that was sent and not asked about yet.
  void ask_about_all(Client& client);
  /// The queue that it went to.
  std::size_t keep(const Answer& request);
  void send_out(Client& client);

  Behaviour behaviour_;
  int listener_ = -1;
  int epoll_ = -1;
  int stop_event_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;

  // Of the thread, until it has ended.
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::vector<std::string>> queues_;  // stored images
  std::vector<Parked> parked_;
  std::unique_ptr<char[]> scratch_;
  std::uint64_t sends_ = 0;
  std::uint64_t asked_ = 0;
  std::uint64_t commits_ = 0;
};

}  // namespace halfmoon::cli
