// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <thread>

#include "runtime/alarm.h"
#include "runtime/gate.h"
#include "runtime/listener.h"
#include "runtime/monitor.h"
#include "runtime/shard.h"
#include "runtime/system_clock.h"
#include "runtime/worker.h"

namespace halfmoon::runtime {
namespace {

using namespace std::chrono_literals;

/// Waits for a condition that another thread brings about; false after 20 s.
bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

std::string frame(std::string_view body) {
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
  void on_closed() override { ++shared_.closed; }

 private:
  void answer(std::string_view body, Consumed& consumed) {
    ++shared_.frames;
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

TEST_F(RuntimeTest, FramesCutAtEveryByteArriveWhole) {
  serve();
  Client client(port());
  const std::string three = frame("first") + frame("") + frame("the third");
  for (std::size_t cut = 0; cut <= three.size(); ++cut) {
    const int before = echo_.frames;
    ASSERT_TRUE(client.send(three.substr(0, cut)));
    if (cut >= 9) {
      ASSERT_TRUE(eventually([&] { return echo_.frames > before; }));
    } else {
      std::this_thread::yield();
    }
    ASSERT_TRUE(client.send(three.substr(cut)));
    EXPECT_EQ(client.receive_frame(), "first");
    EXPECT_EQ(client.receive_frame(), "");
    EXPECT_EQ(client.receive_frame(), "the third");
  }
}

TEST_F(RuntimeTest, OneByteAtATime) {
  serve();
  Client client(port());
  const std::string bytes = frame("slowly");
  for (char c : bytes) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  EXPECT_EQ(client.receive_frame(), "slowly");
}

TEST_F(RuntimeTest, ManyFramesInOneReadLeaveInOneWrite) {
  serve();
  Client client(port());
  std::string many;
  for (int i = 0; i < 500; ++i) many += frame("number " + std::to_string(i));
  ASSERT_TRUE(client.send(many));
  for (int i = 0; i < 500; ++i) ASSERT_EQ(client.receive_frame(), "number " + std::to_string(i));
  EXPECT_TRUE(eventually([&] { return shard().counters().bytes_out == static_cast<std::int64_t>(many.size()); }));
  EXPECT_LE(shard().counters().sends, shard().counters().reads);
}

TEST_F(RuntimeTest, LargeAnswersLeaveBeforeTheEndOfTheTurn) {
  serve();
  Client client(port());
  ASSERT_TRUE(client.send(frame("first") + frame("grow 150000") + frame("grow 160000") + frame("grow 10") + frame("last")));
  EXPECT_EQ(client.receive_frame(), "first");
  EXPECT_EQ(client.receive_frame().size(), 150000u);
  EXPECT_EQ(client.receive_frame().size(), 160000u);
  EXPECT_EQ(client.receive_frame().size(), 10u);
  EXPECT_EQ(client.receive_frame(), "last");
  EXPECT_TRUE(eventually([&] { return shard().counters().bytes_out == 310010 + 5 + 4 + 5 * 4; }));
  EXPECT_GE(shard().counters().sends, 3);
}

TEST_F(RuntimeTest, AFrameLargerThanTheSharedBufferArrivesWhole) {
  Setup setup;
  setup.shard.read_bytes = 64 << 10;
  serve(setup);
  Client client(port());
  std::string body(16 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 + (i >> 16));
  std::thread sender([&] { EXPECT_TRUE(client.send(frame("small") + frame(body) + frame("after"))); });
  EXPECT_EQ(client.receive_frame(), "small");
  EXPECT_TRUE(client.receive_frame() == body);
  EXPECT_EQ(client.receive_frame(), "after");
  sender.join();
  EXPECT_LE(echo_.calls, 40) << "the session is not asked before the frame is whole";
}

TEST_F(RuntimeTest, FramesNearTheSizeOfTheSharedBuffer) {
  Setup setup;
  setup.shard.read_bytes = 32 << 10;
  serve(setup);
  Client client(port());
  for (std::size_t size = (32 << 10) - 8; size <= (32 << 10) + 8; ++size) {
    const std::string body(size, 'x');
    ASSERT_TRUE(client.send(frame("a") + frame(body) + frame("b")));
    ASSERT_EQ(client.receive_frame(), "a");
    ASSERT_EQ(client.receive_frame(), body);
    ASSERT_EQ(client.receive_frame(), "b");
  }
}

TEST_F(RuntimeTest, ASlowReaderIsNotReadFromAndLosesNothing) {
  Setup setup;
  setup.shard.out_pause_bytes = 1 << 20;
  serve(setup);
  Client client(port(), 64 << 10);
  const std::string body(100000, 'b');
  constexpr int kFrames = 400;  // 40 MB
  std::thread sender([&] {
    for (int i = 0; i < kFrames; ++i)
      if (!client.send(frame(body))) break;
  });
  // The sender gets stuck: the server has stopped reading, holding little more than the limit.
  std::int64_t before = -1;
  EXPECT_TRUE(eventually([&] {
    const std::int64_t now = shard().counters().bytes_in;
    const bool stuck = now == before && now > (1 << 20);
    before = now;
    std::this_thread::sleep_for(50ms);
    return stuck;
  }));
  EXPECT_LT(shard().counters().bytes_in, 30 << 20);
  EXPECT_LT(shard().counters().bytes_in - shard().counters().bytes_out, (1 << 20) + (1 << 20));
  for (int i = 0; i < kFrames; ++i) ASSERT_TRUE(client.receive_frame() == body);
  sender.join();
}

TEST_F(RuntimeTest, AReaderThatIsFarTooSlowIsClosed) {
  Setup setup;
  setup.shard.out_max_bytes = 4 << 20;
  serve(setup);
  Client client(port(), 64 << 10);
  ASSERT_TRUE(client.send(frame("grow 30000000")));
  EXPECT_TRUE(eventually([&] { return echo_.closed == 1 && connections() == 0; }));
  EXPECT_EQ(shard().counters().closed_slow, 1);
}

TEST_F(RuntimeTest, ManyConnectionsOnSeveralShards) {
  Setup setup;
  setup.shards = 2;
  serve(setup);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(port()));
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) ASSERT_TRUE(clients[i]->send(frame("c" + std::to_string(i))));
    for (std::size_t i = 0; i < clients.size(); ++i) ASSERT_EQ(clients[i]->receive_frame(), "c" + std::to_string(i));
  }
  EXPECT_EQ(connections(), 200);
  EXPECT_GT(shards_[0]->connections(), 50);
  EXPECT_GT(shards_[1]->connections(), 50);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return connections() == 0 && admission_->in_all() == 0; }));
  EXPECT_EQ(echo_.closed, 200);
}

