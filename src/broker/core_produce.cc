// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>

#include "base/crc.h"
#include "broker/core_impl.h"

namespace halfmoon::broker {

using model::MessageFields;
using storage::RecordType;

namespace {

// Room for what a reader adds (MSG_REGION, TRACE_ON, CLUSTER) and a UNIQ_KEY of our own.
constexpr std::size_t kPropertiesReserve = 512;

constexpr std::size_t kForeseenTopicsMin = 256;   // fewer are in the caches anyway

constexpr std::int64_t kLongDelayMs = 24LL * 3600 * 1000;   // see DiskLevel::Tight

constexpr const char* kTransactionInBatch = "a batch cannot hold transactional messages: each needs its own verdict; send them one by one";
constexpr const char* kDelayInBatch = "a batch cannot hold delayed messages; send them one by one";

/// Asks the processor for all of it.
template <class T>
void fetch(const T& object) {
  constexpr std::size_t kLine = 64;
  for (std::size_t at = 0; at < sizeof(T); at += kLine) __builtin_prefetch(reinterpret_cast<const char*>(&object) + at, 1);
}

bool delays(const model::KnownProperties& known) {
  return !known.delay_level.empty() || !known.timer_deliver_ms.empty() || !known.timer_delay_ms.empty() || !known.timer_delay_sec.empty();
}

Error too_large(std::int64_t body_limit) {
  return {ErrorCode::MessageIllegal,
          "the message is illegal, maybe msg body or properties length not matched. msg body length limit " + std::to_string(body_limit) +
              "B (maxMessageSize), msg properties length limit 32KB."};
}

std::string make_unique_key(Random& random) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string key;
  for (int word = 0; word < 2; word++) {
    std::uint64_t bits = random.next();
    for (int i = 0; i < 16; i++, bits >>= 4) key += kHex[bits & 15];
  }
  return key;
}

}  // namespace

/// A send after all checks: where it goes, and what it is.
struct Core::Impl::Prepared {
  Topic* topic = nullptr;
  std::int32_t queue_id = 0;
  model::KnownProperties known;
  bool half = false;
  std::optional<std::int64_t> due_ms;
  std::string edited;               // properties, if they had to change
  std::string unique_key;           // if the broker made it
};

Status Core::Impl::redirect_retry(const SendRequest& request, std::string& topic, bool& dead_letter) {
  const std::string_view group_name = request.topic.substr(model::kRetryPrefix.size());
  const Group* group = find_group(group_name);
  if (!group) return Error{ErrorCode::GroupNotFound, "subscription group not exist, " + std::string(group_name)};
  const std::int32_t limit = request.max_reconsume_times.value_or(group->config.retry_max);
  // A group that holds queue locks consumes in order: what it gives up on must not come back between later messages (4.2).
  dead_letter = request.reconsume_times > limit || locks.any_held(group_name, now.mono_ms);
  if (dead_letter) topic = model::dead_letter_topic_of(group_name);
  return Done{};
}

// The tables of many topics are larger than the processor's caches, and a send follows half a dozen pointers through them, each a wait for memory. Here each is
// asked for on behalf of all sends before the next one is followed, so that they are waited for together. With 10,000 topics of 10 queues: docs/performance.md, line 15.
void Core::Impl::foresee(std::span<const SendPlace> places) const {
  if (topics.size() < kForeseenTopicsMin) return;
  std::array<const Topic*, 64> found;  // NOLINT: written before it is read
  std::array<const Queue*, 64> queues;  // NOLINT: likewise
  for (; !places.empty(); places = places.subspan(std::min(places.size(), found.size()))) {
    const std::size_t n = std::min(places.size(), found.size());
    for (std::size_t i = 0; i < n; i++) {
      found[i] = likely_topic(places[i].topic);
      if (found[i]) fetch(*found[i]);
    }
    for (std::size_t i = 0; i < n; i++) {
      if (!found[i]) continue;
      __builtin_prefetch(found[i]->config.name.data());
      if (found[i]->holds(places[i].queue_id)) __builtin_prefetch(&found[i]->queues[static_cast<std::size_t>(places[i].queue_id)]);
    }
    for (std::size_t i = 0; i < n; i++) {
      queues[i] = found[i] ? found[i]->queue(places[i].queue_id) : nullptr;
      if (queues[i]) fetch(*queues[i]);
    }
    for (std::size_t i = 0; i < n; i++)
      if (queues[i]) queues[i]->index.fetch_list();
    for (std::size_t i = 0; i < n; i++)
      if (queues[i]) queues[i]->index.fetch_end();
  }
}

