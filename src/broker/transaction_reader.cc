// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_reader.h"

#include <algorithm>

#include "broker/record_source.h"
#include "broker/records.h"
#include "model/message_image.h"
#include "model/properties.h"

namespace halfmoon::broker {
namespace {

using storage::RecordType;
using storage::RecordView;

/// One record of the chain, and where it leads.
struct Link {
  TransactionEvent event;
  Position half = 0;
  Position previous = kFirstEvent;
  Position by = kNobody;
};

TransactionActor actor_of(VerdictSource source) {
  switch (source) {
    case VerdictSource::Producer: return TransactionActor::Producer;
    case VerdictSource::Check: return TransactionActor::Check;
    case VerdictSource::Operator: return TransactionActor::Operator;
  }
  return TransactionActor::Producer;  // an earlier build's record with another number
}

std::optional<Link> link_of(const VerdictRecord& r) {
  Link link{{}, r.half, r.previous, r.by};
  link.event.kind = r.commit ? TransactionEventKind::Committed : TransactionEventKind::RolledBack;
  link.event.actor = actor_of(r.source);
  link.event.wall_ms = r.wall_ms;
  link.event.operator_name = r.operator_name;
  link.event.reason = r.reason;
  link.event.due_ms = r.due_ms;
  return link;
}

std::optional<Link> link_of(const CheckedRecord& r) {
  Link link{{}, r.half, r.previous, r.by};
  link.event.kind = TransactionEventKind::AnsweredUnknown;
  link.event.actor = TransactionActor::Check;
  link.event.wall_ms = r.wall_ms;
  link.event.count = r.answered;
  return link;
}

std::optional<Link> link_of(const ParkedRecord& r) {
  Link link{{}, r.half, r.previous, kNobody};
  link.event.kind = TransactionEventKind::Parked;
  link.event.wall_ms = r.wall_ms;
  return link;
}

std::optional<Link> link_of(const ResumedRecord& r) {
  Link link{{}, r.half, r.previous, r.by};
  link.event.kind = TransactionEventKind::Resumed;
  link.event.actor = TransactionActor::Operator;
  link.event.wall_ms = r.wall_ms;
  link.event.operator_name = r.operator_name;
  link.event.reason = r.reason;
  return link;
}

std::optional<Link> link_of(const AskedRecord& r) {
  Link link{{}, r.half, r.previous, r.by};
  link.event.kind = TransactionEventKind::Asked;
  link.event.wall_ms = r.wall_ms;
  return link;
}

std::optional<Link> link_of(const RefusedRecord& r) {
  Link link{{}, r.half, r.previous, r.by};
  link.event.kind = TransactionEventKind::Refused;
  link.event.actor = actor_of(r.source);
  link.event.wall_ms = r.wall_ms;
  link.event.operator_name = r.operator_name;
  link.event.commit = r.commit;
  link.event.count = r.count;
  return link;
}

template <class Record>
std::optional<Link> link_if(const std::optional<Record>& record) {
  return record ? link_of(*record) : std::nullopt;
}

std::optional<Link> link_of(const RecordView& record) {
  switch (record.type) {
    case RecordType::Verdict: return link_if(decode_verdict(record.payload));
    case RecordType::Checked: return link_if(decode_checked(record.payload));
    case RecordType::Parked: return link_if(decode_parked(record.payload));
    case RecordType::Resumed: return link_if(decode_resumed(record.payload));
    case RecordType::Asked: return link_if(decode_asked(record.payload));
    case RecordType::Refused: return link_if(decode_refused(record.payload));
    default: return std::nullopt;
  }
}

class LogTransactionReader final : public TransactionReader {
 public:
  LogTransactionReader(const storage::Log& log, const storage::CarriedPositions& carried) : source_(log, carried) {}

  Result<TransactionMessage> message(std::int64_t half_position) override {
    HM_TRY(const RecordView, record, source_.read(half_position, RecordSource::Trust::Stranger));
    if (record.type != RecordType::Half) return Error{ErrorCode::NotFound, "there is no half message at " + std::to_string(half_position)};
    const auto fields = model::decode_image(record.payload);
    if (!fields) return Error{ErrorCode::Corrupt, "the half message at " + std::to_string(half_position) + " is malformed"};
    TransactionMessage m;
    m.topic = fields->topic;
    m.queue_id = fields->queue_id;
    m.body_bytes = static_cast<std::int64_t>(fields->body.size());
    m.born_ms = fields->born_ms;
    m.stored_ms = fields->store_ms;
    m.born_host = fields->born_host;
    m.store_host = fields->store_host;
    if (const auto known = model::scan_properties(fields->properties)) {
      m.unique_key = known->unique_key;
      m.group = known->producer_group;
      m.tags = known->tags;
    }
    m.keys = model::find_property(fields->properties, model::property::kKeys).value_or("");
    return m;
  }

  Result<TransactionHistory> history(std::int64_t half_position, std::int64_t last_event, std::size_t events_max) override {
    const auto sent = message(half_position);
    if (!sent.ok() && sent.error().code != ErrorCode::NotFound) return Error(sent.error());
    TransactionHistory history;
    Position at = last_event;
    while (at != kFirstEvent) {
      if (at < kFirstEvent) {
        history.begin = HistoryBegin::NotRecorded;
        break;
      }
      if (history.events.size() >= events_max) {
        history.begin = HistoryBegin::Cut;
        break;
      }
      const auto record = source_.read(at, RecordSource::Trust::Known);
      if (!record.ok()) {
        if (record.error().code != ErrorCode::NotFound) return Error(record.error());
        history.begin = HistoryBegin::NotRetained;
        break;
      }
      auto link = link_of(*record);
      // Going forward would never end.
      if (!link || link->half != half_position || link->previous >= at)
        return Error{ErrorCode::Corrupt, "the record at " + std::to_string(at) + " is no event of the half message at " + std::to_string(half_position)};
      HM_TRY_STATUS(name_client(link->by, link->event));
      history.events.push_back(std::move(link->event));
      at = link->previous;
    }
    if (sent.ok()) {
      TransactionEvent sending;
      sending.kind = TransactionEventKind::Sent;
      sending.actor = TransactionActor::Producer;
      sending.wall_ms = sent->stored_ms;
      sending.address = model::to_string(sent->born_host);
      history.events.push_back(std::move(sending));
    } else {
      history.begin = HistoryBegin::NotRetained;  // a verdict is remembered a little longer than the log has its half message
    }
    std::reverse(history.events.begin(), history.events.end());
    return history;
  }

 private:
  Status name_client(Position by, TransactionEvent& event) {
    if (by == kNobody) return Done{};
    const auto record = source_.read(by, RecordSource::Trust::Known);
    if (!record.ok()) return record.error().code == ErrorCode::NotFound ? Status(Done{}) : Status(Error(record.error()));
    const auto client = record->type == RecordType::Client ? decode_client(record->payload) : std::nullopt;
    if (!client) return Error{ErrorCode::Corrupt, "the record at " + std::to_string(by) + " names no client"};
    event.client_id = client->id;
    event.address = client->address;
    return Done{};
  }

  RecordSource source_;
};

}  // namespace

std::unique_ptr<TransactionReader> make_log_transaction_reader(const storage::Log& log, const storage::CarriedPositions& carried) {
  return std::make_unique<LogTransactionReader>(log, carried);
}

}  // namespace halfmoon::broker
