// SPDX-License-Identifier: Apache-2.0
#include "runtime/reactor.h"

#include <unistd.h>

// A context is turned by one thread and its handlers hand nothing to another: no fences around them (ThreadSanitizer knows none).
#define BOOST_ASIO_DISABLE_FENCED_BLOCK
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

namespace halfmoon::runtime {

namespace asio = boost::asio;

struct Reactor::Impl {
  asio::io_context context{1};  // one thread turns it; posting from others stays safe
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

Reactor::Reactor() : impl_(std::make_unique<Impl>()) {}
Reactor::~Reactor() = default;

void Reactor::turn(Wait wait) {
  if (wait == Wait::Block) impl_->context.run_one();
  // Ends by itself: a watcher asks for its next event after the turn, so each comes at most once here.
  while (impl_->context.poll_one() != 0) {
  }
}

void Reactor::wake() {
  asio::post(impl_->context, [] {});
}

struct Watch::Impl {
  asio::posix::stream_descriptor descriptor;
};

Watch::Watch(Reactor& reactor, int fd) : impl_(new Impl{asio::posix::stream_descriptor(reactor.impl_->context)}) {
  boost::system::error_code refused;
  impl_->descriptor.assign(fd, refused);
  if (refused) ::close(fd);
}

Watch::~Watch() {
  boost::system::error_code ignored;
  impl_->descriptor.close(ignored);
}

int Watch::fd() const { return impl_->descriptor.is_open() ? impl_->descriptor.native_handle() : -1; }

void Watch::wait_readable(std::shared_ptr<Watcher> watcher) {
  impl_->descriptor.async_wait(asio::posix::descriptor_base::wait_read, [watcher = std::move(watcher)](const boost::system::error_code& error) {
    if (!error) watcher->on_readable();
  });
}

void Watch::wait_writable(std::shared_ptr<Watcher> watcher) {
  impl_->descriptor.async_wait(asio::posix::descriptor_base::wait_write, [watcher = std::move(watcher)](const boost::system::error_code& error) {
    if (!error) watcher->on_writable();
  });
}

}  // namespace halfmoon::runtime
