// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/settings.h"
#include "server/store.h"

namespace halfmoon::server {

/// One process: name server and broker with their store, threads and ports. Made, started, stopped by one thread.
class BrokerProcess {
 public:
  explicit BrokerProcess(Settings settings);
  ~BrokerProcess();

  struct Started {
    std::uint16_t name_server_port = 0, broker_port = 0, vip_port = 0;   // vip 0: not listening there
    std::vector<std::string> warnings;
    Recovered recovered;
    bool new_store = false;
    std::int64_t topics = 0, groups = 0, halves_pending = 0;
    std::int64_t io_threads = 0;
  };
  /// Takes the ports, opens and recovers the store, and serves. On an error nothing was changed on disk that a later start would not
  /// find in order. Errors: AddressInUse, Locked, InvalidArgument, DiskFull, Corrupt, Io; each text is a line for a person.
  Result<Started> start();

  /// In order: ports closed, new work refused, what was accepted made safe and answered, connections ended, snapshot written. False if
  /// some peer did not take its answers in time; the store is in order all the same.
  bool stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace halfmoon::server
