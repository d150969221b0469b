# SPDX-License-Identifier: Apache-2.0
"""The broken brokers: name, source file, what stands there, what is put in its place. `mutant("name")` is true in the run that is to be this one.
What stands there must be found exactly once; otherwise run.py fails and says which entry to adapt."""

TX = "src/broker/core_transactions.cc"

# ------------------------------------------------------------------------------------------------------------ transactions
TRANSACTIONS = [
    ("contrary verdict accepted", TX, "if (next_state(state, event).outcome == HalfOutcome::Repeated) {",
     'if (mutant("contrary verdict accepted") || next_state(state, event).outcome == HalfOutcome::Repeated) {'),
    ("second verdict written", TX, "  book.erase(slot);\n  const HalfState state",
     '  if (!mutant("second verdict written")) book.erase(slot);\n  const HalfState state'),
    ("verdict answered before it is safe", TX, "  if (asked != ChannelId{}) dispatch_checks_to(group, asked);\n  answer_when_safe(*record, std::move(reply));",
     '  if (asked != ChannelId{}) dispatch_checks_to(group, asked);\n  if (mutant("verdict answered before it is safe") && reply) return reply(Done{});\n'
     "  answer_when_safe(*record, std::move(reply));"),
    ("repeated verdict answered before it is safe", TX, "    return answer_when_all_is_safe(std::move(reply));\n",
     '    if (mutant("repeated verdict answered before it is safe") && reply) return reply(Done{});\n    return answer_when_all_is_safe(std::move(reply));\n'),
    ("group of a verdict unchecked", TX, "if (known.producer_group != request.producer_group)",
     'if (!mutant("group of a verdict unchecked") && known.producer_group != request.producer_group)'),
    ("half offset of a verdict unchecked", TX, "if (known.half_offset != request.half_offset)",
     'if (!mutant("half offset of a verdict unchecked") && known.half_offset != request.half_offset)'),
    ("ids of a verdict unchecked", TX, "return id.empty() || is_key(id)", 'return mutant("ids of a verdict unchecked") || id.empty() || is_key(id)'),
    ("unknown counted without a check", TX, "h.state() == HalfState::Pending && book.is_asked(half)) answered_unknown(half, actor);",
     'h.state() == HalfState::Pending && (mutant("unknown counted without a check") || book.is_asked(half))) answered_unknown(half, actor);'),
    ("answered unknown not counted", TX, "  book.set_answered(half, r.answered);", '  if (!mutant("answered unknown not counted")) book.set_answered(half, r.answered);'),
    ("parked one answer late", TX, "if (options.check_max > 0 && h.answered() >= options.check_max) return true;",
     'if (options.check_max > 0 && h.answered() >= options.check_max + mutant("parked one answer late")) return true;'),
    ("parked and still asked about", TX, "  book.unschedule(half);\n", '  if (!mutant("parked and still asked about")) book.unschedule(half);\n'),
    ("resumed with the old count", TX, "  book.set_answered(half, 0);", '  if (!mutant("resumed with the old count")) book.set_answered(half, 0);'),
    ("resumed and never asked", TX, "  book.schedule(half, r.wall_ms + book_ahead_ms());", '  if (!mutant("resumed and never asked")) book.schedule(half, r.wall_ms + book_ahead_ms());'),
    ("check a millisecond early", TX, "book.next_due_ms() <= book_ms(); n++) {", 'book.next_due_ms() <= book_ms() + mutant("check a millisecond early"); n++) {'),
    ("check to a dead connection", TX, "has_room(sender) && clients.is_producer(group, sender)) return sender;",
     'has_room(sender) && (mutant("check to a dead connection") || clients.is_producer(group, sender))) return sender;'),
    ("check to a producer that has enough", TX, "    if (has_room(*channel)) return channel;\n",
     '    if (mutant("check to a producer that has enough") || has_room(*channel)) return channel;\n'),
    ("who sends is not asked before its heartbeat", "src/broker/core_produce.cc", "    note_half_sender(request, p.known.producer_group);\n",
     '    if (!mutant("who sends is not asked before its heartbeat")) note_half_sender(request, p.known.producer_group);\n'),
    ("asked once and never again", TX, "  book.schedule(half, book_ms() + options.check_interval_ms);  // asked again if no answer comes",
     '  if (!mutant("asked once and never again")) book.schedule(half, book_ms() + options.check_interval_ms);'),
    ("relative delay dropped on commit", TX, "    if (delay < 0) v.due_ms = now.wall_ms - delay;",
     '    if (delay < 0 && !mutant("relative delay dropped on commit")) v.due_ms = now.wall_ms - delay;'),
    ("delivery time dropped on commit", TX, "    if (delay > 0) v.due_ms = std::max(delay, now.wall_ms);",
     '    if (delay > 0 && !mutant("delivery time dropped on commit")) v.due_ms = std::max(delay, now.wall_ms);'),
    ("rolled back and delivered", TX, "  if (!v.commit || !topic) return;\n", '  if ((!v.commit && !mutant("rolled back and delivered")) || !topic) return;\n'),
    ("own time of the first check ignored", TX, "  if (immunity && *immunity >= options.immunity_min_s",
     '  if (!mutant("own time of the first check ignored") && immunity && *immunity >= options.immunity_min_s'),
    ("half message stored as a message", "src/broker/core_produce.cc", "  auto place = log.reserve(p.half ? RecordType::Half : delayed",
     '  auto place = log.reserve(p.half && !mutant("half message stored as a message") ? RecordType::Half : delayed'),
    ("half offsets begin anew after a snapshot", "src/broker/core_snapshot.cc", "  next_half_offset = in.le<std::int64_t>();\n",
     '  next_half_offset = in.le<std::int64_t>();\n  if (mutant("half offsets begin anew after a snapshot")) next_half_offset = 0;\n'),
    ("verdicts lost with a snapshot", "src/broker/core_snapshot.cc", "    ended.put(position, e);\n", '    if (!mutant("verdicts lost with a snapshot")) ended.put(position, e);\n'),
    ("parked state lost with a snapshot", "src/broker/core_snapshot.cc", "    book.set_state(slot, state);\n",
     '    if (!mutant("parked state lost with a snapshot")) book.set_state(slot, state);\n'),
    ("count of answers lost with a snapshot", "src/broker/core_snapshot.cc", "    book.set_answered(slot, answered);\n",
     '    if (!mutant("count of answers lost with a snapshot")) book.set_answered(slot, answered);\n'),
    ("retention drops a pending half message", "src/broker/core_release.cc", "    if (room = carry(position, buffer); !room.ok() || !*room) return false;\n",
     '    if (!mutant("retention drops a pending half message")) if (room = carry(position, buffer); !room.ok() || !*room) return false;\n'),
    ("retention drops a delayed body", "src/broker/core_release.cc", "    need(timer.body);\n",
     '    if (!mutant("retention drops a delayed body")) need(timer.body);\n'),
]

