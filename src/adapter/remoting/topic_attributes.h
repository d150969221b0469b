// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace halfmoon::adapter {

/// One entry of the attributes text of code 17: `+name=value` sets, `-name` removes.
struct AttributeChange {
  std::string name;
  std::string value;
  bool remove = false;
};

using Attributes = std::map<std::string, std::string>;

/// Reads `+a=b,-c`. Errors: InvalidArgument with RocketMQ's texts (specification 4.9), the one for a name twice included.
Result<std::vector<AttributeChange>> parse_attribute_changes(std::string_view text);

/// What `current` becomes; `current` is null for a topic that is being created. Errors: InvalidArgument with RocketMQ's texts.
Result<Attributes> changed_attributes(const std::vector<AttributeChange>& changes, const Attributes* current);

}  // namespace halfmoon::adapter