// The broker's order of work on a send: specification 3.3.
Result<Core::Impl::Prepared> Core::Impl::prepare(const SendRequest& request, std::string_view properties) {
  HM_TRY_STATUS(may_send());
  Prepared p;
  bool dead_letter = false;
  if (model::is_retry_topic(request.topic)) {
    std::string topic;
    HM_TRY_STATUS(redirect_retry(request, topic, dead_letter));
    if (dead_letter) {
      HM_TRY(Topic*, dead, ensure_plain_topic(topic, 1, model::permission::kRead | model::permission::kWrite));
      p.topic = dead;
    }
  }
  if (!p.topic) {
    HM_TRY(Topic*, topic, topic_for_sending(request));
    p.topic = topic;
  }
  const model::TopicConfig& config = p.topic->config;
  if ((config.permission & model::permission::kWrite) == 0)
    return Error{ErrorCode::NoPermission, "the topic[" + config.name + "] is not writable (its permission is " + std::to_string(config.permission) + ")"};
  p.queue_id = dead_letter ? 0 : request.queue_id;
  if (p.queue_id >= config.queues())
    return Error{ErrorCode::InvalidArgument, "request queueId[" + std::to_string(p.queue_id) + "] is illegal, topic " + config.name + " has " +
                                                 std::to_string(config.write_queues) + " write queues"};
  if (p.queue_id < 0) {
    p.queue_id = p.topic->next_queue;
    p.topic->next_queue = (p.queue_id + 1) % std::max(1, config.write_queues);
  }
  const std::size_t properties_max = model::kPropertiesBytesMax - kPropertiesReserve;
  if (static_cast<std::int64_t>(request.body.size()) > options.body_bytes_max || properties.size() > properties_max)
    return too_large(options.body_bytes_max);
  const auto known = model::scan_properties(properties);
  if (!known) return Error{ErrorCode::MessageIllegal, "the message's properties are malformed: each is name, 0x01, value, 0x02"};
  p.known = *known;
  if (p.known.reserved)
    return Error{ErrorCode::MessageIllegal, "the properties REAL_TOPIC and REAL_QID belong to the broker; remove them from the message"};
  p.half = p.known.transaction_prepared && !(request.reconsume_times > 0 && !p.known.delay_level.empty() && p.known.delay_level != "0");
  if (p.half && request.one_way)
    return Error{ErrorCode::MessageIllegal, "a half message cannot be sent one-way: nobody would learn where it is, so nobody could give its verdict; wait for the answer"};
  // Its unique key is served a second time, as the transaction's id.
  if (p.half && properties.size() + p.known.unique_key.size() > properties_max) return too_large(options.body_bytes_max);
  if (p.half && options.reject_transactions)
    return Error{ErrorCode::NoPermission, "the broker[" + options.broker_name + "] sending transaction message is forbidden (rejectTransactionMessage)"};
  if (!dead_letter) {
    HM_TRY(const auto, due, due_time(p.known, now.wall_ms, {options.delay_levels_ms, options.delay_max_ms}));
    if (due && *due > now.wall_ms + kLongDelayMs) HM_TRY_STATUS(may_grow("delays of more than a day"));
    p.due_ms = due;
  }
  return p;
}

namespace {

MessageFields fields_of(const SendRequest& request, std::string_view topic, std::int32_t queue_id, std::string_view properties, std::int64_t store_ms) {
  MessageFields f;
  f.body_crc = request.body_crc;
  f.queue_id = queue_id;
  f.flag = request.flag;
  f.sys_flag = request.sys_flag & ~model::sys_flag::kTransactionMask;
  f.born_ms = request.born_ms;
  f.born_host = request.born_host;
  f.store_ms = store_ms;
  f.store_host = request.store_host;
  f.reconsume_times = request.reconsume_times;
  f.body = request.body;
  f.topic = topic;
  f.properties = properties;
  return f;
}

}  // namespace

