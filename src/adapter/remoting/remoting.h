// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "adapter/remoting/options.h"
#include "adapter/remoting/probe.h"
#include "broker/api.h"
#include "model/topic.h"
#include "nameserver/api.h"
#include "runtime/connection.h"
#include "runtime/monitor.h"

namespace halfmoon::adapter {

struct Context;

/// RocketMQ's remoting protocol for one broker and the name server beside it: makes a session for each connection, carries what the
/// core says to clients (Outbound), and tells the name server of this process which topics its broker has (TopicListener).
///
/// The core wants its Outbound when it is made, and this class wants the core's ports, so it comes to life in two steps:
///
///     Remoting remoting(monitor, name_server, options);
///     Core core(log, random, remoting, remoting, core_options);
///     remoting.serve({core, core, core, core, core, core, core});   // before the first session
///     monitor.enter([&](Now) { core.start(); remoting.register_own(core.topics(), core.topics_version()); });
///
/// Outlives the core and every connection. All state that threads share is touched inside the monitor only.
class Remoting final : public broker::Outbound, public broker::TopicListener {
 public:
  Remoting(runtime::Monitor& monitor, nameserver::NameServer& name_server, RemotingOptions options);
  ~Remoting() override;
  Remoting(const Remoting&) = delete;
  Remoting& operator=(const Remoting&) = delete;

  void serve(const BrokerPorts& ports);
  /// The port that the broker's listener really has, for those that asked for port 0. Before the first session.
  void set_broker_port(std::uint16_t port);

  /// Sessions for the broker's listeners and for the name server's. Both answer all codes: this process is both.
  runtime::SessionFactory broker_sessions();
  runtime::SessionFactory name_server_sessions();

  // ---- inside the core's monitor

  /// Registers this broker with all its topics (at least two: see RouteTable) at the name server. Until then changes of single topics are not
  /// passed on. Called once, after the core has started.
  void register_own(const std::vector<model::TopicConfig>& topics, const model::DataVersion& version);
  /// Gives up requests to clients that were not answered in time. Called about every second.
  void tick(Now now);
  const RemotingProbe& probe() const;
  /// Pulls answered with SYSTEM_BUSY because memory was short; any thread.
  std::int64_t busy_pulls() const;

  void check_transaction(const broker::TransactionCheck& check) override;
  void consumer_ids_changed(broker::ChannelId channel, const std::string& group) override;
  void push_reply(const broker::PushedReply& message, Reply<Done> reply) override;
  void reset_offset(const broker::OffsetReset& reset) override;

  void topic_changed(const model::TopicConfig& config, const model::DataVersion& version) override;
  void topic_deleted(const std::string& topic, const model::DataVersion& version) override;

 private:
  void register_topics(std::vector<model::TopicConfig> topics, const model::DataVersion& version);

  std::unique_ptr<Context> context_;
  bool registered_ = false;
};

}  // namespace halfmoon::adapter
