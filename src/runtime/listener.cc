// SPDX-License-Identifier: Apache-2.0
#include "runtime/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <future>
#include <optional>

#include "base/check.h"
#include "base/log.h"
#include "runtime/alarm.h"
#include "runtime/rate_limited_log.h"

namespace halfmoon::runtime {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsInATurn = 16;
constexpr std::int64_t kPauseMs = 100;

SocketAddress address_of(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET6) {
    const auto& a = reinterpret_cast<const sockaddr_in6&>(storage);
    if (IN6_IS_ADDR_V4MAPPED(&a.sin6_addr)) inet_ntop(AF_INET, &a.sin6_addr.s6_addr[12], text, sizeof text);
    else inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text);
    return {text, ntohs(a.sin6_port)};
  }
  const auto& a = reinterpret_cast<const sockaddr_in&>(storage);
  inet_ntop(AF_INET, &a.sin_addr, text, sizeof text);
  return {text, ntohs(a.sin_port)};
}

Error bind_error(const ListenerOptions& o, int error) {
  const std::string where = "port " + std::to_string(o.port) + (o.purpose.empty() ? "" : " (" + o.purpose + ")");
  const std::string elsewhere = o.port_key.empty() ? "choose another port" : "set " + o.port_key + "=<another port>";
  switch (error) {
    case EADDRINUSE:
      return {ErrorCode::AddressInUse, where + " is taken by another process; stop that one (`ss -ltnp sport = :" + std::to_string(o.port) + "` names it) or " + elsewhere};
    case EACCES:
      return {ErrorCode::AddressInUse, where + " may not be opened by this user (ports below 1024 need a privilege); " + elsewhere};
    case EADDRNOTAVAIL:
      return {ErrorCode::InvalidArgument, "this machine has no address " + o.address + " to listen on; set bindAddress to one of its own, or to 0.0.0.0 for all"};
    default:
      return {ErrorCode::Io, where + ": " + std::strerror(error)};
  }
}

}  // namespace

class Listener::State final : public Watcher, public std::enable_shared_from_this<State> {
 public:
  State(int fd, std::uint16_t port, ListenerOptions options, SessionFactory sessions, std::shared_ptr<Admission> admission)
      : fd_(fd), port_(port), options_(std::move(options)), entrance_(std::make_shared<Entrance>()) {
    entrance_->sessions = std::move(sessions);
    entrance_->http_answer = options_.http_answer;
    entrance_->admission = std::move(admission);
  }
  ~State() override {
    if (spare_fd_ >= 0) ::close(spare_fd_);
    if (fd_ >= 0) ::close(fd_);
  }

  std::uint16_t port() const { return port_; }

  void start(std::vector<Shard*> shards, Clock& clock) {
    shards_ = std::move(shards);
    clock_ = &clock;
    shards_.front()->post([self = shared_from_this()] {
      Reactor& reactor = self->shards_.front()->reactor();
      self->watch_.emplace(reactor, std::exchange(self->fd_, -1));
      self->pause_.emplace(reactor, [state = self.get()] { state->listen_on(); });
      self->listen_on();
    });
  }

  void stop() {
    if (shards_.empty()) {
      if (fd_ >= 0) ::close(std::exchange(fd_, -1));
      return;
    }
    std::promise<void> done;
    shards_.front()->post([this, &done] {
      watch_.reset();
      pause_.reset();
      done.set_value();
    });
    done.get_future().wait();
    shards_.clear();
  }

  void on_readable() override {
    for (int i = 0; i < kAcceptsInATurn && watch_; ++i)
      if (!accept_one()) return;
    // The rest after this turn, so that a flood of connections does not hold up those that are there.
    if (watch_) shards_.front()->post([self = shared_from_this()] { self->listen_on(); });
  }

 private:
  void listen_on() {
    if (watch_ && watch_->fd() >= 0) watch_->wait_readable(shared_from_this());
  }

