// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace halfmoon::broker {

/// A first-in first-out queue in one reused block of memory: no allocation once it has grown to its working size.
template <class T>
class Fifo {
 public:
  bool empty() const { return head_ == tail_; }
  std::size_t size() const { return tail_ - head_; }
  T& front() { return slots_[head_ & mask_]; }
  void push(T value) {
    if (size() == slots_.size()) grow();
    slots_[tail_++ & mask_] = std::move(value);
  }
  T pop() { return std::move(slots_[head_++ & mask_]); }

 private:
  void grow() {
    std::vector<T> larger(slots_.empty() ? 16 : slots_.size() * 2);
    const std::size_t n = size();
    for (std::size_t i = 0; i < n; i++) larger[i] = std::move(slots_[(head_ + i) & mask_]);
    slots_ = std::move(larger);
    mask_ = slots_.size() - 1;
    head_ = 0;
    tail_ = n;
  }
  std::vector<T> slots_;
  std::size_t mask_ = 0;
  std::size_t head_ = 0;  // count up for ever; the place is the count modulo the capacity
  std::size_t tail_ = 0;
};

}  // namespace halfmoon::broker
