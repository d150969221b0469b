#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long after a kill -9 the first send is acknowledged again, with so many gigabytes in the log.

Fills a store with `halfmoon bench send`, then, several times: load, kill -9 in the middle of it, start, one send as soon as a connection is taken.
Prints for each what the start had to do, and how long the snapshots before it kept everybody out of the core. A measurement: it fails only above
--limit. The data is deleted in the end."""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))
sys.dont_write_bytecode = True

from remoting import OK, Connection, Lost, Server, unique_key

TOPIC, WAITING = "Filled", "Waiting"


def bench(server, options, messages):
    return subprocess.Popen([server.program, "bench", "send", "-p", str(server.port), "-n", str(messages), "--warmup", "0", "--connections", "2",
                             "--size", str(options.body), "--topic", TOPIC], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fill(server, options):
    messages = int(options.gigabytes * 1e9 / (options.body + 160))
    print(f"-- {messages} messages of {options.body} bytes ...", flush=True)
    began = time.monotonic()
    if bench(server, options, messages).wait() != 0:
        sys.exit(f"recovery.py: filling failed\n{server.tail()}")
    print(f"-- filled in {time.monotonic() - began:.0f} s, {messages / (time.monotonic() - began):.0f} messages/s", flush=True)


def leave_waiting(server, halves, delays):
    """Half messages without a verdict, and messages due in an hour."""
    with Connection(server.address, timeout=60) as c:
        c.create_topic(WAITING)
        left = []
        for i in range(halves + delays):
            props = {"TRAN_MSG": "true", "PGROUP": "P", "UNIQ_KEY": unique_key()} if i < halves else {"TIMER_DELAY_MS": "3600000"}
            left.append(c.start(310, c.send_header(WAITING, 0, props, "P"), b"x" * 100))
            if len(left) == 500 or i + 1 == halves + delays:
                for waiting in left:
                    waiting.done.acquire()
                    if waiting.answer is None or waiting.answer.code != OK:
                        sys.exit(f"recovery.py: a send was answered {waiting.answer}")
                left = []


def first_answer(server):
    """Seconds from starting the process to the first acknowledged send."""
    began = time.monotonic()
    server.launch()
    while True:
        try:
            with Connection(server.address, timeout=120) as c:
                answer = c.send(TOPIC, b"x")
                if answer.code == OK:
                    return time.monotonic() - began
                sys.exit(f"recovery.py: a send was answered {answer}\n{server.tail()}")
        except Lost:
            if server.process.poll() is not None:
                sys.exit(f"recovery.py: the server did not start\n{server.tail()}")
            time.sleep(0.001)


def processor_seconds(server):
    """What the process has used of processors so far: unlike the clock it does not depend on what else the machine does."""
    with open(f"/proc/{server.process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def said(server, pattern, since):
    with open(server.log, errors="replace") as f:
        f.seek(since)
        return re.findall(pattern, f.read())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of log")
    parser.add_argument("--body", type=int, default=1024, help="bytes of a message's body")
    parser.add_argument("--halves", type=int, default=0, help="half messages without a verdict")
    parser.add_argument("--delays", type=int, default=0, help="messages that are due in an hour")
    parser.add_argument("--times", type=int, default=5, help="kills")
    parser.add_argument("--snapshot-bytes", type=int, help="snapshotLogBytes")
    parser.add_argument("--unflushed", action="store_true", help="flushDiskType ASYNC_FLUSH")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="fail if a first answer takes longer")
    parser.add_argument("--where", metavar="FOLDER", help="where the store is made; default: the folder for temporary files")
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="halfmoon-recovery-", dir=options.where)
    settings = {"logLevel": "debug", "transactionTimeOut": 3600000, **({"flushDiskType": "ASYNC_FLUSH"} if options.unflushed else {}), **({"snapshotLogBytes": options.snapshot_bytes} if options.snapshot_bytes else {})}
    server, took = Server(os.path.abspath(options.server), os.path.join(work, "server"), **settings), []
    try:
        server.start()
        fill(server, options)
        leave_waiting(server, options.halves, options.delays)
        for _ in range(options.times):
            load = bench(server, options, 1 << 30)
            time.sleep(random.uniform(2, 5))
            server.kill()
            load.kill()
            load.wait()
            since = os.path.getsize(server.log)
            took.append(first_answer(server))
            used = processor_seconds(server)
            time.sleep(0.1)
            recovered = said(server, r"recovered +(.*)", since)
            phases = said(server, r"snapshot_milliseconds=(\d+) replay_milliseconds=(\d+)", since)
            pauses = [int(us) for us in said(server, r"paused_us=(\d+)", 0)]
            sizes = [int(b) for b in said(server, r"snapshot.written position=\d+ bytes=(\d+)", 0)]
            written = [int(b) for b in said(server, r"written_bytes=(\d+)", 0)]
            with open(f"/proc/{server.process.pid}/status") as f:
                resident = int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) // 1024
            print(f"-- first acknowledged send after {took[-1]:.3f} s, {used:.2f} s of a processor; {'snapshot %s ms, replay %s ms; ' % phases[0] if phases else ''}{recovered[0] if recovered else ''}; resident {resident} MiB; {len(pauses)} snapshots so far, "
                  f"the largest {max(sizes, default=0) / 1e6:.1f} MB, written at most {max(written, default=0) / 1e6:.1f} MB at once, the longest pause {max(pauses, default=0) / 1000:.2f} ms", flush=True)
    finally:
        server.kill()
        shutil.rmtree(work, ignore_errors=True)
    late = sum(1 for t in took if options.limit and t > options.limit)
    print(f"-- fastest {min(took):.3f} s, slowest {max(took):.3f} s")
    print(f"{len(took) - late} passed, {late} failed")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
