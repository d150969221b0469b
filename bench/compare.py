#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures brokers beside each other: each scenario, each round, each broker in turn (A B A B), every time on a fresh and empty folder, broker and
generator pinned to cores of their own. Prints a table in Markdown: medians, and the ratio of each pair of runs (median, least to greatest). The
generator's own ceiling is measured first and last; when it moved by more than 15 %, something else was running.

A broker is a name and a shell command that runs it, or that returns when it is up (then say how it is stopped, and which processes are its own).
In a command, {dir} is the run's folder, {port} the broker's port, {namesrv} a second one, {flush} ASYNC_FLUSH or SYNC_FLUSH, {Flush} async or sync.

  bench/compare.py --list
  bench/compare.py --scenario send64,tx64 --rounds 3                                        Halfmoon alone
  bench/compare.py --rounds 3 --start halfmoon --start 'apache=DIR={dir} BROKER_PORT={port} NS_PORT={namesrv} ./apache.sh up {Flush}' \\
      --stop 'apache=BROKER_PORT={port} DIR={dir} ./apache.sh down' --pids 'apache=BROKER_PORT={port} DIR={dir} ./apache.sh pids'      a script of yours
  bench/compare.py --scenario send64,send256 --start halfmoon --start nats                  needs Debian's package nats-server
  bench/compare.py --start 'old=/tmp/old/halfmoon server -d {dir} -p {port} --namesrv-port {namesrv} --flush {flush}' --start halfmoon

The first broker is the one that the ratios divide by the others. Exit 1 if something could not be measured."""
import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
OURS = "{program} server --data {dir} --port {port} --namesrv-port {namesrv} --flush {flush}"
NATS = "nats-server -js -sd {dir} -a 127.0.0.1 -p {port}"

RATE, CPU, P50, P99 = "rate_per_s", "broker_cpu_s_per_million", "p50_us", "p99_us"
# name: line of the table in docs/performance.md, what it is, flush, [bench arguments, the last run is measured], messages, figures
SCENARIOS = {
    "send64": ("1, 2", "send, 64 in flight", "async", ["send --in-flight 64"], 2_000_000, [RATE, CPU]),
    "send256": ("1", "send, 256 in flight", "async", ["send --in-flight 256"], 2_000_000, [RATE, CPU]),
    "binary64": ("3", "send, binary header, 64 in flight", "async", ["send --in-flight 64 --header binary"], 2_000_000, [RATE, CPU]),
    "many64": ("4", "send, 64 connections, 1 in flight each", "async", ["send --connections 64 --in-flight 1"], 500_000, [RATE, CPU]),
    "durable1": ("6", "send, on disk, 1 in flight", "sync", ["send --in-flight 1"], 30_000, [P50, P99]),
    "durable256": ("7", "send, on disk, 256 in flight", "sync", ["send --in-flight 256"], 1_000_000, [RATE, CPU]),
    "e2e": ("8", "produce to consume, 10,000/s", "async", ["e2e --rate 10000"], 200_000, [P50, P99]),
    "drain": ("10", "drain a cold backlog", "async", ["send --warmup 0", "DROP", "pull"], 4_000_000, [RATE, "payload_mb_per_s", CPU]),
    "groups": ("11", "50 groups tail one producer of 20,000/s, pulls of 32", "async", ["groups --groups 50 --rate 20000"], 200_000, [RATE, CPU]),
    "groups2k": ("11", "the same at 2,000/s", "async", ["groups --groups 50 --rate 2000"], 40_000, [RATE, CPU]),
    "tx64": ("12", "transactions, 64 in flight", "async", ["tx --in-flight 64"], 500_000, [RATE, CPU]),
    "checks": ("13", "checks of half messages, answered unknown", "async", ["checks --connections 32 --in-flight 32"], 1_000_000, [RATE, CPU]),
    "delays1": ("14", "delayed messages due in one second", "async", ["delays --spread 1 --lead 30"], 1_000_000, ["first_due_to_last_there_s", "early", CPU]),
    "delays60": ("14", "delayed messages due over a minute", "async", ["delays --spread 60 --lead 30"], 1_000_000, [P50, P99, "early"]),
    "topics": ("15", "10,000 topics of 10 queues", "async", ["topics --topics 10000 --queues 10"], 1_000_000, [RATE, CPU, "memory_bytes_a_queue", "memory_bytes_a_queue_sent"]),
    "restart": ("15", "restart with those topics", "async", ["topics --topics 10000 --queues 10", "START"], 100_000, ["first_ack_ms"]),
    "conns1k": ("16", "1,000 connections, all active, 10,000/s", "async", ["connections --connections 1000 --in-flight 1 --rate 10000"], 200_000, [P50, P99, "memory_bytes_a_connection_sent"]),
    "conns10k": ("16", "10,000 connections, 1,000 active, 10,000/s", "async", ["connections --connections 10000 --active 1000 --in-flight 1 --rate 10000"], 200_000,
                 [P50, P99, "memory_bytes_a_connection"]),
    "start": ("17", "start to first acknowledged send", "async", ["START"], 1, ["first_ack_ms"]),
    "idle": ("19", "idle", "async", ["send -n 1 --warmup 0", "WAIT", "idle --seconds 10"], None, ["resident_mb", "cpu_percent"]),
    "quiet": ("-", "producer at 10,000/s, nothing beside it", "async", ["send --rate 10000"], 200_000, [P50, P99]),
    "hog": ("-", "the same beside a thread that computes", "async", ["send --rate 10000 --beside hog"], 200_000, [P50, P99]),
    "polls": ("-", "the same beside 10,000 long polls", "async", ["send --rate 10000 --beside polls"], 200_000, [P50, P99]),
    "cold": ("-", "the same beside a reader of a cold backlog", "async", ["send --warmup 0 --topic BenchCold -n {cold}", "DROP", "send --rate 10000 --beside drain"], 200_000, [P50, P99]),
}
NATS_CAN = {"send64", "send256", "idle", "start"}
COLD_MESSAGES = 4_000_000


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    """One whose second neighbour below is free too: brokers of RocketMQ's kind listen there as well."""
    while True:
        with socket.socket() as s, socket.socket() as below:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            try:
                below.bind(("127.0.0.1", port - 2))
            except OSError:
                continue
            return port


