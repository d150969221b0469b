// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/topic.h"
#include "wire/remoting/header.h"

namespace halfmoon::adapter {

/// What part of a table 21 or 201 asks for (specification 3.7). Senders of older releases ask for everything.
struct Page {
  bool whole = true;
  std::int32_t from = 0;             // index by name
  std::int32_t count_max = 0;
  model::DataVersion seen;           // the table of which `from` counts; another one is read from its start
};

inline constexpr std::int32_t kPageRowsMax = 2000;

/// Errors: InvalidArgument for a number or data version that cannot be read.
Result<Page> decode_page(const wire::Header& header, std::string_view from_field, std::string_view count_field);

/// The page's rows, by name.
template <class Row>
std::vector<Row> cut_page(std::vector<Row>& rows, const Page& page, const model::DataVersion& version) {
  if (page.whole) return std::move(rows);
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
  const std::int32_t from = page.seen == version ? std::clamp(page.from, 0, static_cast<std::int32_t>(rows.size())) : 0;
  const auto count = std::min<std::ptrdiff_t>(std::clamp(page.count_max, 0, kPageRowsMax), static_cast<std::ptrdiff_t>(rows.size()) - from);
  return {std::make_move_iterator(rows.begin() + from), std::make_move_iterator(rows.begin() + from + count)};
}

}  // namespace halfmoon::adapter
