// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/batch.h"

#include <string>

#include "base/cursor.h"

namespace halfmoon::wire {
namespace {

Error illegal(std::size_t index, std::string_view why) {
  return {ErrorCode::MessageIllegal, "the batch is malformed at message " + std::to_string(index) + ": " + std::string(why)};
}

}  // namespace

//  | total size i32 | magic i32 | crc i32 | flag i32 | body length i32 | body | properties length i16 | properties |
//  total size counts itself
Result<std::vector<BatchItem>> split_batch(Bytes body) {
  constexpr std::size_t kFixedBytes = 5 * sizeof(std::int32_t) + sizeof(std::int16_t);
  std::vector<BatchItem> items;
  if (body.empty()) return illegal(0, "it has none");
  Reader reader(body);
  while (reader.left() > 0) {
    if (items.size() == kBatchItemsMax) return illegal(items.size(), "more than " + std::to_string(kBatchItemsMax) + " messages; send smaller batches");
    const auto total = reader.be<std::int32_t>();
    reader.be<std::int32_t>();
    reader.be<std::int32_t>();
    BatchItem item;
    item.flag = reader.be<std::int32_t>();
    const auto body_bytes = reader.be<std::int32_t>();
    if (body_bytes < 0) return illegal(items.size(), "a negative length");
    item.body = as_bytes(reader.text(static_cast<std::size_t>(body_bytes)));
    const auto property_bytes = reader.be<std::int16_t>();
    if (property_bytes < 0) return illegal(items.size(), "a negative length");
    item.properties = reader.text(static_cast<std::size_t>(property_bytes));
    if (!reader.ok()) return illegal(items.size(), "it ends too early");
    if (static_cast<std::int64_t>(total) != static_cast<std::int64_t>(kFixedBytes + item.body.size() + item.properties.size()))
      return illegal(items.size(), "its lengths do not add up");
    items.push_back(item);
  }
  return items;
}

}  // namespace halfmoon::wire
