// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/bench_frames.h"

namespace halfmoon::cli {

/// Takes what arrives. Called from Links::poll() only; may write to Links::out(), must not call poll().
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  /// Bytes are there, answers follow: the time to look at the clock, once for all that one wake-up brings.
  virtual void on_arrival() = 0;
  virtual void on_answer(std::size_t link, const Answer& answer) = 0;
  /// What a broker asks its clients: `code` is the request's.
  virtual void on_request(std::size_t, const Answer&) {}
};

/// The generator's connections to one broker, and the wait for all of them. One thread.
class Links {
 public:
  /// Connects `count` times, each within 5 s. Io: nobody listens, or no more files may be opened; the text says what to do.
  static Result<std::unique_ptr<Links>> dial(const std::string& host, std::uint16_t port, std::size_t count);
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;
  ~Links();

  std::size_t size() const { return links_.size(); }
  /// Where frames for a connection are appended; they leave with the next flush.
  std::string& out(std::size_t link);
  std::size_t unsent_bytes(std::size_t link) const { return links_[link].out.size() - links_[link].sent; }
  /// Whether bytes wait on any connection.
  bool anything_unsent() const { return !dirty_.empty(); }

  /// Writes what the sockets take; the rest goes out as they take more, in later calls. Io: the broker closed the connection.
  Status flush();
  Status flush(std::size_t link);
  /// Writes at once if `bytes` or more wait and the socket is not known to be full: the broker starts on the first frames while
  /// the next ones are made.
  Status flush_over(std::size_t link, std::size_t bytes) {
    return unsent_bytes(link) >= bytes && !links_[link].waits_for_room ? flush(link) : Status(Done{});
  }
  /// Waits until something arrives, `timeout` at most (0: only looks), and hands all of it to the sink. Io: a connection ended,
  /// or brought what is no frame.
  Status poll(std::chrono::nanoseconds timeout, AnswerSink& sink);

 private:
  struct Link {
    int fd = -1;
    std::string out;
    std::size_t sent = 0;  // bytes of `out` that are gone
    std::string partial;   // the beginning of a frame whose end is not here yet
    bool dirty = false;
    bool waits_for_room = false;
  };
  Links() = default;
  Status watch(std::size_t link, bool for_room);
  Status receive(std::size_t link, AnswerSink& sink);

  std::vector<Link> links_;
  std::vector<std::size_t> dirty_;
  std::unique_ptr<char[]> scratch_;  // one read of any connection
  int epoll_ = -1;
  std::string where_;  // "host:port"
};

}  // namespace halfmoon::cli
