// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/channel.h"

#include <chrono>

#include "adapter/remoting/context.h"
#include "adapter/remoting/pull_answer.h"

namespace halfmoon::adapter {
namespace {

/// A pull keeps all others of its thread waiting for a disk that is slow no longer than this; nor, for a while after that, does any.
constexpr std::int64_t kDiskPatienceNs = 500'000;
constexpr std::chrono::microseconds kWithoutPatience{200};

model::HostAddress host_address(const runtime::SocketAddress& socket) {
  model::HostAddress address;
  // An address that is none (a test's, a Unix socket's) becomes 0.0.0.0: it is shown to people only.
  if (!model::parse_ip(socket.ip, address)) address = {};
  address.port = socket.port;
  return address;
}

}  // namespace

void Ticket::finish(wire::ResponseCode code, std::string_view remark) {
  if (one_way_ || channel_->gone()) return;
  if (channel_->on_own_thread()) {
    if (std::string* out = channel_->out()) wire::append_frame(*out, start(code, remark));
    return;
  }
  answer([code, text = std::string(remark)](const Ticket& ticket, std::string& out) { wire::append_frame(out, ticket.start(code, text)); });
}

void Ticket::fail(const Error& error, const ErrorStyle& style) { finish(to_response_code(error.code, style), error.text); }

Channel::Channel(Context& context, std::shared_ptr<runtime::Connection> connection)
    : context_(context), connection_(std::move(connection)), id_(broker::ChannelId{connection_->id()}), born_host_(host_address(connection_->remote())), remote_text_(model::to_string(born_host_)) {
  const RemotingOptions& options = context_.options;
  store_host_ = host_address(connection_->local());
  store_host_.port = options.broker_port;
  if (options.advertised_host.empty()) {
    broker_address_ = model::to_string(store_host_);
    return;
  }
  model::HostAddress advertised;
  if (model::parse_ip(options.advertised_host, advertised)) {
    advertised.port = options.broker_port;
    store_host_ = advertised;
    broker_address_ = model::to_string(advertised);
  } else {
    // A name: clients resolve it. Message ids hold addresses only, so they keep the one that this client uses.
    broker_address_ = options.advertised_host + ":" + std::to_string(options.broker_port);
  }
}

PullTools& Channel::pull_tools() {
  if (!pull_tools_) pull_tools_ = &context_.pull_tools();
  return *pull_tools_;
}

broker::MessageReader& Channel::reader() { return *pull_tools().reader; }
SharedBodies& Channel::shared_bodies() { return pull_tools().bodies; }

void Channel::end_turn() {
  in_turn_ = false;
  if (finished_pulls_.empty()) return;
  for (FinishedPull& pull : finished_pulls_) write_pull(pull);
  finished_pulls_.clear();
}

void Channel::write_pull(FinishedPull& pull) {
  std::string* to = out();
  if (to == nullptr) return;
  const bool brings_messages = pull.result.ok() && !pull.result->extents.empty();
  if (brings_messages && connection_->short_of_memory()) {
    context_.busy_pulls.fetch_add(1, std::memory_order_relaxed);
    return pull.ticket.fail(Error{ErrorCode::Busy, "answers to all clients together hold more memory than they may (maxConnectionBytes); try again"});
  }
  using Clock = std::chrono::steady_clock;
  PullTools& tools = pull_tools();
  if (brings_messages) tools.reader->wait_at_most(Clock::now() < tools.patient_from ? 0 : kDiskPatienceNs);
  if (!write_pull_answer(pull.ticket, pull.result, *to)) {
    tools.patient_from = Clock::now() + kWithoutPatience;
    return write_pull_later(pull);
  }
  if (!brings_messages) return;
  connection_->send_early();
  (void)connection_->short_of_memory();
}

/// In the next turn: others are served meanwhile.
void Channel::write_pull_later(FinishedPull& pull) {
  ++waiting_pulls_;
  post([pull = std::move(pull)]() mutable {
    Channel& channel = pull.ticket.channel();
    --channel.waiting_pulls_;
    channel.write_pull(pull);
  });
}

void Channel::finish_pull(Ticket ticket, Result<broker::PullResult>&& result) {
  if (gone_) return;
  if (on_own_thread() && in_turn_) {
    finished_pulls_.push_back({std::move(ticket), std::move(result)});
    return;
  }
  // From another session's turn: also on this very thread the reading waits until that turn is over.
  post([pull = FinishedPull{std::move(ticket), std::move(result)}]() mutable { pull.ticket.channel().write_pull(pull); });
}

}  // namespace halfmoon::adapter
