// SPDX-License-Identifier: Apache-2.0
#include "broker/reader.h"

#include <cstring>

#include "broker/record_source.h"
#include "broker/records.h"
#include "model/message_image.h"
#include "model/names.h"
#include "model/properties.h"
#include "storage/disk.h"

namespace halfmoon::broker {
namespace {

using model::MessageFields;
using storage::RecordType;
using storage::RecordView;

/// What the records above the body change of it. Gathered while following a chain FIRE -> VERDICT/REFERENCE/DELAYED -> body.
struct Overrides {
  Position position = 0;                    // of the record that made it visible
  std::optional<std::int64_t> queue_offset, store_ms;
  std::optional<std::int32_t> queue_id, reconsume_times;
  std::optional<Position> prepared_position;  // committed half message
  std::optional<std::int64_t> committed_ms;
  std::optional<std::string> topic, properties;
};

class Reader final : public MessageReader {
 public:
  Reader(const ReaderSources& sources, const ServedConstants& constants)
      : source_(sources.log, sources.carried), halves_known_from_(sources.halves_known_from) {
    model::append_property(suffix_, model::property::kRegion, constants.region);
    model::append_property(suffix_, model::property::kTraceOn, constants.trace_on ? "true" : "false");
    model::append_property(suffix_, model::property::kCluster, constants.cluster);
  }

  Status render(Extent extent, std::string& out) override {
    source_.wait_at_most(patience_ns_);
    Status rendered = render_message(extent.position, out);
    source_.wait_at_most(storage::kForEver);
    return rendered;
  }

  void wait_at_most(std::int64_t patience_ns) override { patience_ns_ = patience_ns; }

  Status render_half(std::int64_t half_position, std::string& out) override {
    HM_TRY(RecordView, record, read(half_position, Trust::Index));
    if (record.type != RecordType::Half) return not_found(half_position);
    return render_chain(half_position, record, Serve::ToProducer, out);
  }

  Result<std::unique_ptr<HalfNames>> forgotten_half(std::int64_t half_position) override {
    if (half_position < 0 || half_position >= halves_known_from_.load(std::memory_order_acquire)) return std::unique_ptr<HalfNames>();
    auto record = read(half_position, Trust::Client);
    if (!record.ok() && record.error().code != ErrorCode::NotFound) return std::move(record).error();
    if (!record.ok() || record->type != RecordType::Half) return std::unique_ptr<HalfNames>();
    const auto image = model::decode_image(record->payload);
    const auto known = image ? model::scan_properties(image->properties) : std::nullopt;
    if (!known) return Error{ErrorCode::Corrupt, "the message record at " + std::to_string(half_position) + " is malformed"};
    return std::make_unique<HalfNames>(HalfNames{std::string(known->producer_group), std::string(known->unique_key), image->queue_offset});
  }

  Result<std::unique_ptr<StoredMessage>> find(std::int64_t position) override {
    HM_TRY(RecordView, record, read(position, Trust::Client));
    auto message = std::make_unique<StoredMessage>();
    message->visible = record.type != RecordType::Half && record.type != RecordType::Delayed;
    HM_TRY(MessageFields, fields, follow(position, record, Serve::ToConsumer, message->body_position));
    message->topic = std::string(fields.topic);
    message->body = std::string(fields.body);
    message->properties = std::string(fields.properties);
    if (!message->properties.empty() && message->properties.back() != model::kPropertySeparator) message->properties += model::kPropertySeparator;
    message->properties += suffix_;
    fields.topic = message->topic;
    fields.body = message->body;
    fields.properties = message->properties;
    message->fields = fields;
    return message;
  }

 private:
  enum class Trust { Index, Client };
  enum class Serve { ToConsumer, ToProducer };

  static Error not_found(Position position) { return {ErrorCode::NotFound, "can not find message by the offset, " + std::to_string(position)}; }

  Result<RecordView> read(Position position, Trust trust) { return source_.read(position, trust == Trust::Client ? RecordSource::Trust::Stranger : RecordSource::Trust::Known); }

  Status render_message(Position position, std::string& out) {
    HM_TRY(RecordView, record, read(position, Trust::Index));
    if (record.type == RecordType::Message) return append_plain(record.payload, out);
    return render_chain(position, record, Serve::ToConsumer, out);
  }

  // The usual case: the image as it is, with the constants behind its properties.
  Status append_plain(Bytes image, std::string& out) {
    const std::size_t start = out.size();
    const auto flags = load_be<std::int32_t>(image.data() + 36);
    const std::size_t hosts = ((flags & model::sys_flag::kBornHostV6) ? 12u : 0u) + ((flags & model::sys_flag::kStoreHostV6) ? 12u : 0u);
    const std::size_t body_at = 84 + hosts;
    const std::size_t topic_at = body_at + 4 + load_be<std::uint32_t>(image.data() + body_at);
    const std::size_t properties_at = topic_at + 1 + load_be<std::uint8_t>(image.data() + topic_at);
    if (properties_at + 2 > image.size()) return Error{ErrorCode::Corrupt, "a message record is malformed"};
    const bool closed = image.size() == properties_at + 2 || static_cast<char>(image.back()) == model::kPropertySeparator;
    out.append(reinterpret_cast<const char*>(image.data()), image.size());
    if (!closed) out += model::kPropertySeparator;
    out += suffix_;
    const std::size_t size = out.size() - start;
    store_be(out.data() + start, static_cast<std::uint32_t>(size));
    store_be(out.data() + start + properties_at, static_cast<std::uint16_t>(size - properties_at - 2));
    return Done{};
  }

