// SPDX-License-Identifier: Apache-2.0
// One shard serves all its connections: none of them, and no number of them, may keep the others waiting for long.
#include "runtime/runtime_fixture.h"

namespace halfmoon::runtime {
namespace {

/// Connected, and known to the shard.
std::unique_ptr<Client> client_of(std::uint16_t port) {
  auto client = std::make_unique<Client>(port);
  EXPECT_TRUE(client->send(frame("quick")));
  EXPECT_EQ(client->receive_frame(), "quick");
  return client;
}

TEST_F(RuntimeTest, CostlyRequestsAreTakenInPieces) {
  serve();
  constexpr int kRequests = 200;
  const auto costly = client_of(port()), healthy = client_of(port());
  echo_.frames = 0;
  echo_.frame_takes_us = 1000;
  std::string all;
  for (int i = 0; i < kRequests; ++i) all += frame(std::string(500, 'c'));
  {
    const Held together(shard());
    ASSERT_TRUE(costly->send(all));
  }
  while (echo_.frames == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_TRUE(healthy->send(frame("quick")));
  EXPECT_EQ(healthy->receive_frame(), "quick");
  EXPECT_LT(echo_.frames, kRequests) << "it had to wait for all requests of the other one";
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(costly->receive_frame().size(), 500u);
  // The pace is known now: at once the next pieces are of a few requests.
  echo_.frames = 0;
  {
    const Held together(shard());
    ASSERT_TRUE(costly->send(all));
    ASSERT_TRUE(healthy->send(frame("quick")));
  }
  EXPECT_EQ(healthy->receive_frame(), "quick");
  EXPECT_LT(echo_.frames, 40);
}

TEST_F(RuntimeTest, RequestsThatCostLittleAgainAreReadAsBefore) {
  serve();
  const auto client = client_of(port());
  const std::string body(1000, 'x');
  std::string all;
  for (int i = 0; i < 100; ++i) all += frame(body);
  const auto ask_all = [&] {
    ASSERT_TRUE(client->send(all));
    for (int i = 0; i < 100; ++i) ASSERT_EQ(client->receive_frame(), body);
  };
  echo_.frame_takes_us = 500;
  ask_all();
  echo_.frame_takes_us = 0;
  ask_all();   // learns that it is quick
  echo_.most_seen = 0;
  {
    const Held together(shard());
    ASSERT_TRUE(client->send(all));
  }
  for (int i = 0; i < 100; ++i) ASSERT_EQ(client->receive_frame(), body);
  EXPECT_GE(echo_.most_seen, all.size() / 2);
}

TEST_F(RuntimeTest, ConnectionsThatEndTogetherDoNotHoldUpTheOthers) {
  serve();
  constexpr int kEnding = 200;
  std::vector<std::unique_ptr<Client>> ending;
  for (int i = 0; i < kEnding; ++i) ending.push_back(client_of(port()));
  const auto healthy = client_of(port());
  echo_.closing_takes_us = 1000;
  {
    const Held together(shard());
    for (auto& client : ending) client->hang_up();
    ASSERT_TRUE(healthy->send(frame("quick")));
  }
  EXPECT_EQ(healthy->receive_frame(), "quick");
  EXPECT_LT(echo_.closed, kEnding / 2);
  EXPECT_TRUE(eventually([&] { return echo_.closed == kEnding && connections() == 1; }));
}

TEST_F(RuntimeTest, WhatLeavesInATurnIsSharedAndAllOfItComes) {
  constexpr int kAsking = 8;
  constexpr std::size_t kAnswer = 4'000'000;
  struct Left {
    std::atomic<std::int64_t> before{0}, most{0};   // bytes
  };
  const auto left = std::make_shared<Left>();   // turns go on until the fixture stops them, after this function
  Setup setup;
  setup.on_turn_end = [this, left] {
    const std::int64_t now = shard().counters().bytes_out;   // at the end of the turn before
    left->most = std::max(left->most.load(), now - left->before);
    left->before = now;
  };
  serve(setup);
  std::vector<std::unique_ptr<Client>> asking;
  for (int i = 0; i < kAsking; ++i) asking.push_back(client_of(port()));
  const auto healthy = client_of(port());
  {
    const Held together(shard());
    for (auto& client : asking) ASSERT_TRUE(client->send(frame("grow 4000000") + frame("then")));
    ASSERT_TRUE(healthy->send(frame("quick")));
  }
  EXPECT_EQ(healthy->receive_frame(), "quick");
  for (auto& client : asking) {
    EXPECT_EQ(client->receive_frame(), std::string(kAnswer, 'g'));
    EXPECT_EQ(client->receive_frame(), "then");
  }
  EXPECT_GT(left->most, 64 << 10);
  EXPECT_LT(left->most, (1 << 20) + kAsking * (128 << 10) + (64 << 10));
}

}  // namespace
}  // namespace halfmoon::runtime
