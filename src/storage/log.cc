// SPDX-License-Identifier: Apache-2.0
#include "storage/log.h"

#include <bit>

#include "storage/log_impl.h"

namespace halfmoon::storage {
namespace {

Status check_options(const LogOptions& options) {
  const auto blocks = [](std::int64_t n) { return n >= kBlockBytes && n % kBlockBytes == 0; };
  if (!blocks(options.segment_bytes) || !blocks(options.first_segment_bytes)) {
    return Error{ErrorCode::InvalidArgument, "the size of a log segment must be a multiple of 4096 bytes"};
  }
  const bool ring = options.ring_bytes >= Log::kRingBytesMin && std::has_single_bit(static_cast<std::uint64_t>(options.ring_bytes));
  if (!ring) return Error{ErrorCode::InvalidArgument, "the log's memory must be a power of two of at least 64 KiB"};
  return Done{};
}

}  // namespace

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Log::~Log() = default;

Result<std::unique_ptr<Log>> Log::open(Disk& disk, Random& random, LogOptions options) {
  HM_TRY_STATUS(check_options(options));
  auto impl = std::make_unique<Impl>(disk, random, options);
  impl->zone_bytes = options.ring_bytes / Impl::kZones;
  HM_TRY_STATUS(impl->open_segments());
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

Result<RecoveryReport> Log::recover(Position from, const Visitor& visit) { return impl_->recover(from, visit); }

const std::array<std::byte, 16>& Log::store_id() const { return impl_->store_id; }

LogCounters Log::counters() const {
  const Impl::Counters& now = impl_->counters;
  return {.batches = now.batches.load(std::memory_order_relaxed),
          .records = now.records.load(std::memory_order_relaxed),
          .bytes = now.bytes.load(std::memory_order_relaxed),
          .flushes = now.flushes.load(std::memory_order_relaxed),
          .flushed_bytes = now.flushed_bytes.load(std::memory_order_relaxed),
          .ring_reads = now.ring_reads.load(std::memory_order_relaxed),
          .disk_reads = now.disk_reads.load(std::memory_order_relaxed),
          .segments_waited = now.segments_waited.load(std::memory_order_relaxed)};
}

}  // namespace halfmoon::storage