class Broker:
    """One command, started and stopped for each run."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.is_nats = name == "nats" and name not in options.commands
        self.command = options.commands.get(name) or (NATS if self.is_nats else OURS)
        self.process, self.fields = None, {}

    def fill(self, text):
        for key, value in self.fields.items():
            text = text.replace("{" + key + "}", str(value))
        return text

    def prepare(self, folder, flush):
        self.fields = dict(program=shlex.quote(self.options.program), dir=folder, port=free_port(), namesrv=free_port(), flush=flush.upper() + "_FLUSH", Flush=flush)

    def start(self):
        """Seconds from starting the command to the first acknowledged send."""
        began = time.monotonic()
        pin = ["taskset", "-c", self.options.broker_core] if self.options.broker_core else []
        log = open(os.path.join(self.options.out, f"{self.name}.log"), "ab")
        self.process = subprocess.Popen(pin + ["sh", "-c", ("" if self.name in self.options.stops else "exec ") + self.fill(self.command)],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        while time.monotonic() < began + 120:
            code = self.process.poll()
            if code not in (None, 0) or (code == 0 and self.name not in self.options.stops):
                sys.exit(f"compare.py: {self.name} ended, exit {code}; see {self.options.out}/{self.name}.log")
            if self.answers():
                return time.monotonic() - began
            time.sleep(0.001)
        sys.exit(f"compare.py: {self.name} took no message in 120 s; see {self.options.out}/{self.name}.log")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.fields["port"]), timeout=1).close()
        except OSError:
            return False
        if self.is_nats:
            return True
        probe = [self.options.program, "bench", "send", "-p", str(self.fields["port"]), "-n", "1", "--warmup", "0", "--topic", "First", "--timeout", "5"]
        return subprocess.run(probe, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def pids(self):
        if self.name in self.options.pids:
            return subprocess.run(self.fill(self.options.pids[self.name]), shell=True, capture_output=True, text=True, check=True).stdout.replace(",", " ").split()
        return [str(self.process.pid)]

    def stop(self):
        if self.process is None:
            return
        if self.name in self.options.stops:
            subprocess.run(self.fill(self.options.stops[self.name]), shell=True)
            time.sleep(3)
        elif self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


def drop_caches():
    """Needs root; without it the backlog is read from the page cache, and the table says so."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("1\n")
        return True
    except OSError:
        return False


