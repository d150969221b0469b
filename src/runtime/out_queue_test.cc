// SPDX-License-Identifier: Apache-2.0
#include "runtime/out_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/check.h"

namespace halfmoon::runtime {
namespace {

/// Two ends of a connection that holds few bytes, so that sends stop everywhere.
class OutQueueTest : public ::testing::Test {
 protected:
  OutQueueTest() {
    HM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) == 0);
    hold(8 << 10);
  }
  ~OutQueueTest() override {
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }
  void hold(int bytes) { HM_CHECK(::setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0); }
  void hear() {
    std::array<char, 3001> some;
    if (const ssize_t n = ::recv(ends_[1], some.data(), some.size(), 0); n > 0) heard_.append(some.data(), static_cast<std::size_t>(n));
  }
  void send_all() {
    while (queue_.unsent() > 0) {
      const std::size_t before = queue_.unsent();
      const ssize_t n = queue_.send(ends_[0]);
      ASSERT_TRUE(n > 0 || errno == EAGAIN) << errno;
      ASSERT_EQ(queue_.unsent(), before - static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      hear();
    }
    hear_all();
  }
  void hear_all() {
    for (std::size_t before = heard_.size() + 1; before != heard_.size();) {
      before = heard_.size();
      hear();
    }
  }
  static std::string text(std::size_t bytes, char first) {
    std::string made(bytes, first);
    for (std::size_t i = 0; i < bytes; i++) made[i] = static_cast<char>(first + i % 23);
    return made;
  }

  std::array<int, 2> ends_{-1, -1};
  OutQueue queue_;
  std::string heard_;
};

TEST_F(OutQueueTest, ASendIsOfSoManyBytesAndOfWhatIsLeftOfAPart) {
  constexpr std::size_t kMost = 1000, kWhole = OutQueue::kWholeBytes;
  hold(1 << 20);
  const std::string before = text(2 * kMost + kWhole, 'a'), shared = text(kMost + kWhole + 1, 'A'), after = text(kMost / 2, 'b');
  queue_.text() += before;
  queue_.append(SharedBytes::make(shared));
  queue_.text() += after;
  for (const std::size_t part : {kMost, kMost + kWhole, kMost, kWhole + 1, kMost / 2}) {
    ASSERT_EQ(queue_.send(ends_[0], kMost), static_cast<ssize_t>(part));
    hear_all();
  }
  EXPECT_EQ(queue_.unsent(), 0u);
  EXPECT_EQ(heard_, before + shared + after);
}

TEST_F(OutQueueTest, EverythingLeavesInItsOrder) {
  std::string wanted;
  for (int round = 0; round < 20; round++) {
    const auto bytes = SharedBytes::make(text(30'000, 'a'));
    ASSERT_TRUE(bytes);
    for (std::size_t i = 0; i < 4; i++) {
      const std::string part = text(i * 7001 % 20'000, static_cast<char>('0' + i));
      queue_.text() += part;
      wanted += part;
      if ((static_cast<std::size_t>(round) + i) % 3 == 0) continue;
      queue_.append(bytes);
      bytes->append_to(wanted);
      if (i == 2) {  // two that follow each other
        queue_.append(bytes);
        bytes->append_to(wanted);
      }
    }
    if (round % 2 == 0) send_all();
    if (round % 4 == 0) (void)queue_.give_buffer();
  }
  send_all();
  EXPECT_EQ(queue_.unsent(), 0u);
  EXPECT_TRUE(heard_ == wanted);
}

TEST_F(OutQueueTest, WhatWasSentMakesRoom) {
  const auto bytes = SharedBytes::make(text(5000, 'a'));
  queue_.text() = text(3 << 20, 'k');
  std::string wanted = queue_.text();
  queue_.append(bytes);
  bytes->append_to(wanted);
  while (queue_.unsent() > 1 << 20) {
    (void)queue_.send(ends_[0]);
    hear();
  }
  const std::size_t before = queue_.unsent();
  queue_.compact();
  EXPECT_EQ(queue_.unsent(), before);
  EXPECT_LT(queue_.text().size(), std::size_t{1} << 20);
  queue_.text() += "the end";
  send_all();
  EXPECT_TRUE(heard_ == wanted + "the end");
}

TEST_F(OutQueueTest, BytesOnTheirWayOutliveTheirOwner) {
  auto bytes = SharedBytes::make(text(4000, 'a'));
  queue_.append(bytes);
  ASSERT_EQ(queue_.send(ends_[0]), 4000);
  bytes.reset();
  queue_.clear();
  for (int i = 0; i < 50; i++) ASSERT_TRUE(SharedBytes::make(text(4000, 'z')));   // pages that were given back are used again
  hear();
  hear();
  EXPECT_EQ(heard_, text(4000, 'a'));
}

TEST_F(OutQueueTest, AnEndThatIsGoneIsAnError) {
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  ::close(std::exchange(ends_[1], -1));
  queue_.append(SharedBytes::make("gone"));
  EXPECT_EQ(queue_.send(ends_[0]), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(queue_.unsent(), 4u);
}

}  // namespace
}  // namespace halfmoon::runtime
