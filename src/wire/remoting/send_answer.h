// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/remoting/frame_writer.h"

namespace halfmoon::wire {

/// What the answer to a send says (spec 3.3).
struct SendAnswer {
  std::string_view message_ids;  // of a batch: all of them, separated by commas
  std::int32_t queue_id = 0;
  std::int64_t queue_offset = 0;
  std::string_view transaction_id;  // the client's unique key
  // Java clients dereference the field map and look for these two (trap 3).
  std::string_view region;
  bool trace_on = true;
};

/// Appends the frame of a successful send's answer. The frame that is written most: it is put together in one go, with the same bytes as
/// FrameWriter's.
void append_send_answer(std::string& out, const FrameStart& start, const SendAnswer& answer);

}  // namespace halfmoon::wire
