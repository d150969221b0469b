#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end cases: the real clients against the real program. README.md says what proves what."""
import argparse
import collections
import fnmatch
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from building import PRINTING, go_build, java, maven_build, say

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("HALFMOON_E2E_BUILD", os.path.join(HERE, ".build"))
GO = {"2.1.2": ("go.mod", ""), "2.1.0-rc3": ("rc3.mod", "rc3")}
JAVA = {"4.9.4": "client4", "5.3.3": "client5"}
AT_ONCE = 6       # jobs; most of their time is waiting
PATIENCE = 90     # seconds for anything that must happen
SETTLE = 1.2      # seconds in which nothing more may come once everything is there
STOP_LIMIT = 3.0  # seconds from SIGTERM to exit 0

# What a client itself cannot do, whatever the broker.
NOT_FOR_CLIENT = {
    "go-2.1.0-rc3/ordered-suspend": "the client gives out every message again",
}
# Where Apache RocketMQ 5.4.0 keeps less than is promised here.
NOT_ON_APACHE = {
    "*/tx-delay": "a half message's delay is lost or the message with it",
    "*/tx-ordered": "commits of one connection are handled in any order",
    "go-2.1.0-rc3/batch": "its batch header has empty numbers, which Apache refuses",
    "server/*": "needs the server's own start and stop",
}


# ---------------------------------------------------------------- the broker under test


def free_ports(count_below):
    """A random port that is free, as are those at the distances in count_below; outside the range of outgoing connections."""
    while True:
        port = random.randrange(12000, 30000)
        try:
            for distance in (0, *count_below):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port - distance))
            return port
        except OSError:
            continue


def accepts(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Halfmoon:
    def __init__(self, program, work, name, **settings):
        self.program, self.name = program, name
        self.folder = os.path.join(work, "server-" + name)
        os.makedirs(self.folder)
        self.broker_port = free_ports((2,))
        self.ns_port = free_ports(())
        while self.ns_port in (self.broker_port, self.broker_port - 2):
            self.ns_port = free_ports(())
        self.ns, self.broker = f"127.0.0.1:{self.ns_port}", f"127.0.0.1:{self.broker_port}"
        self.config = os.path.join(self.folder, "broker.conf")
        self.log = os.path.join(self.folder, "log")
        values = {
            "storePathRootDir": os.path.join(self.folder, "store"), "listenPort": self.broker_port, "namesrvListenPort": self.ns_port,
            "bindAddress": "127.0.0.1", "brokerClusterName": "DefaultCluster", "brokerName": "broker-a", "flushDiskType": "SYNC_FLUSH",
            "transactionTimeOut": 1000, "transactionCheckInterval": 1000, "transactionCheckMax": 15, **settings}
        with open(self.config, "w") as f:
            f.writelines(f"{k}={v}\n" for k, v in values.items())
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "server", "-c", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            cwd=self.folder)
        deadline = time.monotonic() + PATIENCE
        while not (accepts(self.ns_port) and accepts(self.broker_port) and accepts(self.broker_port - 2)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the server did not start (exit code {self.process.poll()})\n" + self.tail())
            time.sleep(0.02)
        return self

    def stop(self):
        """SIGTERM; the exit code must be 0 and come in time."""
        if self.process.poll() is not None:
            raise Failure(f"the server has ended by itself with exit code {self.process.returncode}\n" + self.tail())
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("the server ignored SIGTERM for 30 s\n" + self.tail()) from None
        took = time.monotonic() - began
        if code != 0 or took > STOP_LIMIT:
            raise Failure(f"after SIGTERM the server ended with exit code {code} in {took:.1f} s\n" + self.tail())
        return took

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self, lines=20):
        try:
            with open(self.log, errors="replace") as f:
                return "".join(collections.deque(f, lines))
        except OSError:
            return ""


