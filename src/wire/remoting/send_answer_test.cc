// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/send_answer.h"

#include <gtest/gtest.h>

#include <limits>

namespace halfmoon::wire {
namespace {

std::string field_by_field(const FrameStart& start, const SendAnswer& answer) {
  std::string out = "before";
  FrameWriter frame(out, start);
  frame.text("msgId", answer.message_ids);
  frame.number("queueId", answer.queue_id);
  frame.number("queueOffset", answer.queue_offset);
  frame.text("transactionId", answer.transaction_id);
  frame.text("MSG_REGION", answer.region);
  frame.boolean("TRACE_ON", answer.trace_on);
  frame.finish();
  return out;
}

TEST(SendAnswer, IsTheFrameThatAFrameWriterWrites) {
  const std::string longest(700, 'A');
  const std::string_view texts[] = {"", "7F00000100002A9F0000000000000001", "a\"b", "tab\t", "\xE4\xB8\xAD", longest};
  using Limits = std::numeric_limits<std::int64_t>;
  std::size_t compared = 0;
  for (const SerializeType type : {SerializeType::Json, SerializeType::Binary})
    for (const std::string_view ids : texts)
      for (const std::string_view key : texts)
        for (const std::string_view region : {std::string_view("DefaultRegion"), std::string_view("\\"), std::string_view("")})
          for (const std::int64_t number : {std::int64_t{0}, std::int64_t{7}, Limits::max(), Limits::min()})
            for (const std::int32_t opaque : {0, -1, std::numeric_limits<std::int32_t>::min(), 12345}) {
              const FrameStart start = response_to(type, opaque, ResponseCode::Success, opaque == 12345 ? "a remark" : "");
              const SendAnswer answer{ids, opaque, number, key, region, (number & 1) == 0};
              std::string out = "before";
              append_send_answer(out, start, answer);
              ASSERT_EQ(out, field_by_field(start, answer));
              ++compared;
            }
  EXPECT_EQ(compared, 2u * 6 * 6 * 3 * 4 * 4);
}

}  // namespace
}  // namespace halfmoon::wire
