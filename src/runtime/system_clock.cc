// SPDX-License-Identifier: Apache-2.0
#include "runtime/system_clock.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>

#include "base/check.h"

namespace halfmoon::runtime {
namespace {

std::int64_t milliseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1000000;
}

}  // namespace

Now SystemClock::now() { return {milliseconds(CLOCK_REALTIME), milliseconds(CLOCK_BOOTTIME)}; }

std::uint64_t SystemRandom::next() {
  static constexpr std::size_t kBlock = 32;  // 256 bytes: getrandom gives so many in one piece
  thread_local std::array<std::uint64_t, kBlock> block;
  thread_local std::size_t left = 0;
  if (left == 0) {
    ssize_t n = 0;
    do n = getrandom(block.data(), sizeof block, 0);
    while (n < 0 && errno == EINTR);
    HM_CHECK(n == static_cast<ssize_t>(sizeof block));
    left = kBlock;
  }
  return block[--left];
}

}  // namespace halfmoon::runtime
