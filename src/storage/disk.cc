// SPDX-License-Identifier: Apache-2.0
#include "storage/disk.h"

#include <optional>

namespace halfmoon::storage {
namespace {

/// A read that was done when it began.
class FinishedRead final : public PendingRead {
 public:
  explicit FinishedRead(const Result<std::size_t>& result) {
    if (result.ok()) bytes_ = *result;
    else failed_ = result.error();
  }
  Result<std::size_t> wait() override {
    if (failed_) return Error(*failed_);
    return bytes_;
  }

 private:
  std::size_t bytes_ = 0;
  std::optional<Error> failed_;
};

}  // namespace

std::unique_ptr<PendingRead> File::begin_read(std::int64_t at, MutableBytes out) { return std::make_unique<FinishedRead>(read_at(at, out)); }

}  // namespace halfmoon::storage
