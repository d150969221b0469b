// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace halfmoon {

/// Why something was refused or failed. A code exists only where some caller reacts to it; the text in `Error` says what
/// happened, why, and the cure. Each protocol adapter maps these to its own codes in one exhaustive switch.
enum class ErrorCode : std::uint8_t {
  Internal,              // our bug, or a failure with no better word
  InvalidArgument,       // a name, number or header field that cannot be right
  MessageIllegal,        // body, properties or batch outside the limits, or a combination that makes no sense
  TopicNotFound,
  GroupNotFound,
  NoPermission,          // topic not readable/writable, group disabled, reserved topic
  NotWritable,           // store read-only: disk full, shutting down
  Busy,                  // a budget is used up for now; try again
  NotFound,              // an offset, message or key that is not there
  SubscriptionNotFound,  // the group is not connected, or does not subscribe to the topic
  SubscriptionOutdated,  // the broker knows an older version of the subscription
  SubscriptionInvalid,   // the filter expression cannot be parsed
  ConsumerOffline,
  IllegalOperation,      // contradicts a verdict that is final
  NotSupported,
  DiskFull,              // no space left; heals when there is some again
  Io,                    // the disk refused
  Corrupt,               // stored bytes that do not validate
  AddressInUse,
  Locked,                // another process holds the data directory
};

/// The code's name for logs, e.g. "topic_not_found".
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string text;  // a sentence for a person, with the cure where there is one
};

}  // namespace halfmoon
