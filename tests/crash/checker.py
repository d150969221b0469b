# SPDX-License-Identifier: Apache-2.0
"""The history of a run and the rules it must obey (C1 .. C16). The rules know nothing of a broker: self_check.py feeds them histories with
faults in them. A queue is a log with explicit offsets, so every rule is one pass over it."""
import collections

COMMIT, ROLLBACK, UNKNOWN = 8, 12, 0
ADDED = {"MSG_REGION", "TRACE_ON", "CLUSTER", "UNIQ_KEY", "__transactionId__", "RETRY_TOPIC", "ORIGIN_MESSAGE_ID"}
COMMIT_TIME = "__transactionCommitTime__"  # on what was a half message only
REMOVED = {"TRAN_MSG", "DELAY", "TIMER_DELAY_MS", "PGROUP"}
LATE_CHECK_MS = 3000  # a check that was on its way when the verdict was acknowledged has arrived by then
STORED_MAYBE = (10, 11, 12)
SHUTTING_DOWN, FAILED_DISK = 14, 1

Violation = collections.namedtuple("Violation", "rule life text")
Seen = collections.namedtuple("Seen", "id body props store_ms position at_ms life attempts")
Verdict = collections.namedtuple("Verdict", "kind how code sent_ms done_ms life remark")  # code None: not known whether it had an effect


class Message:
    """One send: open until answered, then ok, refused, or unknown when the answer did not come."""
    __slots__ = ("id", "kind", "topic", "queue", "life", "order", "sent_ms", "body", "props", "delay_ms", "outcome", "offset", "code", "verdicts", "asked",
                 "backs", "plan", "half")

    def __init__(self, id, kind, topic, queue, life, sent_ms, body, props, order=None, delay_ms=0, plan=None):
        self.id, self.kind, self.topic, self.queue, self.life, self.sent_ms = id, kind, topic, queue, life, sent_ms
        self.body, self.props, self.order, self.delay_ms, self.plan = body, props, order, delay_ms, plan
        self.outcome, self.offset, self.code, self.half = "open", None, None, None
        self.verdicts, self.asked, self.backs = [], [], []

    def answered(self, code, offset=None):
        self.code = code
        self.outcome = "ok" if code == 0 else "unknown" if code in STORED_MAYBE else "refused"
        self.offset = offset if code == 0 else None

    def lost(self):
        if self.outcome == "open":
            self.outcome = "unknown"

    def accepted(self, kind):
        """Acknowledged with 0, or shown to stand by the refusal of its contrary."""
        contrary = ROLLBACK if kind == COMMIT else COMMIT
        return any(v.kind == kind and v.code == 0 or v.kind == contrary and v.code == 604 for v in self.verdicts)


class History:
    def __init__(self):
        self.messages = {}
        self.reads = {}      # (topic, queue, offset) -> Seen, the first time
        self.final = {}      # (topic, queue) -> (min, max, {offset: Seen})
        self.undecided = {}  # in the end, while producers answer every check: unique key -> (state, checks answered "unknown")
        self.checks_max = None  # transactionCheckMax
        self.offsets = []    # (group, topic, queue, "commit" or "query", value, acknowledged, life)
        self.violations = []  # seen at once: by readers and by the load
        self.read_count = 0
        self.locks = self.topics_asked = 0
        self.may_refuse = set()  # codes with which a send, a verdict or a commit may be refused in this run: a full disk's
        self.failing = set()     # lives whose disk was taken away
        self.terminated = set()  # lives that ended by SIGTERM: their last requests may be refused

    def excused(self, code, life):
        """A refusal in a life that ended in order, or on a disk that failed: nothing was stored, and the client was told."""
        return code in self.may_refuse or code == SHUTTING_DOWN and life in self.terminated or code == FAILED_DISK and life in self.failing

    def add(self, message):
        self.messages[message.id] = message
        return message

    def saw(self, record, at_ms, life, final=False):
        """A record came in a pull: its offset must hold what it ever held."""
        identity = record.body.split(b"|", 1)[0].decode(errors="replace")
        seen = Seen(identity, hash(record.body), record.properties, record.store_ms, record.position, at_ms, life, record.reconsume)
        place = record.topic, record.queue, record.offset
        first = self.reads.get(place)
        self.read_count += 1
        if first is None:
            self.reads[place] = seen._replace(props=hash(frozenset(record.properties.items())))
        else:
            now = seen._replace(props=hash(frozenset(record.properties.items())))
            differ = [f for f in ("id", "body", "props", "store_ms", "position", "attempts") if getattr(first, f) != getattr(now, f)]
            if differ:
                self.violations.append(Violation("C3", life, f"{record.topic}/{record.queue} offset {record.offset} held {first.id} in life {first.life} and "
                                                 f"holds {now.id} in life {life}: different {', '.join(differ)}"))
        if final:
            self.final[record.topic, record.queue][2][record.offset] = seen
        return seen


