# SPDX-License-Identifier: Apache-2.0
"""The mixed load of the crash tests: clients that work until their connection is lost, then on a new one, and write down what they were told."""
import collections
import os
import random
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "raw"))

import checker
import remoting
from checker import COMMIT, ROLLBACK, UNKNOWN, History, Message, Verdict, Violation
from remoting import OK, Connection, Half, Late, Lost, now_ms

PLAIN, DELAYED, TX = ("Plain", 4), ("Delayed", 2), ("Tx", 3)
CONSUMERS, PRODUCERS = "CrashConsumers", "CrashProducers"
RETRY, DEAD = ("%RETRY%" + CONSUMERS, 1), ("%DLQ%" + CONSUMERS, 1)
ORDERED = "CrashOrdered"
TOPICS = (PLAIN, DELAYED, TX, RETRY)  # that are read while the load runs; DEAD is made by the first dead letter
SETTINGS = {"transactionTimeOut": 1500, "transactionCheckInterval": 1000, "transactionCheckMax": 15, "snapshotIntervalSeconds": 1,
            "snapshotLogBytes": 1 << 20, "logLevel": "warn"}
LONGEST_DELAY_MS = 3000
REMEMBERED = 80_000  # verdicts: the broker promises 100,000 (docs/transactions.md)


class World:
    def __init__(self, server, seed):
        self.server, self.seed, self.history = server, seed, History()
        self.life, self.starts, self.stop, self.up = 0, 0, threading.Event(), threading.Event()
        self.numbers = iter(range(1 << 60))
        self.lock = threading.Lock()
        self.connections = 0
        self.holders = {}  # (start, topic, queue) -> the client that surely holds it

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
        dead = self.random.random() < 0.2
        back = [now_ms(), self.world.life, "unknown", "dead" if dead else "retry"]
        m.backs.append(back)
        answer = c.send_back(CONSUMERS, record, level=-1 if dead else 1)
        back[2] = "ok" if answer.code == OK else "refused"
        if answer.code != OK and not self.history.excused(answer.code, back[1]):
            self.world.violated("C11", f"sending back {m.id} from {record.topic}/{record.queue} offset {record.offset} was answered {answer.code} {answer.remark}")


class Locker(Actor):
    """One of the clients of an ordered group: locks queues, holds them for a while, lets go."""

    def begin(self, c):
        self.process, self.held = self.world.starts, {}  # read when the connection stands: no grant can come from an older process
        c.heartbeat(consumer=ORDERED, topics=[PLAIN[0]])

    def step(self, c):
        wanted = [(PLAIN[0], q) for q in range(PLAIN[1]) if self.random.random() < 0.5]
        for place in c.lock_queues(ORDERED, wanted) if wanted else ():
            key = self.process, *place
            with self.world.lock:
                other = self.world.holders.setdefault(key, c.client_id)
                self.history.locks += 1
            if other != c.client_id:
                self.world.violated("C15", f"{place} was granted to {c.client_id} while {other} holds it")
            self.held[place] = key
        time.sleep(self.random.random() * 0.02)
        gone = [place for place in self.held if self.random.random() < 0.5]
        with self.world.lock:
            for place in gone:
                del self.world.holders[self.held.pop(place)]
        if gone:
            c.unlock_queues(ORDERED, gone)

    def end(self, c):
        with self.world.lock:
            for key in self.held.values():
                self.world.holders.pop(key, None)
        c.unlock_queues(ORDERED, list(self.held))


class Admin(Actor):
    """Makes topics and deletes them; what was answered holds in the next life."""

    def __init__(self, world, number):
        super().__init__(world, number)
        self.topics = {}  # name -> "there" or "gone"; without those about which the answer is missing

    def begin(self, c):
        for name, state in list(self.topics.items()):
            there = c.request(remoting.MAX_OFFSET, {"topic": name, "queueId": 0}).code == OK
            self.history.topics_asked += 1
            if there != (state == "there"):
                self.world.violated("C16", f"topic {name}: {'creating' if state == 'there' else 'deleting'} it was acknowledged, and now it is "
                                           f"{'there' if there else 'gone'}")
            if state == "gone":
                del self.topics[name]

    def step(self, c):
        time.sleep(0.1)
        there = [n for n, state in self.topics.items() if state == "there"]
        if len(there) > 20 or there and self.random.random() < 0.4:
            name = self.random.choice(there)
            del self.topics[name]
            answer, state = c.delete_topic(name), "gone"
        else:
            name, state = f"Made{self.world.name()}", "there"
            answer = c.request(remoting.CREATE_TOPIC, c.topic_header(name, 2))
        if answer.code == OK:
            self.topics[name] = state
        elif not self.history.excused(answer.code, self.world.life):
            self.world.violated("C14", f"{'creating' if state == 'there' else 'deleting'} topic {name} was answered {answer.code} {answer.remark}")


def actors(world):
    return [Sender(world, 1), Sender(world, 2), Pipeliner(world, 1), Transactor(world, 1), Transactor(world, 2), Consumer(world, 1),
            Locker(world, 1), Locker(world, 2), Admin(world, 1)]
