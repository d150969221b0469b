// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "cli/bench.h"
#include "cli/bench_stand_in.h"

namespace halfmoon::cli::testing {

inline std::unique_ptr<StandIn> stand_in(StandIn::Behaviour behaviour = {}) {
  Result<std::unique_ptr<StandIn>> started = StandIn::start(behaviour);
  EXPECT_TRUE(started.ok());
  return std::move(started).value();
}

/// A run that is over at once.
inline BenchOptions tiny(BenchScenario scenario, const StandIn& broker) {
  BenchOptions options;
  options.scenario = scenario;
  options.port = broker.port();
  options.messages = 500;
  options.warmup = 50;
  options.in_flight = 8;
  options.queues = 3;
  options.body_bytes = 100;
  options.timeout_s = 10;
  return options;
}

inline std::string error_of(const Result<BenchResult>& result) { return result.ok() ? "" : result.error().text; }

}  // namespace halfmoon::cli::testing
