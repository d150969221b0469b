// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "broker/api.h"
#include "runtime/shared_bytes.h"

namespace halfmoon::adapter {

/// Bodies of answers to pulls. Groups that follow the same queue ask for the same messages one after the other: whoever asks second has the body kept, and
/// from the third on nothing is read or copied any more. Few are kept: the one that was not asked for longest goes. One thread's.
class SharedBodies {
 public:
  static constexpr std::size_t kBodies = 32;
  static constexpr std::size_t kBytesMin = 8 << 10;    // shorter ones are copied faster than they are looked after
  static constexpr std::size_t kBytesMax = 8 << 20;    // all together

  /// The body for these messages, or nullptr: make it, and show it to `made`. Messages never change: their extents say all.
  std::shared_ptr<const runtime::SharedBytes> find(std::span<const broker::Extent> extents);
  /// The body that find() did not have.
  void made(std::span<const broker::Extent> extents, std::string_view body);
  /// What is kept.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Place {
    std::vector<broker::Extent> extents;   // asked for last
    bool again = false;                    // and not for the first time
    std::shared_ptr<const runtime::SharedBytes> body;
  };
  std::size_t place_of(const broker::Extent& first);
  void drop(Place& place);

  std::array<Place, kBodies> places_;
  std::array<std::int64_t, kBodies> firsts_{};   // positions of their first messages, side by side to be looked through; 0 is none
  std::array<std::uint64_t, kBodies> used_{};    // uses_ when each was last asked for
  std::uint64_t uses_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace halfmoon::adapter
