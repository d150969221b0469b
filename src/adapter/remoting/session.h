// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "adapter/remoting/channel.h"
#include "adapter/remoting/handlers.h"
#include "runtime/connection.h"

namespace halfmoon::adapter {

/// What the remoting protocol makes of one connection's bytes. All frames that one read brought are decoded first, enter the core in
/// one turn, and their answers leave in one write. Lives on the connection's shard; what outlives it is the Channel.
class RemotingSession final : public runtime::Session {
 public:
  RemotingSession(Context& context, std::shared_ptr<runtime::Connection> connection);

  Consumed on_data(Bytes data) override;
  void on_closed() override;

 private:
  enum class Fate : std::uint8_t { Keep, Close };

  Fate take_frame(const wire::Frame& frame);
  Fate take_broken_header(const wire::Frame& frame, const Error& error);
  void take_request(const wire::Header& header, const wire::Frame& frame);
  /// An answer to a request of ours.
  void take_answer(const wire::Header& header);
  void note_bad_input(std::string_view event, std::string reason, std::int64_t RemotingProbe::*counter);
  void run_turn();

  Context& context_;
  std::shared_ptr<Channel> channel_;
  std::vector<CoreStep> steps_;  // of the turn being gathered; kept for its memory
  std::int64_t requests_ = 0;    // of the turn being gathered
  int large_answers_ = 0;        // of those, may be
  bool registered_ = false;
};

}  // namespace halfmoon::adapter
