// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "adapter/remoting/handlers.h"
#include "adapter/remoting/translate.h"
#include "wire/remoting/request_headers.h"

namespace halfmoon::adapter {
namespace {

// Bits of a pull's sysFlag (specification 2.3).
constexpr std::int32_t kPullCommits = 1;
constexpr std::int32_t kPullSuspends = 2;
constexpr std::int32_t kPullHasSubscription = 4;

broker::PullRequest to_pull_request(const wire::PullHeader& header, const Channel& channel) {
  broker::PullRequest pull{.group = header.consumer_group,
                           .topic = header.topic,
                           .queue_id = header.queue_id,
                           .offset = header.queue_offset,
                           .count_max = std::max(header.max_msg_nums, 1),
                           .bytes_max = std::max(header.max_msg_bytes.value_or(0), 0),
                           .commit_offset = {},
                           .suspend_ms = 0,
                           .subscription = nullptr,
                           .subscription_version = header.sub_version,
                           .channel = channel.id()};
  if ((header.sys_flag & kPullCommits) != 0 && header.commit_offset >= 0) pull.commit_offset = header.commit_offset;
  if ((header.sys_flag & kPullSuspends) != 0) pull.suspend_ms = std::max<std::int64_t>(header.suspend_timeout_ms, 0);
  return pull;
}

}  // namespace

CoreStep pull_message(const Request& request, Ticket ticket) {
  auto header = wire::decode_pull(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  // What the header says about the subscription counts only with its bit (trap 19).
  std::unique_ptr<model::Subscription> subscription;
  if ((header->sys_flag & kPullHasSubscription) != 0)
    subscription = std::make_unique<model::Subscription>(
        header_subscription(header->topic, header->subscription, header->expression_type, header->sub_version));
  return [pull = to_pull_request(*header, ticket.channel()), subscription = std::move(subscription), ticket = std::move(ticket)](Turn& turn) mutable {
    pull.subscription = subscription.get();
    turn.ports().consuming.pull(pull, [ticket = std::move(ticket)](Result<broker::PullResult>&& result) mutable {
      Channel& channel = ticket.channel();
      channel.finish_pull(std::move(ticket), std::move(result));
    });
  };
}

CoreStep view_message(const Request& request, Ticket ticket) {
  auto header = wire::decode_view_message(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  auto message = ticket.channel().reader().find(header->position);
  if (!message.ok()) {
    ticket.finish(wire::ResponseCode::SystemError, "can not find message by the offset, " + std::to_string(header->position));
    return {};
  }
  ticket.answer([message = std::move(*message)](const Ticket& to, std::string& out) {
    wire::FrameWriter frame(out, to.start());
    frame.begin_body();
    const std::size_t begin = out.size();
    out.resize(begin + model::image_size(message->fields));
    model::encode_image(message->fields, std::as_writable_bytes(std::span(out).subspan(begin)));
    frame.finish();
  });
  return {};
}

CoreStep query_message(const Request& request, Ticket ticket) {
  auto header = wire::decode_query_message(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  ticket.finish(wire::ResponseCode::QueryNotFound,
                "can not find message: this broker has no index of keys yet; look the message up by its offset message id (code 33)");
  return {};
}

}  // namespace halfmoon::adapter
