// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "broker/api.h"
#include "storage/log.h"

/// The reference that SimulatedWorld holds the core against: a few plain tables, folded from the journal of the log's records. It shares no
/// code with the core but the records' codec.
namespace halfmoon::testkit {

/// One message that a client sent, as the client knows it.
struct Message {
  enum class Kind : std::uint8_t { Plain, Delayed, Half } kind = Kind::Plain;
  enum class Outcome : std::uint8_t { Open, Ok, Refused, Lost } outcome = Outcome::Open;
  enum class Delay : std::uint8_t { None, Relative, Absolute } delay = Delay::None;
  std::string topic, group, key, body, properties;
  std::int32_t queue = 0;
  std::int32_t deliveries = 0;         // as its sender counts them
  std::int32_t deliveries_max = -1;    // -1: as its group says
  std::string retry_of;                // sent to the retry topic of that group
  std::int64_t delay_ms = 0;           // Relative: from the commit (a plain one: from the send); Absolute: wall clock
  std::int64_t first_check_ms = 0;     // after the store time
  broker::ChannelId sender{};
  int sender_life = 0;
  std::int64_t sent_ms = 0;            // broker's clock
  // what the answer said
  storage::Position position = storage::kNoPosition;
  std::int64_t offset = 0;
};

/// END_TRANSACTION as it is on its way.
struct Verdict {
  std::int32_t message = -1;
  storage::Position half_position = 0;
  std::int64_t half_offset = 0;
  std::string group, message_id, transaction_id;
  broker::Verdict verdict = broker::Verdict::Unknown;
  bool from_check = false;
  bool misnamed = false;
  int life = 0;                        // in which it was decided upon
};

/// What became of a request.
struct Answer {
  std::int32_t number = 0;
  const char* of = "";
  std::int32_t message = -1;
  broker::Verdict verdict{};
  bool given = false;
  storage::Position not_before = storage::kNoPosition;  // a success must not come before the record there is safe
  storage::Position latest = storage::kNoPosition;      // and must come when the one there is
  std::optional<ErrorCode> wanted;     // not success, but this refusal
  std::optional<broker::SendResult> result;
  std::optional<Error> error;
};

/// One record of the log.
struct Record {
  storage::Position position = 0;
  storage::Position batch_end = 0;
  std::int64_t batch_wall_ms = 0;
  storage::RecordType type{};
  std::uint32_t crc = 0;               // of type and payload
  std::int32_t message = -1;           // MESSAGE, HALF, DELAYED: which
  storage::Position half = 0;          // VERDICT, CHECKED, PARKED, RESUMED; FIRE: its target; REFERENCE: the body; CARRIED: the original
  bool commit = false;
  bool dead = false;                   // REFERENCE: a dead letter
  std::uint8_t source = 0;
  std::int64_t queue_offset = -1;
  std::int64_t due_ms = 0;
  std::int64_t wall_ms = 0;            // its own time
  std::int32_t number = 0;             // CHECKED: answered; REFERENCE, MESSAGE, DELAYED: deliveries; GROUP: at most so many
  std::int32_t queue = 0;
  std::string topic;                   // of the message; TOPIC, TOPIC_DELETED; GROUP, GROUP_DELETED: the group
  bool clean = false;
  struct Offset {
    std::string group, topic;
    std::int32_t queue = 0;
    std::int64_t offset = 0;
  };
  std::vector<Offset> offsets;
};

struct ModelEntry {
  storage::Position position = 0;      // of the record that made it visible
  std::int32_t message = -1;
  std::int64_t store_ms = 0;
  std::int32_t deliveries = 0;
};
struct ModelQueue {
  std::int64_t min = 0;                // offset of entries.front(), had nothing been released
  std::vector<ModelEntry> entries;     // from offset 0 on; those below `min` are released
};
struct ModelHalf {
  std::int32_t message = -1;
  std::int64_t half_offset = 0;
  std::int64_t created_ms = 0;         // by the clock of checks
  bool parked = false;
  std::int32_t answered = 0;
  // of the moment
  std::int64_t due_ms = 0;             // the next check, by the clock of checks
  broker::ChannelId asked{};
  bool checked = false;                // in this life
};
struct ModelEnded {
  std::int32_t message = -1;
  std::int64_t half_offset = 0;
  bool committed = false;
  storage::Position verdict = 0;       // the record
  std::int64_t number = 0;             // of all verdicts
};
struct ModelTimer {
  std::int64_t due_ms = 0;
  storage::Position target = 0;
  std::int32_t message = -1;
  std::string topic;
  std::int32_t queue = 0;
  std::int32_t deliveries = 0;
  bool operator<(const ModelTimer& o) const { return due_ms != o.due_ms ? due_ms < o.due_ms : target < o.target; }
};

struct ModelGroup {
  bool deleted = false;                // only its offsets are kept
  std::int32_t retry_max = 0;
};

class WorldModel {
 public:
  std::vector<Record> journal;

  std::map<std::string, std::int32_t> topics;                                     // -> queues
  std::map<std::pair<std::string, std::int32_t>, ModelQueue> queues;
  std::map<std::string, ModelGroup> groups;
  std::map<std::string, std::map<std::pair<std::string, std::int32_t>, std::int64_t>> offsets;
  std::map<storage::Position, ModelHalf> halves;
  std::map<storage::Position, ModelEnded> ended;
  std::set<ModelTimer> timers;
  std::map<storage::Position, std::int32_t> bodies;                               // record -> message
  std::int64_t next_half_offset = 0;
  std::int64_t verdicts = 0;
  storage::Position released = 0;                                                 // segments below are gone
  storage::Position forgettable = 0;                                              // verdicts on half messages below may be forgotten

  std::int64_t check_interval_ms = 0;
  std::int64_t ahead_ms = 0;                                                      // the clock of checks minus the wall clock

  /// Times of half messages that a snapshot knows: the clocks of a life are no records.
  struct Times {
    std::int64_t created_ms = 0, due_ms = 0;
  };
  std::map<std::uint32_t, std::map<storage::Position, Times>> snapshots;          // by the snapshot's checksum, then by half message

  /// Does what the record says. Returns what is impossible about it, or "".
  std::string apply(const Record& record, const std::vector<Message>& messages);
  /// Notes what a snapshot at the end of the log holds; `now_ms` by the clock of checks.
  void note_snapshot(std::uint32_t checksum, std::int64_t now_ms);
  /// As after a start from the snapshot at `snapshot` (none: kNoPosition) and the records behind it: forgets all that is not in the log.
  std::string rebuild(storage::Position snapshot, std::uint32_t checksum, const std::vector<Message>& messages);
  /// Retention took everything below.
  void release(storage::Position boundary);
  /// Whether the group is there, not only its offsets.
  bool has_group(const std::string& name) const {
    const auto group = groups.find(name);
    return group != groups.end() && !group->second.deleted;
  }
  /// The record at the position, or null.
  const Record* find(storage::Position position) const;

 private:
  std::string enter(const std::string& topic, std::int32_t queue, std::int64_t offset, const ModelEntry& entry);
  std::string apply_verdict(const Record& r, const std::vector<Message>& messages);
  std::string apply_reference(const Record& r, const std::vector<Message>& messages);
  std::string apply_fire(const Record& r);
};

}  // namespace halfmoon::testkit
