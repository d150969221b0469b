#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up to the end and is freed again, under the real program, without a restart.

The store lies on an ext4 of its own. Messages are sent until they are refused; then everything that was acknowledged is consumed, offsets are
committed, half messages that were sent before get their verdicts, and messages are still refused, with a text that says what to do. A file beside
the store is removed: sending goes on by itself, in the same process. In the end everything acknowledged is there, once, also after kill -9.

`level` is the broker's own limit (diskSpaceWarningLevelRatio), `last byte` is the file system's (that level turned off). Skips where the machine
allows no loop device."""
import argparse
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))
sys.dont_write_bytecode = True

import disks
from remoting import COMMIT, OK, ROLLBACK, Connection, Server

TOPIC, DECIDED, GROUP, PRODUCERS, QUEUES = "Full", "FullTx", "FullConsumers", "FullProducers", 2
REFUSED = 14
# name: (bytes of the file beside the store, pause between messages, settings). The broker looks at the disk once a second.
CASES = {"level": (140 << 20, 0.01, {"diskSpaceEnoughBytes": 1 << 40}),
         "last byte": (100 << 20, 0, {"diskSpaceEnoughBytes": 1, "diskSpaceWarningLevelRatio": 100})}


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


def fill(c, acknowledged, pause, limit=120):
    """Sends until a message is refused; returns that answer."""
    body, deadline = os.urandom(60_000), time.monotonic() + limit
    while time.monotonic() < deadline:
        name = f"{len(acknowledged)}|".encode()
        answer = c.send(TOPIC, name + body, {"own": "x"}, len(acknowledged) % QUEUES)
        if answer.code != OK:
            return answer
        acknowledged.append(name)
        time.sleep(pause)
    raise Failed(f"nothing was refused in {limit} s; {len(acknowledged)} messages stored")


def held(c):
    return sorted((r.body[:r.body.index(b"|") + 1] for q in range(QUEUES) for r in c.drain("Reader", TOPIC, q)), key=lambda name: int(name[:-1]))


def case(name, program, work, say):
    bytes_beside, pause, settings = CASES[name]
    with disks.LoopDisk("ext4", os.path.join(work, "disk")) as disk:
        ballast = os.path.join(disk.path, "ballast")
        with open(ballast, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, bytes_beside)
        server = Server(program, os.path.join(work, "server"), storePathRootDir=os.path.join(disk.path, "store"), mappedFileSizeCommitLog=16 << 20,
                        snapshotIntervalSeconds=1, logLevel="info", transactionTimeOut=600000, **settings)
        server.start()
        try:
            through(disk, ballast, pause, server, name, say)
        except Failed as e:
            raise Failed(f"{e}\n{server.tail()}") from None
        finally:
            server.kill()


def through(disk, ballast, pause, server, name, say):
    acknowledged, process = [], server.process.pid
    with Connection(server.address, timeout=30) as c:
        c.heartbeat(producer=PRODUCERS, consumer=GROUP, topics=[TOPIC])
        c.create_topic(TOPIC, QUEUES)
        c.create_topic(DECIDED, 1)
        halves = [c.half(DECIDED, b"%d|half" % i, PRODUCERS) for i in range(20)]
        refused = fill(c, acknowledged, pause)
        expect(refused.code == REFUSED, f"the first refused message was answered {refused.code} {refused.remark}")
        expect("space" in refused.remark, f"the refusal does not say what to do: {refused.remark}")
        space = os.statvfs(disk.path)
        free = space.f_bavail * space.f_frsize >> 20
        say(f"{name}: refused after {len(acknowledged)} messages, {free} MiB free: {refused.code} {refused.remark}")
        expect((name == "level") == ("diskSpaceWarningLevelRatio" in refused.remark), "it was not this limit that was reached")
        # Full: what is stored is read, and everything that empties the broker goes on.
        want = list(acknowledged)
        expect(held(c) == want, "on the full disk not everything acknowledged can be consumed")
        for i, half in enumerate(halves[:10]):
            answer = c.end(half, COMMIT if i % 2 else ROLLBACK)
            expect(answer.code == OK, f"on the full disk a verdict was answered {answer.code} {answer.remark}")
        for offset in range(1, 200):
            answer = c.commit_offset(GROUP, TOPIC, 0, offset)
            expect(answer.code == OK, f"on the full disk offset {offset} was answered {answer.code} {answer.remark}")
        expect(c.query_offset(GROUP, TOPIC, 0) == 199, "the committed offset is not there")
        expect(len(c.drain("Reader", DECIDED, 0)) == 5, "the committed half messages are not there")
        for _ in range(30):
            time.sleep(0.1)
            answer = c.send(TOPIC, bytes(60_000))
            expect(answer.code == REFUSED, f"on the full disk a message was answered {answer.code} {answer.remark}")
        # Space again.
        os.unlink(ballast)
        freed = time.monotonic()
        while (answer := c.send(TOPIC, b"%d|" % len(acknowledged) + bytes(60_000), {}, 0)).code != OK:
            expect(answer.code == REFUSED, f"a message was answered {answer.code} {answer.remark}")
            expect(time.monotonic() < freed + 15, "15 s after there was space again messages are still refused")
            time.sleep(0.02)
        acknowledged.append(b"%d|" % len(acknowledged))
        say(f"{name}: sending goes on {time.monotonic() - freed:.2f} s after there was space again")
        for i, half in enumerate(halves[10:]):
            expect(c.end(half, COMMIT if i % 2 else ROLLBACK).code == OK, "a verdict was refused after there was space again")
        for _ in range(500):
            expect(c.send(TOPIC, b"%d|" % len(acknowledged) + b"after", {}, len(acknowledged) % QUEUES).code == OK, "a message was refused after there was space again")
            acknowledged.append(b"%d|" % len(acknowledged))
        expect(held(c) == acknowledged, "what is held is not what was acknowledged")
    expect(server.process.poll() is None and server.process.pid == process, "the program ended")
    server.kill()
    server.start()
    with Connection(server.address, timeout=30) as c:
        expect(held(c) == acknowledged, "after kill -9 what is held is not what was acknowledged")
        expect(len(c.drain("Reader", DECIDED, 0)) == 10 and c.query_offset(GROUP, TOPIC, 0) == 199, "verdicts or the offset are not there after kill -9")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help="both unless given")
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    options = parser.parse_args()
    passed = failed = skipped = 0
    for name in (options.case,) if options.case else CASES:
        work = tempfile.mkdtemp(prefix="halfmoon-full-")
        try:
            if why := disks.why_not("ext4", work):
                print(f"skipped: {name}: {why}")
                skipped += 1
                continue
            case(name, os.path.abspath(options.server), work, lambda text: print("--", text, flush=True))
            print(f"ok   {name}")
            passed += 1
        except (Failed, OSError, RuntimeError) as e:
            print(f"FAIL {name}: {e}")
            failed += 1
        finally:
            shutil.rmtree(work, ignore_errors=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
