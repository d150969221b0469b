// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace halfmoon::server {

struct Property {
  std::string key, value;
  int line = 0;   // where it begins, from 1
};

/// Reads java.util.Properties' format: `key = value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash at the end of
/// a line joins the next one; \t \n \r \f \\ and \uXXXX in keys and values. Properties come in file order, repeated keys included.
/// Unlike Java the file is UTF-8. Errors: InvalidArgument with the line (a malformed \uXXXX).
Result<std::vector<Property>> parse_properties(std::string_view text);

/// Errors: as above, Io (with the reason).
Result<std::vector<Property>> read_properties_file(const std::string& path);

}  // namespace halfmoon::server
