// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace halfmoon {

/// Reads a byte string front to back without ever reading past its end: after the first short read `ok()` is false and every
/// further read gives 0 or an empty view. So a decoder reads all its fields and asks once.
class Reader {
 public:
  explicit Reader(Bytes bytes) : p_(bytes.data()), left_(bytes.size()) {}

  template <std::integral T>
  T be() { return take(sizeof(T)) ? load_be<T>(p_ - sizeof(T)) : T{}; }
  template <std::integral T>
  T le() { return take(sizeof(T)) ? load_le<T>(p_ - sizeof(T)) : T{}; }
  /// The next `n` bytes as a view into the input.
  std::string_view text(std::size_t n) {
    return take(n) ? std::string_view(reinterpret_cast<const char*>(p_ - n), n) : std::string_view();
  }
  bool ok() const { return ok_; }
  std::size_t left() const { return left_; }

 private:
  bool take(std::size_t n) {
    if (n > left_) {
      ok_ = false;
      left_ = 0;
      return false;
    }
    p_ += n;
    left_ -= n;
    return true;
  }
  const std::byte* p_;
  std::size_t left_;
  bool ok_ = true;
};

/// Appends integers and text to a std::string, the counterpart of Reader.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  template <std::integral T>
  void be(T v) { char b[sizeof(T)]; store_be(b, v); out_.append(b, sizeof b); }
  template <std::integral T>
  void le(T v) { char b[sizeof(T)]; store_le(b, v); out_.append(b, sizeof b); }
  void text(std::string_view t) { out_.append(t); }

 private:
  std::string& out_;
};

}  // namespace halfmoon
