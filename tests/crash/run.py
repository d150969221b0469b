#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9, again and again, of the real program under a mixed load, and a check that it kept every promise (checker.py).

Plain sends one at a time, pipelined and in batches; delayed messages; half messages with verdicts, repeated and contrary ones; checks;
offsets; messages sent back. The process is killed at a random moment, sometimes again during its recovery, sometimes stopped with
SIGTERM; it starts again on the same data. In the end every queue is drained, twice, with one more kill in between."""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))

sys.dont_write_bytecode = True

import checker
import remoting
from checker import COMMIT, ROLLBACK, UNKNOWN, History, Message, Verdict, Violation
from remoting import OK, Connection, Half, Late, Lost, Server, now_ms

PLAIN, DELAYED, TX = ("Plain", 4), ("Delayed", 2), ("Tx", 3)
CONSUMERS, PRODUCERS = "CrashConsumers", "CrashProducers"
RETRY = ("%RETRY%" + CONSUMERS, 1)
TOPICS = (PLAIN, DELAYED, TX, RETRY)
SETTINGS = {"transactionTimeOut": 1500, "transactionCheckInterval": 1000, "transactionCheckMax": 15, "snapshotIntervalSeconds": 1,
            "snapshotLogBytes": 1 << 20, "logLevel": "warn"}
LONGEST_DELAY_MS = 3000
REMEMBERED = 80_000  # verdicts: the broker promises 100,000 (docs/transactions.md)


class World:
    def __init__(self, server, seed):
        self.server, self.seed, self.history = server, seed, History()
        self.life, self.stop, self.up = 0, threading.Event(), threading.Event()
        self.numbers = iter(range(1 << 60))
        self.lock = threading.Lock()
        self.connections = 0

    def name(self):
        with self.lock:
            return f"m{next(self.numbers)}"

    def violated(self, rule, text):
        self.history.violations.append(Violation(rule, self.life, text))

    def answer_check(self, connection, request):
        """On a reading thread: what the local transaction says, if it has said anything."""
        if request.code != remoting.CHECK:
            return
        record = remoting.records(request.body)[0]
        m = self.history.messages.get(record.body.split(b"|", 1)[0].decode(errors="replace"))
        if m is None or hash(record.body) != m.body:
            return self.violated("C2", f"a check came for a half message that nobody sent: {record.body[:40]!r}")
        m.asked.append((now_ms(), self.life))
        verdict = m.plan[0]
        m.verdicts.append(Verdict(verdict, "check", None, now_ms(), None, self.life, ""))
        try:
            connection.answer_check(request, PRODUCERS, verdict)
        except Lost:
            pass


class Actor(threading.Thread):
    """A client that works until its connection is lost, and then on a new one."""

    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.random = world, random.Random(f"{world.seed}/{type(self).__name__}/{number}")
        self.history = world.history

    def run(self):
        while not self.world.stop.is_set():
            if not self.world.up.wait(0.2):
                continue
            try:
                with Connection(self.world.server.address, self.world.answer_check) as c:
                    with self.world.lock:
                        self.world.connections += 1
                        self.connection_name, self.sent = f"connection {self.world.connections}", 0
                    self.begin(c)
                    while not self.world.stop.is_set():
                        self.step(c)
                        time.sleep(self.random.random() * 0.003)
                    self.end(c)
            except Lost:
                time.sleep(0.003)
            except Late as e:
                self.world.violated("C14", f"{type(self).__name__}: {e}")
            except Exception:
                self.world.violated("C14", f"{type(self).__name__} failed:\n{traceback.format_exc()}")
                return

    def begin(self, c):
        pass

    def end(self, c):
        pass

    def message(self, kind, where, ordered=False, **more):
        topic, queues = where
        name = self.world.name()
        size = self.random.choice((0, 10, 50, 200, 200, 1000, 1000, 4000)) if self.random.random() < 0.99 else self.random.randrange(60000)
        body = f"{name}|".encode() + self.random.randbytes(size)
        props = {"UNIQ_KEY": remoting.unique_key(), "TAGS": self.random.choice("ABC"), "own": name, **more.pop("props", {})}
        if ordered:
            self.sent += 1
        m = Message(name, kind, topic, self.random.randrange(queues), self.world.life, now_ms(), hash(body), props,
                    (self.connection_name, self.sent) if ordered else None, **more)
        return self.history.add(m), body

    def send(self, c, m, body, group="raw"):
        try:
            answer = c.send(m.topic, body, m.props, m.queue, group)
        finally:
            m.lost()
        m.answered(answer.code, int(answer.ext.get("queueOffset", -1)))
        return answer


class Sender(Actor):
    """One send at a time: plain, delayed, batches."""

    def step(self, c):
        dice = self.random.random()
        if dice < 0.6:
            self.send(c, *self.message("plain", PLAIN, ordered=True))
        elif dice < 0.9:
            delay = self.random.randrange(200, LONGEST_DELAY_MS)
            self.send(c, *self.message("delayed", DELAYED, delay_ms=delay, props={"TIMER_DELAY_MS": str(delay)}))
        else:
            self.batch(c)

    def batch(self, c):
        pairs = [self.message("plain", PLAIN, ordered=True) for _ in range(self.random.randrange(2, 9))]
        for m, _ in pairs:
            m.queue = pairs[0][0].queue
        try:
            answer = c.request(remoting.BATCH_SEND, c.send_header(PLAIN[0], pairs[0][0].queue, {}, batch=True),
                               remoting.batch_body([(body, m.props) for m, body in pairs]))
        finally:
            for m, _ in pairs:
                m.lost()
        for i, (m, _) in enumerate(pairs):
            m.answered(answer.code, int(answer.ext.get("queueOffset", -1)) + i)


class Pipeliner(Actor):
    """Up to 16 sends on their way at once."""

    def begin(self, c):
        self.window = threading.Semaphore(16)

    def step(self, c):
        self.window.acquire()
        m, body = self.message("plain", PLAIN)

        def answered(answer):
            if answer is None:
                m.lost()
            else:
                m.answered(answer.code, int(answer.ext.get("queueOffset", -1)))
            self.window.release()

        try:
            c.start(remoting.SEND_SHORT, c.send_header(m.topic, m.queue, m.props), body, answered)
        except Lost:
            m.lost()
            raise

    def end(self, c):
        for _ in range(16):
            self.window.acquire(timeout=5)


class Transactor(Actor):
    """Half messages with a plan for each: its verdict, and what else is said about it, at once or lives later."""

    def __init__(self, world, number):
        super().__init__(world, number)
        self.later = collections.deque(maxlen=400)  # (message, verdict)

    def begin(self, c):
        c.heartbeat(producer=PRODUCERS)

    def step(self, c):
        if self.later and self.random.random() < 0.3:
            i = self.random.randrange(len(self.later))
            self.later.rotate(-i)
            self.verdict(c, *self.later.popleft(), "sender, later")
            return
        final = self.random.choice((COMMIT, COMMIT, ROLLBACK))
        contrary = ROLLBACK if final == COMMIT else COMMIT
        style = self.random.choice(("plain", "plain", "twice", "contrary", "contrary later", "later", "checks", "unknown first"))
        delay, props = 0, {"TRAN_MSG": "true", "PGROUP": PRODUCERS}
        if self.random.random() < 0.2:
            delay = self.random.randrange(200, LONGEST_DELAY_MS)
            props["TIMER_DELAY_MS"] = str(delay)
        m, body = self.message("half", TX, delay_ms=delay, plan=(final, style), props=props)
        answer = self.send(c, m, body, PRODUCERS)
        m.offset = None  # the half message's number is no offset of the queue
        if answer.code != OK:
            return
        m.half = Half(answer, PRODUCERS, m.topic, m.props["UNIQ_KEY"])
        if style == "checks":
            return
        if style == "later":
            self.later.append((m, final))
            return
        if style == "unknown first":
            self.verdict(c, m, UNKNOWN, "sender")
        if self.random.random() < 0.1:
            m.verdicts.append(Verdict(final, "sender, one-way", None, now_ms(), None, self.world.life, ""))
            c.end(m.half, final, one_way=True)
        else:
            self.verdict(c, m, final, "sender")
        if style == "twice":
            self.verdict(c, m, final, "sender")
        elif style == "contrary":
            self.verdict(c, m, contrary, "sender")
        elif style == "contrary later":
            self.later.append((m, contrary))

    def verdict(self, c, m, kind, how):
        v = Verdict(kind, how, None, now_ms(), None, self.world.life, "")
        code, remark = None, ""
        m.verdicts.append(v)  # before it is sent: its effect may be seen before its answer
        try:
            answer = c.end(m.half, kind)
            code, remark = answer.code, answer.remark
        finally:
            m.verdicts[m.verdicts.index(v)] = v._replace(code=code, done_ms=now_ms(), remark=remark)


class Consumer(Actor):
    """Reads every queue while the load runs, and older offsets again in each life; commits offsets; sends back."""

    def __init__(self, world, number):
        super().__init__(world, number)
        self.next, self.committed = collections.defaultdict(int), collections.defaultdict(int)

    def begin(self, c):
        c.heartbeat(consumer=CONSUMERS, topics=[t for t, _ in TOPICS[:3]])
        for topic, queues in TOPICS[:3]:
            for queue in range(queues):
                value = c.query_offset(CONSUMERS, topic, queue)
                self.history.offsets.append((CONSUMERS, topic, queue, "query", value, True, self.world.life))
        for topic, queues in TOPICS:
            for queue in range(queues):
                if self.next[topic, queue]:
                    self.read(c, topic, queue, max(0, self.next[topic, queue] - 1 - int(self.random.expovariate(1 / 100))))

    def read(self, c, topic, queue, offset):
        got = c.pull(CONSUMERS, topic, queue, offset, 64)
        at = now_ms()
        for record in got.records:
            self.history.saw(record, at, self.world.life)
        if got.code not in (OK, remoting.PULL_NOT_FOUND, remoting.PULL_RETRY):
            self.world.violated("C3", f"a pull of {topic}/{queue} at {offset} was answered {got.code} {got.remark} (offsets {got.min} to {got.max})")
            if got.code == remoting.PULL_MOVED:
                self.next[topic, queue] = got.next
            return got
        if got.code == OK and [r.offset for r in got.records] != list(range(offset, got.next)):
            self.world.violated("C4", f"a pull of {topic}/{queue} at {offset} gave offsets {[r.offset for r in got.records]} and goes on at {got.next}")
        return got

    def step(self, c):
        for topic, queues in TOPICS:
            for queue in range(queues):
                key = topic, queue
                got = self.read(c, topic, queue, self.next[key])
                if got.code == OK:
                    self.next[key] = got.next
                if topic == RETRY[0] or not got.records:
                    continue
                if self.random.random() < 0.3:
                    self.commit(c, topic, queue, got.next)
                if self.random.random() < 0.2:
                    self.send_back(c, self.random.choice(got.records))
        time.sleep(0.02)

    def commit(self, c, topic, queue, offset):
        at = len(self.history.offsets)
        self.history.offsets.append((CONSUMERS, topic, queue, "commit", offset, False, self.world.life))
        answer = c.commit_offset(CONSUMERS, topic, queue, offset)
        if answer.code == OK:
            self.history.offsets[at] = (CONSUMERS, topic, queue, "commit", offset, True, self.world.life)

    def send_back(self, c, record):
        m = self.history.messages.get(record.body.split(b"|", 1)[0].decode(errors="replace"))
        if m is None or m.backs:
            return
        back = [now_ms(), self.world.life, "unknown"]
        m.backs.append(back)
        answer = c.send_back(CONSUMERS, record)
        back[2] = "ok" if answer.code == OK else "refused"
        if answer.code != OK and not (answer.code == checker.SHUTTING_DOWN and back[1] in self.history.terminated):
            self.world.violated("C11", f"sending back {m.id} from {record.topic}/{record.queue} offset {record.offset} was answered {answer.code} {answer.remark}")


# ---------------------------------------------------------------- the run


def settle(world):
    """Every acknowledged half message whose verdict must be remembered gets it again, so that in the end nothing is undecided."""
    c = Connection(world.server.address, world.answer_check)
    c.heartbeat(producer=PRODUCERS)
    halves = [m for m in world.history.messages.values() if m.half][-REMEMBERED:]
    for start in range(0, len(halves), 100):
        waiting = []
        for m in halves[start:start + 100]:
            v = Verdict(m.plan[0], "the end", None, now_ms(), None, world.life, "")
            m.verdicts.append(v)
            waiting.append((m, v, c.start(remoting.END_TRANSACTION, m.half.end_header(m.plan[0]))))
        for m, v, w in waiting:
            if not w.done.acquire(timeout=20) or w.answer is None:
                world.violated("C14", f"no answer to the verdict about {m.id} in the end")
                continue
            m.verdicts[m.verdicts.index(v)] = v._replace(code=w.answer.code, done_ms=now_ms(), remark=w.answer.remark)
    # What was sent and not answered is found by checks: until none came for two intervals.
    heard, quiet = -1, time.monotonic()
    while time.monotonic() - quiet < 2.6:
        if len(c.incoming) != heard:
            heard, quiet = len(c.incoming), time.monotonic()
        time.sleep(0.05)
    return c


def drain(world, c):
    for topic, queues in TOPICS:
        for queue in range(queues):
            number = lambda code: int(c.request(code, {"topic": topic, "queueId": queue}).ext["offset"])
            low, high = number(remoting.MIN_OFFSET), number(remoting.MAX_OFFSET)
            world.history.final[topic, queue] = low, high, {}
            at = now_ms()
            for record in c.drain("Drain", topic, queue):
                world.history.saw(record, at, world.life, final=True)


def everything_there(history):
    """Whether all that was acknowledged has arrived, as far as counting tells: what is late is waited for."""
    counts = collections.Counter()
    for (topic, _), (_, _, held) in history.final.items():
        for seen in held.values():
            counts[topic == RETRY[0], seen.id] += 1
    for m in history.messages.values():
        due = m.accepted(COMMIT) if m.kind == "half" else m.outcome == "ok"
        if due and not counts[False, m.id] or any(b[2] == "ok" for b in m.backs) and not counts[True, m.id]:
            return False
    return True


def flush_of(options, dice):
    return options.flush or dice.choice(("SYNC_FLUSH", "ASYNC_FLUSH"))


def cycle(world, options, dice, figures):
    """One life: load for a while, then an end, then a start. The load goes on by itself."""
    time.sleep(dice.uniform(*options.load))
    how = dice.random()
    world.up.clear()
    if how < 0.15:
        world.history.terminated.add(world.life)
        code = world.server.stop()
        figures["SIGTERM"] += 1
        if code != 0:
            world.violated("C14", f"after SIGTERM the server ended with exit code {code}\n{world.server.tail()}")
    else:
        world.server.kill()
        figures["kill -9"] += 1
    world.life += 1
    while how > 0.8:
        world.server.launch(flushDiskType=flush_of(options, dice))
        world.up.set()
        time.sleep(dice.uniform(0.01, 0.1))
        if world.server.process.poll() is not None:
            world.violated("C14", f"the server did not start: exit code {world.server.process.returncode}\n{world.server.tail()}")
        world.up.clear()
        world.server.kill()
        figures["kill -9 while starting"] += 1
        how = dice.random()
    began = time.monotonic()
    flush = flush_of(options, dice)
    figures[flush] += 1
    world.server.start(flushDiskType=flush)
    with Connection(world.server.address, timeout=30) as c:
        c.query_offset(CONSUMERS, PLAIN[0], 0)
    figures["restart ms"] = max(figures["restart ms"], int(1000 * (time.monotonic() - began)))
    world.up.set()


def run(options):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    dice, began, figures = random.Random(seed), time.monotonic(), collections.Counter()
    work = tempfile.mkdtemp(prefix="halfmoon-crash-")
    world = World(Server(os.path.abspath(options.server), os.path.join(work, "server"), **SETTINGS), seed)
    history = world.history
    print(f"-- seed {seed}, {options.cycles} cycles", flush=True)
    try:
        world.server.start(flushDiskType=flush_of(options, dice))
        with Connection(world.server.address) as c:
            for topic, queues in TOPICS[:3]:
                c.create_topic(topic, queues)
            c.heartbeat(consumer=CONSUMERS, topics=[t for t, _ in TOPICS[:3]])
        world.up.set()
        actors = [Sender(world, 1), Sender(world, 2), Pipeliner(world, 1), Transactor(world, 1), Transactor(world, 2), Consumer(world, 1)]
        for a in actors:
            a.start()
        for i in range(options.cycles):
            cycle(world, options, dice, figures)
            if (i + 1) % 10 == 0:
                print(f"-- {i + 1} cycles, {time.monotonic() - began:.0f} s, {len(history.messages)} messages, {history.read_count} reads, "
                      f"{len(history.violations)} violations so far", flush=True)
        time.sleep(dice.uniform(*options.load))
        world.stop.set()
        for a in actors:
            a.join(15)
            if a.is_alive():
                world.violated("C14", f"{type(a).__name__} still waits for an answer")
        stopped = time.monotonic()
        c = settle(world)
        time.sleep(max(0, LONGEST_DELAY_MS / 1000 + 0.5 - (time.monotonic() - stopped)))
        for _ in range(4):
            drain(world, c)
            if everything_there(history):
                break
            time.sleep(1.5)
        c.close()
        world.server.kill()
        world.life += 1
        world.server.start()
        with Connection(world.server.address, timeout=30) as c:
            drain(world, c)
            for topic, queues in TOPICS[:3]:
                for queue in range(queues):
                    history.offsets.append((CONSUMERS, topic, queue, "query", c.query_offset(CONSUMERS, topic, queue), True, world.life))
        code = world.server.stop()
        if code != 0:
            world.violated("C14", f"after SIGTERM in the end the server ended with exit code {code}\n{world.server.tail()}")
    except (Lost, Late, RuntimeError) as e:
        world.violated("C14", f"the run ended early: {e}\n{world.server.tail()}")
    finally:
        world.stop.set()
        world.server.kill()
    took = time.monotonic() - began
    found = checker.check(history)
    kept = f"; data and log kept in {work}" if found and options.keep else ""
    if not kept:
        shutil.rmtree(work, ignore_errors=True)
    return report(history, found, figures, options, seed, took, kept)


def report(history, found, figures, options, seed, took, kept):
    for v in found[:options.show]:
        print(f"FAIL seed {seed}, life {v.life}: {v.rule}: {v.text}")
    if len(found) > options.show:
        print(f"FAIL ... and {len(found) - options.show} more: {dict(collections.Counter(v.rule for v in found))}")
    kinds = collections.defaultdict(collections.Counter)
    for m in history.messages.values():
        kinds[m.kind][m.outcome] += 1
    verdicts = collections.Counter("not answered" if v.code is None else v.code for m in history.messages.values() for v in m.verdicts)
    backs = collections.Counter(b[2] for m in history.messages.values() for b in m.backs)
    held = sum(len(h) for _, _, h in history.final.values())
    for kind in ("plain", "delayed", "half"):
        refused = collections.Counter(m.code for m in history.messages.values() if m.kind == kind and m.outcome == "refused")
        print(f"-- {kind}: " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(kinds[kind].items())) + (f" with codes {dict(refused)}" if refused else ""))
    print(f"-- verdicts: {dict(verdicts)}; checks: {sum(len(m.asked) for m in history.messages.values())}; sent back: {dict(backs)}; "
          f"offset commits acknowledged: {sum(1 for o in history.offsets if o[3] == 'commit' and o[5])}, asked: {sum(1 for o in history.offsets if o[3] == 'query')}")
    print(f"-- {held} messages in the queues, {history.read_count} reads; " + ", ".join(f"{v} {k}" for k, v in figures.items() if k != "restart ms") +
          f"; slowest restart {figures['restart ms']} ms; {took:.0f} s, checked in {time.monotonic() - took - options.began:.1f} s{kept}")
    bad = len({min(max(v.life, 0), options.cycles - 1) for v in found})
    print(f"{options.cycles - bad} passed, {bad} failed")
    return 1 if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=40)
    parser.add_argument("--flush", choices=("SYNC_FLUSH", "ASYNC_FLUSH"), help="for all lives; each life draws its own unless given")
    parser.add_argument("--seed", type=int, help="of the load and of the moments; what the two meet is up to the machine")
    parser.add_argument("--load", type=float, nargs=2, metavar=("LEAST", "MOST"), default=(0.3, 1.7), help="seconds of load before each end")
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--keep", action="store_true", help="keep data and log when something failed")
    parser.add_argument("--show", type=int, default=40, help="so many violations are printed")
    parser.add_argument("--self-check", action="store_true", help="only shows that the checker can fail")
    options = parser.parse_args()
    options.began = time.monotonic()
    if options.self_check:
        import self_check
        return self_check.main()
    if not os.access(options.server, os.X_OK):
        sys.exit(f"run.py: {options.server} is not there: build it first, or name it with --server")
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
