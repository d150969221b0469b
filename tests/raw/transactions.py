#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Probes what a transaction can be made to do wrong, with raw requests: one case for each thing that Apache RocketMQ 5.4.0 was seen or
read to do wrong (docs/transactions.md). Every case has its own topics and groups; they run side by side, because most of them wait.

Without --broker it starts the program itself, fails where the answer is wrong, and kills it where a case says so. With --broker it
only tells what was seen: start that broker with transactionTimeOut=1000, transactionCheckInterval=1000 and transactionCheckMax=3."""
import argparse
import collections
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True

from remoting import (BATCH_SEND, CHECK, COMMIT, END_TRANSACTION, OK, ROLLBACK, UNKNOWN, Connection, Half, Late, Lost, Server, batch_body, now_ms,
                      position_of, records)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETTLE = 1.2     # seconds in which nothing more may come
QUICK = {"transactionTimeOut": 1000, "transactionCheckInterval": 1000, "transactionCheckMax": 3}
SLOW = {"transactionTimeOut": 60000}  # no checks in the middle of the other cases

CASES = []
Case = collections.namedtuple("Case", "name kind wanted run")


def case(name, kind, wanted):
    """kind: slow, quick (servers with these settings) or own (a server of its own, which gets killed)."""
    return lambda run: CASES.append(Case(name, kind, wanted, run)) or run


class Context:
    def __init__(self, name, server, address, patience):
        self.server, self.address, self.patience = server, address, patience
        self.tag = "".join(c if c.isalnum() else "_" for c in name) + f"_{random.getrandbits(32):08x}"
        self.topics, self.connections = 0, []

    def connect(self, on_request=None):
        c = Connection(self.address, on_request)
        self.connections.append(c)
        return c

    def topic(self, connection, queues=1):
        self.topics += 1
        return connection.create_topic(f"T{self.topics}_{self.tag}", queues)

    def group(self):
        return "P_" + self.tag

    def start(self):
        """A connection, a topic, the name of a producer group."""
        c = self.connect()
        return c, self.topic(c), self.group()

    def end(self, connection, half, verdict, **more):
        """The answer's code, or 'silent' where none comes (Apache gives none to an "unknown")."""
        try:
            return connection.end(half, verdict, timeout=self.patience, **more).code
        except Late:
            return "silent"

    def bodies(self, connection, topic, queues=1):
        return [r.body.decode() for q in range(queues) for r in connection.drain("G_" + self.tag, topic, q)]

    def delivered(self, connection, topic, settle=SETTLE):
        time.sleep(settle)
        return len(self.bodies(connection, topic))

    def close(self):
        for c in self.connections:
            c.close()


def until(condition, limit):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def asked(connection, half=None):
    """The checks that came in, or those about one message."""
    return [(t, r) for t, r in list(connection.incoming) if r.code == CHECK and (half is None or r.ext.get("msgId") == half.key)]


def times(n):
    return f"delivered {n}x"


# ---------------------------------------------------------------- verdicts


def commit_twice(ctx, pause):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    before = len(ctx.bodies(c, topic))
    first = ctx.end(c, half, COMMIT)
    time.sleep(pause)
    second = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return (before, first, second, n) == (0, 0, 0, 1), f"answers {first}, {second}; {times(n)}"


case("commit-twice-50ms", "slow", "answers 0, 0; delivered 1x")(lambda ctx: commit_twice(ctx, 0.05))
case("commit-twice-5s", "slow", "answers 0, 0; delivered 1x")(lambda ctx: commit_twice(ctx, 5))


def rollback_commit(ctx, pause):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    first = ctx.end(c, half, ROLLBACK)
    time.sleep(pause)
    second = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return (first, second, n) == (0, 604, 0), f"answers {first}, {second}; {times(n)}"


case("rollback-then-commit", "slow", "answers 0, 604; delivered 0x")(lambda ctx: rollback_commit(ctx, 0))
case("rollback-then-commit-5s", "slow", "answers 0, 604; delivered 0x")(lambda ctx: rollback_commit(ctx, 5))