def generator(options, words, json_file):
    pin = ["taskset", "-c", options.generator_core] if options.generator_core else []
    done = subprocess.run(pin + words + ["--json", json_file], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or not os.path.exists(json_file):
        return None, (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no result"]
    with open(json_file) as f:
        return json.load(f), None


def run_once(broker, key, number, options):
    """The figures of one run; None and the reason where it could not be measured."""
    _, _, flush, steps, messages, _ = SCENARIOS[key]
    if options.dir:
        os.makedirs(options.dir, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="compare-", dir=options.dir)
    json_file = os.path.join(options.out, f"{key}-{broker.name}-{number}.json")
    broker.prepare(folder, flush)
    result, cold = None, True
    count = max(1, int(messages * options.scale)) if messages else None
    try:
        first_ack = broker.start()
        for step in steps:
            if step == "DROP":
                cold = drop_caches()
            elif step == "WAIT":
                time.sleep(3)
            elif step == "START":
                if steps.index(step) > 0:
                    broker.stop()
                    first_ack = broker.start()
                result = {"first_ack_ms": first_ack * 1e3}
                with open(json_file, "w") as f:
                    json.dump(result, f)
            else:
                words = step.replace("{cold}", str(max(1000, int(COLD_MESSAGES * options.scale)))).split()
                if broker.is_nats and words[0] == "send":
                    words = [sys.executable, os.path.join(HERE, "nats_publish.py"), *words[1:], "-p", str(broker.fields["port"])]
                else:
                    words = [options.program, "bench", *words] + (["-p", str(broker.fields["port"])] if words[0] != "idle" else [])
                if count and "-n" not in words:
                    words += ["-n", str(count)] if "pull" not in words else []
                for pid in broker.pids():
                    words += ["--broker-pid", pid]
                result, why = generator(options, words, json_file)
                if result is None:
                    return None, why[0]
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if result.get("invalid"):
        say(f"   INVALID: {result['invalid']}")
    if result.get("refused"):
        say(f"   {result['refused']:.0f} refused")
    if not cold:
        say("   not cold: the page cache could not be dropped (root only)")
    return result, None


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})" if len(values) > 1 else number(values[0])


def table(results, brokers):
    lines = ["| line | scenario | figure | " + " | ".join(b.name for b in brokers) + "".join(f" | {brokers[0].name} / {b.name}" for b in brokers[1:]) + " |",
             "| --- " * (3 + 2 * len(brokers) - 1) + "|"]
    for key, rounds in results.items():
        line, what, flush, _, _, figures = SCENARIOS[key]
        for figure in figures:
            cells, ratios = [], []
            for broker in brokers:
                values = [r[broker.name][figure] for r in rounds if r.get(broker.name) and figure in r[broker.name]]
                cells.append(spread(values) if values else "-")
                if broker is not brokers[0]:
                    pairs = [r[brokers[0].name][figure] / r[broker.name][figure] for r in rounds
                             if all(r.get(b.name) and figure in r[b.name] for b in (brokers[0], broker)) and r[broker.name][figure]]
                    ratios.append(spread(pairs) if pairs else "-")
            lines.append(f"| {line} | {what}{', SYNC_FLUSH' if flush == 'sync' else ''} | {figure} | " + " | ".join(cells + ratios) + " |")
    return "\n".join(lines)


