// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/shared_bytes.h"

namespace halfmoon::runtime {

/// What a connection still has to send: a text that grows at its end, with shared bytes between its parts.
///
///     text  | already sent | header ... | header ... answer ... |
///                                       ^ shared bytes, after so many bytes of the text
class OutQueue {
 public:
  /// Append here.
  std::string& text() { return text_; }
  void append(std::shared_ptr<const SharedBytes> bytes);
  std::size_t unsent() const { return text_.size() - sent_ + shared_unsent_; }
  /// What a send may exceed `most` by to send a part, the text up to some shared bytes or these, to its end: what is cut in two costs a packet more.
  static constexpr std::size_t kWholeBytes = 64 << 10;
  /// Hands the socket what it takes, about `most` bytes at most (more than none), in one system call, and two more for each of the shared bytes. How many
  /// bytes; -1 and errno if it took none. Its thread does not take SIGPIPE.
  ssize_t send(int fd, std::size_t most = SIZE_MAX);
  void clear();
  /// Moves what is unsent to the front where that frees much.
  void compact();
  /// All has been sent: the text's memory, to be used again; and memory to go on with.
  std::string give_buffer();
  bool needs_buffer() const { return text_.empty() && text_.capacity() <= sizeof(std::string); }
  void take_buffer(std::string buffer) { text_ = std::move(buffer); }

 private:
  struct Shared {
    std::size_t at = 0;     // after so many bytes of the text
    std::size_t sent = 0;
    std::shared_ptr<const SharedBytes> bytes;
  };
  ssize_t send_text(int fd, std::size_t bytes);
  ssize_t send_shared(int fd, std::size_t bytes);

  std::string text_;
  std::size_t sent_ = 0;            // of the text
  std::vector<Shared> shared_;      // in order; few
  std::size_t shared_unsent_ = 0;
};

}  // namespace halfmoon::runtime
