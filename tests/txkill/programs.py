# SPDX-License-Identifier: Apache-2.0
"""The real client programs: how they are built, started and killed, and how their databases are read."""
import collections
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import building

BUILD = os.environ.get("HALFMOON_TX_BUILD", os.path.join(HERE, ".build"))
EXAMPLES = os.path.join(ROOT, "examples")


class Program:
    """A process whose lines are kept, each with the time at which it was read. What it wrote before it was killed is not lost."""

    def __init__(self, command, folder):
        os.makedirs(folder, exist_ok=True)
        self.command, self.lines = command, []
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                        cwd=folder, env=dict(os.environ, HOME=folder, ROCKETMQ_GO_LOG_LEVEL="fatal"))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def words(self, *first):
        """The words of each line that begins with one of these words."""
        return [line.split(" ") for _, line in list(self.lines) if line.split(" ", 1)[0] in first]

    def wait_for(self, pattern, limit=60):
        """The first line that matches; None when it did not come in time or the program ended without it."""
        deadline, seen = time.monotonic() + limit, 0
        while True:
            ended = self.process.poll() is not None and not self.reader.is_alive()
            while seen < len(self.lines):
                found = re.search(pattern, self.lines[seen][1])
                if found:
                    return found
                seen += 1
            if ended or time.monotonic() > deadline:
                return None
            time.sleep(0.005)

    def running(self):
        return self.process.poll() is None

    def signal_kill(self):
        """kill -9, not waiting for the end."""
        if self.running():
            self.process.kill()

    def kill(self):
        self.signal_kill()
        self.process.wait()
        self.reader.join(10)

    def stop(self, limit=20):
        self.process.terminate()
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def tail(self, count=12):
        return "".join(f"    | {line}\n" for _, line in collections.deque(self.lines, count))


class Go:
    """rocketmq-client-go with SQLite. Two producers of one group on one database, so that each must answer for the other."""
    name, producers = "go-2.1.2", 2

    def __init__(self):
        self.out = os.path.join(BUILD, "go")

    def build(self, campaign=True):
        building.go_build("the examples in Go", os.path.join(EXAMPLES, "go"), self.out)
        if campaign:
            building.go_build("the campaign's Go producer", os.path.join(HERE, "go"), self.out)

    def start(self, program, folder, *arguments, **options):
        return Program([os.path.join(self.out, program), *(f"-{name}={value}" for name, value in options.items()), *arguments], folder)

    def producer(self, folder, **options):
        return self.start("txkill", folder, **options)

    def example(self, name, folder, *arguments, pause=0, **options):
        return self.start(name, folder, *arguments, pause=f"{pause}ms", **options)

    def query(self, folder, file, *queries):
        with sqlite3.connect(file, timeout=20) as db:
            return [[tuple(str(v) for v in row) for row in db.execute(q)] for q in queries]


class Java:
    """rocketmq-client with H2, whose file one process at a time can open."""
    producers = 1
    EXAMPLE = {"transactional_producer": "TransactionalProducer", "idempotent_consumer": "IdempotentConsumer", "outbox_relay": "OutboxRelay"}

    def __init__(self, version):
        self.version, self.name, self.out = version, "java-" + version, os.path.join(BUILD, "java-" + version)

    def build(self, campaign=True):
        """The campaign's project holds the examples too."""
        if campaign:
            building.maven_build(f"the campaign with rocketmq-client {self.version}", os.path.join(HERE, "java"), self.out, "-Dclient=" + self.version,
                                 also=[os.path.join(EXAMPLES, "java")])
        else:
            self.out = os.path.join(BUILD, "examples-java-" + self.version)
            building.maven_build(f"the examples with rocketmq-client {self.version}", os.path.join(EXAMPLES, "java"), self.out, "-Dclient=" + self.version)

    def start(self, main, folder, *arguments, **options):
        options = (f"-D{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items())
        return Program(building.java(self.out, folder, main, *options) + list(arguments), folder)

    def producer(self, folder, **options):
        return self.start("halfmoon.txkill.Main", folder, **options)

    def example(self, name, folder, *arguments, **options):
        return self.start("halfmoon.examples." + self.EXAMPLE[name], folder, *arguments, **options)

    def query(self, folder, file, *queries):
        program = self.start("halfmoon.txkill.Main", folder, *queries, db=file)
        program.process.wait()
        program.reader.join(10)
        lines = [line for _, line in program.lines]
        if "END" not in lines[-1:]:
            raise RuntimeError(f"{file} could not be read:\n{program.tail()}")
        rows = [line.split("\t") for line in lines[:-1]]
        return [[tuple(r[1:]) for r in rows if r[0] == str(n)] for n in range(len(queries))]


CLIENTS = (Go(), Java("5.3.3"), Java("4.9.4"))
