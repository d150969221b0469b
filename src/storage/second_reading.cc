// SPDX-License-Identifier: Apache-2.0
#include "storage/second_reading.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "storage/aligned_buffer.h"

namespace halfmoon::storage {

Status SecondReading::differed(const std::string& file, std::int64_t byte) {
  log_event(LogLevel::Error, "disk.readings_differ", {{"file", file}, {"byte", byte}, {"consequence", "what was read first is not believed; look after the disk, its controller and the memory"}});
  if (++differences_ <= kDifferencesMax) return Done{};
  return Error{ErrorCode::Io, file + ": byte " + std::to_string(byte) + ": two readings of this place differ, and this is the " + std::to_string(differences_) +
                                  "th such place: the disk, its controller or the memory cannot be relied on. Nothing has been cut: copy the directory to another disk, or repair this one"};
}

Result<std::size_t> SecondReading::read(File& file, const std::string& name, std::int64_t at, MutableBytes out) {
  AlignedBuffer again(static_cast<std::int64_t>(out.size()));
  HM_TRY(std::size_t, got, file.read_at(at, out));
  for (;;) {
    const MutableBytes second = again.first(static_cast<std::int64_t>(out.size()));
    HM_TRY(const std::size_t, got_again, file.read_at(at, second));
    const auto [here, there] = std::mismatch(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(got), second.begin());
    if (got == got_again && here == out.begin() + static_cast<std::ptrdiff_t>(got)) return got;
    HM_TRY_STATUS(differed(name, at + (here - out.begin())));
    std::memcpy(out.data(), second.data(), out.size());
    got = got_again;
  }
}

}  // namespace halfmoon::storage