class Apache:
    """Apache RocketMQ through the script that HALFMOON_APACHE_SH names, on that script's ports."""
    name = "apache"

    def __init__(self):
        self.script = os.environ.get("HALFMOON_APACHE_SH")
        if not self.script:
            sys.exit("run.py: HALFMOON_APACHE_SH does not name the script that starts Apache RocketMQ (see README.md)")
        self.env = dict(os.environ, NS_PORT=os.environ.get("NS_PORT", "19800"), BROKER_PORT=os.environ.get("BROKER_PORT", "20800"),
                        # Its record of verdicts is written every 3 s only: a shorter interval asks about decided messages again.
                        EXTRA="transactionTimeOut=3000\\ntransactionCheckInterval=6000")
        self.ns, self.broker = "127.0.0.1:" + self.env["NS_PORT"], "127.0.0.1:" + self.env["BROKER_PORT"]

    def start(self):
        # Its children keep its output open, so that it must not be a pipe.
        with tempfile.TemporaryFile() as out:
            if subprocess.call(["bash", self.script, "up"], env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                               start_new_session=True) != 0:
                out.seek(0)
                sys.exit("run.py: Apache did not start: " + out.read().decode(errors="replace"))
        return self

    def stop(self):
        subprocess.call(["bash", self.script, "down"], env=self.env)
        return 0.0

    kill = stop

    def tail(self):
        return ""


# ---------------------------------------------------------------- building the clients


def build_go(version):
    modfile, tags = GO[version]
    out = os.path.join(BUILD, "go-" + version)
    os.makedirs(out, exist_ok=True)
    source = os.path.join(HERE, "go")
    options = ["-modfile=" + modfile]
    if tags:
        # The older client spells one option of article 003 differently: that word is replaced, nothing else.
        article = os.path.join(source, "articles", "003_consumer", "main.go")
        with open(article) as f:
            text = f.read()
        replaced = os.path.join(out, "003_consumer.go.txt")
        with open(replaced, "w") as f:
            f.write(text.replace("consumer.WithNsResolver(", "consumer.WithNsResovler("))
        overlay = os.path.join(out, "overlay.json")
        with open(overlay, "w") as f:
            json.dump({"Replace": {article: replaced}}, f)
        options += ["-tags", tags, "-overlay", overlay]
    go_build(f"go build with rocketmq-client-go v2 v{version}", source, out, *options)


def build_java(version):
    maven_build(f"with rocketmq-client {version}", os.path.join(HERE, "java"), os.path.join(BUILD, "java-" + version), "-Dclient=" + version,
                "-Dapi=" + JAVA[version])


def java_command(version, work):
    return java(os.path.join(BUILD, "java-" + version), os.path.join(work, "home-java-" + version), "halfmoon.e2e.Main")


def go_program(version, name):
    return os.path.join(BUILD, "go-" + version, name)


# ---------------------------------------------------------------- running cases


class Failure(Exception):
    pass


class Client:
    """A client process whose output lines are kept; seen(pattern) looks through them."""

    def __init__(self, run, command, **env):
        home = os.path.join(run.work, "home-go")
        os.makedirs(home, exist_ok=True)
        full = dict(os.environ, HOME=home, ROCKETMQ_GO_LOG_LEVEL="error", **env)
        self.lines, self.command, self.times = [], command, []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        errors="replace", env=full, cwd=home)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.times.append(time.time())
            self.lines.append(line.rstrip("\n"))

    def seen(self, pattern):
        return [m for m in (re.search(pattern, line) for line in list(self.lines)) if m]

    def after(self, word):
        """What follows the word in the worker's lines that begin with it."""
        return [line[len(word) + 1:] for line in list(self.lines) if line.startswith(word + " ")]

    def wait(self, limit):
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{os.path.basename(self.command[0])} did not end in {limit} s\n" + self.tail()) from None
        self.reader.join(5)
        return code

    def run(self, limit=PATIENCE):
        code = self.wait(limit)
        if code:
            raise Failure(f"{os.path.basename(self.command[0])} ended with exit code {code}\n" + self.tail())
        return self

    def close(self):
        """An orderly end, for the workers that wait for it."""
        self.process.stdin.close()
        return self.run()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(5)

    def tail(self, lines=25):
        return "\n".join("    | " + line[:400] for line in list(self.lines)[-lines:])