  Status render_chain(Position position, const RecordView& record, Serve serve, std::string& out) {
    Position body_position = 0;
    HM_TRY(MessageFields, fields, follow(position, record, serve, body_position));
    served_ = fields.properties;
    if (!served_.empty() && served_.back() != model::kPropertySeparator) served_ += model::kPropertySeparator;
    served_ += suffix_;
    fields.properties = served_;
    const std::size_t start = out.size();
    const std::size_t size = model::image_size(fields);
    out.resize(start + size);
    model::encode_image(fields, std::as_writable_bytes(std::span(out.data() + start, size)));
    return Done{};
  }

  // Walks from the record that made the message visible to the one that holds its body. The result's views live until the next read.
  Result<MessageFields> follow(Position position, RecordView record, Serve serve, Position& body_position) {
    Overrides o;
    o.position = position;
    Position at = position;
    for (int hops = 0; hops < 4; hops++) {
      Position next = storage::kNoPosition;
      switch (record.type) {
        case RecordType::Message:
        case RecordType::Half:
        case RecordType::Delayed:
          body_position = at;
          return fields_of(record, o, serve);
        case RecordType::Fire:
          if (const auto r = decode_fire(record.payload)) {
            o.queue_offset = r->queue_offset;
            o.store_ms = r->store_ms;
            next = r->target;
          }
          break;
        case RecordType::Verdict:
          if (const auto r = decode_verdict(record.payload); r && r->commit && (r->queue_offset >= 0 || o.queue_offset)) {
            if (!o.queue_offset) o.queue_offset = r->queue_offset;
            if (!o.store_ms) o.store_ms = r->wall_ms;
            o.prepared_position = r->half;
            o.committed_ms = r->wall_ms;
            next = r->half;
          }
          break;
        case RecordType::Parked:
          if (const auto r = decode_parked(record.payload)) {
            o.queue_offset = r->queue_offset;
            o.store_ms = r->wall_ms;
            o.queue_id = 0;
            o.topic = std::string(model::kParkedTopic);
            next = r->half;
          }
          break;
        case RecordType::Reference:
          if (const auto r = decode_reference(record.payload); r && (r->queue_offset >= 0 || o.queue_offset)) {
            if (!o.queue_offset) o.queue_offset = r->queue_offset;
            if (!o.store_ms) o.store_ms = r->store_ms;
            o.queue_id = r->queue_id;
            o.reconsume_times = r->reconsume_times;
            o.topic = std::string(r->topic);
            o.properties = std::string(r->properties);
            next = r->body;
          }
          break;
        default:
          break;
      }
      if (next == storage::kNoPosition) return not_found(position);
      at = next;
      HM_TRY(RecordView, target, read(next, Trust::Index));
      record = target;
    }
    return Error{ErrorCode::Corrupt, "the message at " + std::to_string(position) + " refers in a circle"};
  }

  Result<MessageFields> fields_of(const RecordView& record, const Overrides& o, Serve serve) {
    const std::size_t prefix = record.type == RecordType::Delayed ? kDelayedPrefixBytes : 0;
    if (record.payload.size() < prefix) return Error{ErrorCode::Corrupt, "a delayed record is malformed"};
    const auto decoded = model::decode_image(record.payload.subspan(prefix));
    if (!decoded) return Error{ErrorCode::Corrupt, "the message record at " + std::to_string(record.position) + " is malformed"};
    MessageFields f = *decoded;
    f.position = o.position;
    if (o.queue_offset) f.queue_offset = *o.queue_offset;
    if (o.store_ms) f.store_ms = *o.store_ms;
    if (o.queue_id) f.queue_id = *o.queue_id;
    if (o.reconsume_times) f.reconsume_times = *o.reconsume_times;
    if (o.topic) {
      topic_ = *o.topic;
      f.topic = topic_;
    }
    if (o.prepared_position) {
      f.prepared_position = *o.prepared_position;
      f.sys_flag |= model::sys_flag::kTransactionCommit;
    }
    if (o.properties) {
      properties_ = *o.properties;
      f.properties = properties_;
    } else if (record.type == RecordType::Half) {
      properties_ = half_properties(f.properties, serve, o.committed_ms);
      f.properties = properties_;
    }
    return f;
  }

  // A producer that is asked sees the message as it sent it; a consumer sees a message like any other, with the transaction's id and the time of
  // the commit. These two are the broker's to say, whatever the producer wrote there. core_produce.cc keeps room for them.
  static std::string half_properties(std::string_view stored, Serve serve, std::optional<std::int64_t> committed_ms) {
    using namespace model::property;
    const auto known = model::scan_properties(stored);
    std::string text = model::without_properties(stored, {kTransactionPrepared, kTransactionId, kTransactionCommitTime});  // older logs have the first
    if (serve == Serve::ToProducer) model::append_property(text, kTransactionPrepared, "true");
    if (known && !known->unique_key.empty()) model::append_property(text, kTransactionId, known->unique_key);
    if (committed_ms) model::append_property(text, kTransactionCommitTime, std::to_string(*committed_ms));
    return text;
  }

  RecordSource source_;
  std::int64_t patience_ns_ = storage::kForEver;
  const std::atomic<Position>& halves_known_from_;
  std::string suffix_, served_, topic_, properties_;
};

}  // namespace

std::unique_ptr<MessageReader> make_message_reader(const ReaderSources& sources, const ServedConstants& constants) {
  return std::make_unique<Reader>(sources, constants);
}

}  // namespace halfmoon::broker
