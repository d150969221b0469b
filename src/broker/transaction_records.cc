// SPDX-License-Identifier: Apache-2.0
// What happens to a half message, as records. Those of earlier builds are shorter (docs/formats/log.md, "The history of a half message").
#include "broker/payload_reader.h"
#include "broker/records.h"

namespace halfmoon::broker {
namespace {

constexpr std::uint16_t kNothingBefore = 1;  // flag of a VERDICT: `previous` is left out, as most are the first that happens to their half message

std::string_view cut(std::string_view text, std::size_t bytes_max) { return text.substr(0, bytes_max); }

void put_length(Writer& w, std::string_view text) { w.le(static_cast<std::uint16_t>(text.size())); }

bool known(VerdictSource source) { return source >= VerdictSource::Producer && source <= VerdictSource::Operator; }

}  // namespace

std::string encode(const VerdictRecord& r) {
  std::string out;
  Writer w(out);
  const std::string_view name = cut(r.operator_name, kOperatorBytesMax);
  const std::string_view reason = cut(r.reason, kReasonBytesMax);
  w.le(r.half);
  w.le(static_cast<std::uint8_t>(r.commit ? 1 : 2));
  w.le(static_cast<std::uint8_t>(r.source));
  put_length(w, name);
  put_length(w, reason);
  w.le(r.previous == kFirstEvent ? kNothingBefore : std::uint16_t{0});
  w.le(r.queue_offset);
  w.le(r.due_ms);
  w.le(r.wall_ms);
  if (r.previous == kShortForm) return out;
  if (r.previous != kFirstEvent) w.le(r.previous);
  w.le(r.by);
  w.text(name);
  w.text(reason);
  return out;
}

std::optional<VerdictRecord> decode_verdict(Bytes payload) {
  PayloadReader in(payload);
  VerdictRecord r;
  r.half = in.le<std::int64_t>();
  const auto verdict = in.le<std::uint8_t>();
  r.commit = verdict == 1;
  r.source = static_cast<VerdictSource>(in.le<std::uint8_t>());
  const auto name_bytes = in.le<std::uint16_t>();
  const auto reason_bytes = in.le<std::uint16_t>();
  const auto flags = in.le<std::uint16_t>();
  r.queue_offset = in.le<std::int64_t>();
  r.due_ms = in.le<std::int64_t>();
  r.wall_ms = in.le<std::int64_t>();
  in.expect((verdict == 1 || verdict == 2) && known(r.source) && name_bytes <= kOperatorBytesMax && reason_bytes <= kReasonBytesMax && flags <= kNothingBefore);
  if (in.ok() && in.left() == 0) {
    in.expect(name_bytes == 0 && reason_bytes == 0 && flags == 0);
    r.previous = kShortForm;
    return whole(in, r);
  }
  if (flags != kNothingBefore) {
    r.previous = in.le<std::int64_t>();
    in.expect(r.previous >= kUnrecorded && r.previous != kFirstEvent);
  }
  r.by = in.le<std::int64_t>();
  r.operator_name = in.text(name_bytes);
  r.reason = in.text(reason_bytes);
  return whole(in, r);
}

std::string encode(const CheckedRecord& r) {
  std::string out;
  Writer w(out);
  w.le(r.half);
  w.le(r.answered);
  w.le(std::uint32_t{0});
  w.le(r.wall_ms);
  if (r.previous == kShortForm) return out;
  w.le(r.previous);
  w.le(r.by);
  return out;
}

std::optional<CheckedRecord> decode_checked(Bytes payload) {
  PayloadReader in(payload);
  CheckedRecord r;
  r.half = in.le<std::int64_t>();
  r.answered = in.le<std::uint32_t>();
  in.reserved<std::uint32_t>();
  r.wall_ms = in.le<std::int64_t>();
  if (in.ok() && in.left() == 0) {
    r.previous = kShortForm;
    return whole(in, r);
  }
  r.previous = in.le<std::int64_t>();
  in.expect(r.previous >= kUnrecorded);
  r.by = in.le<std::int64_t>();
  return whole(in, r);
}

std::string encode(const ParkedRecord& r) {
  std::string out;
  Writer w(out);
  w.le(r.half);
  w.le(r.queue_offset);
  w.le(r.wall_ms);
  if (r.previous == kShortForm) return out;
  w.le(r.previous);
  return out;
}

std::optional<ParkedRecord> decode_parked(Bytes payload) {
  PayloadReader in(payload);
  ParkedRecord r;
  r.half = in.le<std::int64_t>();
  r.queue_offset = in.le<std::int64_t>();
  r.wall_ms = in.le<std::int64_t>();
  if (in.ok() && in.left() == 0) {
    r.previous = kShortForm;
    return whole(in, r);
  }
  r.previous = in.le<std::int64_t>();
  in.expect(r.previous >= kUnrecorded);
  return whole(in, r);
}

std::string encode(const ResumedRecord& r) {
  std::string out;
  Writer w(out);
  const std::string_view name = cut(r.operator_name, kOperatorBytesMax);
  const std::string_view reason = cut(r.reason, kReasonBytesMax);
  w.le(r.half);
  w.le(r.wall_ms);
  if (r.previous == kShortForm) return out;
  w.le(r.previous);
  w.le(r.by);
  put_length(w, name);
  put_length(w, reason);
  w.le(std::uint32_t{0});
  w.text(name);
  w.text(reason);
  return out;
}

std::optional<ResumedRecord> decode_resumed(Bytes payload) {
  PayloadReader in(payload);
  ResumedRecord r;
  r.half = in.le<std::int64_t>();
  r.wall_ms = in.le<std::int64_t>();
  if (in.ok() && in.left() == 0) {
    r.previous = kShortForm;
    return whole(in, r);
  }
  r.previous = in.le<std::int64_t>();
  in.expect(r.previous >= kUnrecorded);
  r.by = in.le<std::int64_t>();
  const auto name_bytes = in.le<std::uint16_t>();
  const auto reason_bytes = in.le<std::uint16_t>();
  in.expect(name_bytes <= kOperatorBytesMax && reason_bytes <= kReasonBytesMax);
  in.reserved<std::uint32_t>();
  r.operator_name = in.text(name_bytes);
  r.reason = in.text(reason_bytes);
  return whole(in, r);
}

std::string encode(const AskedRecord& r) {
  std::string out;
  Writer w(out);
  w.le(r.half);
  w.le(r.previous);
  w.le(r.by);
  w.le(r.wall_ms);
  return out;
}

std::optional<AskedRecord> decode_asked(Bytes payload) {
  PayloadReader in(payload);
  AskedRecord r;
  r.half = in.le<std::int64_t>();
  r.previous = in.le<std::int64_t>();
  in.expect(r.previous >= kUnrecorded);
  r.by = in.le<std::int64_t>();
  r.wall_ms = in.le<std::int64_t>();
  return whole(in, r);
}

std::string encode(const ClientRecord& r) {
  std::string out;
  Writer w(out);
  const std::string_view id = cut(r.id, kOperatorBytesMax);
  const std::string_view address = cut(r.address, kOperatorBytesMax);
  w.le(r.wall_ms);
  put_length(w, id);
  put_length(w, address);
  w.le(std::uint32_t{0});
  w.text(id);
  w.text(address);
  return out;
}

std::optional<ClientRecord> decode_client(Bytes payload) {
  PayloadReader in(payload);
  ClientRecord r;
  r.wall_ms = in.le<std::int64_t>();
  const auto id_bytes = in.le<std::uint16_t>();
  const auto address_bytes = in.le<std::uint16_t>();
  in.expect(id_bytes <= kOperatorBytesMax && address_bytes <= kOperatorBytesMax);
  in.reserved<std::uint32_t>();
  r.id = in.text(id_bytes);
  r.address = in.text(address_bytes);
  return whole(in, r);
}

std::string encode(const RefusedRecord& r) {
  std::string out;
  Writer w(out);
  const std::string_view name = cut(r.operator_name, kOperatorBytesMax);
  w.le(r.half);
  w.le(r.previous);
  w.le(r.by);
  w.le(r.wall_ms);
  w.le(r.count);
  w.le(static_cast<std::uint8_t>(r.commit ? 1 : 2));
  w.le(static_cast<std::uint8_t>(r.source));
  put_length(w, name);
  w.text(name);
  return out;
}

std::optional<RefusedRecord> decode_refused(Bytes payload) {
  PayloadReader in(payload);
  RefusedRecord r;
  r.half = in.le<std::int64_t>();
  r.previous = in.le<std::int64_t>();
  in.expect(r.previous >= kUnrecorded);
  r.by = in.le<std::int64_t>();
  r.wall_ms = in.le<std::int64_t>();
  r.count = in.le<std::uint32_t>();
  const auto verdict = in.le<std::uint8_t>();
  r.commit = verdict == 1;
  r.source = static_cast<VerdictSource>(in.le<std::uint8_t>());
  const auto name_bytes = in.le<std::uint16_t>();
  in.expect((verdict == 1 || verdict == 2) && known(r.source) && name_bytes <= kOperatorBytesMax);
  r.operator_name = in.text(name_bytes);
  return whole(in, r);
}

}  // namespace halfmoon::broker
