// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/queue_bodies.h"

#include "wire/remoting/heartbeat.h"
#include "wire/remoting/json_cursor.h"
#include "wire/remoting/json_writer.h"

namespace halfmoon::wire {
namespace {

MessageQueue read_queue(JsonCursor& cursor) {
  MessageQueue queue;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "topic") queue.topic = cursor.text();
    else if (key == "brokerName") queue.broker_name = cursor.text();
    else if (key == "queueId") queue.queue_id = cursor.int32(0);
    else cursor.skip();
  }
  return queue;
}

void write_queue(JsonWriter& json, const MessageQueue& queue) {
  json.begin_object();
  json.member("brokerName", queue.broker_name);
  json.member("queueId", queue.queue_id);
  json.member("topic", queue.topic);
  json.end_object();
}

void write_queue_key(JsonWriter& json, const MessageQueue& queue) {
  write_queue(json, queue);
  json.end_object_key();
}

}  // namespace

Result<LockBody> parse_lock_body(Bytes body) {
  if (body.size() > kClientBodyBytesMax) return Error{ErrorCode::InvalidArgument, "the lock request is too large; lock fewer queues at once"};
  TextArena arena;
  JsonCursor cursor(as_text(body), arena);
  LockBody lock;
  cursor.enter_object();
  for (std::string_view key; cursor.next_member(key);) {
    if (key == "consumerGroup") {
      lock.consumer_group = cursor.text();
    } else if (key == "clientId") {
      lock.client_id = cursor.text();
    } else if (key == "onlyThisBroker") {
      lock.only_this_broker = cursor.boolean(false);
    } else if (key == "mqSet") {
      if (cursor.null()) continue;
      cursor.enter_array();
      while (cursor.next_element()) lock.queues.push_back(read_queue(cursor));
    } else {
      cursor.skip();
    }
  }
  if (!cursor.finish()) return cursor.failure("the lock request");
  return lock;
}

void append_lock_ok(std::string& out, std::span<const MessageQueue> locked) {
  JsonWriter json(out);
  json.begin_object();
  json.key("lockOKMQSet");
  json.begin_array();
  for (const MessageQueue& queue : locked) write_queue(json, queue);
  json.end_array();
  json.end_object();
}

void append_topic_stats(std::string& out, std::span<const QueueStats> queues, double topic_put_tps) {
  JsonWriter json(out);
  json.begin_object();
  json.key("offsetTable");
  json.begin_object();
  for (const QueueStats& stats : queues) {
    write_queue_key(json, stats.queue);
    json.begin_object();
    json.member("lastUpdateTimestamp", stats.last_update_ms);
    json.member("maxOffset", stats.max_offset);
    json.member("minOffset", stats.min_offset);
    json.end_object();
  }
  json.end_object();
  json.member("topicPutTps", topic_put_tps);
  json.end_object();
}

void append_consume_stats(std::string& out, std::span<const QueueConsumeStats> queues, double consume_tps) {
  JsonWriter json(out);
  json.begin_object();
  json.member("consumeTps", consume_tps);
  json.key("offsetTable");
  json.begin_object();
  for (const QueueConsumeStats& stats : queues) {
    write_queue_key(json, stats.queue);
    json.begin_object();
    json.member("brokerOffset", stats.broker_offset);
    json.member("consumerOffset", stats.consumer_offset);
    json.member("lastTimestamp", stats.last_timestamp_ms);
    json.member("pullOffset", stats.pull_offset);
    json.end_object();
  }
  json.end_object();
  json.end_object();
}

void append_reset_offsets(std::string& out, std::span<const QueueOffset> offsets, ResetOffsetForm form) {
  JsonWriter json(out);
  json.begin_object();
  json.key("offsetTable");
  if (form == ResetOffsetForm::ObjectKeys) {
    json.begin_object();
    for (const QueueOffset& entry : offsets) {
      write_queue_key(json, entry.queue);
      json.integer(entry.offset);
    }
    json.end_object();
  } else {
    json.begin_array();
    for (const QueueOffset& entry : offsets) {
      json.begin_object();
      json.member("brokerName", entry.queue.broker_name);
      json.member("offset", entry.offset);
      json.member("queueId", entry.queue.queue_id);
      json.member("topic", entry.queue.topic);
      json.end_object();
    }
    json.end_array();
  }
  json.end_object();
}

}  // namespace halfmoon::wire
