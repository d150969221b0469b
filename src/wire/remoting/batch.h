// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace halfmoon::wire {

inline constexpr std::size_t kBatchItemsMax = 1024;

/// One message of a batch; the views point into the batch body.
struct BatchItem {
  std::int32_t flag = 0;
  Bytes body;
  std::string_view properties;  // spec 2.5, undecoded
};

/// Takes the body of a batch send apart (spec 2.6). MessageIllegal: no message, more than kBatchItemsMax, or lengths that do not
/// add up. Magic and checksum are not looked at: senders leave them 0.
Result<std::vector<BatchItem>> split_batch(Bytes body);

}  // namespace halfmoon::wire
