// SPDX-License-Identifier: Apache-2.0
// Payloads of log records and message images: what a decoder takes, the encoder gives back byte for byte, so that nothing that replay accepts
// can mean something else than what is written.
#include <string>

#include "base/check.h"
#include "broker/records.h"
#include "model/message_image.h"
#include "testkit/fuzz_input.h"

namespace {

using namespace halfmoon;
using namespace halfmoon::broker;

template <class T>
void check(Bytes payload, std::optional<T> (*decode)(Bytes)) {
  const auto record = decode(payload);
  if (record) HM_CHECK(encode(*record) == as_text(payload));
}

void check_group_deleted(Bytes payload) {
  const auto record = decode_group_deleted(payload);
  if (record) HM_CHECK(encode_group_deleted(record->group, record->clean_offsets) == as_text(payload));
}

void check_image(Bytes image) {
  const auto fields = model::decode_image(image);
  if (!fields) return;
  HM_CHECK(model::image_size(*fields) == image.size());
  std::string again(image.size(), '\0');
  model::encode_image(*fields, std::as_writable_bytes(std::span(again)));
  HM_CHECK(again == as_text(image));
  const MutableBytes bytes = std::as_writable_bytes(std::span(again));
  model::set_image_queue_offset(bytes, 0x0102030405060708);
  model::set_image_position(bytes, -7);
  const auto patched = model::decode_image(as_bytes(again));
  HM_CHECK(patched && patched->queue_offset == 0x0102030405060708 && patched->position == -7);
  HM_CHECK(patched->body == fields->body && patched->topic == fields->topic && patched->store_ms == fields->store_ms);
  const auto position = model::position_of_message_id(model::offset_message_id(fields->store_host, fields->position));
  HM_CHECK(position == fields->position);
}

constexpr void (*kChecks[])(Bytes) = {
    [](Bytes p) { check(p, decode_verdict); },   [](Bytes p) { check(p, decode_checked); }, [](Bytes p) { check(p, decode_parked); },
    [](Bytes p) { check(p, decode_resumed); },   [](Bytes p) { check(p, decode_reference); }, [](Bytes p) { check(p, decode_fire); },
    [](Bytes p) { check(p, decode_offsets); },   [](Bytes p) { check(p, decode_topic); },   [](Bytes p) { check(p, decode_group); },
    [](Bytes p) { check(p, decode_carried); },   check_group_deleted,                       check_image,
};

}  // namespace

//  | which u8 | payload |
HM_FUZZ_TARGET() {
  const auto one = kChecks[input.below(std::size(kChecks))];
  one(as_bytes(input.rest()));
}
