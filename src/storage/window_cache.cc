// SPDX-License-Identifier: Apache-2.0
#include "storage/window_cache.h"

#include <algorithm>
#include <optional>

#include "storage/aligned_buffer.h"
#include "storage/segment.h"

namespace halfmoon::storage {

/// `begin`, `end` and `goes_on` change only while nobody else has it pinned; what stands behind `mutex` is that mutex's.
struct WindowCache::Window {
  std::uint64_t cache = 0;
  std::atomic<int> pins{0};
  Position begin = 0;
  Position end = 0;             // of what was asked for
  bool goes_on = false;         // from another window: somebody reads in order
  bool known = false;           // under the cache's mutex: find() may give it
  bool looked_into = false;     // under the cache's mutex
  std::uint64_t used = 0;       // under the cache's mutex
  AlignedBuffer memory;
  Position here = 0;            // where what has come ends; written before `arrived`
  std::atomic<bool> arrived{false};

  std::mutex mutex;
  std::shared_ptr<File> file;
  std::unique_ptr<PendingRead> pending;
  std::optional<Error> failed;

  bool spans(Position position) const { return position >= begin && position < end; }

  /// Waits until its bytes are here, `patience_ns` at most unless that is negative. Errors: Busy.
  Status wait(std::int64_t patience_ns) {
    if (arrived.load(std::memory_order_acquire)) return Done{};
    std::unique_lock lock(mutex, std::defer_lock);
    if (patience_ns < 0) lock.lock();
    else if (!lock.try_lock()) return not_yet();   // another thread waits for it
    if (pending && patience_ns >= 0 && !pending->there(patience_ns)) return not_yet();
    if (pending) {
      const auto got = pending->wait();
      pending.reset();
      file.reset();
      if (!got.ok()) failed = got.error();
      else here = std::min(begin + static_cast<std::int64_t>(*got), end);
      if (got.ok()) arrived.store(true, std::memory_order_release);
    }
    if (failed) return Error(*failed);
    return Done{};
  }
  static Error not_yet() { return {ErrorCode::Busy, "the disk has not brought it yet"}; }
  /// Pinned by nobody, under the cache's mutex: whether the disk still writes into it.
  bool under_way() const { return pending && !pending->there(0); }
};

WindowCache::~WindowCache() = default;

std::uint64_t WindowCache::next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

WindowCache::Pin::Pin(std::shared_ptr<Window> window) : window_(std::move(window)) { window_->pins.fetch_add(1, std::memory_order_relaxed); }

void WindowCache::Pin::release() {
  if (!window_) return;
  window_->pins.fetch_sub(1, std::memory_order_release);
  window_.reset();
}

bool WindowCache::Pin::holds(const WindowCache& cache, Position position, std::int64_t bytes) const {
  return window_ && window_->cache == cache.id_ && position >= window_->begin && position + bytes <= window_->here;
}

Bytes WindowCache::Pin::from(Position position, std::int64_t bytes) const {
  const std::int64_t have = std::clamp<std::int64_t>(window_->here - position, 0, bytes);
  return Bytes(window_->memory.data() + (position - window_->begin), static_cast<std::size_t>(have));
}

std::shared_ptr<WindowCache::Window> WindowCache::find(Position position) const {
  for (const auto& window : windows_)
    if (window->known && window->spans(position)) return window;
  return nullptr;
}

/// What to read for a position that no window holds. Files are read in whole blocks; positions and their bytes agree modulo the block.
WindowCache::Range WindowCache::range_for(Position position, const Source& source, bool& goes_on) const {
  const Window* before = nullptr;
  for (const auto& window : windows_) {
    const bool near = window->known && position >= window->end && position <= window->end + (window->end - window->begin);
    if (near && (!before || window->end > before->end)) before = window.get();
  }
  goes_on = before != nullptr;
  const std::int64_t bytes = before ? std::clamp(2 * (before->end - before->begin), kBytesMin, kBytesMax) : kBytesMin;
  // What lies in between is another queue's, and asked for next.
  Position from = block_floor(before ? std::max(before->end, source.first) : position);
  if (position - from > bytes / 2) from = block_floor(position);
  return {.begin = from, .end = std::min(from + bytes, source.limit)};
}

/// A window for the range, locked (begin() unlocks it): an old one that nobody looks into, or a new one.
WindowCache::Pin WindowCache::take(Range range, bool goes_on) {
  std::shared_ptr<Window> window;
  const auto look_for = [&](bool waiting_for_it) {
    for (const auto& old : windows_)
      if (old->pins.load(std::memory_order_acquire) == 0 && (!window || old->used < window->used) && (waiting_for_it || !old->under_way())) window = old;
  };
  if (windows_.size() >= kWindows) look_for(false);
  if (!window && windows_.size() >= 2 * kWindows) look_for(true);
  if (!window) window = windows_.emplace_back(std::make_shared<Window>());
  window->mutex.lock();
  window->pending.reset();   // asked for ahead and never looked into: waits for the disk's last word
  window->failed.reset();
  window->arrived.store(false, std::memory_order_relaxed);
  window->cache = id_;
  window->begin = window->here = range.begin;
  window->end = range.end;
  window->goes_on = goes_on;
  window->known = true;
  window->looked_into = false;
  window->used = ++uses_;
  return Pin(std::move(window));
}

/// Asks the disk; the window is locked by take().
void WindowCache::begin(Window& window, const Source& source) {
  const std::int64_t bytes = block_ceiling(window.end - window.begin);
  window.memory.reserve(bytes);
  window.file = source.file;
  window.pending = window.file->begin_read(kSegmentHeaderBytes + window.begin - source.first, window.memory.first(bytes));
  reads_.fetch_add(1, std::memory_order_relaxed);
  window.mutex.unlock();
}

/// The windows behind one that somebody who reads in order looks into for the first time. Never a block that is still to be written.
void WindowCache::plan_ahead(const Window& from, const Source& source, std::vector<Pin>& planned) {
  Range range{.begin = from.begin, .end = from.end};
  for (int i = 0; i < kAhead; i++) {
    if (const auto there = find(range.end)) {
      range = {.begin = there->begin, .end = there->end};
      continue;
    }
    const std::int64_t bytes = std::clamp(2 * (range.end - range.begin), kBytesMin, kBytesMax);
    range = {.begin = block_floor(range.end), .end = std::min(block_floor(range.end) + bytes, block_floor(source.limit))};
    if (range.end - range.begin < kBytesMin) return;
    planned.push_back(take(range, true));
  }
}

Result<WindowCache::Pin> WindowCache::at(Position position, const Source& source, std::int64_t patience_ns) {
  Pin pin;
  std::vector<Pin> planned;
  {
    const std::lock_guard lock(mutex_);
    auto window = find(position);
    if (!window) {
      bool goes_on = false;
      const Range range = range_for(position, source, goes_on);
      planned.push_back(take(range, goes_on));
      window = planned.back().window_;
    }
    window->used = ++uses_;
    pin = Pin(window);
    if (!std::exchange(window->looked_into, true) && window->goes_on) plan_ahead(*window, source, planned);
  }
  for (const Pin& one : planned) begin(*one.window_, source);
  if (auto arrived = pin.window_->wait(patience_ns); !arrived.ok()) {
    if (arrived.error().code != ErrorCode::Busy) forget(*pin.window_);
    return std::move(arrived).error();
  }
  if (position >= pin.window_->here) forget(*pin.window_);
  return pin;
}

void WindowCache::forget(const Window& window) {
  const std::lock_guard lock(mutex_);
  for (const auto& known : windows_)
    if (known.get() == &window) known->known = false;
}

void WindowCache::forget(Position from, Position to) {
  const std::lock_guard lock(mutex_);
  for (const auto& window : windows_)
    if (window->begin < to && from < window->end) window->known = false;
}

}  // namespace halfmoon::storage
