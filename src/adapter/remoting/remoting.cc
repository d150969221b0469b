// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/remoting.h"

#include "adapter/remoting/client_frames.h"
#include "adapter/remoting/context.h"
#include "adapter/remoting/session.h"
#include "base/log.h"

namespace halfmoon::adapter {
namespace {

/// Runs `write(channel, out)` on the connection's thread; the caller is inside the core and must not wait.
template <class F>
void post_to(const std::shared_ptr<Channel>& channel, F write) {
  channel->post([channel, write = std::move(write)]() mutable {
    if (std::string* out = channel->out()) write(*channel, *out);
  });
}

}  // namespace

Remoting::Remoting(runtime::Monitor& monitor, nameserver::NameServer& name_server, RemotingOptions options)
    : context_(std::make_unique<Context>(monitor, name_server, std::move(options))) {}
Remoting::~Remoting() = default;

void Remoting::serve(const BrokerPorts& ports) { context_->ports.emplace(ports); }
void Remoting::set_broker_port(std::uint16_t port) { context_->options.broker_port = port; }

runtime::SessionFactory Remoting::broker_sessions() {
  return [this](std::shared_ptr<runtime::Connection> connection) { return std::make_unique<RemotingSession>(*context_, std::move(connection)); };
}
// Nothing in the protocol depends on the port: a client that asks a broker for a route, or a tool that asks a name server for a topic's
// statistics, gets its answer.
runtime::SessionFactory Remoting::name_server_sessions() { return broker_sessions(); }

const RemotingProbe& Remoting::probe() const { return context_->probe; }
std::int64_t Remoting::busy_pulls() const { return context_->busy_pulls.load(std::memory_order_relaxed); }
void Remoting::tick(Now now) { context_->registry.tick(now); }

// ------------------------------------------------------------------------------------------------ what the core says to clients

void Remoting::check_transaction(const broker::TransactionCheck& check) {
  const auto channel = context_->registry.find(check.channel);
  if (!channel) {
    ++context_->probe.push_unreachable;
    return;
  }
  ++context_->probe.pushed;
  post_to(channel, [check, opaque = context_->registry.next_opaque()](Channel& to, std::string& out) {
    const Status status = write_transaction_check(to, check, opaque, out);
    if (status.ok()) return;
    // Each check is logged only once per its interval, so this needs no limiter.
    log_event(LogLevel::Error, "transaction.check_unreadable", {{"position", check.half_position}, {"reason", status.error().text}});
  });
}

void Remoting::consumer_ids_changed(broker::ChannelId id, const std::string& group) {
  const auto channel = context_->registry.find(id);
  if (!channel) {
    ++context_->probe.push_unreachable;
    return;
  }
  ++context_->probe.pushed;
  post_to(channel, [group = std::string(group), opaque = context_->registry.next_opaque()](Channel&, std::string& out) { write_consumer_ids_changed(group, opaque, out); });
}

void Remoting::reset_offset(const broker::OffsetReset& reset) {
  const auto channel = context_->registry.find(reset.channel);
  if (!channel) {
    ++context_->probe.push_unreachable;
    return;
  }
  ++context_->probe.pushed;
  post_to(channel, [reset = broker::OffsetReset(reset), opaque = context_->registry.next_opaque()](Channel& to, std::string& out) {
    write_offset_reset(reset, to.context().options.broker_name, to.language(), opaque, out);
  });
}

void Remoting::push_reply(const broker::PushedReply& message, Reply<Done> reply) {
  const auto channel = context_->registry.find(message.channel);
  if (!channel) {
    ++context_->probe.push_unreachable;
    reply(Error{ErrorCode::NotFound, "the client's connection is gone"});
    return;
  }
  ++context_->probe.pushed;
  const std::int32_t opaque = context_->registry.next_opaque();
  // Written here: the message's views end with this call.
  std::string frame;
  write_pushed_reply(message, opaque, frame);
  context_->registry.await(message.channel, opaque, std::move(reply));
  post_to(channel, [frame = std::move(frame)](Channel&, std::string& out) { out.append(frame); });
}

// -------------------------------------------------------------------------------------------------- this process's own broker

void Remoting::register_topics(std::vector<model::TopicConfig> topics, const model::DataVersion& version) {
  nameserver::Registration registration;
  registration.cluster = context_->options.cluster;
  registration.broker_name = context_->options.broker_name;
  registration.address = nameserver::kOwnAddress;
  registration.own = true;
  registration.version = version;
  registration.topics = std::move(topics);
  // The time does not matter: the own broker does not expire.
  const auto result = context_->name_server.register_broker(registration, Now{});
  if (!result.ok()) log_event(LogLevel::Error, "nameserver.own_registration_refused", {{"reason", result.error().text}});
}

void Remoting::register_own(const std::vector<model::TopicConfig>& topics, const model::DataVersion& version) {
  register_topics(topics, version);
  registered_ = true;
}

void Remoting::topic_changed(const model::TopicConfig& config, const model::DataVersion& version) {
  if (registered_) register_topics({config}, version);
}

void Remoting::topic_deleted(const std::string& topic, const model::DataVersion&) {
  if (registered_) context_->name_server.delete_topic_of_broker(topic, context_->options.broker_name);
}

}  // namespace halfmoon::adapter
