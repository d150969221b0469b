// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/session.h"

#include "adapter/remoting/broken_header.h"
#include "adapter/remoting/context.h"
#include "adapter/remoting/dispatch.h"
#include "base/log.h"
#include "wire/remoting/text_arena.h"

namespace halfmoon::adapter {

namespace {

/// So many requests that may be answered with 256 KiB or more run in one turn; then it is seen whether the client takes the answers.
constexpr int kLargeAnswersInATurn = 16;

/// From so many sends in a turn on the core is told of them before it makes them.
constexpr std::size_t kForeseenMin = 8;

/// Of the thread and not of the session: what the arena holds is used up before on_data returns, what the decoder remembers serves all
/// connections, and ten thousand idle ones need none.
struct Reading {
  wire::TextArena arena;
  wire::HeaderDecoder headers;
  std::vector<broker::SendPlace> foreseen;   // of the turn being gathered
};
Reading& reading() {
  thread_local Reading of_this_thread;
  return of_this_thread;
}

bool may_answer_much(const Route& route) {
  using wire::RequestCode;
  if (route.code == RequestCode::PullMessage || route.code == RequestCode::LitePullMessage) return true;
  return route.port == Port::Admin || route.port == Port::Readers || route.port == Port::NameServer;
}

}  // namespace

RemotingSession::RemotingSession(Context& context, std::shared_ptr<runtime::Connection> connection)
    : context_(context), channel_(std::make_shared<Channel>(context, std::move(connection))) {}

runtime::Session::Consumed RemotingSession::on_data(Bytes data) {
  Consumed consumed;
  while (consumed.bytes < data.size() && !consumed.close) {
    // What is asked for is answered before more is taken, so that a client which asks much and reads little holds little memory.
    if (large_answers_ >= kLargeAnswersInATurn || (large_answers_ > 0 && channel_->hurried()) || channel_->full()) {
      run_turn();
      consumed.paused = channel_->full();
      if (consumed.paused) break;
    }
    const auto split = wire::split_frame(data.subspan(consumed.bytes), context_.options.frame_bytes_max);
    if (const auto* more = std::get_if<wire::NeedMore>(&split)) {
      consumed.wanted = more->bytes_min;
      break;
    }
    if (const auto* bad = std::get_if<wire::BadFrame>(&split)) {
      note_bad_input("remoting.bad_frame", std::string(bad->reason), &RemotingProbe::bad_frames);
      consumed.bytes = data.size();
      consumed.close = true;
      break;
    }
    const auto& frame = std::get<wire::Frame>(split);
    consumed.bytes += frame.total_bytes;
    consumed.close = take_frame(frame) == Fate::Close;
  }
  run_turn();
  reading().arena.reset();
  return consumed;
}

RemotingSession::Fate RemotingSession::take_frame(const wire::Frame& frame) {
  auto header = reading().headers.decode(frame.type, frame.header, reading().arena);
  if (!header.ok()) return take_broken_header(frame, header.error());
  if (header->is_response()) take_answer(*header);
  else take_request(*header, frame);
  return Fate::Keep;
}

RemotingSession::Fate RemotingSession::take_broken_header(const wire::Frame& frame, const Error& error) {
  note_bad_input("remoting.bad_header", error.text, &RemotingProbe::bad_headers);
  const auto opaque = opaque_of_broken_header(frame.type, frame.header);
  if (!opaque) return Fate::Close;
  if (std::string* out = channel_->out())
    wire::append_frame(*out, wire::response_to(frame.type, *opaque, wire::ResponseCode::SystemError, error.text));
  return Fate::Keep;
}

void RemotingSession::take_request(const wire::Header& header, const wire::Frame& frame) {
  ++requests_;
  channel_->set_language(header.language);
  Ticket ticket(channel_, header, frame.type);
  const Route* route = find_route(header.code);
  if (route == nullptr || (route->port != Port::NameServer && !context_.ports)) {
    ticket.finish(wire::ResponseCode::RequestCodeNotSupported, unsupported_text(header.code));
    steps_.emplace_back([](Turn& turn) { ++turn.context.probe.unsupported; });
    return;
  }
  if (may_answer_much(*route)) ++large_answers_;
  if (CoreStep step = route->handler({header, frame.body, reading().foreseen}, std::move(ticket))) steps_.push_back(std::move(step));
}

void RemotingSession::take_answer(const wire::Header& header) {
  // The views live until the turn is over.
  steps_.emplace_back([id = channel_->id(), header](Turn& turn) { turn.context.registry.answered(id, header.opaque, header.code, header.remark); });
}

void RemotingSession::note_bad_input(std::string_view event, std::string reason, std::int64_t RemotingProbe::*counter) {
  steps_.emplace_back([event, reason = std::move(reason), counter, channel = channel_.get()](Turn& turn) {
    ++(turn.context.probe.*counter);
    const auto held_back = turn.context.bad_input_events.admit(turn.now);
    if (!held_back) return;
    log_event(LogLevel::Warn, event, {{"client", channel->remote_text()}, {"reason", reason}, {"similar_events_held_back", *held_back}});
  });
}

void RemotingSession::run_turn() {
  large_answers_ = 0;
  if (steps_.empty()) return;
  channel_->begin_turn();
  context_.monitor.enter([this](Now now) {
    Turn turn{context_, now};
    ++context_.probe.turns;
    context_.probe.requests += requests_;
    // Here, and not when the connection was made: the core can only say something to a client that has spoken.
    if (!registered_) context_.registry.add(channel_);
    registered_ = true;
    if (reading().foreseen.size() >= kForeseenMin) context_.ports->producing.foresee(reading().foreseen);
    for (CoreStep& step : steps_) step(turn);
  });
  requests_ = 0;
  steps_.clear();
  reading().foreseen.clear();
  channel_->end_turn();
}

void RemotingSession::on_closed() {
  // Kept until the end of this function: it may be the last to hold the connection, and the connection holds this session.
  std::shared_ptr<runtime::Connection> connection;
  if (registered_) {
    context_.monitor.enter([&](Now) {
      connection = channel_->leave();
      context_.registry.remove(channel_->id());
      if (context_.ports) context_.ports->clients.channel_closed(channel_->id());
      context_.name_server.connection_closed(static_cast<std::uint64_t>(channel_->id()));
    });
    registered_ = false;
  } else if (!channel_->gone()) {
    connection = channel_->leave();  // the core never heard of it
  }
}

}  // namespace halfmoon::adapter
