// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "adapter/remoting/channel.h"
#include "broker/api.h"

/// The requests that a broker sends to its clients (specification 3.8). Written as JSON, which every client reads whatever it writes
/// itself.
namespace halfmoon::adapter {

/// 39. Reads the half message: on the connection's thread, outside the core. Errors: as MessageReader::render_half; nothing is appended.
Status write_transaction_check(Channel& channel, const broker::TransactionCheck& check, std::int32_t opaque, std::string& out);
/// 40.
void write_consumer_ids_changed(std::string_view group, std::int32_t opaque, std::string& out);
/// 220, with the body in the form that the client's language reads.
void write_offset_reset(const broker::OffsetReset& reset, std::string_view broker_name, wire::Language language, std::int32_t opaque, std::string& out);
/// 326; the one that is answered.
void write_pushed_reply(const broker::PushedReply& push, std::int32_t opaque, std::string& out);

}  // namespace halfmoon::adapter
