// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "broker/api.h"
#include "storage/carried.h"
#include "storage/log.h"

namespace halfmoon::broker {

/// The broker's constant properties, which the log does not hold and every served message carries (docs/formats/log.md).
struct ServedConstants {
  std::string region;
  std::string cluster;
  bool trace_on = true;
};

/// Reads messages out of the log for one thread; `log` and `carried` outlive it.
std::unique_ptr<MessageReader> make_message_reader(const storage::Log& log, const storage::CarriedPositions& carried, const ServedConstants& constants);

}  // namespace halfmoon::broker
