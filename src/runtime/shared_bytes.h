// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace halfmoon::runtime {

/// Bytes that leave on many connections: written once into pages of their own (a file in memory that is never changed), which the kernel sends from
/// without copying them. Pages that are still on their way stay until they have arrived, whoever lets go of this. Any thread.
class SharedBytes {
 public:
  /// nullptr: the system refuses; send them the ordinary way.
  static std::shared_ptr<const SharedBytes> make(std::string_view bytes);
  ~SharedBytes();
  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;

  int file() const { return fd_; }
  std::size_t size() const { return size_; }
  void append_to(std::string& out) const;

 private:
  SharedBytes(int fd, std::size_t size) : fd_(fd), size_(size) {}
  const int fd_;
  const std::size_t size_;
};

}  // namespace halfmoon::runtime
