// SPDX-License-Identifier: Apache-2.0
#include "storage/async_reads.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "base/check.h"
#include "storage/posix_file.h"

namespace halfmoon::storage {
namespace {

constexpr int kReadsMax = 256;   // under way at a time; more are done by whoever waits for them

}  // namespace

class AsyncReads::Pending final : public PendingRead {
 public:
  Pending(std::shared_ptr<AsyncReads> owner, File& file, std::int64_t at, MutableBytes out) : owner_(std::move(owner)), file_(file), at_(at), out_(out) {}
  ~Pending() override {
    if (under_way_) owner_->wait(*this, kForEver);  // the kernel writes into the memory until then
  }

  void begin(int fd) {
    iocb command{};
    command.aio_data = reinterpret_cast<std::uintptr_t>(this);
    command.aio_lio_opcode = IOCB_CMD_PREAD;
    command.aio_fildes = static_cast<std::uint32_t>(fd);
    command.aio_buf = reinterpret_cast<std::uintptr_t>(out_.data());
    command.aio_nbytes = out_.size();
    command.aio_offset = at_;
    iocb* commands[] = {&command};
    under_way_ = until_not_interrupted([&] { return ::syscall(SYS_io_submit, owner_->context_, 1, commands); }) == 1;
  }

  Result<std::size_t> wait() override {
    if (under_way_) owner_->wait(*this, kForEver);
    const bool all = std::exchange(under_way_, false) && result_ == static_cast<std::int64_t>(out_.size());
    if (all) return out_.size();
    return file_.read_at(at_, out_);
  }

  bool there(std::int64_t patience_ns) override { return !under_way_ || owner_->wait(*this, patience_ns); }

  /// The kernel's answer, on whichever thread takes it; nothing of this read is touched after that.
  void answered(std::int64_t result) {
    result_ = result;
    answered_.store(true, std::memory_order_release);
  }
  bool answered() const { return answered_.load(std::memory_order_acquire); }

 private:
  const std::shared_ptr<AsyncReads> owner_;
  File& file_;
  const std::int64_t at_;
  const MutableBytes out_;
  bool under_way_ = false;
  std::int64_t result_ = 0;
  std::atomic<bool> answered_{false};
};

std::shared_ptr<AsyncReads> AsyncReads::make() { return std::shared_ptr<AsyncReads>(new AsyncReads); }

AsyncReads::~AsyncReads() {
  if (context_ != 0) ::syscall(SYS_io_destroy, context_);
}

bool AsyncReads::open() {
  std::call_once(opened_, [this] {
    if (until_not_interrupted([this] { return ::syscall(SYS_io_setup, kReadsMax, &context_); }) != 0) context_ = 0;
  });
  return context_ != 0;
}

std::unique_ptr<PendingRead> AsyncReads::begin(File& file, int fd, std::int64_t at, MutableBytes out) {
  auto read = std::make_unique<Pending>(shared_from_this(), file, at, out);
  if (open()) read->begin(fd);
  return read;
}

bool AsyncReads::wait(const Pending& read, std::int64_t patience_ns) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::nanoseconds(patience_ns);
  while (!read.answered()) {
    std::unique_lock lock(reaping_, std::defer_lock);
    timespec left{};
    if (patience_ns < 0) {
      lock.lock();
    } else {
      if (!lock.try_lock()) return read.answered();   // who holds it takes our answer too
      left.tv_nsec = std::clamp<std::int64_t>((until - Clock::now()) / std::chrono::nanoseconds(1), 0, 999'999'999);
    }
    if (read.answered()) break;  // somebody else took its answer
    std::array<io_event, 16> events;
    const long n = ::syscall(SYS_io_getevents, context_, 1L, static_cast<long>(events.size()), events.data(), patience_ns < 0 ? nullptr : &left);
    HM_CHECK(n >= 0 || errno == EINTR);
    for (long i = 0; i < n; i++) {
      const io_event& event = events[static_cast<std::size_t>(i)];
      reinterpret_cast<Pending*>(static_cast<std::uintptr_t>(event.data))->answered(event.res);
    }
    if (patience_ns >= 0 && n <= 0) return read.answered();
  }
  return true;
}

}  // namespace halfmoon::storage
