# SPDX-License-Identifier: Apache-2.0
"""Shows that the checker can fail: a history as a faultless broker gives it has no violations, and each of these faults put into it has
the violation it must have."""
from checker import COMMIT, COMMIT_TIME, ROLLBACK, History, Message, Verdict, check, check_same
from remoting import Record

GROUP, RETRY, DEAD = "G", "%RETRY%G", "%DLQ%G"
FAULTS = []


def fault(rule):
    return lambda function: FAULTS.append((rule, function)) or function


def record(topic, queue, offset, m, store_ms, props=None, reconsume=0):
    """A record as pulled; its body is the message's id, so that a check of bodies means something here too."""
    return Record(topic, queue, offset, 1000 * offset + queue, store_ms, m.sent_ms, f"{m.id}|body".encode(), {**(props or m.props), "MSG_REGION": "r"}, reconsume,
                  0, 0, 0)


class Story:
    """A faultless run in a broker of the mind: three lives of ten seconds; queue P/0 and P/1 plain, D/0 delayed, X/0 transactions."""

    def __init__(self):
        self.history, self.queues, self.number, self.now = History(), {}, 0, 1_000_000
        for life in range(3):
            for i in range(8):
                m = self.message("plain", "P", i % 2, life, order=(f"c{life}", i))
                m.answered(0, self.put("P", i % 2, m))
            d = self.message("delayed", "D", 0, life, delay_ms=500)
            d.answered(0)
            self.put("D", 0, d, store_ms=d.sent_ms + 500)
            unanswered, lost = self.message("plain", "P", 0, life), self.message("plain", "P", 0, life)
            self.put("P", 0, unanswered)
            unanswered.lost(), lost.lost()
            for verdicts in (((COMMIT, 0), (COMMIT, 0)), ((ROLLBACK, 0), (COMMIT, 604)), ((COMMIT, 0), (ROLLBACK, 604)), ((ROLLBACK, None), (ROLLBACK, 0)),
                             ((COMMIT, None),), ()):
                h = self.message("half", "X", 0, life)
                h.answered(0)
                h.offset = None
                h.verdicts = [Verdict(kind, "sender", code, self.now, self.now + 5, life, "") for kind, code in verdicts]
                if verdicts and verdicts[0] == (COMMIT, 0):
                    self.put("X", 0, h, props={**h.props, COMMIT_TIME: str(self.now)})
            for what, value in (("commit", 2 + life), ("query", 2 + life)):
                self.history.offsets.append((GROUP, "P", 0, what, value, True, life))
            back = self.queues["P", 0][life][1]
            back.backs.append([self.now, life, "ok", "retry"])
            self.put(RETRY, 0, back, store_ms=self.now + 1000, props={**back.props, "RETRY_TOPIC": "P"})
            dead = self.queues["P", 1][life][1]
            dead.backs.append([self.now, life, "ok", "dead"])
            self.put(DEAD, 0, dead, props={**dead.props, "RETRY_TOPIC": "P"})
            self.now += 10_000
            self.read(life)

    def message(self, kind, topic, queue, life, **more):
        self.number, self.now = self.number + 1, self.now + 10
        name = f"m{self.number}"
        props = {"own": name, **({"UNIQ_KEY": f"K{name}"} if kind == "half" else {})}
        return self.history.add(Message(name, kind, topic, queue, life, self.now, hash(f"{name}|body".encode()), props, **more))

    def put(self, topic, queue, m, store_ms=None, props=None):
        held = self.queues.setdefault((topic, queue), [])
        held.append((record(topic, queue, len(held), m, store_ms or self.now, props, int(topic == RETRY)), m))
        return len(held) - 1

    def read(self, life, final=False):
        for (topic, queue), held in self.queues.items():
            if final:
                self.history.final[topic, queue] = 0, len(held), {}
            for r, _ in held:
                self.history.saw(r, self.now, life, final)

    def end(self):
        self.now += 10_000
        self.read(3, final=True)
        return check(self.history)

    # what the faults need

    def first(self, topic, queue=0, where=lambda m: True):
        return next(i for i, (_, m) in enumerate(self.queues[topic, queue]) if where(m))

    def renumber(self, topic, queue, forget=True):
        """After a fault that moves messages: as if nobody had read the queue before, so that not C3 alone sees it."""
        self.queues[topic, queue] = [(r._replace(offset=i), m) for i, (r, m) in enumerate(self.queues[topic, queue])]
        for i, (_, m) in enumerate(self.queues[topic, queue]):
            if m.offset is not None:
                m.offset = i
        if forget:
            for key in [k for k in self.history.reads if k[:2] == (topic, queue)]:
                del self.history.reads[key]

    def half(self, *codes):
        return next(m for m in self.history.messages.values() if m.kind == "half" and tuple((v.kind, v.code) for v in m.verdicts) == codes)


