// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.h"
#include "wire/remoting/codes.h"

namespace halfmoon::adapter {

/// RocketMQ answers the same refusal with different codes for different requests; these are the ones that vary.
struct ErrorStyle {
  wire::ResponseCode not_found = wire::ResponseCode::SystemError;
  wire::ResponseCode invalid = wire::ResponseCode::InvalidParameter;
  wire::ResponseCode illegal = wire::ResponseCode::MessageIllegal;
};

/// Requests that ask for something stored: absent is QUERY_NOT_FOUND.
inline constexpr ErrorStyle kQueryStyle{.not_found = wire::ResponseCode::QueryNotFound};
/// Requests whose refusals are all SYSTEM_ERROR with a text (37, 222, 323 and the name server's).
inline constexpr ErrorStyle kPlainStyle{.invalid = wire::ResponseCode::SystemError, .illegal = wire::ResponseCode::SystemError};
/// 324, 325: the push failed.
inline constexpr ErrorStyle kReplyStyle{.illegal = wire::ResponseCode::SystemError};

wire::ResponseCode to_response_code(ErrorCode code, const ErrorStyle& style = {});

}  // namespace halfmoon::adapter