# -------------------------------------------------------------------------------------------------------- log and messages
OTHERS = [
    ("no sync", "src/storage/log_flush.cc", "  Status synced = segment.writer->sync();\n", '  Status synced = mutant("no sync") ? Status(Done{}) : segment.writer->sync();\n'),
    ("failed sync forgiven", "src/storage/log_flush.cc", "  if (!synced.ok()) return poison(synced.error());\n",
     '  if (!synced.ok() && !mutant("failed sync forgiven")) return poison(synced.error());\n'),
    ("send answered before it is safe", "src/broker/core_append.cc", "  waiting_sends.push({position, std::move(reply), std::move(result)});\n",
     '  if (mutant("send answered before it is safe")) return reply(std::move(result));\n  waiting_sends.push({position, std::move(reply), std::move(result)});\n'),
    ("answer never given", "src/broker/core_append.cc", "  while (!waiting_dones.empty() && waiting_dones.front().position < safe) {",
     '  while (!mutant("answer never given") && !waiting_dones.empty() && waiting_dones.front().position < safe) {'),
    ("timer a millisecond early", "src/broker/core_schedule.cc", "timers.front().due_ms <= now.wall_ms; n++) {",
     'timers.front().due_ms <= now.wall_ms + mutant("timer a millisecond early"); n++) {'),
    ("fired again after a crash", "src/broker/core_replay.cc", "      replayed_timers.erase(it);\n", '      if (!mutant("fired again after a crash")) replayed_timers.erase(it);\n'),
    ("batch check left out", "src/storage/batch_scanner.cc", "  if (!batch_valid(all, *header, at)) return", '  if (!mutant("batch check left out") && !batch_valid(all, *header, at)) return'),
    ("checksum unchecked", "src/storage/record_format.cc", "  return header.plausible() &&\n", '  return header.plausible() && (mutant("checksum unchecked") ||\n'),
    ("time of a closed batch", "src/storage/log_append.cc", "void Log::note_time(std::int64_t wall_ms) { impl_->last_wall_ms",
     'void Log::note_time(std::int64_t wall_ms) { if (!mutant("time of a closed batch")) impl_->last_wall_ms'),
    ("clock goes back", "src/broker/core.cc", "  impl_->now.wall_ms = std::max(impl_->now.wall_ms, now.wall_ms);\n",
     '  impl_->now.wall_ms = mutant("clock goes back") ? now.wall_ms : std::max(impl_->now.wall_ms, now.wall_ms);\n'),
]
# The checksum's expression ends on the next line.
SECOND_PLACES = [
    ("checksum unchecked", "src/storage/record_format.cc", "(kRecordHeaderBytes + header.length - 4)}, seed) == header.crc;",
     "(kRecordHeaderBytes + header.length - 4)}, seed) == header.crc);"),
]
