// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapter/remoting/errors.h"
#include "adapter/remoting/options.h"
#include "broker/api.h"
#include "model/host_address.h"
#include "runtime/connection.h"
#include "wire/remoting/frame_writer.h"
#include "wire/remoting/header.h"

namespace halfmoon::adapter {

struct Context;
struct PullTools;
class Channel;
class SharedBodies;

/// The right to answer one request, once or never (one-way). Used on the connection's own thread, or inside the core's monitor on whichever
/// thread is there: then the answer is posted. Small, because a core's Reply holds it in 48 bytes.
class Ticket {
 public:
  Ticket(std::shared_ptr<Channel> channel, const wire::Header& header, wire::SerializeType type)
      : channel_(std::move(channel)), opaque_(header.opaque), type_(type), one_way_(header.is_one_way()) {}
  Ticket(Ticket&&) noexcept = default;
  Ticket& operator=(Ticket&&) noexcept = default;

  Channel& channel() const { return *channel_; }
  bool one_way() const { return one_way_; }
  /// How the answer's frame begins.
  wire::FrameStart start(wire::ResponseCode code = wire::ResponseCode::Success, std::string_view remark = {}) const {
    return wire::response_to(type_, opaque_, code, remark);
  }

  /// An answer without fields and body.
  void finish(wire::ResponseCode code = wire::ResponseCode::Success, std::string_view remark = {});
  void fail(const Error& error, const ErrorStyle& style = {});
  /// `write(ticket, out)` appends the answer's frame; it runs on the connection's thread, now or later, so it owns what it needs.
  template <class F>
  void answer(F write);

 private:
  std::shared_ptr<Channel> channel_;
  std::int32_t opaque_;
  wire::SerializeType type_;
  bool one_way_;
};

/// What of a session lives on for late answers: the way to its connection, and who is at its other end. Shared by the session and by
/// every answer under way. Who may call what, and where, stands above each group.
class Channel {
 public:
  Channel(Context& context, std::shared_ptr<runtime::Connection> connection);

  Context& context() const { return context_; }
  broker::ChannelId id() const { return id_; }
  const model::HostAddress& born_host() const { return born_host_; }      // the client's end
  const model::HostAddress& store_host() const { return store_host_; }    // ours, as this client reaches the broker
  const std::string& broker_address() const { return broker_address_; }   // the same as "host:port" for routes
  const std::string& remote_text() const { return remote_text_; }

  // ---- inside the core's monitor, or on the own thread
  bool gone() const { return gone_; }
  bool on_own_thread() const { return connection_->on_own_thread(); }   // not if gone
  void post(runtime::Task task) { connection_->post(std::move(task)); }  // not if gone

  // ---- inside the monitor and on the own thread
  /// The connection ends: answers lead nowhere from now on, and nothing of the runtime's is touched or kept alive by them any more. Gives
  /// the connection to let go of.
  std::shared_ptr<runtime::Connection> leave() {
    gone_ = true;
    return std::move(connection_);
  }

  // ---- own thread
  /// Where answers are appended; nullptr if there is nobody left to read them.
  std::string* out() { return gone_ || connection_->closed() ? nullptr : &connection_->out(); }
  /// The client has not taken so much of what it asked for that nothing more should be done for it now.
  bool full() const { return waiting_pulls_ >= kWaitingPullsMax || (!gone_ && connection_->full()); }
  /// Others wait: large answers one at a time.
  bool hurried() const { return !gone_ && connection_->hurried(); }
  wire::Language language() const { return language_; }
  void set_language(wire::Language language) { language_ = language; }
  broker::MessageReader& reader();
  SharedBodies& shared_bodies();
  /// These leave behind what out() holds now.
  void send_shared(std::shared_ptr<const runtime::SharedBytes> bytes) { connection_->send_shared(std::move(bytes)); }   // not if gone
  /// Between these two, answers to pulls are kept and rendered by the second, because reading bodies inside the core would make all
  /// other connections wait.
  void begin_turn() { in_turn_ = true; }
  void end_turn();

  // ---- inside the monitor
  void finish_pull(Ticket ticket, Result<broker::PullResult>&& result);

 private:
  static constexpr int kWaitingPullsMax = 16;
  struct FinishedPull;
  PullTools& pull_tools();
  void write_pull(FinishedPull& pull);
  void write_pull_later(FinishedPull& pull);
  struct FinishedPull {
    Ticket ticket;
    Result<broker::PullResult> result;
  };

  Context& context_;
  std::shared_ptr<runtime::Connection> connection_;
  broker::ChannelId id_;
  bool gone_ = false;  // written inside the monitor on the own thread, so read in either without a lock
  model::HostAddress born_host_, store_host_;
  std::string broker_address_, remote_text_;
  wire::Language language_ = wire::Language::Other;
  PullTools* pull_tools_ = nullptr;   // the thread's
  bool in_turn_ = false;
  std::vector<FinishedPull> finished_pulls_;
  int waiting_pulls_ = 0;                // for the disk
};

template <class F>
void Ticket::answer(F write) {
  if (one_way_ || channel_->gone()) return;
  if (channel_->on_own_thread()) {
    if (std::string* out = channel_->out()) write(*this, *out);
    return;
  }
  Channel& channel = *channel_;
  channel.post([ticket = std::move(*this), write = std::move(write)]() mutable {
    if (std::string* out = ticket.channel().out()) write(ticket, *out);
  });
}

}  // namespace halfmoon::adapter
