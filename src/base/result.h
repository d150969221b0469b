// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace halfmoon {

/// Either a value or an Error. `[[nodiscard]]`: an answer that nobody looks at does not compile.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}          // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}      // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { HM_CHECK(ok()); return *std::get_if<0>(&state_); }
  const T& value() const& { HM_CHECK(ok()); return *std::get_if<0>(&state_); }
  T&& value() && { HM_CHECK(ok()); return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { HM_CHECK(!ok()); return *std::get_if<1>(&state_); }
  Error&& error() && { HM_CHECK(!ok()); return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

/// The value of a Result that carries none.
struct Done {};

using Status = Result<Done>;

}  // namespace halfmoon

/// Hands an error up: HM_TRY(auto, file, disk.open(...)); or HM_TRY_STATUS(file.sync());
#define HM_CONCAT_2(a, b) a##b
#define HM_CONCAT(a, b) HM_CONCAT_2(a, b)
#define HM_TRY(type, name, expr)                                             \
  auto HM_CONCAT(hm_try_, __LINE__) = (expr);                                \
  if (!HM_CONCAT(hm_try_, __LINE__).ok()) return std::move(HM_CONCAT(hm_try_, __LINE__)).error(); \
  type name = std::move(HM_CONCAT(hm_try_, __LINE__)).value()
#define HM_TRY_STATUS(expr)                                                  \
  do {                                                                       \
    auto hm_status = (expr);                                                 \
    if (!hm_status.ok()) return std::move(hm_status).error();                \
  } while (0)
