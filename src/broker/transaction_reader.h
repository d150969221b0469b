// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "broker/api.h"
#include "storage/carried.h"
#include "storage/log.h"

namespace halfmoon::broker {

/// Reads half messages and their histories out of the log for one thread; `log` and `carried` outlive it.
std::unique_ptr<TransactionReader> make_log_transaction_reader(const storage::Log& log, const storage::CarriedPositions& carried);

}  // namespace halfmoon::broker
