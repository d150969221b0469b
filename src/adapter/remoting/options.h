// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "broker/api.h"

namespace halfmoon::adapter {

using NamedValues = std::vector<std::pair<std::string, std::string>>;

/// What this protocol tells clients about the broker; from the configuration.
struct RemotingOptions {
  std::string broker_name = "broker-a";
  std::string cluster = "DefaultCluster";
  std::uint16_t broker_port = 10911;        // what routes and message ids name, also for connections over the alias port
  std::string advertised_host;              // brokerIP1; empty: the address on which the asking client's connection came in
  std::int32_t version = 479;               // ordinal of the RocketMQ release we claim to be: 5.3.3
  std::string region = "DefaultRegion";     // MSG_REGION in answers to sends
  bool trace_on = true;                     // TRACE_ON in answers to sends
  std::size_t frame_bytes_max = (16u << 20) + 4;
  /// The configuration as `key -> value`, for code 26. Called on an I/O thread, outside the core; may be empty.
  std::function<NamedValues()> config;
  /// More values for code 28, over those that the adapter knows. Called inside the core; may be empty.
  std::function<NamedValues()> runtime_info;
};

/// The core's ports.
struct BrokerPorts {
  broker::Producing& producing;
  broker::Transactions& transactions;
  broker::Consuming& consuming;
  broker::Clients& clients;
  broker::Admin& admin;
  broker::MessageReaders& readers;
  broker::TransactionOperations& operations;
};

}  // namespace halfmoon::adapter
