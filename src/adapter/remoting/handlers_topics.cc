// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "adapter/remoting/handlers.h"
#include "adapter/remoting/paging.h"
#include "adapter/remoting/topic_attributes.h"
#include "adapter/remoting/translate.h"
#include "model/names.h"
#include "wire/remoting/bodies.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

/// Names that administrators may not touch, with RocketMQ's texts.
Status check_topic_name(std::string_view topic, const RemotingOptions& options) {
  HM_TRY_STATUS(model::validate_topic(topic));
  if (model::is_system_topic(topic, options.cluster)) return Error{ErrorCode::InvalidArgument, "The topic[" + std::string(topic) + "] is conflict with system topic."};
  return Done{};
}

/// What of code 17 stands in its header; attributes come later, because they are changes to those that are there.
Result<model::TopicConfig> to_topic(const wire::CreateTopicHeader& header, const RemotingOptions& options) {
  HM_TRY_STATUS(check_topic_name(header.topic, options));
  const bool multi_tag = header.topic_filter_type == "MULTI_TAG" || header.topic_filter_type == "1";
  // The C++ client sends the ordinal.
  if (!multi_tag && header.topic_filter_type != "SINGLE_TAG" && header.topic_filter_type != "0")
    return Error{ErrorCode::InvalidArgument, "topicFilterType is SINGLE_TAG or MULTI_TAG, not " + std::string(header.topic_filter_type)};
  return model::TopicConfig{.name = std::string(header.topic),
                            .read_queues = header.read_queue_nums,
                            .write_queues = header.write_queue_nums,
                            .permission = header.perm,
                            .sys_flag = header.topic_sys_flag,
                            .order = header.order,
                            .multi_tag = multi_tag,
                            .attributes = {}};
}

}  // namespace

CoreStep put_topic(const Request& request, Ticket ticket) {
  auto header = wire::decode_create_topic(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  auto config = to_topic(*header, ticket.channel().context().options);
  if (!config.ok()) {
    ticket.fail(config.error());
    return {};
  }
  auto changes = parse_attribute_changes(header->attributes);
  if (!changes.ok()) return refuse(ticket, changes.error());
  return [config = std::move(*config), changes = std::move(*changes), ticket = std::move(ticket)](Turn& turn) mutable {
    broker::Admin& admin = turn.ports().admin;
    const auto known = admin.topic(config.name);
    auto attributes = changed_attributes(changes, known.ok() ? &known->attributes : nullptr);
    if (!attributes.ok()) return ticket.fail(attributes.error(), kPlainStyle);
    config.attributes = std::move(*attributes);
    admin.put_topic(config, plain_reply(std::move(ticket)));
  };
}

CoreStep delete_topic(const Request& request, Ticket ticket) {
  auto header = wire::decode_topic(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  if (auto status = check_topic_name(header->topic, ticket.channel().context().options); !status.ok()) {
    ticket.fail(status.error());
    return {};
  }
  return [topic = header->topic, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().admin.delete_topic(topic, plain_reply(std::move(ticket)));
  };
}

CoreStep all_topics(const Request& request, Ticket ticket) {
  auto page = decode_page(request.header, "topicSeq", "maxTopicNum");
  if (!page.ok()) return refuse(ticket, page.error());
  return [page = *page, ticket = std::move(ticket)](Turn& turn) mutable {
    auto topics = turn.ports().admin.topics();
    if (topics.empty()) return ticket.finish(wire::ResponseCode::SystemError, "No topic in this broker");
    const model::DataVersion version = turn.ports().admin.topics_version();
    const std::size_t total = topics.size();
    std::vector<wire::TopicConfig> configs;
    for (const model::TopicConfig& topic : cut_page(topics, page, version)) configs.push_back(to_wire(topic));
    ticket.answer([configs = std::move(configs), version, total](const Ticket& to, std::string& out) {
      wire::FrameWriter frame(out, to.start());
      frame.number("totalTopicNum", static_cast<std::int64_t>(total));
      frame.begin_body();
      wire::append_topic_configs(out, configs, to_wire(version));
      frame.finish();
    });
  };
}

CoreStep topic_config(const Request& request, Ticket ticket) {
  auto header = wire::decode_topic(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [topic = header->topic, ticket = std::move(ticket)](Turn& turn) mutable {
    auto config = turn.ports().admin.topic(topic);
    if (!config.ok()) return ticket.finish(wire::ResponseCode::TopicNotExist, "No topic in this broker. topic: " + std::string(topic));
    answer_body(ticket, [config = to_wire(*config)](std::string& out) { wire::append_topic_config(out, config); });
  };
}

CoreStep topic_stats(const Request& request, Ticket ticket) {
  auto header = wire::decode_topic(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [topic = header->topic, ticket = std::move(ticket)](Turn& turn) mutable {
    auto queues = turn.ports().admin.topic_stats(topic);
    if (!queues.ok()) return ticket.finish(wire::ResponseCode::TopicNotExist, "topic[" + std::string(topic) + "] not exist");
    std::vector<wire::QueueStats> stats;
    for (const broker::QueueStats& queue : *queues)
      stats.push_back({.queue = {std::string(topic), turn.context.options.broker_name, queue.queue_id},
                       .min_offset = std::max<std::int64_t>(queue.min_offset, 0),
                       .max_offset = std::max<std::int64_t>(queue.max_offset, 0),
                       .last_update_ms = std::max<std::int64_t>(queue.last_store_ms, 0)});
    answer_body(ticket, [stats = std::move(stats)](std::string& out) { wire::append_topic_stats(out, stats, 0.0); });
  };
}

CoreStep system_topics(const Request&, Ticket ticket) {
  return [ticket = std::move(ticket)](Turn& turn) mutable {
    std::vector<std::string> names;
    for (const model::TopicConfig& topic : turn.ports().admin.topics()) {
      const bool ours = topic.name == turn.context.options.cluster || topic.name == turn.context.options.broker_name;
      if (ours || model::is_system_topic(topic.name, turn.context.options.cluster)) names.push_back(topic.name);
    }
    answer_body(ticket, [names = std::move(names)](std::string& out) { wire::append_topic_list(out, names); });
  };
}

CoreStep groups_of_topic(const Request& request, Ticket ticket) {
  auto header = wire::decode_topic(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  return [topic = header->topic, ticket = std::move(ticket)](Turn& turn) mutable {
    auto groups = turn.ports().admin.groups_of_topic(topic);
    answer_body(ticket, [groups = std::move(groups)](std::string& out) { wire::append_group_list(out, groups); });
  };
}

}  // namespace halfmoon::adapter