class Context:
    """What a case in this file works with; every client it starts is gone when it is over."""

    def __init__(self, run, name, server):
        self.run, self.name, self.server = run, name, server
        self.clients, self.servers = [], []
        self.serial = 0

    def unique(self, kind):
        self.serial += 1
        return f"{kind}_{re.sub('[^A-Za-z0-9]', '_', self.name)}_{self.run.id}_{self.serial}"

    def client(self, command, **env):
        c = Client(self.run, command, **env)
        self.clients.append(c)
        return c

    def worker(self, kind, **flags):
        command = [go_program("2.1.2", "flow"), "worker", kind, "-ns", self.server.ns]
        for k, v in flags.items():
            command.append(f"-{k}={v}")
        return self.client(command)

    def create_topic(self, queues):
        topic = self.unique("T")
        self.client([go_program("2.1.2", "flow"), "-ns", self.server.ns, "-broker", self.server.broker, "create-topic", topic, str(queues)]).run()
        return topic

    def queues(self, topic):
        """How many queues the name server has for the topic; 0 if it does not know it."""
        c = self.client([go_program("2.1.2", "flow"), "-ns", self.server.ns, "queues", topic])
        return int(c.lines[-1]) if c.wait(PATIENCE) == 0 else 0

    def own_server(self, **settings):
        self.server = Halfmoon(self.run.options.server, self.run.work, self.unique("s"), **settings)
        self.servers.append(self.server)
        return self.server.start()

    def until(self, what, condition, limit=PATIENCE):
        deadline = time.monotonic() + limit
        while not condition():
            if time.monotonic() > deadline:
                raise Failure(f"waited {limit} s in vain for: {what}")
            time.sleep(0.02)

    def quiet(self, *clients):
        count, since = -1, time.monotonic()
        while time.monotonic() - since < SETTLE:
            now = sum(len(c.lines) for c in clients)
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.02)

    def close(self):
        for c in self.clients:
            c.kill()
        for s in self.servers:
            s.kill()


def expect(good, text):
    if not good:
        raise Failure(text)


def exactly(want, got, allowed=()):
    """want: each exactly once; allowed: each at most once; got: what was seen."""
    counts = collections.Counter(got)
    wrong = [f"{b!r} {counts[b]} times instead of once" for b in want if counts[b] != 1]
    wrong += [f"{b!r} {n} times, at most one was right" for b, n in counts.items() if b in set(allowed) - set(want) and n > 1]
    known = set(want) | set(allowed)
    wrong += [f"{b!r} {n} times, unexpected" for b, n in counts.items() if b not in known]
    expect(not wrong, "seen otherwise than promised: " + "; ".join(wrong[:8]) + (f"; and {len(wrong) - 8} more" if len(wrong) > 8 else ""))
    expect(len(want) > 0, "nothing expected: no evidence")


class Job:
    """One or more cases that run together. run(report) calls report(name, seconds, evidence or Failure) for each."""

    def __init__(self, names, run, weight, exclusive=None):
        self.names, self.run, self.weight, self.exclusive = names, run, weight, exclusive


# ---------------------------------------------------------------- the articles' programs


class Article:
    """The programs of one client version, run as they stand, ended by killing them where they sleep for an hour."""

    def __init__(self, ctx, version):
        self.ctx, self.version = ctx, version

    def program(self, name, topic, group=""):
        return self.ctx.client([go_program(self.version, name)], ENDPOINT=self.ctx.server.ns, TOPIC=topic, GROUP=group)

    def consumer(self, name, topic):
        """The consumers of the articles do not look at Start's error: they need the topic."""
        self.ctx.until("the topic " + topic, lambda: self.ctx.queues(topic) > 0)
        return self.program(name, topic, self.ctx.unique("G"))


BODY = r"[bB]ody[=:]\s*(this is [^,\]]*|key\d[^,\]]*|order\d step \d+|global step \d+)"


def bodies(consumer, word="获取到值"):
    return [m.group(1) for m in consumer.seen(word + ".*?" + BODY)]


def article_normal(a):
    ctx, topic = a.ctx, a.ctx.unique("T")
    first = a.program("002_producer", topic).run()
    expect(len(first.seen("发送成功:.*sendStatus=0")) == 1 and len(first.lines) == 1, "the producer printed:\n" + first.tail())
    consumer = a.consumer("002_consumer", topic)
    ctx.until("the first message", lambda: len(bodies(consumer)) >= 1)
    a.program("002_producer", topic).run()
    ctx.until("the second message", lambda: len(bodies(consumer)) >= 2)
    ctx.quiet(consumer)
    expect(bodies(consumer) == ["this is imooc1"] * 2, "the consumer printed:\n" + consumer.tail())
    return "sent before and after the consumer's start, each once"


def article_many(name, body, sent_word):
    def case(a):
        ctx, topic = a.ctx, a.ctx.unique("T")
        producer = a.program(name, topic).run()
        expect(len(producer.seen(sent_word)) == 10 and not producer.seen("失败"), "the producer printed:\n" + producer.tail())
        consumer = a.consumer("002_consumer", topic)
        ctx.until("10 messages", lambda: len(bodies(consumer)) >= 10)
        ctx.quiet(consumer)
        exactly([f"{body} {i}" for i in range(10)], bodies(consumer))
        return "10 messages once each"
    return case


