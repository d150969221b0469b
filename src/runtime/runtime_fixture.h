// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/listener.h"
#include "runtime/shard.h"
#include "runtime/system_clock.h"

/// For tests only: a server whose sessions echo, on real sockets, and a client of it.
namespace halfmoon::runtime {

/// Waits for a condition that another thread brings about; false after 20 s.
inline bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

inline std::string frame(std::string_view body) {
  std::string out(4, '\0');
  store_be(out.data(), static_cast<std::uint32_t>(body.size()));
  out += body;
  return out;
}

/// Answers each frame (4 bytes length, body) with itself. "bye" closes after the answer; "grow N" answers N bytes, which may leave early; "late" answers from
/// another thread by post.
class EchoSession final : public Session {
 public:
  struct Shared {
    std::atomic<int> calls{0}, frames{0}, closed{0};
    std::atomic<std::size_t> most_seen{0};
    std::mutex mutex;
    std::vector<std::shared_ptr<Connection>> late;
    std::atomic<bool> stops_when_full{false};
    std::atomic<int> frame_takes_us{0}, closing_takes_us{0};   // not for "quick"
  };
  EchoSession(std::shared_ptr<Connection> connection, Shared& shared) : connection_(std::move(connection)), shared_(shared) {}

  Consumed on_data(Bytes data) override {
    ++shared_.calls;
    if (data.size() > shared_.most_seen) shared_.most_seen = data.size();
    Consumed consumed;
    while (data.size() - consumed.bytes >= 4) {
      const std::size_t length = load_be<std::uint32_t>(data.data() + consumed.bytes);
      if (data.size() - consumed.bytes < 4 + length) {
        consumed.wanted = 4 + length;
        break;
      }
      if (shared_.stops_when_full && connection_->full()) {
        consumed.paused = true;
        break;
      }
      answer(as_text(data.subspan(consumed.bytes + 4, length)), consumed);
      consumed.bytes += 4 + length;
      if (consumed.close) break;
    }
    return consumed;
  }
  void on_closed() override {
    std::this_thread::sleep_for(std::chrono::microseconds(shared_.closing_takes_us));
    ++shared_.closed;
  }

 private:
  void answer(std::string_view body, Consumed& consumed) {
    ++shared_.frames;
    if (body != "quick") std::this_thread::sleep_for(std::chrono::microseconds(shared_.frame_takes_us));
    if (body.starts_with("grow ")) {
      connection_->out() += frame(std::string(std::stoul(std::string(body.substr(5))), 'g'));
      connection_->send_early();
      return;
    }
    if (body == "late") {
      const std::lock_guard lock(shared_.mutex);
      shared_.late.push_back(connection_);
      return;
    }
    connection_->out() += frame(body);
    if (body == "bye") consumed.close = true;
  }
  std::shared_ptr<Connection> connection_;
  Shared& shared_;
};

/// A blocking client.
class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { hang_up(); }
  bool connected() const { return connected_; }
  void hang_up() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// Closes without the polite end: the peer's next write fails.
  void reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up();
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// Exactly n bytes, or fewer if the peer ended.
  std::string receive(std::size_t n) {
    std::string out(n, '\0');
    std::size_t have = 0;
    while (have < n) {
      const ssize_t got = ::recv(fd_, out.data() + have, n - have, 0);
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    out.resize(have);
    return out;
  }
  std::string receive_frame() {
    const std::string head = receive(4);
    return head.size() < 4 ? std::string("<end>") : receive(load_be<std::uint32_t>(head.data()));
  }
  std::string receive_all() {
    std::string out;
    for (std::string some = receive(1 << 16);; some = receive(1 << 16)) {
      out += some;
      if (some.size() < (1 << 16)) return out;
    }
  }
  bool at_end() { return receive(1).empty(); }

 private:
  int fd_;
  bool connected_ = false;
};

class RuntimeTest : public ::testing::Test {
 protected:
  struct Setup {
    ShardOptions shard;
    Admission::Limits limits;
    std::string http_answer;
    int shards = 1;
    std::function<void()> on_turn_end;
  };
  void serve() { serve(Setup()); }
  void serve(const Setup& setup) {
    admission_ = std::make_shared<Admission>(setup.limits);
    std::vector<Shard*> shards;
    for (int i = 0; i < setup.shards; ++i) {
      shards_.push_back(std::make_unique<Shard>(clock_, setup.shard));
      shards_.back()->start({}, setup.on_turn_end);
      shards.push_back(shards_.back().get());
    }
    ListenerOptions options;
    options.address = "127.0.0.1";
    options.http_answer = setup.http_answer;
    auto listener = Listener::open(options, [this](std::shared_ptr<Connection> c) { return std::make_unique<EchoSession>(std::move(c), echo_); }, admission_);
    ASSERT_TRUE(listener.ok()) << listener.error().text;
    listener_ = std::move(*listener);
    listener_->start(shards, clock_);
  }
  void TearDown() override {
    if (listener_) listener_->stop();
    for (auto& shard : shards_) shard->stop();
  }
  std::uint16_t port() const { return listener_->port(); }
  Shard& shard() { return *shards_.front(); }
  /// What is sent while this is there is looked at together, in one turn.
  class Held {
   public:
    explicit Held(Shard& shard) {
      shard.post([waits = go_on_.get_future().share(), this] {
        holds_ = true;
        waits.wait();
      });
      while (!holds_) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    ~Held() { go_on_.set_value(); }

   private:
    std::promise<void> go_on_;
    std::atomic<bool> holds_{false};
  };
  std::int64_t connections() {
    std::int64_t n = 0;
    for (auto& s : shards_) n += s->connections();
    return n;
  }

  SystemClock clock_;
  EchoSession::Shared echo_;
  std::shared_ptr<Admission> admission_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace halfmoon::runtime
