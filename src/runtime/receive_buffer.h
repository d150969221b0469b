// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <memory>

#include "base/bytes.h"

namespace halfmoon::runtime {

/// Bytes of a frame that has not arrived as a whole: grows at its end, gives its memory back when it becomes empty. Grows by
/// realloc, which moves large blocks by remapping pages instead of copying them.
class ReceiveBuffer {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t capacity() const { return capacity_; }   // memory held
  Bytes bytes() const { return {data_.get(), size_}; }

  /// At least `room` free bytes behind the end; `filled` takes them in.
  MutableBytes tail(std::size_t room);
  void filled(std::size_t n) { size_ += n; }
  void append(Bytes bytes);
  /// Keeps only `rest`, which may lie inside.
  void keep(Bytes rest);

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace halfmoon::runtime
