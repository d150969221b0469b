// SPDX-License-Identifier: Apache-2.0
#include "runtime/out_queue.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>

namespace halfmoon::runtime {
namespace {

constexpr std::size_t kCompactBytes = 1 << 20;   // sent bytes in front of the text above which it is moved up

}  // namespace

void OutQueue::append(std::shared_ptr<const SharedBytes> bytes) {
  shared_unsent_ += bytes->size();
  shared_.push_back({.at = text_.size(), .sent = 0, .bytes = std::move(bytes)});
}

ssize_t OutQueue::send(int fd, std::size_t most) {
  std::size_t total = 0;
  while (unsent() > 0 && total < most) {
    const bool is_shared = !shared_.empty() && shared_.front().at == sent_;
    const std::size_t there = is_shared ? shared_.front().bytes->size() - shared_.front().sent : (shared_.empty() ? text_.size() : shared_.front().at) - sent_;
    const std::size_t part = there <= kWholeBytes || there - kWholeBytes <= most - total ? there : most - total;
    const ssize_t n = is_shared ? send_shared(fd, part) : send_text(fd, part);
    if (n <= 0) return total > 0 ? static_cast<ssize_t>(total) : n;
    total += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < part) break;  // the socket is full
  }
  return static_cast<ssize_t>(total);
}

ssize_t OutQueue::send_text(int fd, std::size_t bytes) {
  const ssize_t n = ::send(fd, text_.data() + sent_, bytes, MSG_NOSIGNAL | (shared_.empty() ? 0 : MSG_MORE));
  if (n > 0) sent_ += static_cast<std::size_t>(n);
  return n;
}

ssize_t OutQueue::send_shared(int fd, std::size_t bytes) {
  Shared& front = shared_.front();
  auto from = static_cast<off_t>(front.sent);
  const ssize_t n = ::sendfile(fd, front.bytes->file(), &from, bytes);
  if (n <= 0) return n;
  front.sent += static_cast<std::size_t>(n);
  shared_unsent_ -= static_cast<std::size_t>(n);
  if (front.sent == front.bytes->size()) shared_.erase(shared_.begin());
  return n;
}

void OutQueue::clear() {
  text_.clear();
  sent_ = 0;
  shared_.clear();
  shared_unsent_ = 0;
}

void OutQueue::compact() {
  if (sent_ < kCompactBytes || sent_ < text_.size() / 2) return;
  text_.erase(0, sent_);
  for (Shared& shared : shared_) shared.at -= sent_;
  sent_ = 0;
}

std::string OutQueue::give_buffer() {
  clear();
  return std::exchange(text_, {});
}

}  // namespace halfmoon::runtime
