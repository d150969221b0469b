// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_links.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <variant>

namespace halfmoon::cli {

namespace {

constexpr std::size_t kScratchBytes = 256u << 10;
constexpr int kConnectTimeoutMs = 5000;

std::string error_text(int error) { return std::strerror(error); }

struct Addresses {
  addrinfo* first = nullptr;
  ~Addresses() {
    if (first != nullptr) freeaddrinfo(first);
  }
};

/// 0, or the errno of what went wrong; `fd` is open only after 0.
int connect_once(const addrinfo& address, int& fd) {
  fd = socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int error = connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd waiting{fd, POLLOUT, 0};
    if (::poll(&waiting, 1, kConnectTimeoutMs) == 1) {
      socklen_t size = sizeof error;
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    } else {
      error = ETIMEDOUT;
    }
  }
  if (error != 0) {
    close(fd);
    fd = -1;
    return error;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return 0;
}

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // if it fails, socket() says so in time
  }
}

Error cannot_connect(const std::string& where, int error) {
  if (error == EMFILE || error == ENFILE) {
    return {ErrorCode::Io, "cannot open more connections to " + where + ": " + error_text(error) + "; raise the limit with `ulimit -n`"};
  }
  return {ErrorCode::Io, "cannot connect to " + where + ": " + error_text(error) +
                             "; start a broker there with `halfmoon server`, or name another one"};
}

}  // namespace

Result<std::unique_ptr<Links>> Links::dial(const std::string& host, std::uint16_t port, std::size_t count) {
  std::unique_ptr<Links> links(new Links);
  links->where_ = host + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  Addresses addresses;
  if (const int why = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses.first); why != 0) {
    return Error{ErrorCode::Io, "cannot find the host " + host + ": " + gai_strerror(why) + "; check its name"};
  }
  if (count > 500) raise_file_limit();
  links->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (links->epoll_ < 0) return cannot_connect(links->where_, errno);
  links->scratch_ = std::make_unique<char[]>(kScratchBytes);
  links->links_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    int error = 0;
    for (const addrinfo* a = addresses.first; a != nullptr; a = a->ai_next) {
      error = connect_once(*a, links->links_[i].fd);
      if (error == 0) break;
    }
    if (error != 0) return cannot_connect(links->where_, error);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (epoll_ctl(links->epoll_, EPOLL_CTL_ADD, links->links_[i].fd, &event) != 0) return cannot_connect(links->where_, errno);
  }
  return links;
}

Links::~Links() {
  for (const Link& link : links_) {
    if (link.fd >= 0) close(link.fd);
  }
  if (epoll_ >= 0) close(epoll_);
}

std::string& Links::out(std::size_t index) {
  Link& link = links_[index];
  if (!link.dirty) {
    link.dirty = true;
    dirty_.push_back(index);
  }
  return link.out;
}

Status Links::watch(std::size_t index, bool for_room) {
  Link& link = links_[index];
  if (link.waits_for_room == for_room) return Done{};
  epoll_event event{};
  event.events = for_room ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = index;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, link.fd, &event) != 0) return Error{ErrorCode::Io, "epoll_ctl: " + error_text(errno)};
  link.waits_for_room = for_room;
  return Done{};
}

Status Links::flush(std::size_t index) {
  Link& link = links_[index];
  while (link.sent < link.out.size()) {
    const ssize_t n = send(link.fd, link.out.data() + link.sent, link.out.size() - link.sent, MSG_NOSIGNAL);
    if (n >= 0) {
      link.sent += static_cast<std::size_t>(n);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Error{ErrorCode::Io, "the connection to " + where_ + " broke: " + error_text(errno)};
    if (link.sent > link.out.size() / 2) {
      link.out.erase(0, link.sent);
      link.sent = 0;
    }
    return watch(index, true);
  }
  link.out.clear();
  link.sent = 0;
  return watch(index, false);
}

Status Links::flush() {
  std::size_t kept = 0;
  for (const std::size_t index : dirty_) {
    Link& link = links_[index];
    // A socket that was full is tried again when poll() says that it has room.
    if (!link.waits_for_room) HM_TRY_STATUS(flush(index));
    link.dirty = unsent_bytes(index) > 0;
    if (link.dirty) dirty_[kept++] = index;
  }
  dirty_.resize(kept);
  return Done{};
}

Status Links::poll(std::chrono::nanoseconds timeout, AnswerSink& sink) {
  std::array<epoll_event, 256> events;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec wait{.tv_sec = seconds.count(), .tv_nsec = (timeout - seconds).count()};
  constexpr int kEvents = std::tuple_size_v<decltype(events)>;
  int n = epoll_pwait2(epoll_, events.data(), kEvents, &wait, nullptr);
  if (n < 0 && (errno == ENOSYS || errno == EPERM)) {   // a kernel before 5.11, or a container that does not know it
    n = epoll_wait(epoll_, events.data(), kEvents, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(timeout).count()));
  }
  if (n < 0) {
    if (errno == EINTR) return Done{};
    return Error{ErrorCode::Io, "waiting for the broker: " + error_text(errno)};
  }
  if (n > 0) sink.on_arrival();
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto index = static_cast<std::size_t>(event.data.u64);
    if ((event.events & EPOLLOUT) != 0) HM_TRY_STATUS(flush(index));
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) HM_TRY_STATUS(receive(index, sink));
  }
  return Done{};
}

Status Links::receive(std::size_t index, AnswerSink& sink) {
  Link& link = links_[index];
  // One read a wake-up: with many connections none is starved, and what is left wakes us at once.
  const ssize_t n = recv(link.fd, scratch_.get(), kScratchBytes, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Done{};
  if (n < 0) return Error{ErrorCode::Io, "the connection to " + where_ + " broke: " + error_text(errno)};
  if (n == 0) return Error{ErrorCode::Io, "the broker at " + where_ + " closed the connection; its log says why"};
  std::string_view input(scratch_.get(), static_cast<std::size_t>(n));
  if (!link.partial.empty()) {
    link.partial.append(input);
    input = link.partial;
  }
  std::size_t used = 0;
  while (used < input.size()) {
    const wire::FrameSplit split = wire::split_frame(as_bytes(input.substr(used)));
    if (std::holds_alternative<wire::NeedMore>(split)) break;
    const auto* frame = std::get_if<wire::Frame>(&split);
    const std::optional<Answer> answer = frame != nullptr ? read_answer(*frame) : std::nullopt;
    if (!answer) return Error{ErrorCode::Io, where_ + " does not speak RocketMQ remoting: is it the broker's port?"};
    if (answer->is_response) sink.on_answer(index, *answer);
    else sink.on_request(index, *answer);
    used += frame->total_bytes;
  }
  if (link.partial.empty()) {
    link.partial.assign(input.substr(used));
  } else {
    link.partial.erase(0, used);
  }
  return Done{};
}

}  // namespace halfmoon::cli