TEST_F(RuntimeTest, TasksFromOtherThreadsRunInOrderOnTheShard) {
  serve();
  constexpr int kThreads = 4, kEach = 2000;
  std::vector<std::vector<int>> seen(kThreads);
  std::atomic<int> done{0}, elsewhere{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i)
        shard().post([&, t, i] {
          if (!shard().on_own_thread()) ++elsewhere;
          seen[static_cast<std::size_t>(t)].push_back(i);
          ++done;
        });
    });
  for (auto& t : threads) t.join();
  ASSERT_TRUE(eventually([&] { return done == kThreads * kEach; }));
  EXPECT_EQ(elsewhere, 0);
  for (const auto& s : seen) EXPECT_TRUE(std::is_sorted(s.begin(), s.end()));
  EXPECT_FALSE(shard().on_own_thread());
}

TEST_F(RuntimeTest, WhatTheEndOfATurnAnswersLeavesInThatTurnsWrite) {
  Setup setup;
  setup.on_turn_end = [this] {
    const std::lock_guard lock(echo_.mutex);
    for (const auto& connection : echo_.late) connection->out() += frame("at the end");
    echo_.late.clear();
  };
  serve(setup);
  Client client(port());
  ASSERT_TRUE(client.send(frame("at once") + frame("late")));
  EXPECT_EQ(client.receive_frame(), "at once");
  EXPECT_EQ(client.receive_frame(), "at the end");
  ASSERT_TRUE(eventually([&] { return shard().counters().bytes_out > 0; }));
  EXPECT_EQ(shard().counters().sends, 1);
}