void Core::Impl::store_message(const SendRequest& request, Reply<SendResult> reply) {
  auto prepared = prepare(request, request.properties);
  if (!prepared.ok()) {
    note_refusal(prepared.error());
    return reply(std::move(prepared).error());
  }
  Prepared& p = *prepared;
  std::string_view properties = request.properties;
  if (p.known.pop_checkpoint) {
    p.edited = model::without_properties(properties, {model::property::kPopCheckpoint});
    properties = p.edited;
  }
  std::string_view unique_key = p.known.unique_key;
  if (unique_key.empty()) {
    p.unique_key = make_unique_key(random);
    if (p.edited.empty()) p.edited = std::string(properties);
    model::append_property(p.edited, model::property::kUniqueKey, p.unique_key);
    properties = p.edited;
    unique_key = p.unique_key;
  }
  std::string_view producer_group = p.known.producer_group;
  if (p.half && producer_group.empty()) {  // whom to ask must be in the log
    if (p.edited.empty()) p.edited = std::string(properties);
    model::append_property(p.edited, model::property::kProducerGroup, request.group);
    properties = p.edited;
    producer_group = request.group;
  }
  if (p.half) {  // what the record's type says already, and what only concerned the sending, need not be stored
    p.edited = model::without_properties(properties, {model::property::kTransactionPrepared, model::property::kWaitStored});
    properties = p.edited;
  }
  MessageFields f = fields_of(request, p.topic->config.name, p.queue_id, properties, now.wall_ms);
  const bool delayed = !p.half && p.due_ms.has_value();
  const std::size_t prefix = delayed ? kDelayedPrefixBytes : 0;
  const std::size_t bytes = model::image_size(f);
  auto place = log.reserve(p.half ? RecordType::Half : delayed ? RecordType::Delayed : RecordType::Message, static_cast<std::uint32_t>(prefix + bytes));
  if (!place.ok()) {
    note_refusal(place.error());
    return reply(std::move(place).error());
  }
  f.position = place->position;
  const std::int32_t tag = model::tag_hash(p.known.tags);
  SendResult result;
  result.queue_id = p.queue_id;
  result.position = place->position;
  result.unique_key = ShortText(unique_key);
  const auto size = static_cast<std::uint32_t>(bytes);
  if (p.half) {
    f.queue_offset = result.queue_offset = next_half_offset;
  } else if (!delayed) {
    f.queue_offset = result.queue_offset = index(*p.topic, p.queue_id, {place->position, now.wall_ms, size, tag});
  } else {
    store_le(place->payload.data(), *p.due_ms);
    add_timer({*p.due_ms, place->position, place->position, p.topic->id, p.queue_id, tag, size});
    count.delayed++;
  }
  model::encode_image(f, place->payload.subspan(prefix));
  log.finish();
  if (p.half) {
    p.known.unique_key = unique_key;
    p.known.producer_group = producer_group;
    add_half(result.position, f, p.known, size, *p.topic, request.channel);
    count.halves++;
    note_half_sender(request, p.known.producer_group);
  }
  count.messages_in++;
  count.bytes_in += static_cast<std::int64_t>(request.body.size());
  answer_when_safe(result.position, std::move(reply), std::move(result));
}

void Core::Impl::store_batch(const SendRequest& request, const std::vector<BatchItem>& items, Reply<SendResult> reply) {
  const auto refuse = [&](Error error) {
    note_refusal(error);
    reply(std::move(error));
  };
  const auto illegal = [&](const char* why) { refuse({ErrorCode::MessageIllegal, why}); };
  if (items.empty()) return illegal("the batch holds no message");
  if (static_cast<std::int32_t>(items.size()) > options.batch_messages_max) return illegal("the batch holds too many messages (1024 at most)");
  if (model::is_retry_topic(request.topic)) return illegal("batch request does not support retry group");
  auto prepared = prepare(request, request.properties);  // what the header says of the whole batch
  if (!prepared.ok()) return refuse(std::move(prepared).error());
  if (prepared->half || (request.sys_flag & model::sys_flag::kTransactionMask) != 0) return illegal(kTransactionInBatch);
  if (delays(prepared->known)) return illegal(kDelayInBatch);
  Topic& topic = *prepared->topic;
  const std::int32_t queue_id = prepared->queue_id;
  std::int64_t bytes = 0;
  for (const BatchItem& item : items) {
    const auto known = model::scan_properties(item.properties);
    if (!known || known->reserved) return illegal("a message of the batch has malformed or reserved properties");
    if (known->transaction_prepared) return illegal(kTransactionInBatch);
    if (delays(*known)) return illegal(kDelayInBatch);
    if (item.properties.size() > model::kPropertiesBytesMax - kPropertiesReserve) return refuse(too_large(options.body_bytes_max));
    bytes += static_cast<std::int64_t>(item.body.size() + item.properties.size() + topic.config.name.size()) + 128;
  }
  if (!log.room_for(bytes, static_cast<int>(items.size()))) return refuse(log.refusal());
  SendResult result;
  result.queue_id = queue_id;
  for (std::size_t i = 0; i < items.size(); i++) {
    const BatchItem& item = items[i];
    MessageFields f = fields_of(request, topic.config.name, queue_id, item.properties, now.wall_ms);
    f.flag = item.flag;
    f.body = item.body;
    f.body_crc = item.body_crc;
    const std::size_t size = model::image_size(f);
    auto place = log.reserve(RecordType::Message, static_cast<std::uint32_t>(size), storage::Claim::OnReserve);
    HM_CHECK(place.ok());  // room_for promised it
    const auto known = model::scan_properties(item.properties);
    f.position = place->position;
    f.queue_offset = index(topic, queue_id, {place->position, now.wall_ms, static_cast<std::uint32_t>(size), model::tag_hash(known->tags)});
    model::encode_image(f, place->payload);
    log.finish();
    if (i == 0) {
      result.position = place->position;
      result.queue_offset = f.queue_offset;
    } else {
      result.more_positions.push_back(place->position);
    }
    count.messages_in++;
    count.bytes_in += static_cast<std::int64_t>(item.body.size());
  }
  const storage::Position last = result.more_positions.empty() ? result.position : result.more_positions.back();
  answer_when_safe(last, std::move(reply), std::move(result));
}

