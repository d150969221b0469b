// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace halfmoon {

/// Prints the failed condition and aborts. For our own bugs and corrupt state in memory only; remote input never gets here.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace halfmoon

/// An assertion that stays on in release builds.
#define HM_CHECK(condition)                                                     \
  do {                                                                          \
    if (!(condition)) [[unlikely]]                                              \
      ::halfmoon::check_failed(#condition, __FILE__, __LINE__);                 \
  } while (0)
