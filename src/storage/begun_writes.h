// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/aio_abi.h>

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace halfmoon::storage {

/// A write that goes on while the thread that began it does something else: the kernel's own asynchronous I/O (io_submit), which hands direct
/// writes to the device at once and needs no thread; the device's interrupt ends them. One at a time, one caller at a time.
/// Not io_uring: no faster here (docs/design/0012), and refused in many containers.
class BegunWrites {
 public:
  BegunWrites() = default;
  ~BegunWrites();
  BegunWrites(const BegunWrites&) = delete;
  BegunWrites& operator=(const BegunWrites&) = delete;

  struct Write {
    int fd = -1;
    std::int64_t at = 0;
    Bytes bytes;           // unchanged until it has ended
  };
  /// False: the kernel refuses; nothing was done.
  bool begin(const Write& write);
  enum class Look : std::uint8_t { Now, Wait };
  /// What came of it: bytes written, or a negative errno; nullopt: it is still under way.
  std::optional<std::int64_t> result(Look look);

 private:
  bool ready();
  bool something_ended() const;

  aio_context_t context_ = 0;
  enum class Kernel : std::uint8_t { NotAsked, Can, Refuses } kernel_ = Kernel::NotAsked;
  bool under_way_ = false;
};

}  // namespace halfmoon::storage
