// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/cursor.h"

namespace halfmoon::broker {

/// Reads a payload and remembers whether it is one that `encode` can have written: what is reserved is zero, a flag is 0 or 1, names
/// stand in order. Anything else is from a newer version and must not be replayed as if it were known.
class PayloadReader : public Reader {
 public:
  using Reader::Reader;
  template <std::integral T>
  void reserved() { known_ = le<T>() == 0 && known_; }
  void expect(bool as_written) { known_ = as_written && known_; }
  bool flag() {
    const auto value = le<std::uint8_t>();
    expect(value <= 1);
    return value == 1;
  }
  std::string_view short_text() { return text(le<std::uint16_t>()); }
  bool whole() const { return ok() && left() == 0 && known_; }

 private:
  bool known_ = true;
};

/// The value, if the payload was one that `encode` can have written.
template <class T>
std::optional<T> whole(const PayloadReader& in, T value) {
  if (!in.whole()) return std::nullopt;
  return value;
}

}  // namespace halfmoon::broker
