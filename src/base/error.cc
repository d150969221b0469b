// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

namespace halfmoon {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::Internal: return "internal";
    case ErrorCode::InvalidArgument: return "invalid_argument";
    case ErrorCode::MessageIllegal: return "message_illegal";
    case ErrorCode::TopicNotFound: return "topic_not_found";
    case ErrorCode::GroupNotFound: return "group_not_found";
    case ErrorCode::NoPermission: return "no_permission";
    case ErrorCode::NotWritable: return "not_writable";
    case ErrorCode::Busy: return "busy";
    case ErrorCode::NotFound: return "not_found";
    case ErrorCode::SubscriptionNotFound: return "subscription_not_found";
    case ErrorCode::SubscriptionOutdated: return "subscription_outdated";
    case ErrorCode::SubscriptionInvalid: return "subscription_invalid";
    case ErrorCode::ConsumerOffline: return "consumer_offline";
    case ErrorCode::IllegalOperation: return "illegal_operation";
    case ErrorCode::NotSupported: return "not_supported";
    case ErrorCode::DiskFull: return "disk_full";
    case ErrorCode::Io: return "io";
    case ErrorCode::Corrupt: return "corrupt";
    case ErrorCode::AddressInUse: return "address_in_use";
    case ErrorCode::Locked: return "locked";
  }
  return "internal";
}

}  // namespace halfmoon