def check(history):
    found = list(history.violations)

    def violated(rule, life, text):
        found.append(Violation(rule, life, text))

    # Where each message stands in the end.
    stands, copies = collections.defaultdict(list), collections.defaultdict(list)
    for (topic, queue), (low, high, held) in history.final.items():
        missing = [o for o in range(low, high) if o not in held]
        for offset in missing[:5]:
            violated("C4", -1, f"{topic}/{queue} has offsets {low} to {high - 1}, but {offset} holds nothing ({len(missing)} such)")
        for offset, seen in held.items():
            (copies if topic.startswith("%") else stands)[seen.id].append((topic, queue, offset, seen))
    for (topic, queue, offset), seen in history.reads.items():
        low, high, held = history.final.get((topic, queue), (0, 0, {}))
        if offset not in held and offset >= low:
            violated("C3", seen.life, f"{seen.id} was read at {topic}/{queue} offset {offset} in life {seen.life}; in the end there is nothing there")

    for identity in set(stands) | set(copies):
        if identity not in history.messages:
            for topic, queue, offset, seen in stands[identity] + copies[identity]:
                violated("C2", seen.life, f"nobody sent what stands at {topic}/{queue} offset {offset} ({identity[:60]!r})")

    for m in history.messages.values():
        here = stands.get(m.id, [])
        for topic, queue, offset, seen in here:
            if (topic, queue) != (m.topic, m.queue):
                violated("C2", m.life, f"{m.id} was sent to {m.topic}/{m.queue} and stands at {topic}/{queue} offset {offset}")
            check_content(m, seen, violated, f"{m.id} at {topic}/{queue} offset {offset}", set())
        if m.outcome == "refused" and not history.excused(m.code, m.life):
            violated("C14", m.life, f"{m.id} ({m.kind}) was refused with code {m.code} in life {m.life}")
        if m.outcome == "refused" and here:
            violated("C2", m.life, f"{m.id} was refused with code {m.code} and stands at {m.topic}/{m.queue} offset {here[0][2]}")
        if len(here) > 1:
            violated("C7" if m.kind == "half" else "C2", m.life, f"{m.id} ({m.kind}) stands {len(here)} times: offsets {[h[2] for h in here]} of {m.topic}/{m.queue}")
        if m.kind == "half":
            check_half(m, here, history, violated)
        elif m.outcome == "ok" and not here:
            violated("C1", m.life, f"{m.id} ({m.kind}), acknowledged in life {m.life}" + (f" at {m.topic}/{m.queue} offset {m.offset}" if m.offset is not None else "") +
                     ", is lost")
        if m.kind == "plain" and m.offset is not None and here and here[0][2] != m.offset:
            violated("C3", m.life, f"{m.id} was acknowledged at {m.topic}/{m.queue} offset {m.offset} and stands at {here[0][2]}")
        if m.delay_ms and here:
            commits = [v.sent_ms for v in m.verdicts if v.kind == COMMIT]
            check_due(m, min(commits, default=None) if m.kind == "half" else m.sent_ms, m.delay_ms, here[0][3], violated, m.id)
        check_copies(m, copies.get(m.id, []), violated)

    check_ends(history, violated)
    check_order(history, stands, violated)
    check_offsets(history, violated)
    return found


def check_content(m, seen, violated, what, also_removed):
    if seen.body != m.body:
        violated("C1", m.life, f"{what} has another body than was sent")
    added = ADDED | {COMMIT_TIME} if m.kind == "half" else ADDED
    kept = {k: v for k, v in seen.props.items() if k in m.props or k not in added}
    want = {k: v for k, v in m.props.items() if k not in REMOVED | also_removed or k in kept}
    if kept != want:
        wrong = sorted(k for k in set(kept) | set(want) if kept.get(k) != want.get(k))
        violated("C1", m.life, f"{what} has other properties than were sent: {', '.join(wrong)}")


def check_due(m, from_ms, delay_ms, seen, violated, what):
    if from_ms is None:
        return
    early = from_ms + delay_ms - min(seen.store_ms, seen.at_ms)
    if early > 0:
        violated("C9", m.life, f"{what}, delayed by {delay_ms} ms, was there {early} ms before it was due")


