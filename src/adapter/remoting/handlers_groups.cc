// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "adapter/remoting/handlers.h"
#include "adapter/remoting/paging.h"
#include "adapter/remoting/translate.h"
#include "model/names.h"
#include "wire/remoting/bodies.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

/// The topics that code 208 is about: `a;b;c`, or one, or "" for all.
std::vector<std::string_view> asked_topics(const wire::ConsumeStatsHeader& header) {
  std::vector<std::string_view> topics;
  std::string_view list = header.topic_list;
  while (!list.empty()) {
    const std::size_t end = list.find(';');
    if (const std::string_view topic = list.substr(0, end); !topic.empty()) topics.push_back(topic);
    list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
  }
  if (topics.empty()) topics.push_back(header.topic);
  return topics;
}

wire::QueueConsumeStats to_stats(const broker::ConsumeProgress& progress, const std::string& broker_name) {
  return {.queue = {progress.topic, broker_name, progress.queue_id},
          .broker_offset = progress.broker_offset,
          .consumer_offset = std::max<std::int64_t>(progress.consumer_offset, 0),
          .pull_offset = std::max<std::int64_t>(progress.pull_offset, 0),
          .last_timestamp_ms = std::max<std::int64_t>(progress.last_store_ms, 0)};
}

}  // namespace

CoreStep put_group(const Request& request, Ticket ticket) {
  auto config = wire::parse_subscription_group(request.body);
  if (!config.ok()) return refuse(ticket, config.error());
  if (auto status = model::validate_group(config->group); !status.ok()) {
    ticket.fail(status.error());
    return {};
  }
  return [group = std::make_unique<model::GroupConfig>(to_model(*config)), ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().admin.put_group(*group, plain_reply(std::move(ticket)));
  };
}

CoreStep delete_group(const Request& request, Ticket ticket) {
  auto header = wire::decode_delete_group(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [gone = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().admin.delete_group(gone.group, gone.clean_offset, plain_reply(std::move(ticket)));
  };
}

CoreStep all_groups(const Request& request, Ticket ticket) {
  auto page = decode_page(request.header, "groupSeq", "maxGroupNum");
  if (!page.ok()) return refuse(ticket, page.error());
  return [page = *page, ticket = std::move(ticket)](Turn& turn) mutable {
    auto groups = turn.ports().admin.groups();
    if (groups.empty()) return ticket.finish(wire::ResponseCode::SystemError, "No subscription group in this broker");
    const model::DataVersion version = turn.ports().admin.groups_version();
    const std::size_t total = groups.size();
    std::vector<wire::SubscriptionGroupConfig> configs;
    for (const model::GroupConfig& group : cut_page(groups, page, version)) configs.push_back(to_wire(group));
    ticket.answer([configs = std::move(configs), version, total](const Ticket& to, std::string& out) {
      wire::FrameWriter frame(out, to.start());
      frame.number("totalGroupNum", static_cast<std::int64_t>(total));
      frame.begin_body();
      wire::append_subscription_groups(out, configs, to_wire(version));
      frame.finish();
    });
  };
}

CoreStep group_config(const Request& request, Ticket ticket) {
  auto header = wire::decode_group(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [group = header->group, ticket = std::move(ticket)](Turn& turn) mutable {
    auto config = turn.ports().admin.group(group);
    if (!config.ok()) return ticket.finish(wire::ResponseCode::SubscriptionGroupNotExist, "No group in this broker. group: " + std::string(group));
    auto body = std::make_unique<wire::SubscriptionGroupConfig>(to_wire(*config));
    answer_body(ticket, [body = std::move(body)](std::string& out) { wire::append_subscription_group(out, *body); });
  };
}

CoreStep consume_stats(const Request& request, Ticket ticket) {
  auto header = wire::decode_consume_stats(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [asked = *header, ticket = std::move(ticket)](Turn& turn) mutable {
    std::vector<wire::QueueConsumeStats> stats;
    for (const std::string_view topic : asked_topics(asked)) {
      auto progress = turn.ports().admin.consume_progress(asked.consumer_group, topic);
      // Of a list, the topics that this broker does not have are left out.
      if (!progress.ok() && asked.topic_list.empty()) return ticket.fail(progress.error());
      if (!progress.ok()) continue;
      for (const broker::ConsumeProgress& queue : *progress) stats.push_back(to_stats(queue, turn.context.options.broker_name));
    }
    answer_body(ticket, [stats = std::move(stats)](std::string& out) { wire::append_consume_stats(out, stats, 0.0); });
  };
}

CoreStep reset_offset(const Request& request, Ticket ticket) {
  auto header = wire::decode_reset_offset(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  broker::ResetRequest reset{
      .topic = header->topic, .group = header->group, .wall_ms = header->timestamp_ms, .queue_id = header->queue_id, .offset = {}};
  // -1 is what tools send for "by time"; one offset for all queues would make no sense.
  if (header->queue_id >= 0 && header->offset.value_or(-1) != -1) reset.offset = header->offset;
  return [reset, ticket = std::move(ticket)](Turn& turn) mutable {
    auto offsets = turn.ports().admin.reset_offsets(reset);
    if (!offsets.ok()) return ticket.fail(offsets.error(), kPlainStyle);
    std::vector<wire::QueueOffset> moved;
    for (const auto& [queue, offset] : *offsets)
      moved.push_back({.queue = {std::string(reset.topic), turn.context.options.broker_name, queue}, .offset = offset});
    answer_body(ticket, [moved = std::move(moved)](std::string& out) {
      wire::append_reset_offsets(out, moved, wire::ResetOffsetForm::ObjectKeys);
    });
  };
}

}  // namespace halfmoon::adapter
