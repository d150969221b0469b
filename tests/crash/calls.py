#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each kind of system call that the real program makes on its data directory fails, brought about by strace: EINTR at every second call, EIO and
ENOSPC at one call, early and late. The store has been used and killed before, so that a start with something to recover is part of every life.

  EINTR   nothing is noticed: no send is refused, nothing is said, and the program runs on. (A sync is not repeated: it counts as failed, see EIO.)
  EIO     old messages come as they were stored or not at all; the program says so and does not die of a signal; when the log is struck it answers nothing more and ends, or does not start.
  ENOSPC  the same; it may go on.

After each life a start without faults finds everything that was acknowledged, once. A pair of call and error that struck nothing in any case is a
failure: what was meant was not tested. Skips where strace is missing or may not trace."""
import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))
sys.dont_write_bytecode = True

from remoting import OK, Connection, Lost, Server

TOPIC, QUEUES, BODY = "Calls", 4, b"." * 6000
FILES = ["pread64", "pwritev", "fdatasync", "fallocate", "io_setup", "io_submit", "io_getevents"]   # on files of the store; the last three read ahead, and zero the next segment
DIRECTORY = ["openat", "newfstatat", "getdents64", "renameat", "unlinkat", "fsync", "fstatfs"]   # on names in it
SYNCS = ["fdatasync", "fsync"]
UNINTERRUPTED = SYNCS + ["getdents64"]     # a directory that is read is never interrupted; the C library hides the call
NO_SPACE = ["pwritev", "fallocate", "openat", "renameat"]
SAYS = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}
SILENT = ["fstatfs", "io_setup", "io_submit"]   # how full the disk is is looked at again; what is not read ahead is read when it is wanted
ONE_ERROR = {"io_getevents": ["EINTR"]}         # the kernel fails it with no other
SETTINGS = {"snapshotIntervalSeconds": 1, "snapshotLogBytes": 1 << 20, "mappedFileSizeCommitLog": 5 << 20, "logLevel": "info", "transactionTimeOut": 600000}


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Traced(Server):
    """The program under strace, with a fault; `inject` "" only counts."""
    call = inject = ""

    def launch(self, **settings):
        self.settings.update(settings)
        config, self.trace = os.path.join(self.folder, "broker.conf"), os.path.join(self.folder, "trace")
        with open(config, "w") as f:
            f.writelines(f"{k}={v}\n" for k, v in self.settings.items())
        command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", self.trace, "-e", f"trace={self.call}"]
        if self.call in DIRECTORY:
            command += ["-P", self.settings["storePathRootDir"]]
        if self.inject:
            command += ["-e", f"inject={self.call}:{self.inject}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command + [self.program, "server", "-c", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)

    def kill(self):
        """kill -9 of the program; strace ends with it. When strace is killed the program runs on."""
        if not self.process or self.process.poll() is not None:
            return
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            for child in f.read().split():
                os.kill(int(child), signal.SIGKILL)
        self.process.wait(10)

    def trace_lines(self):
        with open(self.trace, errors="replace") as f:
            return f.readlines()


def send(address, who, seconds, acknowledged, refused):
    """Sends until the time is over or nobody answers. Names are unique over all lives of a store."""
    until, n = time.monotonic() + seconds, 0
    try:
        with Connection(address, timeout=20) as c:
            while time.monotonic() < until:
                name = f"{who}-{n}|".encode()
                answer = c.send(TOPIC, name + BODY, {}, n % QUEUES)
                if answer.code == OK:
                    acknowledged.append(name)
                else:
                    refused.append(f"{answer.code} {answer.remark}")
                    time.sleep(0.02)
                n += 1
                time.sleep(0.001)   # the store is copied for each case: it should not become large
    except (Lost, OSError):
        pass


def held(server):
    with Connection(server.address, timeout=30) as c:
        records = [r for q in range(QUEUES) for r in c.drain("Reader", TOPIC, q)]
    expect(all(r.body.endswith(b"|" + BODY) for r in records), "a message has another body than was sent")
    return collections.Counter(r.body[:-len(BODY)] for r in records)


def read_old(server, owed, unread):
    """Reads what the lives before this one stored, past the ring."""
    try:
        unread += [name.decode() for name in set(owed) - set(held(server))][:3]
    except (Failed, RuntimeError, Lost, OSError) as e:
        unread.append(str(e) or type(e).__name__)


def load(server, who, seconds, others=()):
    acknowledged, refused = [[], []], []
    threads = [*others] + [threading.Thread(target=send, args=(server.address, f"{who}-{i}", seconds, acknowledged[i], refused)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return acknowledged[0] + acknowledged[1], refused


def prepare(program, folder, flush):
    """A store that was used and killed, and what it owes."""
    server = Server(program, folder, flushDiskType=flush, **SETTINGS)
    try:
        server.start()
        with Connection(server.address, timeout=30) as c:
            c.create_topic(TOPIC, QUEUES)
        acknowledged, refused = load(server, "before", 2)
        expect(acknowledged and not refused, f"a broker without faults refused {refused[:1]}")
    finally:
        server.kill()
    return acknowledged


def copy(base, folder, program, flush, **attributes):
    """A traced server on a copy of the store."""
    server = Traced(program, folder, flushDiskType=flush, **SETTINGS)
    for name, value in attributes.items():
        setattr(server, name, value)
    shutil.copytree(os.path.join(base, "store"), server.settings["storePathRootDir"])
    return server


def live(server, owed, seconds):
    """One life under the fault: what was acknowledged, what was refused, what could not be read, how it ended (None: it was killed by us)."""
    acknowledged, refused, unread = [], [], []
    try:
        server.start()
        acknowledged, refused = load(server, "traced", seconds, [threading.Thread(target=read_old, args=(server, owed, unread))])
        deadline = time.monotonic() + 0.3
        while server.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    except (RuntimeError, OSError):
        pass  # it did not start
    finally:
        ended = server.process.poll()
        server.kill()
    return acknowledged, refused, unread, ended


def count(base, owed, folder, program, flush, call):
    """How many of these calls the loader makes before the program is at the store, and how many then the busiest thread."""
    server = copy(base, folder, program, flush, call=call if call in DIRECTORY else f"{call},openat")
    live(server, owed, 1.1)
    threads, before, at_store = collections.Counter(), 0, call in DIRECTORY
    for line in server.trace_lines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found and not at_store:
            at_store = found[2] == "openat" and server.settings["storePathRootDir"] in line
            before += found[2] == call
        elif found and found[2] == call:
            threads[found[1]] += 1
    return before, max(threads.values(), default=0)


def fault_case(base, owed, folder, program, flush, call, error, before, when):
    inject = f"error={error}:when={before + when}" + ("+2" if error == "EINTR" else "")
    server = copy(base, folder, program, flush, call=call, inject=inject)
    try:
        acknowledged, refused, unread, ended = live(server, owed, 0.7 if error == "EINTR" else 1.1)
        struck = sum("(INJECTED)" in line for line in server.trace_lines())
        with open(server.log, errors="replace") as f:
            said = f.read()
        if struck == 0:
            return None
        expect(not any("another body" in text for text in unread), "a message was read with another body than was sent")
        expect(ended is None or 0 <= ended < 128, f"the program ended with {ended}")
        if error == "EINTR" and call not in UNINTERRUPTED:
            expect(ended is None, f"it ended with {ended}")
            expect(acknowledged and not refused, f"{len(acknowledged)} sends were acknowledged; refused: {refused[:1]}")
            expect("Interrupted" not in said, "it was noticed")
            expect(not unread, f"old messages could not be read: {unread}")
        elif error in SAYS and call == "pread64" and unread:
            pass  # a read for a consumer: the consumer is told
        elif error in SAYS and call not in SILENT:
            expect(SAYS[error] in said, "it said nothing")
        if error == "EIO" and call in ("pwritev", "fdatasync") and "store.poisoned" in said:
            expect(ended == 74, f"a poisoned store, and the program ended with {ended}")
        plain = Server(program, os.path.join(folder, "again"), storePathRootDir=server.settings["storePathRootDir"], flushDiskType=flush, **SETTINGS)
        try:
            plain.start()
            found = held(plain)
        finally:
            plain.kill()
        lost = [name for name in owed + acknowledged if name not in found]
        expect(not lost, f"{len(lost)} of {len(owed) + len(acknowledged)} acknowledged messages are lost, the first {lost[:1]}")
        expect(max(found.values()) == 1, "a message is there twice")
        return len(acknowledged), struck, ended
    except (Failed, RuntimeError) as e:
        raise Failed(f"{e}\n{server.tail()}") from None
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def why_not():
    if not shutil.which("strace"):
        return "strace is not installed"
    probe = subprocess.run(["strace", "-f", "-qq", "--seccomp-bpf", "-o", os.devnull, "-e", "inject=getppid:error=EIO", "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if probe.returncode == 0 else f"strace may not trace here: {probe.stdout.strip()[-120:]}"


def wanted_faults(calls, number):
    """(call, error, which calls): the first two, one in the middle, one late."""
    for call in calls:
        n = number[call]
        yield call, "EINTR", [1, 2] if call in FILES else [1]
        if call in ONE_ERROR:
            continue
        yield call, "EIO", sorted({1, 2, max(1, n // 2), max(1, n * 4 // 5)})
        if call in NO_SPACE:
            yield call, "ENOSPC", sorted({1, max(1, n // 2)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--call", choices=FILES + DIRECTORY, help="only this one")
    parser.add_argument("--error", choices=["EINTR", "EIO", "ENOSPC"], help="only this one")
    parser.add_argument("--flush", choices=["SYNC_FLUSH", "ASYNC_FLUSH"], help="only this one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    options = parser.parse_args()
    if why := why_not():
        print(f"skipped: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    program, work = os.path.abspath(options.server), tempfile.mkdtemp(prefix="halfmoon-calls-")
    calls = [options.call] if options.call else FILES + DIRECTORY
    passed = failed = 0
    struck_by = collections.Counter()
    try:
        jobs = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for flush in (options.flush,) if options.flush else ("SYNC_FLUSH", "ASYNC_FLUSH"):
                base = os.path.join(work, flush)
                owed = prepare(program, base, flush)
                counted = dict(zip(calls, pool.map(lambda c: count(base, owed, os.path.join(work, f"count-{c}-{flush}"), program, flush, c), calls)))
                for call, error, whens in wanted_faults(calls, {c: n for c, (_, n) in counted.items()}):
                    if options.error and error != options.error:
                        continue
                    folders = [os.path.join(work, f"{flush}-{call}-{error}-{when}") for when in whens]
                    jobs.append((flush, call, error, whens, [pool.submit(fault_case, base, owed, folder, program, flush, call, error, counted[call][0], when)
                                                            for folder, when in zip(folders, whens)]))
            for flush, call, error, whens, results in jobs:
                struck = 0
                for when, result in zip(whens, results):
                    try:
                        got = result.result()
                        struck += got[1] if got else 0
                        print(f"ok   {flush} {call} {error} at {when}: " + (f"struck {got[1]} times, {got[0]} acknowledged, ended with {got[2]}" if got else "struck nothing"), flush=True)
                    except Failed as e:
                        failed += 1
                        struck += 1
                        print(f"FAIL {flush} {call} {error} at {when}: {e}", flush=True)
                    else:
                        passed += 1
                struck_by[call, error] += struck
            for (call, error), struck in struck_by.items():
                if not struck:
                    failed += 1
                    print(f"FAIL {call} {error}: struck nothing at all")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"-- {sum(struck_by.values())} calls struck, {len(struck_by)} pairs of call and error")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
