// SPDX-License-Identifier: Apache-2.0
#include "runtime/reactor.h"

#include <unistd.h>
#include <uv.h>

#include <utility>

#include "base/check.h"

namespace halfmoon::runtime {

/// uv_close is over only in a later turn of the loop; until then the handle's memory must stay.
struct Watch::Impl {
  explicit Impl(Reactor::Impl& in) : reactor(in) {}
  /// Who waits is told, at most once for each time it asked. Nobody asked: not to be told of it again before somebody does.
  void ready(int status, int events);
  void listen_for(int events);

  Reactor::Impl& reactor;
  uv_poll_t handle{};
  int fd = -1;
  int watched = 0;   // UV_READABLE | UV_WRITABLE, as the loop knows it
  std::shared_ptr<Watcher> reader, writer;
};

struct Reactor::Impl {
  Impl() {
    HM_CHECK(uv_loop_init(&loop) == 0);
    HM_CHECK(uv_async_init(&loop, &waker, [](uv_async_t*) {}) == 0);
  }
  ~Impl() {
    uv_close(reinterpret_cast<uv_handle_t*>(&waker), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);   // the ends of what was closed
    HM_CHECK(uv_loop_close(&loop) == 0);
  }
  uv_loop_t loop{};
  uv_async_t waker{};
};

Reactor::Reactor() : impl_(std::make_unique<Impl>()) {}
Reactor::~Reactor() = default;

void Reactor::turn(Wait wait) { uv_run(&impl_->loop, wait == Wait::Block ? UV_RUN_ONCE : UV_RUN_NOWAIT); }

void Reactor::wake() { uv_async_send(&impl_->waker); }

void Watch::Impl::listen_for(int events) {
  if (events == watched) return;
  watched = events;
  if (events == 0) uv_poll_stop(&handle);
  else uv_poll_start(&handle, events, [](uv_poll_t* of, int status, int what) { static_cast<Impl*>(of->data)->ready(status, what); });
}

void Watch::Impl::ready(int status, int events) {
  if (status < 0) {   // an error on the socket: whoever waits finds it there. The loop has stopped watching.
    watched = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  const std::shared_ptr<Watcher> reads = (events & UV_READABLE) != 0 ? std::move(reader) : nullptr;
  const std::shared_ptr<Watcher> writes = (events & UV_WRITABLE) != 0 ? std::move(writer) : nullptr;
  int unasked = 0;
  if ((events & UV_READABLE) != 0 && !reads) unasked |= UV_READABLE;
  if ((events & UV_WRITABLE) != 0 && !writes) unasked |= UV_WRITABLE;
  if ((watched & unasked) != 0) listen_for(watched & ~unasked);
  if (reads) reads->on_readable();
  if (writes && fd >= 0) writes->on_writable();
}

Watch::Watch(Reactor& reactor, int fd) : impl_(new Impl(*reactor.impl_)) {
  if (uv_poll_init(&reactor.impl_->loop, &impl_->handle, fd) != 0) {
    ::close(fd);
    return;
  }
  impl_->handle.data = impl_.get();
  impl_->fd = fd;
}

Watch::~Watch() {
  if (impl_->fd < 0) return;
  Impl* const impl = impl_.release();
  impl->reader.reset();
  impl->writer.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&impl->handle), [](uv_handle_t* of) { delete static_cast<Impl*>(of->data); });
  ::close(std::exchange(impl->fd, -1));
}

int Watch::fd() const { return impl_->fd; }

void Watch::wait_readable(std::shared_ptr<Watcher> watcher) {
  impl_->reader = std::move(watcher);
  impl_->listen_for(impl_->watched | UV_READABLE);
}

void Watch::wait_writable(std::shared_ptr<Watcher> watcher) {
  impl_->writer = std::move(watcher);
  impl_->listen_for(impl_->watched | UV_WRITABLE);
}

}  // namespace halfmoon::runtime
