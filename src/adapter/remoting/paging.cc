// SPDX-License-Identifier: Apache-2.0
#include "adapter/remoting/paging.h"

#include "adapter/remoting/translate.h"

namespace halfmoon::adapter {

Result<Page> decode_page(const wire::Header& header, std::string_view from_field, std::string_view count_field) {
  Page page;
  HM_TRY(const auto, from, header.ext.optional_int32(from_field));
  HM_TRY(const auto, count, header.ext.optional_int32(count_field));
  const std::string_view version = header.ext.text_or("dataVersion", "");
  if (!from && !count && version.empty()) return page;
  page.whole = false;
  page.from = from.value_or(0);
  page.count_max = count.value_or(kPageRowsMax);
  HM_TRY(const auto, seen, wire::parse_data_version(as_bytes(version)));
  page.seen = to_model(seen);
  return page;
}

}  // namespace halfmoon::adapter
