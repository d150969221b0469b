// SPDX-License-Identifier: Apache-2.0
// Peers that are slow, or many, or not of the protocol; and the way in and out.
#include "runtime/gate.h"
#include "runtime/runtime_fixture.h"

namespace halfmoon::runtime {
namespace {

using namespace std::chrono_literals;

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

}  // namespace
}  // namespace halfmoon::runtime
