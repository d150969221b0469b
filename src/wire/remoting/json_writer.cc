// SPDX-License-Identifier: Apache-2.0
#include "wire/remoting/json_writer.h"

#include <charconv>
#include <cmath>

namespace halfmoon::wire {

void JsonWriter::real(double value) {
  if (!std::isfinite(value)) return raw("null");
  char digits[64];
  const char* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view shortest(digits, static_cast<std::size_t>(end - digits));
  raw(shortest);
  if (shortest.find_first_of(".e") == std::string_view::npos) out_.append(".0");
}

}  // namespace halfmoon::wire
