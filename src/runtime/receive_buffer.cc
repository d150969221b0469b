// SPDX-License-Identifier: Apache-2.0
#include "runtime/receive_buffer.h"

#include <new>

namespace halfmoon::runtime {

MutableBytes ReceiveBuffer::tail(std::size_t room) {
  if (capacity_ - size_ < room) {
    auto* grown = static_cast<std::byte*>(std::realloc(data_.get(), size_ + room));
    if (!grown) throw std::bad_alloc();
    (void)data_.release();
    data_.reset(grown);
    capacity_ = size_ + room;
  }
  return {data_.get() + size_, capacity_ - size_};
}

void ReceiveBuffer::append(Bytes bytes) {
  if (bytes.empty()) return;
  std::memcpy(tail(bytes.size()).data(), bytes.data(), bytes.size());
  size_ += bytes.size();
}

void ReceiveBuffer::keep(Bytes rest) {
  if (rest.empty()) {
    data_.reset();
    size_ = capacity_ = 0;
    return;
  }
  if (rest.size() <= capacity_ && capacity_ <= rest.size() + (64 << 10)) {
    std::memmove(data_.get(), rest.data(), rest.size());
    size_ = rest.size();
    return;
  }
  ReceiveBuffer smaller;
  smaller.append(rest);
  *this = std::move(smaller);
}

}  // namespace halfmoon::runtime
