// SPDX-License-Identifier: Apache-2.0
#include "runtime/reactor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace halfmoon::runtime {
namespace {

struct Told final : Watcher {
  int readable = 0, writable = 0;
  std::function<void()> then;
  void on_readable() override {
    ++readable;
    if (then) then();
  }
  void on_writable() override { ++writable; }
};

class ReactorTest : public ::testing::Test {
 protected:
  ReactorTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    peer_ = fds[1];
    watch_.emplace(reactor_, fds[0]);
  }
  ~ReactorTest() override { hang_up(); }
  void hang_up() {
    if (peer_ >= 0) ::close(std::exchange(peer_, -1));
  }
  void write_some(std::string_view bytes) { ASSERT_EQ(::write(peer_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size())); }
  /// How often it comes back from waiting before somebody wakes it, 50 ms later.
  int returns() {
    std::atomic<bool> over{false};
    std::thread waker([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      over = true;
      reactor_.wake();
    });
    int count = 0;
    while (!over) {
      reactor_.turn(Reactor::Wait::Block);
      ++count;
    }
    waker.join();
    return count;
  }

  Reactor reactor_;
  int peer_ = -1;
  std::optional<Watch> watch_;
  std::shared_ptr<Told> told_ = std::make_shared<Told>();
};

TEST_F(ReactorTest, EachWaitIsForOneEvent) {
  watch_->wait_readable(told_);
  reactor_.turn(Reactor::Wait::Poll);
  EXPECT_EQ(told_->readable, 0);
  write_some("a");
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_EQ(told_->readable, 1);
  reactor_.turn(Reactor::Wait::Poll);
  EXPECT_EQ(told_->readable, 1) << "nobody asked again";
  watch_->wait_readable(told_);
  reactor_.turn(Reactor::Wait::Poll);
  EXPECT_EQ(told_->readable, 2) << "the byte is there still";
}

TEST_F(ReactorTest, WhatNobodyAskedForDoesNotKeepItAwake) {
  watch_->wait_readable(told_);
  write_some("a");
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_LT(returns(), 5);
  hang_up();
  EXPECT_LT(returns(), 5);
  watch_->wait_readable(told_);
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_EQ(told_->readable, 2);
  EXPECT_LT(returns(), 5);
}

TEST_F(ReactorTest, ReadingAndWritingAreToldApart) {
  std::string much(1 << 20, 'x');
  while (::write(watch_->fd(), much.data(), much.size()) > 0) {
  }
  watch_->wait_readable(told_);
  watch_->wait_writable(told_);
  reactor_.turn(Reactor::Wait::Poll);
  EXPECT_EQ(told_->readable + told_->writable, 0);
  while (::read(peer_, much.data(), much.size()) > 0) {
  }
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_EQ(told_->readable, 0);
  EXPECT_EQ(told_->writable, 1);
  EXPECT_LT(returns(), 5);
  write_some("a");
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_EQ(told_->readable, 1);
  EXPECT_EQ(told_->writable, 1);
}

TEST_F(ReactorTest, AWatchMayEndInItsOwnTurnAndItsWatcherIsLetGo) {
  watch_->wait_readable(told_);
  watch_->wait_writable(told_);
  told_->then = [this] { watch_.reset(); };
  write_some("a");
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_EQ(told_->readable, 1);
  EXPECT_EQ(told_->writable, 0);
  std::weak_ptr<Told> seen = told_;
  told_->then = nullptr;
  told_.reset();
  reactor_.turn(Reactor::Wait::Poll);
  EXPECT_TRUE(seen.expired());
  EXPECT_LT(returns(), 5);
}

TEST_F(ReactorTest, AnEndWakesWhoWaitsAndADescriptorThatCannotBeWatchedIsClosed) {
  watch_->wait_readable(told_);
  hang_up();
  reactor_.turn(Reactor::Wait::Block);
  EXPECT_EQ(told_->readable, 1);
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  const Watch refused(reactor_, file);   // epoll watches no regular files
  EXPECT_EQ(refused.fd(), -1);
  EXPECT_EQ(::fcntl(file, F_GETFD), -1);
}

}  // namespace
}  // namespace halfmoon::runtime
