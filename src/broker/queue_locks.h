// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/api.h"

namespace halfmoon::broker {

/// Which client of a group consumes which queue in order (specification 4.6). In memory: a lock lives `lock_ms` without renewal, and clients renew every
/// 20 s. After a restart another client may be granted a queue before its holder renews, as with RocketMQ (docs/design/0007).
class QueueLocks {
 public:
  explicit QueueLocks(std::int64_t lock_ms) : lock_ms_(lock_ms) {}
  /// Grants what is free, expired or already the client's; returns all of the asked queues that it holds now, as views of the request.
  std::vector<QueueRef> lock(const LockRequest& request, std::int64_t mono_ms);
  /// Frees those of the queues that this client holds; others' stay.
  void unlock(const LockRequest& request);
  /// True if any queue of the group is locked and not expired: its consumption is ordered (specification 4.2, send to %RETRY%).
  bool any_held(std::string_view group, std::int64_t mono_ms) const;
  void forget_topic(std::string_view topic);
  void expire(std::int64_t mono_ms);

 private:
  struct Holder {
    std::string client_id;
    std::int64_t renewed_mono_ms = 0;
  };
  using Key = std::pair<std::string, std::int32_t>;   // topic, queue id
  struct Less {
    using is_transparent = void;
    static std::pair<std::string_view, std::int32_t> view(const Key& key) { return {key.first, key.second}; }
    static std::pair<std::string_view, std::int32_t> view(const QueueRef& queue) { return {queue.topic, queue.queue_id}; }
    bool operator()(const auto& a, const auto& b) const { return view(a) < view(b); }
  };
  using Queues = std::map<Key, Holder, Less>;

  template <class Predicate>
  void erase_queues_if(Predicate predicate);
  bool alive(const Holder& holder, std::int64_t mono_ms) const { return mono_ms - holder.renewed_mono_ms <= lock_ms_; }

  std::int64_t lock_ms_;
  std::map<std::string, Queues, std::less<>> groups_;  // without empty ones
};

}  // namespace halfmoon::broker
