// SPDX-License-Identifier: Apache-2.0
#include "storage/file_window.h"

#include <algorithm>

#include "storage/segment.h"

namespace halfmoon::storage {

Result<Bytes> FileWindow::get(File& file, const Request& request) {
  const std::int64_t wanted = std::max<std::int64_t>(0, std::min(request.bytes, request.limit - request.at));
  if (!holds(request.first, request.at, wanted)) {
    clear();
    first_ = request.first;
    // Positions and file bytes agree modulo the block: segments begin at multiples of it.
    const Position from = block_floor(request.at);
    const Position to = std::min(block_ceiling(request.at + std::max(wanted, request.ahead)), block_ceiling(request.limit));
    buffer_.reserve(to - from);
    HM_TRY(const std::size_t, got, file.read_at(kSegmentHeaderBytes + from - request.first, buffer_.first(to - from)));
    begin_ = from;
    end_ = std::min(from + static_cast<std::int64_t>(got), request.limit);
  }
  const std::int64_t have = std::min(wanted, std::max<std::int64_t>(0, end_ - request.at));
  return Bytes(buffer_.data() + (request.at - begin_), static_cast<std::size_t>(have));
}

}  // namespace halfmoon::storage