  /// False if there is nothing more to accept now; the next wait is then set.
  bool accept_one() {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const int fd = accept4(watch_->fd(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      const int error = errno;
      if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) return out_of_descriptors(error);
      if (error == EINTR || error == ECONNABORTED) return true;
      listen_on();  // nothing there, or an error of that one connection
      return false;
    }
    Accepted accepted{fd, address_of(peer), {}, entrance_};
    sockaddr_storage ours{};
    length = sizeof ours;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&ours), &length) == 0) accepted.local = address_of(ours);
    switch (entrance_->admission->enter(accepted.remote.ip)) {
      case Admission::Verdict::Admitted: break;
      case Admission::Verdict::TooMany:
        ::close(fd);
        warn("listener.too_many_connections", accepted.remote.text(), "maxConnections=" + std::to_string(entrance_->admission->limits().in_all));
        return true;
      case Admission::Verdict::TooManyOfAddress:
        ::close(fd);
        warn("listener.too_many_of_one_address", accepted.remote.text(), "maxConnectionsPerAddress=" + std::to_string(entrance_->admission->limits().per_address));
        return true;
    }
    Shard& shard = *shards_[next_.fetch_add(1, std::memory_order_relaxed) % shards_.size()];
    shard.adopt(std::move(accepted));
    return true;
  }

  /// The spare descriptor is given up for the connection, which is closed at once: its peer sees that instead of waiting in the backlog.
  /// True if that went well, and the next may be tried.
  bool out_of_descriptors(int error) {
    entrance_->admission->out_of_descriptors();
    warn("listener.out_of_descriptors", {}, std::string(std::strerror(error)) + "; raise the limit of open files (ulimit -n, LimitNOFILE=) or lower maxConnections");
    if (spare_fd_ >= 0) {
      ::close(spare_fd_);
      const int fd = accept4(watch_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) ::close(fd);
      spare_fd_ = open_spare();
      if (fd >= 0 && spare_fd_ >= 0) return true;
    } else {
      spare_fd_ = open_spare();
    }
    pause_->set_at_latest(clock_->now().mono_ms + kPauseMs);
    return false;
  }

  static int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

  void warn(std::string_view event, std::string_view remote, std::string_view reason) {
    const std::int64_t left_out = refusals_.ask(clock_->now().mono_ms);
    if (left_out >= 0) log_event(LogLevel::Warn, event, {{"port", port_}, {"remote", remote}, {"reason", reason}, {"not_logged_since_last", left_out}});
  }

  static inline std::atomic<std::size_t> next_{0};  // one turn for all listeners, so that few connections still use all shards

  int fd_;
  const std::uint16_t port_;
  const ListenerOptions options_;
  std::shared_ptr<Entrance> entrance_;
  std::vector<Shard*> shards_;
  Clock* clock_ = nullptr;
  std::optional<Watch> watch_;
  std::optional<Alarm> pause_;
  int spare_fd_ = open_spare();
  RateLimitedLog refusals_{10000};
};

Result<std::unique_ptr<Listener>> Listener::open(ListenerOptions options, SessionFactory sessions, std::shared_ptr<Admission> admission) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, options.address.c_str(), &v4.sin_addr) == 1) {
    storage.ss_family = AF_INET;
    v4.sin_port = htons(options.port);
    length = sizeof v4;
  } else if (inet_pton(AF_INET6, options.address.c_str(), &v6.sin6_addr) == 1) {
    storage.ss_family = AF_INET6;
    v6.sin6_port = htons(options.port);
    length = sizeof v6;
  } else {
    return Error{ErrorCode::InvalidArgument, "bindAddress '" + options.address + "' is not an IP address; set it to one of this machine's, or to 0.0.0.0 for all"};
  }
  const int fd = ::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{ErrorCode::Io, std::string("no socket to listen on: ") + std::strerror(errno)};
  const int on = 1, off = 0;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (storage.ss_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0 || ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    return bind_error(options, error);
  }
  sockaddr_storage bound{};
  length = sizeof bound;
  HM_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0);
  const std::uint16_t port = address_of(bound).port;
  return std::unique_ptr<Listener>(new Listener(std::make_shared<State>(fd, port, std::move(options), std::move(sessions), std::move(admission))));
}

Listener::Listener(std::shared_ptr<State> state) : state_(std::move(state)) {}
Listener::~Listener() { stop(); }
void Listener::start(std::vector<Shard*> shards, Clock& clock) { state_->start(std::move(shards), clock); }
void Listener::stop() { state_->stop(); }
std::uint16_t Listener::port() const { return state_->port(); }

}  // namespace halfmoon::runtime