@fault("C1")
def lost_message(s):
    del s.queues["P", 0][3]
    s.renumber("P", 0)


@fault("C1")
def lost_newest_message(s):
    s.queues["P", 1].pop()
    s.renumber("P", 1)


@fault("C1")
def lost_delayed_message(s):
    s.queues["D", 0].pop()
    s.renumber("D", 0)


@fault("C1")
def lost_retry(s):
    s.queues[RETRY, 0].pop()
    s.renumber(RETRY, 0)


@fault("C1")
def lost_dead_letter(s):
    s.queues[DEAD, 0].pop()
    s.renumber(DEAD, 0)


@fault("C1")
def dead_letter_among_the_retries(s):
    r, m = s.queues[DEAD, 0].pop()
    s.put(RETRY, 0, m, props=r.properties)
    s.renumber(DEAD, 0)


@fault("C2")
def doubled_dead_letter(s):
    r, m = s.queues[DEAD, 0][0]
    s.put(DEAD, 0, m, props=r.properties)


@fault("C1")
def forgotten_half_message(s):
    m = s.half((COMMIT, None))
    m.verdicts.append(Verdict(COMMIT, "the end", 1, s.now, s.now, 3, "Find prepared transaction message failed"))


@fault("C1")
def changed_body(s):
    r, m = s.queues["P", 1][2]
    s.queues["P", 1][2] = r._replace(body=r.body + b"x"), m
    s.renumber("P", 1)


@fault("C1")
def lost_property(s):
    r, m = s.queues["P", 1][2]
    s.queues["P", 1][2] = r._replace(properties={"MSG_REGION": "r"}), m
    s.renumber("P", 1)


@fault("C2")
def phantom(s):
    s.put("P", 0, Message("m999", "plain", "P", 0, 1, s.now, 0, {"own": "m999"}))


@fault("C2")
def doubled_message(s):
    s.put("P", 1, s.queues["P", 1][0][1])


@fault("C2")
def doubled_timer(s):
    s.put("D", 0, s.queues["D", 0][0][1])


@fault("C2")
def doubled_retry(s):
    r, m = s.queues[RETRY, 0][0]
    s.put(RETRY, 0, m, props=r.properties)


@fault("C2")
def wrong_queue(s):
    _, m = s.queues["P", 1].pop()
    s.renumber("P", 1)
    m.offset = None
    s.put("P", 0, m)


@fault("C2")
def refused_and_stored(s):
    m = s.message("plain", "P", 0, 2)
    m.answered(1)
    s.put("P", 0, m)


@fault("C3")
def moved_offset(s):
    held = s.queues["P", 0]
    held[2], held[4] = (held[4][0]._replace(offset=2), held[4][1]), (held[2][0]._replace(offset=4), held[2][1])


@fault("C3")
def offset_given_again(s):
    """Read by a consumer, never acknowledged, gone after the crash, and another message in its place."""
    ghost = s.message("plain", "P", 1, 2)
    ghost.lost()
    offset = s.put("P", 1, ghost)
    s.read(2)
    s.queues["P", 1][offset] = record("P", 1, offset, s.message("plain", "P", 1, 3), s.now), s.history.messages[f"m{s.number}"]


@fault("C3")
def read_and_gone(s):
    ghost = s.message("plain", "P", 1, 2)
    ghost.lost()
    s.put("P", 1, ghost)
    s.read(2)
    s.queues["P", 1].pop()


@fault("C3")
def moved_position(s):
    r, m = s.queues["X", 0][0]
    s.queues["X", 0][0] = r._replace(position=r.position + 8), m


@fault("C4")
def changed_order(s):
    held = s.queues["P", 0]
    held[0], held[1] = held[1], held[0]
    s.renumber("P", 0)


@fault("C4")
def hole(s):
    del s.queues["P", 1][3]
    for key in [k for k in s.history.reads if k[:2] == ("P", 1)]:
        del s.history.reads[key]


@fault("C5")
def delivered_half(s):
    s.put("X", 0, s.half())


@fault("C6")
def rolled_back_delivered(s):
    s.put("X", 0, s.half((ROLLBACK, 0), (COMMIT, 604)))