def check_half(m, here, history, violated):
    commits = [v for v in m.verdicts if v.kind == COMMIT]
    for seen in (h[3] for h in here):
        told = seen.props.get(COMMIT_TIME)
        if told is not None and not (told.isdigit() and min((v.sent_ms for v in commits), default=0) - 1 <= int(told) <= seen.store_ms):
            violated("C9", m.life, f"{m.id} says it was committed at {told}; the commit was sent at {min((v.sent_ms for v in commits), default=None)}, it was stored at {seen.store_ms}")
    committed, rolled_back = m.accepted(COMMIT), m.accepted(ROLLBACK)
    said = ", ".join(f"{'commit' if v.kind == COMMIT else 'rollback'} by {v.how} in life {v.life}: {'no answer' if v.code is None else v.code}" for v in m.verdicts)
    if here and not commits:
        violated("C5", m.life, f"{m.id} was delivered at offset {here[0][2]} and nobody committed it ({said or 'no verdict'})")
    if committed and rolled_back:
        violated("C6", m.life, f"{m.id}: both commit and rollback were accepted ({said})")
    if here and rolled_back:
        violated("C6", m.life, f"{m.id} was rolled back and stands at {m.topic}/{m.queue} offset {here[0][2]} ({said})")
    if committed and not here:
        violated("C7", m.life, f"{m.id} was committed and is nowhere ({said})")
    if m.outcome == "ok":
        for v in m.verdicts:
            if v.code not in (None, 0, 604) and not (history.excused(v.code, v.life) and "prepared" not in v.remark):
                violated("C1", m.life, f"{m.id}, an acknowledged half message: a {'commit' if v.kind == COMMIT else 'rollback'} by {v.how} in life {v.life} was "
                         f"refused with code {v.code} ({v.remark})")
    decided = min((v.done_ms for v in m.verdicts if v.code in (0, 604) and v.kind != UNKNOWN), default=None)
    for at_ms, life in m.asked:
        if decided is not None and at_ms > decided + LATE_CHECK_MS:
            violated("C8", life, f"{m.id} was asked about {at_ms - decided} ms after its verdict was acknowledged ({said})")


def check_ends(history, violated):
    """Every half message ends once producers answer: committed, rolled back, or parked after the last check."""
    by_key = {m.props["UNIQ_KEY"]: m for m in history.messages.values() if m.kind == "half" and "UNIQ_KEY" in m.props} if history.undecided else {}
    for key, (state, unknown) in history.undecided.items():
        m = by_key.get(key)
        what, life = (m.id, m.life) if m else (f"a half message that nobody sent ({key})", -1)
        if state != "parked":
            violated("C8", life, f"{what} is {state} in the end, though its producers answer every check" + (f"; it was asked about {len(m.asked)} times" if m else ""))
        elif unknown != history.checks_max:
            violated("C8", life, f"{what} is parked after {unknown} checks answered 'unknown', not {history.checks_max}")


def check_copies(m, copies, violated):
    """A message that was sent back stands in the group's retry topic, or at once among its dead letters, as was asked."""
    for where, prefix in (("retry", "%RETRY%"), ("dead", "%DLQ%")):
        backs = [b for b in m.backs if b[3] == where and b[2] != "refused"]
        done, here = sum(1 for b in backs if b[2] == "ok"), [c for c in copies if c[0].startswith(prefix)]
        if not done <= len(here) <= len(backs):
            violated("C1" if len(here) < done else "C2", m.life,
                     f"{m.id} was sent back ({where}) {len(backs)} times, {done} acknowledged, and the {prefix} topic holds it {len(here)} times")
        for topic, _, offset, seen in here:
            check_content(m, seen, violated, f"{m.id} in {topic} at offset {offset}", REMOVED)
            if where == "retry" and seen.attempts != 1:
                violated("C11", m.life, f"{m.id} in {topic} at offset {offset} was sent back once, and counts {seen.attempts} deliveries before this one")
            if where == "retry" and backs:
                check_due(m, min(b[0] for b in backs), 1000, seen, violated, f"the retry of {m.id}")


def check_same(history, before, after):
    """What a recovery of the same bytes gives: `before` and `after` are (final, offsets) of two drains with nothing but a kill -9 between."""
    if before[1] != after[1]:
        history.violations.append(Violation("C12", -1, f"offsets before the last kill: {before[1]}; after it: {after[1]}"))
    for place in sorted(set(before[0]) | set(after[0])):
        one, other = before[0].get(place), after[0].get(place)
        if one != other:
            ends = [(f[0], f[1], len(f[2])) if f else None for f in (one, other)]
            history.violations.append(Violation("C12", -1, f"{place[0]}/{place[1]} differs before and after the last kill: (first, end, held) {ends[0]} and {ends[1]}"))


def check_order(history, stands, violated):
    """Within one connection and queue, synchronous sends stand in the order in which they were sent."""
    streams = collections.defaultdict(list)
    for m in history.messages.values():
        if m.order and stands.get(m.id):
            connection, number = m.order
            streams[connection, m.topic, m.queue].append((number, stands[m.id][0][2], m))
    for (connection, topic, queue), sent in streams.items():
        sent.sort(key=lambda s: s[0])
        for (_, before, a), (_, after, b) in zip(sent, sent[1:]):
            if after <= before:
                violated("C4", b.life, f"{a.id} was sent before {b.id} on one connection, and they stand at {topic}/{queue} offsets {before} and {after}")


def check_offsets(history, violated):
    floor, tried = collections.defaultdict(int), collections.defaultdict(int)
    for group, topic, queue, what, value, acknowledged, life in history.offsets:
        key = group, topic, queue
        if what == "commit":
            tried[key] = max(tried[key], value)
            if acknowledged:
                floor[key] = max(floor[key], value)
        elif (value or 0) < floor[key]:
            violated("C10", life, f"group {group} had committed offset {floor[key]} of {topic}/{queue}; in life {life} it is {value}")
        elif (value or 0) > tried[key]:
            violated("C10", life, f"group {group} never committed more than offset {tried[key]} of {topic}/{queue}; in life {life} it is {value}")
