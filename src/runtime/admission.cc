// SPDX-License-Identifier: Apache-2.0
#include "runtime/admission.h"

namespace halfmoon::runtime {
namespace {

bool is_loopback(const std::string& ip) { return ip.starts_with("127.") || ip == "::1" || ip.starts_with("::ffff:127."); }

}  // namespace

Admission::Verdict Admission::enter(const std::string& ip) {
  const std::lock_guard lock(mutex_);
  if (in_all_ >= limits_.in_all) {
    ++too_many_;
    return Verdict::TooMany;
  }
  if (limits_.per_address > 0 && !is_loopback(ip)) {
    std::int64_t& here = by_address_[ip];
    if (here >= limits_.per_address) {
      ++too_many_of_address_;
      return Verdict::TooManyOfAddress;
    }
    ++here;
  }
  ++in_all_;
  return Verdict::Admitted;
}

void Admission::leave(const std::string& ip) {
  const std::lock_guard lock(mutex_);
  --in_all_;
  const auto it = by_address_.find(ip);
  if (it != by_address_.end() && --it->second == 0) by_address_.erase(it);
}

Admission::Refusals Admission::refusals() const {
  const std::lock_guard lock(mutex_);
  return {too_many_, too_many_of_address_, out_of_descriptors_.load(std::memory_order_relaxed)};
}

std::int64_t Admission::in_all() const {
  const std::lock_guard lock(mutex_);
  return in_all_;
}

}  // namespace halfmoon::runtime
