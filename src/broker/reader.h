// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
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

/// What readers share with the core, which alone changes it; all of it outlives them.
struct ReaderSources {
  const storage::Log& log;
  const storage::CarriedPositions& carried;
  /// The core knows the names of half messages at or above it; below, a verdict may have been forgotten.
  const std::atomic<storage::Position>& halves_known_from;
};

/// Reads messages out of the log for one thread.
std::unique_ptr<MessageReader> make_message_reader(const ReaderSources& sources, const ServedConstants& constants);

}  // namespace halfmoon::broker