def article_ordered(name, queues, keys):
    def case(a):
        ctx = a.ctx
        topic = ctx.create_topic(queues)
        producer = a.program(name, topic).run()
        expect(len(producer.seen("发送成功:.*sendStatus=0")) == 30, "the producer printed:\n" + producer.tail())
        consumer = a.consumer("002_consumer", topic)
        ctx.until("30 messages", lambda: len(bodies(consumer)) >= 30)
        ctx.quiet(consumer)
        want = [f"{keys[i % len(keys)]} step {i // len(keys):02d}" for i in range(30)]
        exactly(want, bodies(consumer))
        place = {}
        for m in consumer.seen(r"获取到值.*?" + BODY + r".*?[qQ]ueueId=(\d+).*?[qQ]ueueOffset=(\d+)"):
            place[m.group(1)] = (int(m.group(2)), int(m.group(3)))
        expect(len(place) == 30, f"only {len(place)} messages show their place:\n" + consumer.tail(3))
        for key in keys:
            mine = [place[b] for b in want if b.startswith(key)]
            expect(len({q for q, _ in mine}) == 1, f"{key} is in several queues: {mine}")
            expect(all(x[1] < y[1] for x, y in zip(mine, mine[1:])), f"{key} is out of order: {mine}")
        return f"30 messages once each, {len(keys)} order(s) kept"
    return case


def article_delay(a):
    ctx, topic = a.ctx, a.ctx.unique("T")
    a.program("002_producer", topic).run()
    consumer = a.consumer("002_consumer", topic)
    ctx.until("the plain message", lambda: len(bodies(consumer)) >= 1)
    began = time.time()
    producer = a.program("002_delay", topic).run()
    acknowledged = producer.times[0]
    expect(len(producer.seen("发送成功:.*sendStatus=0")) == 1, "the producer printed:\n" + producer.tail())
    ctx.until("the delayed message", lambda: "this is delay message" in bodies(consumer))
    ctx.quiet(consumer)
    expect(sorted(bodies(consumer)) == ["this is delay message", "this is imooc1"], "the consumer printed:\n" + consumer.tail())
    at = next(t for t, line in zip(consumer.times, consumer.lines) if "this is delay message" in line)
    expect(at - began >= 5, f"came {at - began:.2f} s after the program's start, level 2 is 5 s")
    expect(at - acknowledged < 5 + 2, f"came {at - acknowledged:.2f} s after its acknowledgement, level 2 is 5 s")
    return f"level 2 came after {at - acknowledged:.2f} s, once"


def article_transaction(a):
    ctx, topic = a.ctx, a.ctx.create_topic(4)
    consumer = a.consumer("002_consumer", topic)
    producer = a.program("002_transaction", topic)
    ctx.until("the local transaction's end", lambda: producer.seen("执行本地逻辑失败"))
    ctx.until("the check", lambda: producer.seen("rocketmq的消息回查"))
    asked = producer.times[[i for i, line in enumerate(producer.lines) if "回查" in line][0]]
    ctx.until("the message", lambda: bodies(consumer))
    at = consumer.times[[i for i, line in enumerate(consumer.lines) if "获取到值" in line][0]]
    # Both moments are those at which this driver read a line, some hundredths of a second after it was written.
    expect(at - asked >= 14.9, f"came {at - asked:.1f} s after the check, whose answer took 15 s")
    if ctx.run.options.broker == "halfmoon" and len(producer.seen("回查")) >= 2:
        # The client answers every question that came meanwhile, one after the other: the second answer changes nothing.
        second = producer.times[[i for i, line in enumerate(producer.lines) if "回查" in line][1]]
        ctx.until("the second answer", lambda: time.time() > second + 15.5)
    ctx.quiet(consumer)
    expect(bodies(consumer) == ["this is transaction message"], "the consumer printed:\n" + consumer.tail())
    expect(len(producer.seen("发送成功:.*sendStatus=0")) == 1, "the producer printed:\n" + producer.tail())
    return f"asked {len(producer.seen('回查'))} times, seen once, {at - asked:.1f} s after the first question"


