// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "base/inline_function.h"
#include "base/result.h"

namespace halfmoon {

/// The one answer that somebody waits for. Whoever holds it must answer exactly once, now or later; a Reply dropped without an
/// answer answers ErrorCode::Internal by itself, so that no client ever waits for nothing. Called on whichever thread is inside
/// the core; the callee posts to its own thread where it needs to.
template <class T>
class [[nodiscard]] Reply {
 public:
  using Function = InlineFunction<void(Result<T>&&), 48>;

  Reply() = default;
  template <class F>
    requires std::is_invocable_v<F&, Result<T>&&>
  Reply(F f) : function_(std::move(f)) {}  // NOLINT: implicit on purpose
  Reply(Reply&& other) noexcept : function_(std::move(other.function_)) { other.function_.reset(); }
  Reply& operator=(Reply&& other) noexcept {
    drop();
    function_ = std::move(other.function_);
    other.function_.reset();
    return *this;
  }
  ~Reply() { drop(); }

  explicit operator bool() const { return static_cast<bool>(function_); }
  void operator()(Result<T>&& result) {
    Function f = std::move(function_);
    function_.reset();
    f(std::move(result));
  }

 private:
  void drop() {
    if (function_) (*this)(Result<T>(Error{ErrorCode::Internal, "the request was dropped without an answer; please report this"}));
  }
  Function function_;
};

}  // namespace halfmoon
