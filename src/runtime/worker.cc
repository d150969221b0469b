// SPDX-License-Identifier: Apache-2.0
#include "runtime/worker.h"

#include <pthread.h>

#include <chrono>

namespace halfmoon::runtime {

Worker::Worker(std::string name, std::int64_t every_ms, std::function<void()> work) : every_ms_(every_ms), work_(std::move(work)) {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Worker::~Worker() { stop(); }

void Worker::kick() {
  {
    const std::lock_guard lock(mutex_);
    if (kicked_) return;
    kicked_ = true;
  }
  wake_.notify_one();
}

void Worker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto ready = [this] { return kicked_ || stopping_; };
    if (every_ms_ > 0) wake_.wait_for(lock, std::chrono::milliseconds(every_ms_), ready);
    else wake_.wait(lock, ready);
    if (stopping_) return;
    kicked_ = false;
    lock.unlock();
    work_();
    lock.lock();
  }
}

}  // namespace halfmoon::runtime