@fault("C6")
def contrary_accepted(s):
    m = s.half((ROLLBACK, 0), (COMMIT, 604))
    m.verdicts[1] = m.verdicts[1]._replace(code=0)


@fault("C7")
def doubled_commit(s):
    s.put("X", 0, s.half((COMMIT, 0), (COMMIT, 0)))


@fault("C7")
def lost_commit(s):
    s.queues["X", 0].pop()
    s.renumber("X", 0)


@fault("C7")
def commit_known_by_refusal_only(s):
    """The commit was not answered; its contrary was refused with 604, so it stands; the message does not."""
    m = s.half((COMMIT, None))
    m.verdicts.append(Verdict(ROLLBACK, "sender", 604, s.now, s.now, 2, ""))


@fault("C8")
def asked_about_a_decided_one(s):
    m = s.half((COMMIT, 0), (COMMIT, 0))
    m.asked.append((m.verdicts[0].done_ms + 5000, 2))


@fault("C8")
def never_ended(s):
    s.history.undecided[s.half().props["UNIQ_KEY"]] = ("pending", 0)


@fault("C8")
def waiting_for_a_producer_that_is_there(s):
    s.history.undecided[s.half().props["UNIQ_KEY"]] = ("waiting", 0)


@fault("C8")
def parked_too_early(s):
    s.history.checks_max = 15
    s.history.undecided[s.half().props["UNIQ_KEY"]] = ("parked", 14)


@fault("C8")
def asked_once_too_often(s):
    s.history.checks_max = 15
    s.history.undecided[s.half().props["UNIQ_KEY"]] = ("parked", 16)


@fault("C9")
def early_timer(s):
    r, m = s.queues["D", 0][1]
    s.queues["D", 0][1] = r._replace(store_ms=m.sent_ms + m.delay_ms - 1), m
    s.renumber("D", 0)


@fault("C9")
def early_commit_of_a_delayed_half(s):
    m = s.half((COMMIT, 0), (COMMIT, 0))
    m.delay_ms = 60_000


@fault("C9")
def commit_time_after_it_was_stored(s):
    r, m = s.queues["X", 0][0]
    s.queues["X", 0][0] = r._replace(properties={**r.properties, COMMIT_TIME: str(r.store_ms + 1)}), m
    s.renumber("X", 0)


@fault("C1")
def commit_time_of_a_plain_message(s):
    r, m = s.queues["P", 0][0]
    s.queues["P", 0][0] = r._replace(properties={**r.properties, COMMIT_TIME: "1"}), m


@fault("C9")
def early_retry(s):
    r, m = s.queues[RETRY, 0][0]
    s.queues[RETRY, 0][0] = r._replace(store_ms=m.backs[0][0] + 999), m
    s.renumber(RETRY, 0)


@fault("C11")
def retry_that_is_not_counted(s):
    r, m = s.queues[RETRY, 0][0]
    s.queues[RETRY, 0][0] = r._replace(reconsume=0), m
    s.renumber(RETRY, 0)


@fault("C10")
def offset_went_back(s):
    s.history.offsets.append((GROUP, "P", 0, "query", 3, True, 3))


@fault("C10")
def offset_forgotten(s):
    s.history.offsets.append((GROUP, "P", 0, "query", None, True, 3))


@fault("C10")
def offset_from_nowhere(s):
    s.history.offsets.append((GROUP, "P", 0, "query", 5, True, 3))


@fault("C12")
def another_state_after_the_same_bytes(s):
    s.read(3, final=True)
    before = dict(s.history.final), {}
    s.put("P", 0, s.message("plain", "P", 0, 2))
    s.history.final = {}
    s.read(3, final=True)
    check_same(s.history, before, (s.history.final, {}))


@fault("C12")
def another_offset_after_the_same_bytes(s):
    check_same(s.history, ({}, {"P": 3}), ({}, {"P": 4}))


def main():
    good, bad = 0, 0
    clean = Story().end()
    if clean:
        bad += 1
        print(f"FAIL faultless  wanted no violation, saw {len(clean)}: {clean[0]}")
    else:
        good += 1
        print("ok   faultless  no violation")
    for rule, function in FAULTS:
        story = Story()
        function(story)
        seen = story.end()
        caught = [v for v in seen if v.rule == rule]
        if caught:
            good += 1
            print(f"ok   {function.__name__}  {rule}: {caught[0].text}")
        else:
            bad += 1
            print(f"FAIL {function.__name__}  wanted {rule}, saw {sorted({v.rule for v in seen}) or 'nothing'}")
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0
