// SPDX-License-Identifier: Apache-2.0
#include "broker/record_source.h"

#include "broker/records.h"

namespace halfmoon::broker {

Result<storage::RecordView> RecordSource::read(storage::Position position, Trust trust) {
  const storage::Position place = carried_.locate(position);
  auto record = trust == Trust::Stranger ? log_.read_untrusted(place, buffer_) : log_.read(place, buffer_);
  if (!record.ok()) return std::move(record).error();
  if (record->type == storage::RecordType::Carried && place != position) {
    const auto inner = decode_carried(record->payload);
    if (!inner || inner->original != position) return Error{ErrorCode::Corrupt, "the carried record at " + std::to_string(place) + " is malformed"};
    record->type = inner->type;
    record->payload = inner->payload;
    record->position = position;
  }
  return record;
}

}  // namespace halfmoon::broker
