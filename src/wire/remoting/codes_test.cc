// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/codes.h"

#include <gtest/gtest.h>

namespace halfmoon::wire {
namespace {

TEST(Codes, NamesAreThoseOfTheTable) {
  EXPECT_EQ(request_code_name(10), "SEND_MESSAGE");
  EXPECT_EQ(request_code_name(310), "SEND_MESSAGE_V2");
  EXPECT_EQ(request_code_name(37), "END_TRANSACTION");
  EXPECT_EQ(request_code_name(1013), "CONTROLLER_APPLY_BROKER_ID");
  EXPECT_EQ(request_code_name(200151), "BATCH_ACK_MESSAGE");
}

TEST(Codes, WhatIsNotInTheTableHasNoName) {
  for (const int code : {-1, 0, 9, 16, 330, 1014, 200152}) EXPECT_EQ(request_code_name(code), std::nullopt) << code;
}

TEST(Codes, NumbersOfTheProtocol) {
  EXPECT_EQ(static_cast<int>(RequestCode::PullMessage), 11);
  EXPECT_EQ(static_cast<int>(RequestCode::CheckTransactionState), 39);
  EXPECT_EQ(static_cast<int>(ResponseCode::TopicNotExist), 17);
  EXPECT_EQ(static_cast<int>(ResponseCode::RpcTimeOut), -1006);
}

}  // namespace
}  // namespace halfmoon::wire
