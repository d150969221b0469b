// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace halfmoon::broker {

/// States of a half message, and what may happen to it. Committed and RolledBack are final: the first durable verdict wins.
enum class HalfState : std::uint8_t { Pending, Committed, RolledBack, Parked };
enum class HalfEvent : std::uint8_t {
  Commit,
  Rollback,
  AnsweredUnknown,   // a producer answered a check: it does not know yet
  ChecksExhausted,   // answered so often that asking on makes no sense
  Resume,            // an operator wants it asked about again
};
enum class HalfOutcome : std::uint8_t {
  Applied,    // the state changes (or, for AnsweredUnknown, the count): one record is written
  Repeated,   // the same verdict again: success, no effect
  Refused,    // contradicts a final state, or makes no sense in this one
};
struct HalfTransition {
  HalfState state;
  HalfOutcome outcome;
};

/// The whole table (docs/transactions.md, "States"); pure.
constexpr HalfTransition next_state(HalfState state, HalfEvent event) {
  using S = HalfState;
  using O = HalfOutcome;
  switch (state) {
    case S::Pending:
      switch (event) {
        case HalfEvent::Commit: return {S::Committed, O::Applied};
        case HalfEvent::Rollback: return {S::RolledBack, O::Applied};
        case HalfEvent::AnsweredUnknown: return {S::Pending, O::Applied};
        case HalfEvent::ChecksExhausted: return {S::Parked, O::Applied};
        case HalfEvent::Resume: return {S::Pending, O::Refused};
      }
      break;
    case S::Parked:
      switch (event) {
        case HalfEvent::Commit: return {S::Committed, O::Applied};
        case HalfEvent::Rollback: return {S::RolledBack, O::Applied};
        case HalfEvent::Resume: return {S::Pending, O::Applied};
        case HalfEvent::AnsweredUnknown:
        case HalfEvent::ChecksExhausted: return {S::Parked, O::Refused};
      }
      break;
    case S::Committed:
      return {S::Committed, event == HalfEvent::Commit ? O::Repeated : O::Refused};
    case S::RolledBack:
      return {S::RolledBack, event == HalfEvent::Rollback ? O::Repeated : O::Refused};
  }
  return {state, O::Refused};
}

}  // namespace halfmoon::broker
