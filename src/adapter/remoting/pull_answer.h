// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "adapter/remoting/channel.h"
#include "broker/api.h"

namespace halfmoon::adapter {

/// Appends the answer to a PULL (specification 3.4), reading the messages' bodies. On the connection's own thread, outside the core.
/// A message that cannot be read ends the answer before it; the client asks again from there. False: nothing was appended, because the disk has not brought
/// the first message yet (MessageReader::wait_at_most).
bool write_pull_answer(const Ticket& ticket, const Result<broker::PullResult>& result, std::string& out);

}  // namespace halfmoon::adapter
