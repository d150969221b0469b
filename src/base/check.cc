// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace halfmoon {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "halfmoon: internal check failed: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace halfmoon
