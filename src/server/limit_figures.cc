// SPDX-License-Identifier: Apache-2.0
#include "server/limit_figures.h"

namespace halfmoon::server {
namespace {

std::string_view name_of(broker::DiskLevel level) {
  switch (level) {
    case broker::DiskLevel::Ok: return "ok";
    case broker::DiskLevel::Tight: return "tight";
    case broker::DiskLevel::Full: return "full";
  }
  return "";
}

}  // namespace

adapter::NamedValues limit_figures(const FigureSources& s) {
  adapter::NamedValues out;
  const auto put = [&out](const char* name, std::int64_t value) { out.emplace_back(name, std::to_string(value)); };
  const runtime::Admission::Refusals refusals = s.admission.refusals();
  put("connections", s.admission.in_all());
  put("connectionsRefusedTooMany", refusals.too_many);
  put("connectionsRefusedOfAddress", refusals.too_many_of_address);
  put("connectionsRefusedNoDescriptor", refusals.out_of_descriptors);
  put("connectionBytes", s.memory.used());
  runtime::ShardCounters shards;
  for (const runtime::Shard* shard : s.shards) {
    const runtime::ShardCounters c = shard->counters();
    shards.closed_idle += c.closed_idle;
    shards.closed_slow += c.closed_slow;
    shards.closed_slow_sender += c.closed_slow_sender;
    shards.closed_foreign += c.closed_foreign;
    shards.paused_for_memory += c.paused_for_memory;
  }
  put("connectionsClosedIdle", shards.closed_idle);
  put("connectionsClosedNotReading", shards.closed_slow);
  put("connectionsClosedFrameTooSlow", shards.closed_slow_sender);
  put("connectionsClosedOtherProtocol", shards.closed_foreign);
  put("connectionsPausedForMemory", shards.paused_for_memory);
  put("pullsRefusedForMemory", s.busy_pulls);
  put("badFrames", s.probe.bad_frames);
  put("badHeaders", s.probe.bad_headers);
  put("unsupportedRequests", s.probe.unsupported);
  put("topics", s.core.topics);
  put("queues", s.core.queues);
  put("groups", s.core.groups);
  put("offsets", s.core.offsets);
  put("groupMembers", s.core.producers + s.core.consumers);
  put("subscriptionBytes", s.core.subscription_bytes);
  put("longPolls", s.core.pulls_waiting);
  put("refused", s.core.refused);
  put("refusedDiskFull", s.core.refused_disk_full);
  put("refusedBusy", s.core.refused_busy);
  put("refusedTopics", s.core.refused_topics);
  put("refusedGroups", s.core.refused_groups);
  put("refusedOffsets", s.core.refused_offsets);
  put("refusedHeartbeats", s.core.refused_heartbeats);
  put("longPollsAnsweredAtOnce", s.core.pulls_not_parked);
  put("diskUsedPercent", s.disk.used_percent);
  out.emplace_back("diskLevel", s.disk.no_segment ? "no space" : name_of(s.disk.level));
  return out;
}

}  // namespace halfmoon::server
