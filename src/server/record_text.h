// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/log.h"

namespace halfmoon::server {

std::string_view record_name(storage::RecordType type);

/// A record's fields for a person, as `log dump` shows them, in order; text values are quoted as they are. A payload that does not have
/// its type's shape gives one field "malformed".
struct RecordField {
  std::string name, value;
  bool number = false;
};
std::vector<RecordField> record_fields(const storage::RecordView& record);

}  // namespace halfmoon::server
