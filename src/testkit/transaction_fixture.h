// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "testkit/core_fixture.h"

namespace halfmoon::testkit {

/// A core that parks a half message after three answers.
class Transaction : public CoreFixture {
 public:
  Transaction() { options.check_max = 3; }
};

}  // namespace halfmoon::testkit
