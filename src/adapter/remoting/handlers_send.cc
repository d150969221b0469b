// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/handlers.h"
#include "base/crc.h"
#include "wire/remoting/batch.h"
#include "wire/remoting/request_headers.h"
#include "wire/remoting/send_answer.h"

namespace halfmoon::adapter {
namespace {

/// The record's field has 31 bits.
std::uint32_t body_crc(Bytes body) { return crc32_ieee(body) & 0x7FFFFFFFu; }

broker::SendRequest to_send_request(const wire::SendHeader& header, Bytes body, const Channel& channel) {
  return {.group = header.producer_group,
          .topic = header.topic,
          .default_topic = header.default_topic,
          .default_queues = header.default_topic_queue_nums,
          .queue_id = header.queue_id,
          .sys_flag = header.sys_flag,
          .flag = header.flag,
          .born_ms = header.born_timestamp_ms,
          .born_host = channel.born_host(),
          .store_host = channel.store_host(),
          .properties = header.properties,
          .body = as_text(body),
          .body_crc = 0,
          .reconsume_times = header.reconsume_times,
          .max_reconsume_times = header.max_reconsume_times,
          .channel = channel.id()};
}

/// The ids of a batch's messages, separated by commas.
std::string batch_ids(const broker::SendResult& result, const model::HostAddress& store_host) {
  std::string ids = model::offset_message_id(store_host, result.position);
  for (const std::int64_t position : result.more_positions) ids.append(1, ',').append(model::OffsetMessageId(store_host, position).view());
  return ids;
}

void write_send_answer(const Ticket& ticket, const broker::SendResult& result, std::string_view ids, std::string& out) {
  const RemotingOptions& options = ticket.channel().context().options;
  wire::append_send_answer(out, ticket.start(),
                           {.message_ids = ids,
                            .queue_id = result.queue_id,
                            .queue_offset = result.queue_offset,
                            .transaction_id = result.unique_key.view(),
                            .region = options.region,
                            .trace_on = options.trace_on});
}

void write_send_answer(const Ticket& ticket, const broker::SendResult& result, std::string& out) {
  const model::HostAddress& store_host = ticket.channel().store_host();
  if (result.more_positions.empty()) write_send_answer(ticket, result, model::OffsetMessageId(store_host, result.position).view(), out);
  else write_send_answer(ticket, result, batch_ids(result, store_host), out);
}

Reply<broker::SendResult> send_reply_to(Ticket ticket) {
  return [ticket = std::move(ticket)](Result<broker::SendResult>&& result) mutable {
    if (!result.ok()) return ticket.fail(result.error());
    ticket.answer([sent = std::move(*result)](const Ticket& to, std::string& out) {
      write_send_answer(to, sent, out);
    });
  };
}

}  // namespace

CoreStep send_message(const Request& request, Ticket ticket) {
  auto header = wire::decode_send(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  if (header->batch) return send_batch_message(request, std::move(ticket));
  broker::SendRequest send = to_send_request(*header, request.body, ticket.channel());
  send.body_crc = body_crc(request.body);
  send.one_way = ticket.one_way();
  request.foreseen.push_back({.topic = send.topic, .queue_id = send.queue_id});
  return [send, ticket = std::move(ticket)](Turn& turn) mutable { turn.ports().producing.send(send, send_reply_to(std::move(ticket))); };
}

CoreStep send_batch_message(const Request& request, Ticket ticket) {
  auto header = wire::decode_send(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  auto parts = wire::split_batch(request.body);
  if (!parts.ok()) {
    ticket.fail(parts.error());
    return {};
  }
  std::vector<broker::BatchItem> items;
  items.reserve(parts->size());
  for (const wire::BatchItem& part : *parts)
    items.push_back({.flag = part.flag, .properties = part.properties, .body = as_text(part.body), .body_crc = body_crc(part.body)});
  return [send = to_send_request(*header, {}, ticket.channel()), items = std::move(items), ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().producing.send_batch(send, items, send_reply_to(std::move(ticket)));
  };
}

CoreStep send_reply_message(const Request& request, Ticket ticket) {
  auto header = wire::decode_send(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  broker::SendRequest send = to_send_request(*header, request.body, ticket.channel());
  send.body_crc = body_crc(request.body);
  return [send, ticket = std::move(ticket)](Turn& turn) mutable {
    turn.ports().producing.send_reply(send, [ticket = std::move(ticket)](Result<broker::SendResult>&& result) mutable {
      if (!result.ok()) return ticket.fail(result.error(), kReplyStyle);
      ticket.answer([sent = std::move(*result)](const Ticket& to, std::string& out) {
        // Position 0 holds no message ever: the reply was pushed but not stored, which RocketMQ writes as id "0".
        if (sent.position != 0) write_send_answer(to, sent, out);
        else write_send_answer(to, sent, "0", out);
      });
    });
  };
}

CoreStep send_back(const Request& request, Ticket ticket) {
  auto header = wire::decode_send_back(request.header);
  if (!header.ok()) return refuse(ticket, header.error());
  auto message = ticket.channel().reader().find(header->position);
  if (!message.ok()) {
    ticket.finish(wire::ResponseCode::SystemError, "look message by offset failed, " + std::to_string(header->position));
    return {};
  }
  broker::SendBackRequest back{.message = nullptr,
                               .group = header->group,
                               .delay_level = header->delay_level,
                               .max_reconsume_times = header->max_reconsume_times,
                               .store_host = ticket.channel().store_host()};
  return [back, message = std::move(*message), ticket = std::move(ticket)](Turn& turn) mutable {
    back.message = message.get();
    turn.ports().producing.send_back(back, plain_reply(std::move(ticket)));
  };
}

}  // namespace halfmoon::adapter
