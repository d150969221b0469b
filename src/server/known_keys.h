// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "server/settings.h"

namespace halfmoon::server {

/// A key that does something here, as data: what `config keys`, docs/operating.md and the loader all read.
struct KnownKey {
  using Member = std::variant<std::string Settings::*, bool Settings::*, std::int64_t Settings::*>;
  std::string_view section;   // heading in the documentation
  std::string_view name;
  Member member;
  std::string_view unit;      // "ms", "bytes", ...; for text what it is: "address", "A|B" for a choice
  std::string_view help;
  std::string_view cost;      // what it costs, or what to keep in mind; may be empty
  std::int64_t least = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
};
std::span<const KnownKey> known_keys();
const KnownKey* find_known_key(std::string_view name);
std::string default_text(const KnownKey& key);
std::string range_text(const KnownKey& key);

/// An Apache key that is accepted and does nothing here.
struct IdleKey {
  std::string_view name;
  std::string_view why;
};
const IdleKey* find_idle_key(std::string_view name);

/// An Apache key that would change what the broker promises. Refused when it is set to anything but one of `harmless` ("a|b").
struct RefusedKey {
  std::string_view name;
  std::string_view harmless;
  std::string_view why;
};
std::span<const RefusedKey> refused_keys();
const RefusedKey* find_refused_key(std::string_view name);

/// Every name of the three kinds, for suggestions.
std::span<const std::string_view> all_key_names();

/// True if `value` is one of the words in "a|b|c", letters compared as they are.
bool is_one_of(std::string_view words, std::string_view value);

}  // namespace halfmoon::server
