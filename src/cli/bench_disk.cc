// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "cli/bench_folder.h"
#include "cli/bench_scenarios.h"
#include "storage/aligned_buffer.h"
#include "storage/posix_disk.h"
#include "storage/segment.h"

namespace halfmoon::cli {

namespace {

constexpr std::int64_t kSegmentBytes = 64 << 20;

}  // namespace

/// What a turn of a broker with SYNC_FLUSH does to the disk, and nothing else: a segment is prepared as the log does it, and whole blocks are written into it
/// past the page cache, each write followed by a sync.
Status run_disk(const BenchOptions& options, Meter& meter) {
  HM_TRY(const Folder, folder, Folder::make(options.scratch));
  HM_TRY(const auto, disk, storage::open_posix_disk(folder.path() + "/store"));
  const std::string name = storage::segment_name(0);
  HM_TRY_STATUS(storage::prepare_segment(*disk, {.name = name, .capacity = kSegmentBytes}));
  HM_TRY(const auto, file, disk->open(name, storage::OpenMode::ReadWrite, storage::Caching::Direct));
  const std::int64_t bytes = storage::block_ceiling(std::max<std::int64_t>(1, static_cast<std::int64_t>(options.body_bytes)));
  storage::AlignedBuffer block(bytes);
  std::memset(block.data(), 'x', static_cast<std::size_t>(bytes));

  const std::uint64_t warmup = warmup_of(options);
  std::int64_t at = 0;
  for (std::uint64_t n = 0; n < warmup + options.messages; n++) {
    if (n == warmup) HM_TRY_STATUS(meter.start());
    const std::uint64_t from = mono_ns();
    HM_TRY_STATUS(file->write_at(at, block.first(bytes)));
    HM_TRY_STATUS(file->sync());
    meter.done(from, mono_ns());
    at = at + 2 * bytes <= kSegmentBytes ? at + bytes : 0;
  }
  HM_TRY_STATUS(meter.stop());
  meter.result().messages = options.messages;
  meter.result().payload_bytes = static_cast<double>(options.messages) * static_cast<double>(bytes);
  if (!file->direct()) meter.result().more.emplace_back("through_the_page_cache", 1);
  return Done{};
}

}  // namespace halfmoon::cli
