// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/pfr.hpp>
#include <concepts>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"

namespace halfmoon::testkit {

template <class T>
bool same_fields(const T& a, const T& b);

namespace detail {
template <class T>
bool same_value(const T& a, const T& b) {
  if constexpr (std::equality_comparable<T>) return a == b;
  else return same_fields(a, b);
}
// What a container holds may have no == though the container seems to.
template <class T>
bool same_value(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same_value(a[i], b[i])) return false;
  }
  return true;
}
template <class T>
bool same_value(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || same_value(*a, *b));
}
}  // namespace detail

/// Compares two plain structs member by member; for those that have no == because the program needs none.
template <class T>
bool same_fields(const T& a, const T& b) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return (detail::same_value(boost::pfr::get<I>(a), boost::pfr::get<I>(b)) && ...);
  }(std::make_index_sequence<boost::pfr::tuple_size_v<T>>());
}

/// Both values with the same members, or both the same Error.
template <class T>
bool same_results(const Result<T>& a, const Result<T>& b) {
  if (a.ok() != b.ok()) return false;
  return a.ok() ? same_fields(*a, *b) : a.error().code == b.error().code && a.error().text == b.error().text;
}

}  // namespace halfmoon::testkit