def article_003(a):
    ctx, topic = a.ctx, a.ctx.unique("T")
    producer = a.program("003_producer", topic)
    ctx.until("the status", lambda: producer.lines[:1] == ["0"])  # the last line has no end before the program's
    consumer = a.consumer("003_consumer", topic)
    message = r"订阅消息,消费.*[bB]ody[=:]\s*xxxxxxxxxxxyyyyyyyyyyyyyzzzzzzzzzzzz\b"
    ctx.until("the message", lambda: consumer.seen(message))
    producer.kill()
    again = a.program("003_producer", topic)
    ctx.until("the second message", lambda: len(consumer.seen(message)) >= 2)
    again.kill()
    ctx.quiet(consumer)
    expect(len(consumer.seen("订阅消息,消费")) == len(consumer.seen(message)) == 2, "the consumer printed:\n" + consumer.tail())
    expect("发送成功" in producer.lines, "the producer printed:\n" + producer.tail())
    return "two transactions committed, each message seen once"


def article_003_delayed(a):
    ctx, topic = a.ctx, a.ctx.create_topic(4)
    consumer = a.consumer("003_consumer", topic)
    producer = a.program("003_delayed_transaction", topic)
    ctx.until("the half message", lambda: producer.seen("发送事务消息状态: 0"))
    message = r"订阅消息,消费.*消息内容,可以包含延迟处理的详细信息"
    ctx.until("the message", lambda: consumer.seen(message))
    ctx.quiet(consumer)
    expect(len(consumer.seen("订阅消息,消费")) == len(consumer.seen(message)) == 1, "the consumer printed:\n" + consumer.tail())
    expect(producer.seen("Preparing transaction"), "the producer printed:\n" + producer.tail())
    return "unknown, asked about, committed, seen once"


# name, case, weight, whether it needs the group DEFAULT_PRODUCER for itself
ARTICLES = [
    ("002-normal", article_normal, 5, False),
    ("002-async", article_many("002_async", "this is async", "发送成功:.*sendStatus=0"), 4, False),
    ("002-oneway", article_many("002_oneway", "this is oneway", "已发送"), 4, False),
    ("002-ordered", article_ordered("002_ordered", 4, ["order0", "order1", "order2"]), 4, False),
    ("002-ordered-global", article_ordered("002_ordered_global", 1, ["global"]), 4, False),
    ("002-delay", article_delay, 9, False),
    ("002-transaction", article_transaction, 100, True),
    ("003-transaction", article_003, 98, True),
    ("003-delayed-transaction", article_003_delayed, 99, True),
]


# ---------------------------------------------------------------- the server's own life and death


def drain(ctx, topic, acknowledged, uncertain):
    """A new group reads the topic from its beginning: every acknowledged body once, an uncertain one at most once."""
    reader = ctx.worker("consume", group=ctx.unique("G"), topic=topic)
    ctx.until(f"all {len(acknowledged)} acknowledged messages", lambda: set(acknowledged) <= set(reader.after("GOT")))
    ctx.quiet(reader)
    exactly(acknowledged, reader.after("GOT"), uncertain)
    return reader


def interrupted_sending(ctx, interrupt):
    server = ctx.own_server()
    topic, group = ctx.create_topic(4), ctx.unique("G")
    consumer = ctx.worker("consume", group=group, topic=topic)
    sender = ctx.worker("send", group=ctx.unique("P"), topic=topic, body="m", count=600, pause="3ms")
    ctx.until("150 acknowledged and some consumed", lambda: len(sender.after("ACK")) >= 150 and len(consumer.after("GOT")) >= 50)
    how = interrupt(server)
    server.start()
    ctx.until("the sender's end", lambda: sender.after("DONE"))
    acknowledged, refused = sender.after("ACK"), [line.split(" ")[0] for line in sender.after("NAK")]
    expect(len(acknowledged) == 600, f"{len(acknowledged)} acknowledged of 600")
    drain(ctx, topic, acknowledged, refused)
    ctx.until("the running consumer to see all", lambda: set(acknowledged) <= set(consumer.after("GOT")))
    server.stop()
    return f"{how}: 600 acknowledged, once each in the log, at the running consumer at least once; {len(refused)} attempts refused"


def kill_9(server):
    server.kill()
    return "kill -9"


def sigterm(server):
    return f"SIGTERM, exit 0 in {server.stop():.1f} s"


