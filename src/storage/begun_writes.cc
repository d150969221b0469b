// SPDX-License-Identifier: Apache-2.0
#include "storage/begun_writes.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/log.h"
#include "storage/posix_file.h"

namespace halfmoon::storage {
namespace {

/// What the kernel maps to where the context's number points (fs/aio.c): its queue of ended writes, which can be looked at without a call.
struct EndedQueue {
  std::uint32_t id, events;
  std::uint32_t head, tail;
  std::uint32_t magic, compatible, incompatible, header_bytes;
};
constexpr std::uint32_t kMagic = 0xa10a10a1;

}  // namespace

BegunWrites::~BegunWrites() {
  if (under_way_) static_cast<void>(result(Look::Wait));
  if (kernel_ == Kernel::Can) ::syscall(SYS_io_destroy, context_);
}

bool BegunWrites::ready() {
  if (kernel_ != Kernel::NotAsked) return kernel_ == Kernel::Can;
  const bool made = until_not_interrupted([this] { return ::syscall(SYS_io_setup, 1, &context_); }) == 0;
  kernel_ = made ? Kernel::Can : Kernel::Refuses;
  if (!made) {
    log_event(LogLevel::Info, "disk.no_asynchronous_writes", {{"error", std::strerror(errno)}, {"consequence", "segments are zeroed by a thread beside the writes of the log, which then take longer"}});
  }
  return made;
}

bool BegunWrites::begin(const Write& write) {
  HM_CHECK(!under_way_);
  if (!ready()) return false;
  iocb control{};
  control.aio_lio_opcode = IOCB_CMD_PWRITE;
  control.aio_fildes = static_cast<std::uint32_t>(write.fd);
  control.aio_buf = reinterpret_cast<std::uint64_t>(write.bytes.data());
  control.aio_nbytes = write.bytes.size();
  control.aio_offset = write.at;
  iocb* const controls = &control;
  // Whatever it refuses now, an ordinary write meets again and names.
  under_way_ = until_not_interrupted([&] { return ::syscall(SYS_io_submit, context_, 1, &controls); }) == 1;
  return under_way_;
}

bool BegunWrites::something_ended() const {
  auto* queue = reinterpret_cast<EndedQueue*>(context_);  // NOLINT: that is what the number is
  if (queue->magic != kMagic) return true;                // another kernel's layout: ask
  return std::atomic_ref(queue->tail).load(std::memory_order_acquire) != std::atomic_ref(queue->head).load(std::memory_order_relaxed);
}

std::optional<std::int64_t> BegunWrites::result(Look look) {
  HM_CHECK(under_way_);
  if (look == Look::Now && !something_ended()) return std::nullopt;
  io_event event{};
  timespec at_once{};
  for (;;) {
    const long got = ::syscall(SYS_io_getevents, context_, look == Look::Wait ? 1 : 0, 1, &event, look == Look::Wait ? nullptr : &at_once);
    if (got == 1) break;
    if (got == 0 && look == Look::Now) return std::nullopt;
    HM_CHECK(got == 0 || errno == EINTR);
  }
  under_way_ = false;
  return event.res;
}

}  // namespace halfmoon::storage
