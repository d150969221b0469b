// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

namespace halfmoon::runtime {

/// Told by a Watch that its file descriptor is ready. Called on the reactor's thread, from Reactor::turn.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_readable() = 0;
  virtual void on_writable() {}
};

/// Waits for many file descriptors at once: a loop of libuv, which only reactor.cc knows. One thread turns it.
class Reactor {
 public:
  Reactor();
  ~Reactor();

  enum class Wait { Block, Poll };
  /// Tells the watchers of everything that is ready now. Block: first waits until something is, or until wake().
  void turn(Wait wait);
  /// Any thread: the turn that waits, or the next one that would, returns.
  void wake();

 private:
  friend class Watch;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A file descriptor in a reactor; owns it. Each wait is for one event: ask again after it came, which costs no system call. The watcher is
/// kept alive until its wait has ended, but is not called any more once the Watch is gone. Reactor's thread only.
class Watch {
 public:
  Watch(Reactor& reactor, int fd);
  ~Watch();
  int fd() const;  // -1: the kernel would not watch it, and it was closed
  void wait_readable(std::shared_ptr<Watcher> watcher);
  void wait_writable(std::shared_ptr<Watcher> watcher);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace halfmoon::runtime
