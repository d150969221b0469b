// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/errors.h"

namespace halfmoon::adapter {

wire::ResponseCode to_response_code(ErrorCode code, const ErrorStyle& style) {
  using wire::ResponseCode;
  switch (code) {
    case ErrorCode::Internal: return ResponseCode::SystemError;
    case ErrorCode::InvalidArgument: return style.invalid;
    case ErrorCode::MessageIllegal: return style.illegal;
    case ErrorCode::TopicNotFound: return ResponseCode::TopicNotExist;
    case ErrorCode::GroupNotFound: return ResponseCode::SubscriptionGroupNotExist;
    case ErrorCode::NoPermission: return ResponseCode::NoPermission;
    case ErrorCode::NotWritable: return ResponseCode::ServiceNotAvailable;
    case ErrorCode::Busy: return ResponseCode::SystemBusy;
    case ErrorCode::NotFound: return style.not_found;
    case ErrorCode::SubscriptionNotFound: return ResponseCode::SubscriptionNotExist;
    case ErrorCode::SubscriptionOutdated: return ResponseCode::SubscriptionNotLatest;
    case ErrorCode::SubscriptionInvalid: return ResponseCode::SubscriptionParseFailed;
    case ErrorCode::ConsumerOffline: return ResponseCode::ConsumerNotOnline;
    case ErrorCode::IllegalOperation: return ResponseCode::IllegalOperation;
    case ErrorCode::NotSupported: return ResponseCode::SystemError;
    case ErrorCode::DiskFull: return ResponseCode::ServiceNotAvailable;
    case ErrorCode::Io: return ResponseCode::SystemError;
    case ErrorCode::Corrupt: return ResponseCode::SystemError;
    case ErrorCode::AddressInUse: return ResponseCode::SystemError;
    case ErrorCode::Locked: return ResponseCode::SystemError;
  }
  return ResponseCode::SystemError;
}

}  // namespace halfmoon::adapter
