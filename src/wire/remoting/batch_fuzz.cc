// SPDX-License-Identifier: Apache-2.0
// Batch body: what is taken apart can be put together again byte for byte, but for the two words that nobody looks at.
#include <string>

#include "base/check.h"
#include "base/cursor.h"
#include "testkit/fuzz_input.h"
#include "wire/remoting/batch.h"

HM_FUZZ_TARGET() {
  using namespace halfmoon;
  const std::string_view body = input.rest();
  const auto items = wire::split_batch(as_bytes(body));
  if (!items.ok()) {
    HM_CHECK(items.error().code == ErrorCode::MessageIllegal && !items.error().text.empty());
    return;
  }
  HM_CHECK(!items->empty() && items->size() <= wire::kBatchItemsMax);
  std::string again;
  Writer writer(again);
  for (const wire::BatchItem& item : *items) {
    writer.be(static_cast<std::int32_t>(22 + item.body.size() + item.properties.size()));
    writer.text(body.substr(again.size(), 8));  // magic and checksum as they came
    writer.be(item.flag);
    writer.be(static_cast<std::int32_t>(item.body.size()));
    writer.text(as_text(item.body));
    writer.be(static_cast<std::int16_t>(item.properties.size()));
    writer.text(item.properties);
  }
  HM_CHECK(again == body);
}