// CONSUMER_SEND_MSG_BACK: specification 4.2, first row.
void Core::Impl::send_back(const SendBackRequest& request, Reply<Done> reply) {
  const auto refuse = [&](Error error) {
    note_refusal(error);
    reply(std::move(error));
  };
  if (auto writable = may_write(); !writable.ok()) return refuse(std::move(writable).error());
  const Group* group = find_group(request.group);
  if (!group) return refuse({ErrorCode::GroupNotFound, "subscription group not exist, " + std::string(request.group)});
  const StoredMessage& message = *request.message;
  if (!message.visible) return refuse({ErrorCode::NotFound, "no consumer can have received the message at that offset"});
  if (group->config.retry_queues <= 0) return reply(Done{});  // the group wants no retries: dropped, as at RocketMQ
  const std::int32_t limit = request.max_reconsume_times.value_or(group->config.retry_max);
  const std::int32_t done = message.fields.reconsume_times;
  const bool dead = done >= limit || request.delay_level < 0;
  const std::string topic_name = dead ? model::dead_letter_topic_of(request.group) : model::retry_topic_of(request.group);
  auto topic = ensure_plain_topic(topic_name, dead ? 1 : group->config.retry_queues, model::permission::kRead | model::permission::kWrite);
  if (!topic.ok()) return refuse(std::move(topic).error());

  std::string properties = model::without_properties(
      message.properties, {model::property::kDelayLevel, model::property::kTimerDelaySec, model::property::kTimerDelayMs, model::property::kTimerDeliverMs,
                           model::property::kRegion, model::property::kTraceOn, model::property::kCluster});
  if (!model::find_property(properties, model::property::kRetryTopic))
    model::append_property(properties, model::property::kRetryTopic, message.fields.topic);
  if (!model::find_property(properties, model::property::kOriginMessageId))
    model::append_property(properties, model::property::kOriginMessageId, model::offset_message_id(message.fields.store_host, message.fields.position));

  ReferenceRecord r;
  r.body = message.body_position;
  r.reconsume_times = done + 1;
  r.reason = dead ? ReferenceReason::DeadLetter : ReferenceReason::Retry;
  r.topic = (*topic)->config.name;
  r.properties = properties;
  r.store_ms = now.wall_ms;
  r.bytes = static_cast<std::uint32_t>(message.fields.body.size() + properties.size() + r.topic.size() + 91);
  if (dead) r.queue_offset = (*topic)->queue(0)->index.end();
  else r.due_ms = due_after(now.wall_ms, delay_of_level(options.delay_levels_ms, retry_level(request.delay_level, done)));
  auto position = append(RecordType::Reference, encode(r));
  if (!position.ok()) return refuse(std::move(position).error());
  const auto tags = model::find_property(properties, model::property::kTags);
  apply_reference(*position, r, model::tag_hash(tags.value_or("")));
  (dead ? count.dead_lettered : count.retried)++;
  answer_when_safe(*position, std::move(reply));
}

// SEND_REPLY_MESSAGE: specification 3.3 and 4.11.
void Core::Impl::send_reply(const SendRequest& request, Reply<SendResult> reply) {
  const auto known = model::scan_properties(request.properties);
  if (!known || known->reply_to_client.empty())
    return reply(Error{ErrorCode::MessageIllegal, "reply message properties[REPLY_TO_CLIENT] is null"});
  const auto channel = clients.channel_of_client(known->reply_to_client);
  if (!channel)
    return reply(Error{ErrorCode::NotFound, "push reply message fail, channel of <" + std::string(known->reply_to_client) + "> not found."});
  SendResult result;
  result.queue_id = request.queue_id;
  result.unique_key = ShortText(known->unique_key);
  outbound.push_reply({*channel, request, now.wall_ms}, [reply = std::make_shared<Reply<SendResult>>(std::move(reply)),
                                                         held = std::make_shared<SendResult>(result)](Result<Done>&& pushed) mutable {
    if (pushed.ok()) (*reply)(std::move(*held));
    else (*reply)(std::move(pushed).error());
  });
}

}  // namespace halfmoon::broker
