// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/log.h"

namespace halfmoon::testkit {

/// Takes a fuzzer's bytes apart from the front. When they are used up everything is 0 or empty, so every input means something.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  explicit FuzzInput(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  template <std::integral T>
  T number() {
    T value{};
    if (rest_.size() >= sizeof(T)) {
      value = load_le<T>(rest_.data());
      rest_.remove_prefix(sizeof(T));
    } else {
      rest_ = {};
    }
    return value;
  }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  /// In [0, n); n > 0.
  std::size_t below(std::size_t n) { return (n <= 256 ? byte() : number<std::uint32_t>()) % n; }
  std::string_view text(std::size_t n) {
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() { return text(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace halfmoon::testkit

/// The entry of a libFuzzer program: the function's body sees `input`, a halfmoon::testkit::FuzzInput.
#define HM_FUZZ_TARGET()                                                            \
  extern "C" int LLVMFuzzerInitialize(int*, char***);                               \
  extern "C" int LLVMFuzzerInitialize(int*, char***) {                              \
    halfmoon::set_log_level(halfmoon::LogLevel::Error);                             \
    halfmoon::set_log_sink([](auto...) {});                                         \
    return 0;                                                                       \
  }                                                                                 \
  static void fuzz_one(halfmoon::testkit::FuzzInput input);                         \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size); \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    fuzz_one(halfmoon::testkit::FuzzInput(data, size));                             \
    return 0;                                                                       \
  }                                                                                 \
  static void fuzz_one([[maybe_unused]] halfmoon::testkit::FuzzInput input)