@case("commit-then-rollback", "slow", "answers 0, 604; delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    first, second = ctx.end(c, half, COMMIT), ctx.end(c, half, ROLLBACK)
    n = ctx.delivered(c, topic)
    return (first, second, n) == (0, 604, 1), f"answers {first}, {second}; {times(n)}"


@case("rollback-twice", "slow", "answers 0, 0; delivered 0x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    first, second = ctx.end(c, half, ROLLBACK), ctx.end(c, half, ROLLBACK)
    n = ctx.delivered(c, topic)
    return (first, second, n) == (0, 0, 0), f"answers {first}, {second}; {times(n)}"


@case("unknown-then-commit", "slow", "invisible until the commit; delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    first = ctx.end(c, half, UNKNOWN)
    before = ctx.delivered(c, topic, 0.3)
    second = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return (before, second, n) == (0, 0, 1), f"answers {first}, {second}; before the commit {times(before)}, then {times(n)}"


@case("eight-commit-at-once", "slow", "delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    others, gate, codes = [ctx.connect() for _ in range(8)], threading.Barrier(8), []

    def commit(connection):
        gate.wait(10)
        codes.append(ctx.end(connection, half, COMMIT))

    threads = [threading.Thread(target=commit, args=(o,), daemon=True) for o in others]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    n = ctx.delivered(c, topic)
    return (sorted(codes), n) == ([0] * 8, 1), f"answers {', '.join(map(str, codes))}; {times(n)}"


@case("commit-and-rollback-at-once", "slow", "one answer is 0, the other 604, and the message follows it; 20 times")
def _(ctx):
    c, topic, group = ctx.start()
    one, two, wrong = ctx.connect(), ctx.connect(), []
    for i in range(20):
        half = c.half(topic, str(i).encode(), group)
        started = {v: (one if v == COMMIT else two).start(END_TRANSACTION, half.end_header(v)) for v in random.sample((COMMIT, ROLLBACK), 2)}
        a, b = started[COMMIT], started[ROLLBACK]
        for waiting in (a, b):
            waiting.done.acquire(timeout=5)
        wrong.append((half, a.answer, b.answer))
    time.sleep(SETTLE)
    seen = collections.Counter(ctx.bodies(c, topic))
    bad = [i for i, (_, a, b) in enumerate(wrong) if not (a and b) or sorted((a.code, b.code)) != [0, 604] or seen[str(i)] != (1 if a.code == 0 else 0)]
    return not bad, f"{20 - len(bad)} as wanted; commit first in {sum(1 for _, a, _ in wrong if a and a.code == 0)}; {len(seen)} delivered"


@case("commit-with-foreign-id", "slow", "refused; the right commit then delivers 1x; the other message untouched")
def _(ctx):
    c, topic, group = ctx.start()
    ours, other = c.half(topic, b"ours", group), c.half(topic, b"other", group)
    wrong = ctx.end(c, ours, COMMIT, msgId=other.key, transactionId=other.key)
    early = ctx.delivered(c, topic)
    right = ctx.end(c, ours, COMMIT)
    time.sleep(SETTLE)
    seen = ctx.bodies(c, topic)
    return wrong not in (0, "silent") and early == 0 and right == 0 and seen == ["ours"], \
        f"answers {wrong}, {right}; after the wrong one {times(early)}, at the end {len(seen)}x"


@case("wrong-names", "slow", "position, queue offset and group: each refused; delivered 0x, then 1x by the right commit")
def _(ctx):
    c, topic, group = ctx.start()
    half, other = c.half(topic, b"m", group), c.half(topic, b"other", group)
    codes = [ctx.end(c, half, COMMIT, commitLogOffset=half.position + 8), ctx.end(c, half, COMMIT, commitLogOffset=other.position),
             ctx.end(c, half, COMMIT, tranStateTableOffset=half.offset + 1), ctx.end(c, half, COMMIT, producerGroup=group + "x"),
             ctx.end(c, half, COMMIT, producerGroup="")]
    early = ctx.delivered(c, topic, 0.5)
    right = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return all(code not in (0, "silent", 604) for code in codes) and (early, right, n) == (0, 0, 1), \
        f"answers {', '.join(map(str, codes))}; {times(early)}; right commit {right}, {times(n)}"


@case("verdict-is-no-verdict", "slow", "refused; the message stays undecided")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    codes = [ctx.end(c, half, v) for v in (4, 9, -1)]
    early = ctx.delivered(c, topic, 0.5)
    right = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return all(code not in (0, "silent") for code in codes) and (early, right, n) == (0, 0, 1), \
        f"answers {', '.join(map(str, codes))}; {times(early)}; right commit {right}, {times(n)}"


# ---------------------------------------------------------------- what a verdict may point at


@case("commit-of-a-plain-message", "slow", "refused; the message stays there once")
def _(ctx):
    c, topic, group = ctx.start()
    answer = c.send(topic, b"plain", {"UNIQ_KEY": "PLAIN" + ctx.tag, "PGROUP": group}, group=group)
    half = Half(answer, group, topic, "PLAIN" + ctx.tag)
    codes = [ctx.end(c, half, v) for v in (COMMIT, ROLLBACK)]
    n = ctx.delivered(c, topic)
    return all(code not in (0, "silent") for code in codes) and n == 1, f"answers {', '.join(map(str, codes))}; {times(n)}"


@case("random-positions", "slow", "1000 commits at random positions: all refused, no effect")
def _(ctx):
    c, topic, group = ctx.start()
    for i in range(20):
        c.send(topic, b"plain", {"PGROUP": group}, group=group)
    bystander = c.half(topic, b"half", group)
    picked = [p for p in (random.randrange(0, bystander.position * 2) for _ in range(1000)) if p != bystander.position]
    codes = collections.Counter()
    for at in range(0, len(picked), 50):
        waiting = [c.start(END_TRANSACTION, {**bystander.end_header(COMMIT), "commitLogOffset": p, "msgId": "", "transactionId": ""})
                   for p in picked[at:at + 50]]
        for w in waiting:
            codes[w.answer.code if w.done.acquire(timeout=ctx.patience) and w.answer else "silent"] += 1
    early = ctx.delivered(c, topic)
    right = ctx.end(c, bystander, COMMIT)
    n = ctx.delivered(c, topic)
    return 0 not in codes and "silent" not in codes and (early, right, n) == (20, 0, 21), \
        f"{len(picked)} sent, answers {dict(codes)}; {early} plain messages unchanged; the half message then commits ({right}), {n} in all"


@case("planted-properties", "slow", "REAL_TOPIC, REAL_QID refused on plain and half messages; nothing reaches the other topic")
def _(ctx):
    c, topic, group = ctx.start()
    victim = ctx.topic(c)
    planted = {"REAL_TOPIC": victim, "REAL_QID": "0"}
    plain, half = c.send(topic, b"planted", planted), c.half(topic, b"planted", group, planted)
    late = c.send(topic, b"planted", {**planted, "DELAY": "1"})
    end = ctx.end(c, half, COMMIT) if half.answer.code == OK else "-"
    n = ctx.delivered(c, victim, 3)
    codes = plain.code, half.answer.code, late.code
    return OK not in codes and n == 0, f"answers: plain {codes[0]}, half {codes[1]}, delayed {codes[2]}, commit {end}; in the other topic {n}"


@case("half-topics-are-closed", "slow", "sending to the half, op, schedule and parking topics is refused")
def _(ctx):
    c, _, group = ctx.start()
    names = ("RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC", "SCHEDULE_TOPIC_XXXX", "TRANS_CHECK_MAX_TIME_TOPIC")
    codes = [c.send(t, b"m", {"REAL_TOPIC": "X", "PGROUP": group}).code for t in names] + [c.half(t, b"m", group).answer.code for t in names]
    return OK not in codes, f"answers {', '.join(map(str, codes))}"


@case("blank-topic", "slow", "a half message without a topic is refused; END_TRANSACTION with a blank topic decides its own message only")
def _(ctx):
    c, topic, group = ctx.start()
    refused = [c.half(t, b"m", group).answer.code for t in ("", " ")]
    half = c.half(topic, b"m", group)
    end = ctx.end(c, half, COMMIT, topic="")
    n = ctx.delivered(c, topic)
    return OK not in refused and n == (1 if end == 0 else 0), f"answers {refused[0]}, {refused[1]}; commit with a blank topic {end}, {times(n)}"


def batch(ctx, of_all, of_first):
    c, topic, group = ctx.start()
    answer = c.request(BATCH_SEND, c.send_header(topic, 0, of_all, group, batch=True), batch_body([(b"a", {"PGROUP": group, **of_first}), (b"b", {})]))
    n = ctx.delivered(c, topic, 0.5)
    return (answer.code, n) == (13, 0), f"answer {answer.code}; delivered {n} messages"


case("half-in-a-batch", "slow", "TRAN_MSG on a message of a batch: answer 13; delivered 0 messages")(lambda ctx: batch(ctx, {}, {"TRAN_MSG": "true"}))
case("batch-marked-as-half", "slow", "TRAN_MSG and sysFlag 4 (prepared) on the batch: answer 13; delivered 0 messages")(
    lambda ctx: batch(ctx, {"TRAN_MSG": "true"}, {}))


# ---------------------------------------------------------------- delay


def delayed_half(ctx, props, delay_ms):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group, props)
    if half.answer.code != OK:
        return False, f"half message: answer {half.answer.code} {half.answer.remark}"
    time.sleep(0.5)
    committed = now_ms()
    code = ctx.end(c, half, COMMIT)
    until(lambda: ctx.bodies(c, topic), delay_ms / 1000 + 4)
    time.sleep(SETTLE)
    got = c.drain("G_" + ctx.tag, topic, 0)
    after = [r.store_ms - committed for r in got]
    return code == 0 and len(got) == 1 and after[0] >= delay_ms, f"answer {code}; {times(len(got))}" + (f", {after[0]} ms after the commit" if got else "")


case("half-with-delay-level", "slow", "delivered 1x, at least 1000 ms after the commit")(lambda ctx: delayed_half(ctx, {"DELAY": "1"}, 1000))
case("half-with-timer", "slow", "delivered 1x, at least 1500 ms after the commit")(lambda ctx: delayed_half(ctx, {"TIMER_DELAY_MS": "1500"}, 1500))


# ---------------------------------------------------------------- checks


@case("producer-away", "quick", "away for 8 s while checks are due each second: asked when it is back; delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    c.close()
    time.sleep(8)
    back = ctx.connect(lambda connection, r: connection.answer_check(r, group, COMMIT))
    began = time.monotonic()
    back.heartbeat(producer=group)
    until(lambda: asked(back, half), 6)
    checks = asked(back, half)
    after = f"asked after {checks[0][0] - began:.2f} s" if checks else "never asked"
    n = ctx.delivered(back, topic)
    return bool(checks) and n == 1, f"{after}; {times(n)}"


@case("no-heartbeat-yet", "quick", "who sends a half message is asked, also about an older one, before any heartbeat; delivered 2x")
def _(ctx):
    c, topic, group = ctx.start()
    older = c.half(topic, b"older", group)
    c.close()
    time.sleep(2)
    back = ctx.connect(lambda connection, r: connection.answer_check(r, group, COMMIT))
    half = back.half(topic, b"m", group)
    until(lambda: asked(back, half) and asked(back, older), 6)
    seen = len(asked(back, older)), len(asked(back, half))
    n = ctx.delivered(back, topic)
    return seen == (1, 1) and n == 2, f"asked {seen[0]}x and {seen[1]}x; {times(n)}"


@case("commit-to-each-check", "quick", "asked; delivered 1x; not asked again")
def _(ctx):
    group = ctx.group()
    c = ctx.connect(lambda connection, r: connection.answer_check(r, group, COMMIT))
    topic = ctx.topic(c)
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    until(lambda: asked(c, half), 8)
    n = ctx.delivered(c, topic, 8)
    checks = len(asked(c, half))
    return (checks, n) == (1, 1), f"asked {checks}x; {times(n)}"


@case("rollback-to-each-check", "quick", "asked once; delivered 0x")
def _(ctx):
    group = ctx.group()
    c = ctx.connect(lambda connection, r: connection.answer_check(r, group, ROLLBACK))
    topic = ctx.topic(c)
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    until(lambda: asked(c, half), 8)
    n = ctx.delivered(c, topic, 4)
    checks = len(asked(c, half))
    return (checks, n) == (1, 0), f"asked {checks}x; {times(n)}"


@case("unanswered-checks", "quick", "asked again and again, more often than the maximum of 3; then a commit delivers 1x")
def _(ctx):
    c, topic, group = ctx.start()
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    until(lambda: len(asked(c, half)) >= 5, 10)
    checks = len(asked(c, half))
    code = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return checks >= 5 and (code, n) == (0, 1), f"asked {checks}x without an answer; commit {code}; {times(n)}"


@case("parked-then-commit", "quick", "after 3 unknowns not asked again, parked; a late commit still delivers 1x")
def _(ctx):
    group = ctx.group()
    c = ctx.connect(lambda connection, r: connection.answer_check(r, group, UNKNOWN))
    topic = ctx.topic(c)
    c.heartbeat(producer=group)
    half = c.half(topic, b"whole body", group)
    until(lambda: len(asked(c, half)) >= 3, 12)
    time.sleep(2.5)
    checks = len(asked(c, half))
    parked = [r.body for r in c.drain("G_" + ctx.tag, "TRANS_CHECK_MAX_TIME_TOPIC", 0) if r.properties.get("UNIQ_KEY") == half.key]
    code = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return (checks, parked, code, n) == (3, [b"whole body"], 0, 1), f"asked {checks}x; parked {len(parked)}x; commit {code}; {times(n)}"


@case("slow-transaction", "quick", "3 s long, its checks answered unknown, then commit: delivered 1x, not asked about after the verdict")
def _(ctx):
    return slow_transaction(ctx, UNKNOWN, COMMIT, 1)


@case("slow-transaction-both-commit", "quick", "3 s long, checks and the transaction itself say commit: delivered 1x")
def _(ctx):
    return slow_transaction(ctx, COMMIT, COMMIT, 1)


@case("rolled-back-but-check-commits", "quick", "rolled back after 3 s, every later check would be answered commit: delivered 0x, not asked")
def _(ctx):
    return slow_transaction(ctx, None, ROLLBACK, 0)


def slow_transaction(ctx, meanwhile, verdict, want):
    group, decided = ctx.group(), threading.Event()

    def answer(connection, r):
        reply = COMMIT if decided.is_set() else meanwhile
        if reply is not None:
            connection.answer_check(r, group, reply)

    c = ctx.connect(answer)
    topic = ctx.topic(c)
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    time.sleep(2.7)
    code = ctx.end(c, half, verdict)
    decided.set()
    at = time.monotonic()
    before = len(asked(c, half))
    n = ctx.delivered(c, topic, 8)
    after = len([1 for t, _ in asked(c, half) if t > at])
    return before >= 1 and (code, n, after) == (0, want, 0), f"asked {before}x before; verdict {code}; asked {after}x after it; {times(n)}"


@case("original-and-copy", "quick", "a check names the original; commit by the check and by the sender: delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    until(lambda: len(asked(c, half)) >= 2, 8)
    positions = [int(r.ext["commitLogOffset"]) for _, r in asked(c, half)]
    for _, r in asked(c, half):
        c.answer_check(r, group, COMMIT)
    code = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic, 2.5)
    same = sum(p == half.position for p in positions)
    return len(positions) >= 2 and same == len(positions) and (code, n) == (0, 1), \
        f"{len(positions)} checks, {same} name the original position; commit {code}; {times(n)}"


def clock_of_producer(ctx, behind_ms, earliest):
    c, topic, group = ctx.start()
    c.heartbeat(producer=group)
    began = time.monotonic()
    half = c.half(topic, b"m", group, born_ms=now_ms() - behind_ms)
    until(lambda: asked(c, half), 6)
    checks = asked(c, half)
    first = checks[0][0] - began if checks else None
    code = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return bool(checks) and first >= earliest and (code, n) == (0, 1), \
        (f"asked after {first:.2f} s" if checks else "never asked") + f"; commit {code}; {times(n)}"


case("clock-behind", "quick", "producer's clock 80 h behind: asked after 1 s as any other; delivered 1x")(
    lambda ctx: clock_of_producer(ctx, 80 * 3600_000, 0.95))
case("clock-ahead", "quick", "producer's clock 1 h ahead: not asked before 1 s; delivered 1x")(lambda ctx: clock_of_producer(ctx, -3600_000, 0.95))


@case("odd-messages-stall-nobody", "quick", "half messages with absurd properties first: the next one is asked about in time")
def _(ctx):
    c, topic, group = ctx.start()
    c.heartbeat(producer=group)
    odd = [{"CHECK_IMMUNITY_TIME_IN_SECONDS": "abc"}, {"CHECK_IMMUNITY_TIME_IN_SECONDS": "-5"}, {"CHECK_IMMUNITY_TIME_IN_SECONDS": "9" * 30},
           {"TRANSACTION_CHECK_TIMES": "abc"}, {"TRANSACTION_CHECK_TIMES": "99"}, {"TRAN_PREPARED_QUEUE_OFFSET": "-7"}, {"PGROUP": ""}, {"PGROUP": "gone"},
           {"UNIQ_KEY": ""}]
    codes = collections.Counter(c.half(topic, b"odd", group, props).answer.code for props in odd)
    half = c.half(topic, b"m", group)
    at = time.monotonic()
    until(lambda: asked(c, half), 6)
    checks = asked(c, half)
    code = ctx.end(c, half, COMMIT)
    n = ctx.delivered(c, topic)
    return bool(checks) and (code, n) == (0, 1), \
        f"odd ones answered {dict(codes)}; " + (f"asked after {checks[0][0] - at:.2f} s" if checks else "never asked") + f"; {times(n)}"


@case("immunity", "quick", "CHECK_IMMUNITY_TIME_IN_SECONDS=3: not asked before 3 s, then asked; a verdict after it still counts: delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    c.heartbeat(producer=group)
    began = time.monotonic()
    half = c.half(topic, b"m", group, {"CHECK_IMMUNITY_TIME_IN_SECONDS": "3"})
    until(lambda: asked(c, half), 8)
    checks = asked(c, half)
    code = ctx.end(c, half, COMMIT, from_check=True)
    n = ctx.delivered(c, topic)
    first = checks[0][0] - began if checks else -1
    return first >= 2.95 and (code, n) == (0, 1), (f"asked after {first:.2f} s" if checks else "never asked") + f"; commit {code}; {times(n)}"


@case("check-carries-the-message", "quick", "real topic, queue, body and properties as sent; one-way; names the half message")
def _(ctx):
    c = ctx.connect()
    topic, group = ctx.topic(c, 3), ctx.group()
    c.heartbeat(producer=group)
    half = c.half(topic, b"body of it", group, {"KEYS": "k1 k2", "TAGS": "A", "own": "thing"}, queue=2)
    until(lambda: asked(c, half), 8)
    if not asked(c, half):
        return False, "never asked"
    r = asked(c, half)[0][1]
    m = records(r.body)[0]
    right = {"topic": m.topic == topic, "queue": m.queue == 2, "body": m.body == b"body of it", "one-way": bool(r.flag & 2),
             "properties": all(m.properties.get(k) == v for k, v in {"KEYS": "k1 k2", "TAGS": "A", "own": "thing", "UNIQ_KEY": half.key}.items()),
             "position": int(r.ext["commitLogOffset"]) == half.position, "queue offset": int(r.ext["tranStateTableOffset"]) == half.offset,
             "offset id": position_of(r.ext.get("offsetMsgId", "0")) == half.position}
    return all(right.values()), "all right" if all(right.values()) else "wrong: " + ", ".join(k for k, v in right.items() if not v)


# ---------------------------------------------------------------- kill -9


@case("half-survives-kill-9", "own", "asked about after the restart, by a new connection; delivered 1x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    ctx.server.kill()
    ctx.server.start()
    back = ctx.connect(lambda connection, r: connection.answer_check(r, group, COMMIT))
    before = len(ctx.bodies(back, topic))
    back.heartbeat(producer=group)
    until(lambda: asked(back, half), 8)
    checks = asked(back, half)
    right = bool(checks) and int(checks[0][1].ext["commitLogOffset"]) == half.position
    n = ctx.delivered(back, topic)
    return right and (before, n) == (0, 1), f"before its check {times(before)}; asked {len(checks)}x; {times(n)}"


def verdict_survives(ctx, verdict, contrary, want):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    first = ctx.end(c, half, verdict)
    ctx.server.kill()
    ctx.server.start()
    back = ctx.connect(lambda connection, r: connection.answer_check(r, group, COMMIT))
    back.heartbeat(producer=group)
    codes = ctx.end(back, half, contrary), ctx.end(back, half, verdict)
    n = ctx.delivered(back, topic, 3.5)
    checks = len(asked(back))
    return (first, *codes, n, checks) == (0, 604, 0, want, 0), \
        f"verdict {first}; after the restart: contrary {codes[0]}, same {codes[1]}; asked {checks}x; {times(n)}"


case("commit-survives-kill-9", "own", "contrary refused with 604, same answered 0, not asked about; delivered 1x")(
    lambda ctx: verdict_survives(ctx, COMMIT, ROLLBACK, 1))
case("rollback-survives-kill-9", "own", "contrary refused with 604, same answered 0, not asked about; delivered 0x")(
    lambda ctx: verdict_survives(ctx, ROLLBACK, COMMIT, 0))


# ---------------------------------------------------------------- operators and policies: Halfmoon's own

VIEW, DECIDE, RESUME = 29002, 29003, 29004


def operate(connection, code, half, **more):
    return connection.request(code, {"position": half.position, "operator": "eve", "reason": "ticket 1", **more}).code


def events(connection, half):
    """The history as words, and the events themselves."""
    answer = connection.request(VIEW, {"position": half.position})
    history = json.loads(answer.body)["history"] if answer.code == OK else []
    return [e["event"] for e in history], history


@case("operators-verdict", "own", "answers 0, 0; the producer's contrary one 604; delivered 1x; history: sent, committed by eve, refused; the same after kill -9")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    codes = [operate(c, DECIDE, half, verdict="commit"), operate(c, DECIDE, half, verdict="commit"), ctx.end(c, half, ROLLBACK)]
    before, history = events(c, half)
    by_eve = len(history) > 1 and history[1].get("operator") == "eve" and history[1].get("reason") == "ticket 1"
    n = ctx.delivered(c, topic)
    time.sleep(0.1)
    ctx.server.kill()
    ctx.server.start()
    after, _ = events(ctx.connect(), half)
    right = codes == [0, 0, 604] and before == ["sent", "committed", "refused"] and by_eve and after[:2] == before[:2] and n == 1
    return right, f"answers {codes}; {times(n)}; history: {', '.join(before)}{' by eve' if by_eve else ''}; after kill -9: {', '.join(after)}"


@case("operator-must-say-who-and-why", "own", "without operator or reason, with another unique key, at a position without half message: refused; delivered 0x")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    codes = [c.request(DECIDE, {"position": half.position, "verdict": "commit", "reason": "r"}).code,
             c.request(DECIDE, {"position": half.position, "verdict": "commit", "operator": "eve"}).code,
             operate(c, DECIDE, half, verdict="commit", uniqueKey="another"), operate(c, DECIDE, half, verdict="perhaps"),
             operate(c, RESUME, half), c.request(DECIDE, {"position": half.position + 8, "verdict": "commit", "operator": "e", "reason": "r"}).code]
    n = ctx.delivered(c, topic)
    return codes == [1, 1, 29, 1, 604, 22] and n == 0, f"answers {codes}; {times(n)}"


@case("contrary-verdicts-in-history", "own", "100 contrary verdicts: all refused; in the history the first 16, the 32nd and the 64th")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group)
    ctx.end(c, half, COMMIT)
    codes = collections.Counter(ctx.end(c, half, ROLLBACK) for _ in range(100))
    _, history = events(c, half)
    counts = [e["count"] for e in history if e["event"] == "refused"]
    return codes == {604: 100} and counts == list(range(1, 17)) + [32, 64], f"answers {dict(codes)}; in the history {counts}"


@case("parked-then-resumed", "own", "parked after 3 unknowns, resumed by an operator: asked again; delivered 1x; all of it in the history")
def _(ctx):
    resumed = threading.Event()
    c = ctx.connect(lambda connection, r: connection.answer_check(r, group, COMMIT if resumed.is_set() else UNKNOWN))
    topic, group = ctx.topic(c), ctx.group()
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    until(lambda: "parked" in events(c, half)[0], 20)
    resumed.set()
    code = operate(c, RESUME, half)
    until(lambda: "committed" in events(c, half)[0], 10)
    words, history = events(c, half)
    named = all(e.get("client") == c.client_id for e in history if e["event"] == "asked")
    n = ctx.delivered(c, topic)
    want = ["sent"] + ["asked", "answered-unknown"] * 3 + ["parked", "resumed", "asked", "committed"]
    return (code, words, named, n) == (0, want, True, 1), f"resume {code}; {times(n)}; history: {', '.join(words)}{'' if named else '; the asked client is not named'}"


@case("topic-attribute", "slow", "transaction.check.immunity.time=1 on the topic: asked after 1 s although the broker's key says 60 s; what is no number is refused")
def _(ctx):
    if not ctx.server:
        return False, "not tried"
    c = ctx.connect(lambda connection, r: connection.answer_check(r, ctx.group(), COMMIT))
    topic, group = "A_" + ctx.tag, ctx.group()
    answer = c.request(17, {**c.topic_header(topic), "attributes": "+transaction.check.immunity.time=x"})
    good = c.request(17, {**c.topic_header(topic), "attributes": "+transaction.check.immunity.time=1"}).code
    c.heartbeat(producer=group)
    half, began = c.half(topic, b"m", group), time.monotonic()
    until(lambda: asked(c, half), 8)
    waited = time.monotonic() - began
    return answer.code != 0 and "seconds" in answer.remark and good == 0 and bool(asked(c, half)) and 0.95 < waited < 8, f"asked after {waited:.2f} s" if asked(c, half) else "never asked"


@case("profile-by-age", "own", "aliyun-http: no maximum by number, parked by age (3 s here); explicit keys win over the profile")
def _(ctx):
    ctx.server.stop()
    for key in ("transactionTimeOut", "transactionCheckInterval", "transactionCheckMax"):
        ctx.server.settings.pop(key)
    ctx.server.start(transactionCheckProfile="aliyun-http", transactionTimeOut=100, transactionCheckInterval=100, transactionCheckMaxAgeSeconds=3)
    c = ctx.connect(lambda connection, r: connection.answer_check(r, group, UNKNOWN))
    topic, group = ctx.topic(c), ctx.group()
    c.heartbeat(producer=group)
    half = c.half(topic, b"m", group)
    until(lambda: "parked" in events(c, half)[0], 20)
    words, history = events(c, half)
    age = (history[-1]["at"] - history[0]["at"]) / 1000 if words else 0
    answers = words.count("answered-unknown")
    return words[-1:] == ["parked"] and 3 <= age < 10 and answers > 5, f"{answers} answers unknown; " + (f"parked at {age:.1f} s" if words[-1:] == ["parked"] else "not parked")


@case("properties-of-delivered", "own", "__transactionId__ is the unique key, __transactionCommitTime__ the time of the commit, whatever the producer planted; a plain message has neither")
def _(ctx):
    c, topic, group = ctx.start()
    half = c.half(topic, b"m", group, {"__transactionCommitTime__": "1", "__transactionId__": "forged"})
    before = now_ms()
    ctx.end(c, half, COMMIT)
    after = now_ms()
    c.send(topic, b"plain", {})
    time.sleep(0.3)
    seen = {r.body: r.properties for r in c.drain("G_" + ctx.tag, topic, 0)}
    p, plain = seen.get(b"m", {}), seen.get(b"plain", {})
    at = int(p.get("__transactionCommitTime__", 0))
    right = p.get("__transactionId__") == half.key and before - 5 <= at <= after + 5 and "__transactionCommitTime__" not in plain
    return right, f"id {'right' if p.get('__transactionId__') == half.key else 'wrong'}; commit time {'right' if before - 5 <= at <= after + 5 else 'wrong'}"


@case("one-way-half", "own", "a half message sent one-way is not stored: the table stays empty")
def _(ctx):
    c, topic, group = ctx.start()
    c.one_way(310, c.send_header(topic, 0, {"TRAN_MSG": "true", "PGROUP": group, "UNIQ_KEY": "K" + ctx.tag}, group), b"m")
    listed = json.loads(c.request(29001, {"group": group}).body)["transactions"]
    return listed == [], f"{len(listed)} half messages"


# ---------------------------------------------------------------- the run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--broker", metavar="HOST:PORT", help="a running broker instead: tells what was seen, judges nothing")
    parser.add_argument("--name-server", metavar="HOST:PORT", help="its name server (named in the heading only: raw requests need no route)")
    parser.add_argument("--only", metavar="TEXT", help="cases with this in their name")
    parser.add_argument("--table", action="store_true", help="print a Markdown table: case, wanted, seen")
    options = parser.parse_args()
    cases = [c for c in CASES if not options.only or options.only in c.name]
    if not cases:
        sys.exit("transactions.py: no such case")
    if options.broker:
        cases = [c for c in cases if c.kind != "own"]
    elif not os.access(options.server, os.X_OK):
        sys.exit(f"transactions.py: {options.server} is not there: build it first, or name it with --server")
    began, results, printing = time.monotonic(), {}, threading.Lock()
    work, servers = tempfile.mkdtemp(prefix="halfmoon-raw-"), {}

    def server(name, settings):
        servers[name] = Server(os.path.abspath(options.server), os.path.join(work, name), **settings)
        return servers[name].start()

    def run(c):
        try:
            if options.broker:
                ctx = Context(c.name, None, options.broker, 3)
            else:
                s = server(c.name, QUICK) if c.kind == "own" else servers[c.kind]
                ctx = Context(c.name, s, s.address, 5)
            try:
                good, saw = c.run(ctx)
            finally:
                ctx.close()
        except (Lost, Late, RuntimeError, OSError, ValueError, KeyError) as e:
            good, saw = False, f"{type(e).__name__}: {e}"
        except Exception:  # a mistake in a case must be seen as its failure
            good, saw = False, traceback.format_exc()
        with printing:
            results[c.name] = good, saw
            if options.table:
                return
            if options.broker:
                print(f"saw  {c.name}  {saw}", flush=True)
            elif good:
                print(f"ok   {c.name}  {saw}", flush=True)
            else:
                print(f"FAIL {c.name}  wanted {c.wanted}, saw {saw}", flush=True)

    try:
        if not options.broker:
            for kind, settings in (("slow", SLOW), ("quick", QUICK)):
                if any(c.kind == kind for c in cases):
                    server(kind, settings)
        threads = [threading.Thread(target=run, args=(c,), daemon=True) for c in cases]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for name, s in servers.items():
            if s.process.poll() is not None:
                results["server " + name] = False, f"ended by itself with exit code {s.process.returncode}"
                print(f"FAIL server-{name}  wanted it to run, saw it end by itself with exit code {s.process.returncode}\n{s.tail()}")
            elif (code := s.stop()) != 0:
                results["server " + name] = False, f"exit code {code}"
                print(f"FAIL server-{name}  wanted exit code 0 after SIGTERM, saw {code}\n{s.tail()}")
    finally:
        for s in servers.values():
            s.kill()
        shutil.rmtree(work, ignore_errors=True)
    if options.table:
        print(f"| case | wanted | seen{' at ' + options.broker if options.broker else ''} |\n|---|---|---|")
        for c in cases:
            good, saw = results[c.name]
            print(f"| `{c.name}` | {c.wanted} | {'' if good else '**'}{saw}{'' if good else '**'} |")
    failed = sum(1 for good, _ in results.values() if not good)
    print(f"-- {time.monotonic() - began:.0f} s")
    if options.broker:
        print(f"{len(results)} seen, {len(results) - failed} as wanted, {failed} otherwise")
        return 0
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
