// SPDX-License-Identifier: Apache-2.0
#include "runtime/alarm.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <optional>

#include "base/check.h"

namespace halfmoon::runtime {

class Alarm::State final : public Watcher, public std::enable_shared_from_this<State> {
 public:
  State(Reactor& reactor, std::function<void()> ring) : ring_(std::move(ring)), fd_(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)) {
    HM_CHECK(fd_ >= 0);
    watch_.emplace(reactor, fd_);
  }
  void arm() { watch_->wait_readable(shared_from_this()); }
  void disarm() {
    const std::lock_guard lock(mutex_);
    fd_ = -1;
    ring_ = nullptr;
    watch_.reset();
  }

  void set_at_latest(std::int64_t mono_ms) {
    if (mono_ms >= due_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(mutex_);
    if (mono_ms >= due_.load(std::memory_order_relaxed) || fd_ < 0) return;
    due_.store(mono_ms, std::memory_order_relaxed);
    const std::int64_t at = mono_ms < 1 ? 1 : mono_ms;  // 0 would disarm
    itimerspec spec{};
    spec.it_value.tv_sec = at / 1000;
    spec.it_value.tv_nsec = (at % 1000) * 1000000;
    timerfd_settime(fd_, TFD_TIMER_ABSTIME, &spec, nullptr);
  }

  void on_readable() override {
    std::uint64_t times = 0;
    {
      const std::lock_guard lock(mutex_);
      if (fd_ < 0) return;
      if (::read(fd_, &times, sizeof times) == sizeof times) due_.store(kNever, std::memory_order_relaxed);
    }
    if (times > 0 && ring_) ring_();
    if (watch_) arm();
  }

 private:
  std::function<void()> ring_;
  std::mutex mutex_;
  int fd_;
  std::atomic<std::int64_t> due_{kNever};
  std::optional<Watch> watch_;
};

Alarm::Alarm(Reactor& reactor, std::function<void()> ring) : state_(std::make_shared<State>(reactor, std::move(ring))) { state_->arm(); }
Alarm::~Alarm() { state_->disarm(); }
void Alarm::set_at_latest(std::int64_t mono_ms) { state_->set_at_latest(mono_ms); }

}  // namespace halfmoon::runtime
