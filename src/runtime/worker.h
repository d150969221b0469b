// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace halfmoon::runtime {

/// A background thread that runs one function again and again: when kicked (many kicks during a run are one more run), and every
/// `every_ms` besides, if that is not 0. stop() and the destructor let the running call end and join.
class Worker {
 public:
  Worker(std::string name, std::int64_t every_ms, std::function<void()> work);
  ~Worker();
  void kick();   // any thread
  void stop();   // any thread but its own; afterwards kicks do nothing

 private:
  void run();
  const std::int64_t every_ms_;
  const std::function<void()> work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool kicked_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace halfmoon::runtime
