// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_stand_in.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <variant>

#include "model/message_image.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::cli {

namespace {

constexpr std::size_t kScratchBytes = 256u << 10;
constexpr std::size_t kQueues = 64;
constexpr std::size_t kMessagesAPull = 32;
constexpr std::uint64_t kListenerId = ~std::uint64_t{0};
constexpr std::uint64_t kStopId = kListenerId - 1;

bool watch(int epoll, int fd, std::uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool is(const Answer& request, wire::RequestCode code) { return request.code == static_cast<std::int32_t>(code); }

}  // namespace

Result<std::unique_ptr<StandIn>> StandIn::start(Behaviour behaviour) {
  std::unique_ptr<StandIn> self(new StandIn);
  self->behaviour_ = behaviour;
  self->queues_.resize(kQueues);
  self->scratch_ = std::make_unique<char[]>(kScratchBytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  self->listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  self->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  self->stop_event_ = eventfd(0, EFD_CLOEXEC);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (self->listener_ < 0 || self->epoll_ < 0 || self->stop_event_ < 0 || bind(self->listener_, any, size) != 0 ||
      listen(self->listener_, 1024) != 0 || getsockname(self->listener_, any, &size) != 0 ||
      !watch(self->epoll_, self->listener_, kListenerId) || !watch(self->epoll_, self->stop_event_, kStopId)) {
    return Error{ErrorCode::Io, std::string("cannot listen on loopback: ") + std::strerror(errno)};
  }
  self->port_ = ntohs(address.sin_port);
  self->thread_ = std::thread([raw = self.get()] { raw->serve(); });
  return self;
}

StandIn::~StandIn() {
  stop();
  for (const int fd : {listener_, epoll_, stop_event_}) {
    if (fd >= 0) close(fd);
  }
}

void StandIn::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  while (write(stop_event_, &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
  for (const auto& client : clients_) drop(*client);
}

void StandIn::serve() {
  std::array<epoll_event, 256> events;
  bool stopping = false;
  for (;;) {
    // Once told to stop, what the clients have sent already is still served.
    const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), stopping ? 0 : -1);
    bool served = false;
    for (int i = 0; i < n; ++i) {
      const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == kStopId) {
        stopping = true;
      } else if (id == kListenerId) {
        accept_one();
      } else {
        served = true;
        receive(static_cast<std::size_t>(id));
      }
    }
    if (stopping && !served) return;
  }
}

void StandIn::accept_one() {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto client = std::make_unique<Client>();
  client->fd = fd;
  if (!watch(epoll_, fd, clients_.size())) return drop(*client);
  clients_.push_back(std::move(client));
}

void StandIn::drop(Client& client) {
  if (client.fd >= 0) close(client.fd);
  client.fd = -1;
}

