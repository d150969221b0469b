// SPDX-License-Identifier: Apache-2.0
// Frames, turns and answers of connections.
#include "runtime/runtime_fixture.h"

namespace halfmoon::runtime {
namespace {

using namespace std::chrono_literals;

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

}  // namespace
}  // namespace halfmoon::runtime
