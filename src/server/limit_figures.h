// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "adapter/remoting/options.h"
#include "adapter/remoting/probe.h"
#include "broker/api.h"
#include "runtime/admission.h"
#include "runtime/memory_budget.h"
#include "runtime/shard.h"
#include "server/janitor.h"

namespace halfmoon::server {

/// Where the figures come from.
struct FigureSources {
  broker::CoreCounters core;
  const adapter::RemotingProbe& probe;
  std::int64_t busy_pulls = 0;
  std::vector<runtime::Shard*> shards;
  const runtime::Admission& admission;
  const runtime::MemoryBudget& memory;
  Janitor::DiskState disk;
};

/// What is bounded, how much of it is in use, and how often each limit was met: names and values of the broker's runtime information
/// (code 28), as docs/operating.md lists them under "Limits".
adapter::NamedValues limit_figures(const FigureSources& sources);

}  // namespace halfmoon::server