TEST_F(RuntimeTest, AFrameThatDripsIsGivenUpAndAConnectionThatWaitsIsNot) {
  Setup setup;
  setup.shard.frame_grace_ms = 200;
  setup.shard.linger_ms = 100;
  serve(setup);
  Client waiting(port()), dripping(port()), quick(port());
  ASSERT_TRUE(waiting.send(frame("late")));   // a long poll: asked, and nothing more to say
  const std::string slow = frame(std::string(1000, 'x'));
  std::atomic<bool> refused{false};
  std::thread drip([&] {
    for (std::size_t i = 0; i < slow.size() && !refused; ++i) {
      if (!dripping.send(slow.substr(i, 1))) refused = true;
      std::this_thread::sleep_for(10ms);
    }
  });
  EXPECT_TRUE(eventually([&] { return shard().counters().closed_slow_sender == 1; }));
  drip.join();
  EXPECT_TRUE(refused);
  ASSERT_TRUE(quick.send(frame("still served")));
  EXPECT_EQ(quick.receive_frame(), "still served");
  ASSERT_TRUE(waiting.send(frame("and so is this")));
  EXPECT_EQ(waiting.receive_frame(), "and so is this");
  EXPECT_EQ(shard().counters().closed_slow_sender, 1);
}

TEST_F(RuntimeTest, AFrameThatKeepsThePaceMayTakeLonger) {
  Setup setup;
  setup.shard.frame_grace_ms = 100;
  setup.shard.frame_bytes_per_s = 1000;
  setup.shard.linger_ms = 100;
  serve(setup);
  Client client(port());
  const std::string whole = frame(std::string(3000, 'x'));
  for (std::size_t i = 0; i < whole.size(); i += 500) {   // 500 bytes in 100 ms: five times the pace
    ASSERT_TRUE(client.send(whole.substr(i, 500)));
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_EQ(client.receive_frame(), std::string(3000, 'x'));
  EXPECT_EQ(shard().counters().closed_slow_sender, 0);
}

TEST_F(RuntimeTest, BeginningsOfFramesStayWithinTheBudgetAndOthersAreServed) {
  Setup setup;
  setup.shard.memory = std::make_shared<MemoryBudget>(4 << 20);
  setup.shard.frame_grace_ms = 600000;
  setup.shard.frame_bytes_per_s = 0;
  serve(setup);
  MemoryBudget& memory = *setup.shard.memory;
  const std::string large = frame(std::string(2 << 20, 'x'));
  std::vector<std::unique_ptr<Client>> half_sent;
  std::vector<std::thread> senders;
  std::atomic<int> answered{0};
  for (int i = 0; i < 16; ++i) half_sent.push_back(std::make_unique<Client>(port()));
  for (auto& client : half_sent) ASSERT_TRUE(client->send(large.substr(0, 1 << 20)));   // 16 MiB in all, if it were taken
  ASSERT_TRUE(eventually([&] { return shard().counters().paused_for_memory > 0; }));
  std::this_thread::sleep_for(50ms);
  EXPECT_LT(memory.used(), 8 << 20) << "what one read may bring lies above, nothing else";
  Client small(port());
  ASSERT_TRUE(small.send(frame("small")));
  EXPECT_EQ(small.receive_frame(), "small");
  // The rest comes: one after the other they are whole, and all are answered.
  for (auto& client : half_sent) senders.emplace_back([&, c = client.get()] {
    if (c->send(large.substr(1 << 20)) && c->receive_frame().size() == (2 << 20)) ++answered;
  });
  for (auto& sender : senders) sender.join();
  EXPECT_EQ(answered, 16);
  half_sent.clear();
  EXPECT_TRUE(eventually([&] { return memory.used() == 0; })) << memory.used();
}

TEST_F(RuntimeTest, RequestsWaitUntilTheAnswersBeforeThemAreRead) {
  Setup setup;
  setup.shard.out_pause_bytes = 1 << 20;
  serve(setup);
  echo_.stops_when_full = true;
  Client greedy(port(), 4096);
  std::string requests;
  for (int i = 0; i < 64; ++i) requests += frame("grow 1000000");
  ASSERT_TRUE(greedy.send(requests));   // one read, 64 MB of answers
  ASSERT_TRUE(eventually([&] { return echo_.frames > 0; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_LT(echo_.frames, 20) << "it had all of them, and did not take them";
  EXPECT_EQ(connections(), 1);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(greedy.receive_frame().size(), 1000000u);
  EXPECT_EQ(echo_.frames, 64);
  ASSERT_TRUE(greedy.send(frame("and on")));
  EXPECT_EQ(greedy.receive_frame(), "and on");
}

TEST_F(RuntimeTest, ATaskMayPostAnother) {
  serve();
  std::atomic<int> depth{0};
  std::function<void()> deeper = [&] {
    if (++depth < 100) shard().post([&] { deeper(); });
  };
  shard().post([&] { deeper(); });
  EXPECT_TRUE(eventually([&] { return depth == 100; }));
}

TEST_F(RuntimeTest, AnAnswerFromAnotherThreadArrives) {
  serve();
  Client client(port());
  ASSERT_TRUE(client.send(frame("late")));
  ASSERT_TRUE(eventually([&] { const std::lock_guard lock(echo_.mutex); return echo_.late.size() == 1; }));
  const std::shared_ptr<Connection> connection = std::move(echo_.late[0]);
  EXPECT_FALSE(connection->on_own_thread());
  connection->post([connection] { connection->out() += frame("at last"); });
  EXPECT_EQ(client.receive_frame(), "at last");
}

TEST_F(RuntimeTest, AnAnswerToAPeerThatIsGoneLeadsNowhere) {
  serve();
  std::shared_ptr<Connection> connection;
  {
    Client client(port());
    ASSERT_TRUE(client.send(frame("late")));
    ASSERT_TRUE(eventually([&] { const std::lock_guard lock(echo_.mutex); return echo_.late.size() == 1; }));
    connection = std::move(echo_.late[0]);
  }
  ASSERT_TRUE(eventually([&] { return connections() == 0; }));
  EXPECT_TRUE(connection->closed());
  std::atomic<bool> ran{false};
  connection->post([&, connection] {
    connection->out() += frame("to nobody");
    connection->close();
    ran = true;
  });
  EXPECT_TRUE(eventually([&] { return ran.load(); }));
}

TEST_F(RuntimeTest, WhatAPeerSentBeforeItResetTheConnectionIsHeard) {
  const auto hold = std::make_shared<std::atomic<bool>>(true);
  Setup setup;
  setup.on_turn_end = [this, hold] {  // as if the disk took its time
    while (*hold && echo_.frames > 0) std::this_thread::sleep_for(1ms);
  };
  serve(setup);
  Client client(port());
  ASSERT_TRUE(client.send(frame("a request")));
  ASSERT_TRUE(eventually([&] { return echo_.frames == 1; }));
  ASSERT_TRUE(client.send(frame("one-way 1") + frame("one-way 2")));
  client.reset();
  *hold = false;
  EXPECT_TRUE(eventually([&] { return echo_.closed == 1 && connections() == 0; }));
  EXPECT_EQ(echo_.frames, 3);
}

TEST_F(RuntimeTest, ClosingComesAfterTheAnswers) {
  serve();
  Client client(port(), 64 << 10);
  ASSERT_TRUE(client.send(frame("grow 8000000") + frame("bye") + frame("never answered")));
  EXPECT_EQ(client.receive_frame().size(), 8000000u);
  EXPECT_EQ(client.receive_frame(), "bye");
  EXPECT_TRUE(client.at_end());
  EXPECT_TRUE(eventually([&] { return echo_.closed == 1; }));
}

TEST_F(RuntimeTest, APeerThatStopsSendingStillGetsItsAnswers) {
  serve();
  Client client(port(), 64 << 10);
  ASSERT_TRUE(client.send(frame("grow 5000000")));
  EXPECT_EQ(client.receive_frame().size(), 5000000u);
  client.hang_up();
  EXPECT_TRUE(eventually([&] { return connections() == 0; }));
}

TEST_F(RuntimeTest, AnIdleConnectionIsClosed) {
  Setup setup;
  setup.shard.idle_ms = 150;
  serve(setup);
  Client client(port());
  ASSERT_TRUE(client.send(frame("x")));
  EXPECT_EQ(client.receive_frame(), "x");
  EXPECT_TRUE(client.at_end());
  EXPECT_TRUE(eventually([&] { return shard().counters().closed_idle == 1; }));
}

TEST_F(RuntimeTest, TlsIsHungUpAndHttpIsTold) {
  Setup setup;
  setup.http_answer = "HTTP/1.1 400 Bad Request\r\n\r\nnot here\n";
  serve(setup);
  Client tls(port());
  ASSERT_TRUE(tls.send(std::string("\x16\x03\x01\x02\x00\x01", 6)));
  EXPECT_TRUE(tls.at_end());
  Client http(port());
  ASSERT_TRUE(http.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_EQ(http.receive_all(), setup.http_answer);
  Client remoting(port());
  ASSERT_TRUE(remoting.send(frame("GET / is only a body")));
  EXPECT_EQ(remoting.receive_frame(), "GET / is only a body");
  EXPECT_TRUE(eventually([&] { return shard().counters().closed_foreign == 2; }));
}

TEST_F(RuntimeTest, AboveTheLimitAConnectionIsClosedAtOnce) {
  Setup setup;
  setup.limits.in_all = 2;
  serve(setup);
  Client a(port()), b(port());
  ASSERT_TRUE(a.send(frame("a")) && b.send(frame("b")));
  EXPECT_EQ(a.receive_frame(), "a");
  EXPECT_EQ(b.receive_frame(), "b");
  Client c(port());
  EXPECT_TRUE(c.at_end());
  a.hang_up();
  ASSERT_TRUE(eventually([&] { return admission_->in_all() == 1; }));
  Client d(port());
  ASSERT_TRUE(d.send(frame("d")));
  EXPECT_EQ(d.receive_frame(), "d");
}

TEST(AdmissionTest, CountsByAddressButNotLoopback) {
  Admission admission({.in_all = 100, .per_address = 2});
  EXPECT_EQ(admission.enter("192.0.2.1"), Admission::Verdict::Admitted);
  EXPECT_EQ(admission.enter("192.0.2.1"), Admission::Verdict::Admitted);
  EXPECT_EQ(admission.enter("192.0.2.1"), Admission::Verdict::TooManyOfAddress);
  EXPECT_EQ(admission.enter("192.0.2.2"), Admission::Verdict::Admitted);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(admission.enter("127.0.0.1"), Admission::Verdict::Admitted);
  admission.leave("192.0.2.1");
  EXPECT_EQ(admission.enter("192.0.2.1"), Admission::Verdict::Admitted);
  EXPECT_EQ(admission.in_all(), 8);
}

TEST_F(RuntimeTest, ATakenPortIsNamedWithItsCure) {
  serve();
  ListenerOptions options;
  options.address = "127.0.0.1";
  options.port = port();
  options.purpose = "name server";
  options.port_key = "namesrvListenPort";
  const auto second = Listener::open(options, {}, admission_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::AddressInUse);
  EXPECT_NE(second.error().text.find("namesrvListenPort="), std::string::npos) << second.error().text;
  options.address = "localhost";
  EXPECT_EQ(Listener::open(options, {}, admission_).error().code, ErrorCode::InvalidArgument);
}

TEST_F(RuntimeTest, TheGateLetsAnswersOutAndNobodyIn) {
  serve();
  Client client(port(), 64 << 10);
  ASSERT_TRUE(client.send(frame("grow 4000000")));
  ASSERT_TRUE(eventually([&] { return echo_.frames == 1; }));
  std::thread reader([&] {
    EXPECT_EQ(client.receive_frame().size(), 4000000u);
    EXPECT_TRUE(client.at_end());
    client.hang_up();
  });
  Gate gate({&shard()}, {listener_.get()});
  gate.close_listeners();
  EXPECT_FALSE(Client(port()).connected());
  EXPECT_TRUE(gate.empty(10s));
  reader.join();
  EXPECT_EQ(echo_.closed, 1);
}

TEST_F(RuntimeTest, TheGateDoesNotWaitForEverForAPeerThatTakesNothing) {
  serve();
  Client client(port(), 4 << 10);
  ASSERT_TRUE(client.send(frame("grow 60000000")));
  ASSERT_TRUE(eventually([&] { return echo_.frames == 1; }));
  Gate gate({&shard()}, {listener_.get()});
  gate.close_listeners();
  EXPECT_FALSE(gate.empty(100ms));
}

TEST(ShardTest, TheTimerRingsAtTheEarliestTimeAskedFor) {
  SystemClock clock;
  Shard shard(clock, {});
  std::atomic<int> rings{0};
  std::atomic<std::int64_t> rung_at{0};
  shard.start([&] {
    rung_at = clock.now().mono_ms;
    ++rings;
  });
  const std::int64_t begin = clock.now().mono_ms;
  shard.run_at(Alarm::kNever);
  shard.run_at(begin + 3600000);
  shard.run_at(begin + 30);
  shard.run_at(begin + 60000);
  ASSERT_TRUE(eventually([&] { return rings == 1; }));
  EXPECT_GE(rung_at, begin + 30);
  shard.run_at(begin - 5);  // has passed: at once
  EXPECT_TRUE(eventually([&] { return rings == 2; }));
}

TEST(WorkerTest, KicksDuringARunAreOneMoreRun) {
  std::mutex mutex;
  std::condition_variable changed;
  int runs = 0;
  bool hold = true;
  Worker worker("test", 0, [&] {
    std::unique_lock lock(mutex);
    ++runs;
    changed.notify_all();
    changed.wait(lock, [&] { return !hold; });
  });
  const auto wait_for_runs = [&](int n) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return runs >= n; });
  };
  worker.kick();
  ASSERT_TRUE(wait_for_runs(1));
  for (int i = 0; i < 10; ++i) worker.kick();
  {
    const std::lock_guard lock(mutex);
    hold = false;
  }
  changed.notify_all();
  ASSERT_TRUE(wait_for_runs(2));
  worker.stop();
  EXPECT_EQ(runs, 2);
}

TEST(WorkerTest, RunsByItselfEverySoOften) {
  std::atomic<int> runs{0};
  Worker worker("test", 5, [&] { ++runs; });
  EXPECT_TRUE(eventually([&] { return runs >= 3; }));
}

TEST(MonitorTest, TurnsOfManyThreadsNeverOverlap) {
  SystemClock clock;
  int inside = 0, overlaps = 0, turns = 0;
  Monitor monitor(clock, {[&](Now) { overlaps += ++inside != 1; }, [&] { --inside; }});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) monitor.enter([&](Now) { ++turns; });
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(overlaps, 0);
  EXPECT_EQ(turns, 4000);
}

TEST(SystemClockTest, BothClocksRun) {
  SystemClock clock;
  const Now a = clock.now(), b = clock.now();
  EXPECT_GT(a.wall_ms, 1600000000000);
  EXPECT_GE(b.mono_ms, a.mono_ms);
  SystemRandom random;
  EXPECT_NE(random.next(), random.next());
}

}  // namespace
}  // namespace halfmoon::runtime
