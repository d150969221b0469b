// SPDX-License-Identifier: Apache-2.0
#include "storage/zeroing.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace halfmoon::storage {
namespace {

constexpr std::int64_t kPieceBytes = 1 << 20;
constexpr std::int64_t kLeastPieceBytes = 64 << 10;   // a smaller write takes hardly less time
constexpr std::int64_t kLeadBytes = 2 << 20;          // ahead of what is wanted

}  // namespace

/// Takes note of a begun piece that has ended.
Status Zeroing::look(File::Look how) {
  if (under_way_ == 0) return Done{};
  Result<bool> ended = file_->write_ended(how);
  if (ended.ok() && !*ended) return Done{};
  const std::int64_t n = std::exchange(under_way_, 0);
  if (!ended.ok()) return std::move(ended).error();
  at_ += n;
  return Done{};
}

Status Zeroing::write_piece() {
  const std::int64_t n = std::min(kPieceBytes, bytes_ - at_);
  HM_TRY_STATUS(file_->write_at(at_, zeros_.first(n)));
  at_ += n;
  return Done{};
}

Status Zeroing::begin_piece() {
  const std::int64_t due = pace_->wanted() + kLeadBytes - at_;
  if (at_ >= bytes_ || due < kLeastPieceBytes) return Done{};
  const std::int64_t n = std::min({block_floor(due), kPieceBytes, bytes_ - at_});
  HM_TRY(const bool, begun, file_->begin_write(at_, zeros_.first(n)));
  if (begun) under_way_ = n;
  cannot_begin_ = !begun;
  return Done{};
}

Status Zeroing::fill(File& file, std::int64_t bytes, const Pace& pace) {
  std::int64_t seen = 0;
  {
    const std::lock_guard lock(mutex_);
    if (zeros_.capacity() == 0) {
      zeros_.reserve(kPieceBytes);
      std::memset(zeros_.data(), 0, static_cast<std::size_t>(kPieceBytes));
    }
    file_ = &file;
    pace_ = &pace;
    at_ = 0;
    bytes_ = bytes;
    seen = flushes_;
    cannot_begin_ = false;
    filling_.store(true, std::memory_order_release);
  }
  for (bool first = true;; first = false) {
    const bool hurry = pace.hurry();
    bool late = false;
    {
      const std::lock_guard lock(mutex_);
      Status done = std::exchange(begun_failed_, Done{});
      if (done.ok()) done = look(hurry ? File::Look::Wait : File::Look::Now);
      const bool flusher_at_work = (first || seen != flushes_) && !cannot_begin_;
      seen = flushes_;
      const bool here = done.ok() && under_way_ == 0 && at_ < bytes_ && (hurry || !flusher_at_work);
      if (here) done = write_piece();
      if (!done.ok() || at_ >= bytes_) {
        // After an error nothing is under way: it was that piece's, or none could be written because of it.
        filling_.store(false, std::memory_order_relaxed);
        file_ = nullptr;
        return done;
      }
      late = here && at_ < pace.wanted();
    }
    if (!hurry && !late) pace.pause();
  }
}

void Zeroing::flushed() {
  if (!filling_.load(std::memory_order_acquire)) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || file_ == nullptr || !begun_failed_.ok()) return;
  flushes_++;
  Status done = look(File::Look::Now);
  if (done.ok() && under_way_ == 0 && !cannot_begin_) done = begin_piece();
  if (!done.ok()) begun_failed_ = std::move(done);
}

}  // namespace halfmoon::storage