def kill_9_transactions(ctx):
    server = ctx.own_server()
    topic = ctx.create_topic(4)
    consumer = ctx.worker("consume", group=ctx.unique("G"), topic=topic)
    sender = ctx.worker("tx", group=ctx.unique("P"), topic=topic, body="m", count=200, pause="5ms")
    ctx.until("60 half messages", lambda: len(sender.after("ACK")) >= 60)
    server.kill()
    server.start()
    ctx.until("the sender's end", lambda: sender.after("DONE"))
    acknowledged, refused = sender.after("ACK"), [line.split(" ")[0] for line in sender.after("NAK")]
    expect(len(acknowledged) == 200, f"{len(acknowledged)} acknowledged of 200")
    # Half of them were left open, some verdicts may have died with the server: the checks find all of them.
    ctx.until("the checks and the messages", lambda: set(acknowledged) <= set(consumer.after("GOT")))
    checked = set(sender.after("CHECK"))
    drain(ctx, topic, acknowledged, refused)
    expect(checked, "nothing was asked about")
    server.stop()
    return f"kill -9: {len(acknowledged)} half messages, {len(checked)} asked about, all committed once; {len(refused)} attempts refused"


def kill_9_pending_half(ctx):
    """A half message whose producer is gone too: after the restart another producer of the group is asked."""
    server = ctx.own_server()
    topic, group = ctx.create_topic(4), ctx.unique("P")
    dying = ctx.worker("half", group=group, topic=topic, body="pending")
    ctx.until("the half message", lambda: dying.after("HALF"))
    server.kill()
    dying.kill()
    server.start()
    witnesses = ctx.worker("send", group=ctx.unique("P"), topic=topic, body="witness", count=4).run().after("ACK")
    consumer = ctx.worker("consume", group=ctx.unique("G"), topic=topic)
    ctx.until("the consumer to be at work", lambda: set(witnesses) <= set(consumer.after("GOT")))
    ctx.quiet(consumer)
    exactly(witnesses, consumer.after("GOT"))  # and not the undecided one
    asked = ctx.worker("tx", group=group, topic=topic, body="other", count=1)
    ctx.until("the check", lambda: "pending" in asked.after("CHECK"))
    want = ["pending", *witnesses, *asked.after("ACK")]
    ctx.until("all messages", lambda: set(want) <= set(consumer.after("GOT")))
    ctx.quiet(consumer)
    exactly(want, consumer.after("GOT"))
    server.stop()
    return "survived kill -9 of the server and of its producer, asked about, committed, seen once"


def kill_9_delayed(ctx):
    """Delayed messages and retries are not lost with the process, and still not early."""
    server = ctx.own_server()
    topic = ctx.create_topic(4)
    consumer = ctx.worker("consume", group=ctx.unique("G"), topic=topic)
    began = time.time()
    sender = ctx.worker("send", group=ctx.unique("P"), topic=topic, body="late", count=20, level=2)
    ctx.until("20 acknowledged", lambda: sender.after("DONE"))
    acknowledged = sender.after("ACK")
    server.kill()
    server.start()
    ctx.until("the delayed messages", lambda: set(acknowledged) <= set(consumer.after("GOT")))
    ctx.quiet(consumer)
    exactly(acknowledged, consumer.after("GOT"))
    first = min(t for t, line in zip(consumer.times, consumer.lines) if line.startswith("GOT"))
    expect(first - began >= 5, f"the first came after {first - began:.2f} s instead of 5")
    server.stop()
    return f"20 messages of level 2 over kill -9, once each, the first after {first - began:.1f} s"


def restart_keeps(ctx):
    server = ctx.own_server()
    topic, group = ctx.create_topic(3), ctx.unique("G")

    def send(prefix, n):
        w = ctx.worker("send", group=ctx.unique("P"), topic=topic, body=prefix, count=n).run()
        return w.after("ACK")

    first = send("before", 40)
    consumer = ctx.worker("consume", group=group, topic=topic)
    ctx.until("40 messages", lambda: len(consumer.after("GOT")) >= 40)
    consumer.close()
    exactly(first, consumer.after("GOT"))
    took = server.stop()
    server.start()
    expect(ctx.queues(topic) == 3, f"the topic's queues after the restart: {ctx.queues(topic)}")
    second = send("after", 20)
    again = ctx.worker("consume", group=group, topic=topic)
    ctx.until("20 messages", lambda: len(again.after("GOT")) >= 20)
    ctx.quiet(again)
    exactly(second, again.after("GOT"))
    drain(ctx, topic, first + second, [])
    server.stop()
    return f"exit 0 in {took:.1f} s; 3 queues, 60 messages and the group's offsets kept: the 20 new ones once each"