void StandIn::receive(std::size_t index) {
  Client& client = *clients_[index];
  const ssize_t n = recv(client.fd, scratch_.get(), kScratchBytes, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return drop(client);
  std::string_view input(scratch_.get(), static_cast<std::size_t>(n));
  if (!client.partial.empty()) {
    client.partial.append(input);
    input = client.partial;
  }
  std::size_t used = 0;
  while (used < input.size()) {
    const wire::FrameSplit split = wire::split_frame(as_bytes(input.substr(used)));
    if (std::holds_alternative<wire::BadFrame>(split)) return drop(client);
    const auto* frame = std::get_if<wire::Frame>(&split);
    if (frame == nullptr) break;
    answer(index, *frame);
    used += frame->total_bytes;
  }
  if (client.partial.empty()) {
    client.partial.assign(input.substr(used));
  } else {
    client.partial.erase(0, used);
  }
  if (!behaviour_.mute) send_out(client);
  client.out.clear();
}

void StandIn::send_out(Client& client) {
  // The socket blocks; the bench reads whenever there is something, so this ends.
  std::string_view left = client.out;
  while (!left.empty() && client.fd >= 0) {
    const ssize_t n = send(client.fd, left.data(), left.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return drop(client);
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  client.out.clear();
}

void StandIn::answer(std::size_t client, const wire::Frame& frame) {
  const std::optional<Answer> request = read_answer(frame);
  if (!request) return drop(*clients_[client]);
  if (is(*request, wire::RequestCode::SendMessageV2)) return answer_send(client, *request);
  if (is(*request, wire::RequestCode::EndTransaction)) {
    commits_ += request->number("commitOrRollback") == model::sys_flag::kTransactionCommit ? 1 : 0;
    return;
  }
  if (is(*request, wire::RequestCode::HeartBeat)) ask_about_all(*clients_[client]);
  const std::size_t queue = static_cast<std::size_t>(request->number("queueId")) % kQueues;
  if (is(*request, wire::RequestCode::PullMessage)) {
    return answer_pull({client, queue, request->number("queueOffset"), request->opaque, frame.type});
  }
  wire::FrameWriter out(clients_[client]->out, wire::response_to(frame.type, request->opaque, wire::ResponseCode::Success));
  if (is(*request, wire::RequestCode::GetMaxOffset)) out.number("offset", static_cast<std::int64_t>(queues_[queue].size()));
  if (is(*request, wire::RequestCode::GetMinOffset)) out.number("offset", 0);
  out.finish();
}

void StandIn::ask_about_all(Client& client) {
  for (; asked_ < sends_; ++asked_) {
    wire::FrameWriter check(client.out, wire::one_way(wire::SerializeType::Json, static_cast<std::int32_t>(asked_), wire::RequestCode::CheckTransactionState));
    check.number("tranStateTableOffset", static_cast<std::int64_t>(asked_ + 1));
    check.number("commitLogOffset", 1234);
    check.text("msgId", "K");
    check.text("transactionId", "K");
    check.finish();
  }
}

void StandIn::answer_send(std::size_t client, const Answer& request) {
  std::string& out = clients_[client]->out;
  ++sends_;
  if (behaviour_.refuse_every != 0 && sends_ % behaviour_.refuse_every == 0) {
    wire::append_frame(out, wire::response_to(request.type, request.opaque, wire::ResponseCode::SystemBusy, "told to refuse"));
    return;
  }
  std::size_t queue = 0;
  if (behaviour_.keep == Keep::Messages) queue = keep(request);
  const std::size_t end = behaviour_.keep == Keep::Messages ? queues_[queue].size() : sends_;
  wire::FrameWriter writer(out, wire::response_to(request.type, request.opaque, wire::ResponseCode::Success));
  writer.text("msgId", "7F00000100002A9F00000000000004D2");
  writer.number("queueId", static_cast<std::int64_t>(queue));
  writer.number("queueOffset", static_cast<std::int64_t>(end) - 1);
  writer.text("transactionId", "7F0000012C5E18B4AAC2000000000000");
  writer.finish();
}

std::size_t StandIn::keep(const Answer& request) {
  wire::TextArena arena;
  const Result<wire::Header> header = wire::decode_header(request.type, request.header, arena);
  if (!header.ok()) return 0;
  const Result<wire::SendHeader> send = wire::decode_send(*header);
  if (!send.ok() || send->queue_id < 0) return 0;
  const std::size_t queue = static_cast<std::size_t>(send->queue_id) % kQueues;
  model::MessageFields fields;
  fields.queue_id = send->queue_id;
  fields.queue_offset = static_cast<std::int64_t>(queues_[queue].size());
  fields.topic = send->topic;
  fields.properties = send->properties;
  fields.body = as_text(request.body);
  std::string image(model::image_size(fields), '\0');
  model::encode_image(fields, std::as_writable_bytes(std::span(image.data(), image.size())));
  queues_[queue].push_back(std::move(image));

  std::vector<Parked> waiting;
  waiting.swap(parked_);
  for (const Parked& pull : waiting) {
    answer_pull(pull);
    send_out(*clients_[pull.client]);
  }
  return queue;
}

void StandIn::answer_pull(const Parked& pull) {
  const std::vector<std::string>& queue = queues_[pull.queue];
  const auto first = static_cast<std::size_t>(pull.offset);
  if (first >= queue.size()) {
    parked_.push_back(pull);
    return;
  }
  const std::size_t last = std::min(queue.size(), first + kMessagesAPull);
  std::string& out = clients_[pull.client]->out;
  wire::FrameWriter writer(out, wire::response_to(pull.type, pull.opaque, wire::ResponseCode::Success));
  writer.number("nextBeginOffset", static_cast<std::int64_t>(last));
  writer.number("minOffset", 0);
  writer.number("maxOffset", static_cast<std::int64_t>(queue.size()));
  writer.begin_body();
  for (std::size_t i = first; i < last; ++i) out.append(queue[i]);
  writer.finish();
}

}  // namespace halfmoon::cli