def ceiling(options, name):
    result, why = generator(argparse.Namespace(generator_core=""), [options.program, "bench", "ceiling", "--in-flight", "256", "-n", str(int(2_000_000 * options.scale) + 1)],
                            os.path.join(options.out, f"ceiling-{name}.json"))
    return result["rate_per_s"] if result else sys.exit(f"compare.py: {why[0]}")


def pairs_of(words):
    for word in words:
        if "=" not in word:
            sys.exit(f"compare.py: write NAME=COMMAND, not {word}")
    return dict(word.split("=", 1) for word in words)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", action="append", default=[], metavar="NAME[=COMMAND]", help="a broker; the names halfmoon and nats need no command; default: halfmoon")
    parser.add_argument("--stop", action="append", default=[], metavar="NAME=COMMAND", help="how it is stopped, where its command returns when it is up")
    parser.add_argument("--pids", action="append", default=[], metavar="NAME=COMMAND", help="what prints its process ids; default: the process of its command")
    parser.add_argument("--scenario", default="", metavar="NAMES", help="with commas; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="this share of the messages, for a quick look")
    parser.add_argument("--broker-core", default="0", metavar="LIST", help="cores of the broker, as taskset takes them; '' for none in particular")
    parser.add_argument("--generator-core", default="1", metavar="LIST")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program: generator, and the broker `halfmoon`")
    parser.add_argument("--dir", default=".", help="where the brokers' folders are made, and removed again")
    parser.add_argument("--out", default="compare-results", help="where every run's JSON and the brokers' logs go")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    options = parser.parse_args()
    if options.list:
        for key, (line, what, flush, steps, messages, _) in SCENARIOS.items():
            print(f"{key:11} {line:5} {what}, {flush}: {'; '.join(steps)}{f' -n {messages}' if messages else ''}")
        return 0
    keys = options.scenario.split(",") if options.scenario else list(SCENARIOS)
    unknown = [k for k in keys if k not in SCENARIOS]
    if unknown:
        sys.exit(f"compare.py: no scenario {', '.join(unknown)}; --list names them")
    options.program, options.out, options.dir = os.path.abspath(options.program), os.path.abspath(options.out), os.path.abspath(options.dir)
    os.makedirs(options.out, exist_ok=True)
    names = [word.split("=", 1)[0] for word in options.start] or ["halfmoon"]
    options.commands = pairs_of([w for w in options.start if "=" in w])
    options.stops, options.pids = pairs_of(options.stop), pairs_of(options.pids)
    for name in names:
        if name not in ("halfmoon", "nats") and name not in options.commands:
            sys.exit(f"compare.py: --start {name}=COMMAND: how is it run?")
    brokers = [Broker(name, options) for name in names]

    before, results, failed = ceiling(options, "before"), {}, False
    for key in keys:
        results[key] = []
        for n in range(options.rounds):
            results[key].append({})
            for broker in brokers:
                if broker.is_nats and key not in NATS_CAN:
                    continue
                figures, why = run_once(broker, key, n, options)
                failed = failed or figures is None
                results[key][-1][broker.name] = figures
                shown = why if figures is None else ", ".join(f"{f} {number(figures[f])}" for f in SCENARIOS[key][5] if f in figures)
                say(f"{key} {n + 1}/{options.rounds} {broker.name}: {shown}")
    after = ceiling(options, "after")
    print(table(results, brokers))
    print(f"\nGenerator's ceiling, 256 in flight: {number(before)}/s before, {number(after)}/s after"
          + ("" if abs(after / before - 1) <= 0.15 else "; it MOVED by more than 15 %: something else was running"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