SERVER = [
    ("kill-9-while-sending", lambda ctx: interrupted_sending(ctx, kill_9), 20),
    ("sigterm-while-sending", lambda ctx: interrupted_sending(ctx, sigterm), 20),
    ("kill-9-transactions", kill_9_transactions, 50),
    ("kill-9-pending-half", kill_9_pending_half, 50),
    ("kill-9-delayed", kill_9_delayed, 10),
    ("restart-keeps", restart_keeps, 10),
]


# ---------------------------------------------------------------- the suite

WEIGHT = {"ordered-two-consumers": 85, "dead-letter": 46, "retry": 41, "tx-delay": 12, "delay-levels": 12, "tx-producer-killed": 15}


class Run:
    def __init__(self, options):
        self.options = options
        self.id = f"{int(time.time()) % 1_000_000}x{random.randrange(1000)}"
        self.results = {}
        self.server = None
        self.work = ""

    # one job per Go case, per article and per server case; one per Java version, which runs its cases itself
    def jobs(self, wanted):
        jobs = []
        for version in GO:
            for case in go_cases(version):
                name = f"go-{version}/{case}"
                if wanted(name):
                    jobs.append(Job([name], self.go_job(version, case, name), WEIGHT.get(case, 5)))
            for case, function, weight, alone in ARTICLES:
                name = f"articles-{version}/{case}"
                if wanted(name):
                    jobs.append(Job([name], self.python_job(name, lambda ctx, f=function, v=version: f(Article(ctx, v))), weight,
                                    "DEFAULT_PRODUCER" if alone else None))
        for version in JAVA:
            names = [f"java-{version}/{case}" for case in java_cases(version)]
            names = [n for n in names if wanted(n)]
            if names:
                jobs.append(Job(names, self.java_job(version, names), 200))
        for case, function, weight in SERVER:
            if wanted("server/" + case):
                jobs.append(Job(["server/" + case], self.python_job("server/" + case, function), weight))
        return jobs

    def late(self):
        return 1000 if self.options.broker == "halfmoon" else 2500

    def go_job(self, version, case, name):
        def run(report):
            began = time.monotonic()
            client = Client(self, [go_program(version, "flow"), "-ns", self.server.ns, "-broker", self.server.broker, "-id",
                                   self.id + version.replace(".", ""), "-late", f"{self.late()}ms", case],
                            **({"E2E_ADMIN": go_program("2.1.2", "flow")} if version != "2.1.2" else {}))
            try:
                code = client.wait(300)
                passed = client.after("PASS")
                if code == 0 and len(passed) == 1 and passed[0].startswith(case + " "):
                    report(name, time.monotonic() - began, passed[0][len(case) + 1:])
                else:
                    report(name, time.monotonic() - began, Failure(f"exit code {code}\n" + client.tail()))
            finally:
                client.kill()
        return run

    def python_job(self, name, function):
        def run(report):
            began = time.monotonic()
            ctx = Context(self, name, self.server)
            try:
                evidence = function(ctx)
                expect(evidence, "no evidence")
                report(name, time.monotonic() - began, evidence)
            except Failure as e:
                tails = "".join(f"\n  {' '.join(os.path.basename(x) for x in c.command[:3])}:\n{c.tail(6)}" for c in ctx.clients[-6:])
                own = "".join("\n  server:\n" + s.tail() for s in ctx.servers)
                report(name, time.monotonic() - began, Failure(str(e) + tails + own))
            finally:
                ctx.close()
        return run

    def java_job(self, version, names):
        def run(report):
            left = {name.split("/", 1)[1]: name for name in names}
            client = Client(self, java_command(version, self.work) + [self.server.ns, self.server.broker, self.id + version.replace(".", ""),
                                                                     str(self.late()), "4", *left])
            began, done = time.monotonic(), 0
            while client.process.poll() is None or done < len(client.lines):
                while done < len(client.lines):
                    m = re.match(r"(PASS|FAIL) (\S+) ([\d.]+) (.*)", client.lines[done])
                    done += 1
                    if m and m.group(2) in left:
                        report(left.pop(m.group(2)), float(m.group(3)), m.group(4) if m.group(1) == "PASS" else Failure(m.group(4)))
                if time.monotonic() - began > 900:
                    break
                time.sleep(0.05)
                if client.process.poll() is not None:
                    client.reader.join(5)
            client.kill()
            for name in left.values():
                report(name, time.monotonic() - began, Failure("its process ended before it\n" + client.tail()))
        return run

    def report(self, name, seconds, outcome):
        with PRINTING:
            self.results[name] = not isinstance(outcome, Failure)
            if isinstance(outcome, Failure):
                print(f"FAIL {name}  ({seconds:.1f} s)\n    {outcome}", flush=True)
            else:
                print(f"ok   {name}  ({seconds:.1f} s)  {outcome}", flush=True)

    def work_off(self, jobs):
        pending = sorted(jobs, key=lambda j: -j.weight)
        taken, changed = set(), threading.Condition()

        def worker():
            while True:
                with changed:
                    while True:
                        job = next((j for j in pending if j.exclusive not in taken), None)
                        if job or not pending:
                            break
                        changed.wait()
                    if job is None:
                        return
                    pending.remove(job)
                    if job.exclusive:
                        taken.add(job.exclusive)
                try:
                    job.run(self.report)
                except Exception:  # a mistake in this file must be seen as a failure of its case
                    for name in job.names:
                        if name not in self.results:
                            self.report(name, 0, Failure(traceback.format_exc()))
                with changed:
                    taken.discard(job.exclusive)
                    changed.notify_all()

        threads = [threading.Thread(target=worker, daemon=True) for _ in range(AT_ONCE)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def go_cases(version):
    return subprocess.check_output([go_program(version, "flow"), "-list"], text=True).split()


def java_cases(version):
    with tempfile.TemporaryDirectory() as home:
        return subprocess.check_output(java_command(version, home) + ["list"], text=True).split()


def matching(table, name):
    return next((reason for pattern, reason in table.items() if fnmatch.fnmatchcase(name, pattern)), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", help="cases whose name matches: a shell pattern or a part of the name")
    parser.add_argument("--broker", choices=("halfmoon", "apache"), default="halfmoon")
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--list", action="store_true", help="print the cases' names")
    parser.add_argument("--keep", action="store_true", help="keep the working folder, with the servers' data and logs")
    options = parser.parse_args()
    options.server = os.path.abspath(options.server)
    if options.broker == "halfmoon" and not options.list and not os.access(options.server, os.X_OK):
        sys.exit(f"run.py: {options.server} is not there: build it first, or name it with --server")
    began = time.monotonic()
    for version in GO:
        build_go(version)
    for version in JAVA:
        build_java(version)

    run = Run(options)
    skipped = {}

    def wanted(name):
        if options.only and not (options.only in name or fnmatch.fnmatchcase(name, options.only)):
            return False
        if matching(NOT_FOR_CLIENT, name):
            return False
        if options.broker == "apache" and matching(NOT_ON_APACHE, name):
            skipped[name] = matching(NOT_ON_APACHE, name)
            return False
        return True

    run.work = tempfile.mkdtemp(prefix="halfmoon-e2e-")
    try:
        jobs = run.jobs(wanted)
        if options.list:
            for job in jobs:
                for name in job.names:
                    print(name)
            return 0
        if not jobs:
            sys.exit("run.py: no such case (--list shows them)")
        run.server = Apache() if options.broker == "apache" else Halfmoon(options.server, run.work, "suite")
        try:
            run.server.start()
            say(f"-- {options.broker}: name server {run.server.ns}, broker {run.server.broker}")
            run.work_off(jobs)
            if options.broker == "halfmoon" and not options.only:
                try:
                    run.report("server/suite-stops", 0, f"after the whole suite: exit 0 in {run.server.stop():.1f} s")
                except Failure as e:
                    run.report("server/suite-stops", 0, e)
        except Failure as e:
            run.report("server/suite-starts", 0, e)
        finally:
            run.server.kill()
    finally:
        if options.keep:
            say("-- kept: " + run.work)
        else:
            shutil.rmtree(run.work, ignore_errors=True)
    for name, reason in sorted(skipped.items()):
        say(f"skip {name}  {reason}")
    failed = sorted(n for n, good in run.results.items() if not good)
    say(f"-- {time.monotonic() - began:.0f} s")
    if failed:
        say("failed: " + ", ".join(failed))
    say(f"{len(run.results) - len(failed)} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or not run.results else 0


if __name__ == "__main__":
    sys.exit(main())
