#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm, or know no better, against the real program: malformed input, slow senders, clients that never read, begun frames
without an end, thousands of idle connections, made-up names, no file descriptors, more messages than there is room for. Each case has a
server of its own on loopback; while it runs a healthy client sends and pulls. What must hold: the process lives, its memory stays within its
budget, what was refused was counted, and the healthy client is served. How much slower the healthy client became is printed, and fails a case
only with --times. To measure that: --quiet 8 --hostile 8 --times 2."""
import argparse
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True

from attackers import ROUTE, ROOT, Broker, Healthy, Lost, Wrong, ask, check, discard, eventually, frame, malformed, raise_file_limit, read_answer
from flood import flood
from remoting import HEARTBEAT, OK, PULL, Connection

SMALL = {"tailBufferBytes": 16 << 20, "maxMessageSize": 2 << 20, "mappedFileSizeCommitLog": 32 << 20, "fileReservedTime": 1, "retentionBytes": 256 << 20}

CASES = []


def case(run):
    CASES.append((run.__name__.replace("_", "-"), run))
    return run


@case
def malformed_input(options, folder):
    """Random bytes, impossible lengths, broken headers, other protocols."""
    rng = random.Random(options.seed)
    with Broker(options.server, folder, **SMALL) as broker:
        quiet = time.monotonic()
        healthy = Healthy(broker)
        time.sleep(options.quiet)
        hostile, sent, kept, rounds = time.monotonic(), 0, [], 0
        while rounds < options.rounds or time.monotonic() < hostile + options.hostile:
            rounds += 1
            for name, data, expected in malformed(rng):
                s = broker.connect()
                s.settimeout(5)
                try:
                    s.sendall(data)
                    if expected == "nothing":
                        kept.append(s)
                        continue
                    got = s.recv(1 << 16)
                    seen = "answer" if got else "close"
                except socket.timeout:
                    seen = "nothing"
                except OSError:
                    seen = "close"
                if name == "HTTP":
                    check(got.startswith(b"HTTP/1.1 400"), f"HTTP was answered with {got[:40]!r}")
                    seen = "close"
                # A frame whose length was made larger waits for its rest: that is for the time limit to end.
                check(seen == expected or expected == "any", f"{name}: {expected} was expected, seen {seen}")
                sent += 1
                s.close()
        check(broker.figures()["connections"] >= len(kept), "half a frame is no reason to close yet")
        for s in kept:
            s.close()
        text = healthy.judge(quiet, hostile)
        f = broker.figures()
        # Nine of them are no frames but for "a header of nothing", which is a frame with a bad header; with 9 this held for few rounds only, by what chance adds.
        check(f["badFrames"] >= 8 * rounds, f"badFrames={f['badFrames']}, {rounds} rounds")
        check(f["badHeaders"] >= 10 * rounds, f"badHeaders={f['badHeaders']}, {rounds} rounds")
        check(f["unsupportedRequests"] >= rounds, "unknown codes are counted")
        check(f["connectionsClosedOtherProtocol"] >= 2 * rounds, "HTTP and TLS are counted")
        return f"{sent} inputs, {f['badFrames']} bad frames, {f['badHeaders']} bad headers; {text}"


@case
def slow_sender(options, folder):
    """A hundred clients that drip a byte at a time; a long poll beside them that says nothing for longer than they may."""
    with Broker(options.server, folder, frameTimeoutSeconds=2, **SMALL) as broker:
        quiet = time.monotonic()
        healthy = Healthy(broker)
        time.sleep(options.quiet)
        hostile = time.monotonic()
        with Connection(broker.address) as waiting:
            waiting.create_topic("Empty")
            polled = []
            poll = threading.Thread(target=lambda: polled.append(waiting.pull("Waiting", "Empty", 0, 0, suspend_ms=6000)))
            poll.start()
            drips = [broker.connect() for _ in range(100)]
            data = frame(310, 1, 0, {"a": "g"}, b"x" * 500)
            alive = set(drips)
            for i in range(60):
                for s in list(alive):
                    try:
                        s.send(data[i:i + 1])
                    except OSError:
                        alive.discard(s)
                if not alive:
                    break
                time.sleep(0.1)
            check(not alive, f"{len(alive)} of 100 dripping connections were open after 6 s")
            closed = broker.counted("connectionsClosedFrameTooSlow", 100)
            poll.join(15)
            check(polled and polled[0].code == 19, f"the long poll was answered with {polled}")
        return f"{closed} closed; the long poll went on; {healthy.judge(quiet, hostile)}"


@case
def never_reads(options, folder):
    """Sixty clients that ask for 512 MiB each and read nothing."""
    budget = 48
    with Broker(options.server, folder, maxConnectionBytes=budget << 20, **SMALL) as broker:
        with Connection(broker.address) as c:
            c.create_topic("Large")
            for _ in range(64):
                check(c.send("Large", os.urandom(128 << 10)).code == OK, "a message was refused")
        quiet = time.monotonic()
        healthy = Healthy(broker)
        time.sleep(options.quiet)
        hostile, before = time.monotonic(), broker.memory()
        broker.forget_peak()
        pull = b"".join(frame(PULL, i, 0, {"consumerGroup": "Greedy", "topic": "Large", "queueId": 0, "queueOffset": 0, "maxMsgNums": 32, "sysFlag": 4,
                                           "commitOffset": 0, "suspendTimeoutMillis": 0, "subscription": "*", "subVersion": 0, "expressionType": "TAG"})
                        for i in range(2048))
        greedy = [broker.connect(receive_buffer=4096) for _ in range(60)]
        for s in greedy:
            s.settimeout(0.05)
            try:
                s.sendall(pull)
            except OSError:
                pass   # it is not read any more: that is what it is about
        time.sleep(max(2, options.hostile))
        f = broker.figures()
        peak = broker.memory("VmHWM")
        check(f["connectionsPausedForMemory"] > 0, f"nobody had to wait: connectionBytes={f['connectionBytes']}")
        check(peak - before < budget + 64, f"{peak - before:.0f} MiB more, for a budget of {budget} MiB")
        check(f["connectionBytes"] < (budget + 32) << 20, f"connectionBytes={f['connectionBytes']}")
        for s in greedy:
            s.close()
        check(eventually(lambda: broker.figures()["connectionBytes"] < 1 << 20), "what they held was not given back")
        until = time.monotonic()
        healthy.stop()
        check(healthy.longest(hostile, until) < 10, "the healthy client stood still")
        # Pulls with messages are refused while memory is short, a send never is.
        refused = [x for x in healthy.failures if "send 0" not in x or "pull 2 " not in x]
        check(not refused, f"the healthy client: {refused[:1]}")
        return f"{peak - before:.0f} MiB at most for 30 GiB asked ({budget} MiB budget), {f['connectionsPausedForMemory']} pauses; " \
               f"{healthy.compare((quiet, hostile), (hostile, until))}, {len(healthy.failures)} pulls told to come again"


@case
def begun_frames(options, folder):
    """Two hundred clients that send half of a frame of 1.5 MiB."""
    budget = 48
    with Broker(options.server, folder, maxConnectionBytes=budget << 20, **SMALL) as broker:
        quiet = time.monotonic()
        healthy = Healthy(broker)
        time.sleep(options.quiet)
        hostile, before = time.monotonic(), broker.memory()
        broker.forget_peak()
        data = frame(310, 1, 0, {"a": "g"}, b"x" * (3 << 19))
        begun = [broker.connect() for _ in range(200)]
        for s in begun:
            s.settimeout(0.05)
            try:
                s.sendall(data[:len(data) // 2])
            except OSError:
                pass
        time.sleep(1)
        check(broker.figures()["connectionsPausedForMemory"] > 0, "nobody had to wait")
        closed = broker.counted("connectionsClosedFrameTooSlow", 20, 20)
        peak = broker.memory("VmHWM")
        check(peak - before < budget + 64, f"{peak - before:.0f} MiB more, for a budget of {budget} MiB")
        text = healthy.judge(quiet, hostile)
        for s in begun:
            s.close()
        check(eventually(lambda: broker.figures()["connectionBytes"] < 1 << 20), "what they held was not given back")
        return f"{peak - before:.0f} MiB at most for 150 MiB sent ({budget} MiB budget), {closed} closed; {text}"


@case
def idle_connections(options, folder):
    """Ten thousand connections of which each has asked for something once."""
    room = raise_file_limit() - 200
    count = min(options.idle, room)
    with Broker(options.server, folder, maxConnections=count + 100, **SMALL) as broker:
        quiet = time.monotonic()
        healthy = Healthy(broker)
        time.sleep(options.quiet)
        before, hostile = broker.memory(), time.monotonic()
        idle = []
        for _ in range(count):
            s = broker.connect()
            s.sendall(frame(ROUTE, 1, 0, {"topic": "Healthy"}))
            idle.append(s)
        for s in idle:
            check(read_answer(s)[0]["code"] in (OK, 17), "a route query was refused")
        check(eventually(lambda: broker.figures()["connections"] >= count), "some are not open")
        each = (broker.memory() - before) * 1024 / count
        check(each < 8, f"{each:.1f} KiB for each idle connection")
        idle_from = time.monotonic()
        time.sleep(max(1, options.hostile))
        idle_until = time.monotonic()
        extra = []
        for _ in range(150):
            try:
                extra.append(broker.connect())
            except OSError:
                pass   # reset before it was looked at
        hung_up = sum(sees_end(s) for s in extra[-40:])
        for s in extra:
            s.close()
        check(hung_up >= len(extra[-40:]) - 10, f"{hung_up} of {len(extra[-40:])} above the limit saw that they were refused")
        refused = broker.counted("connectionsRefusedTooMany", 30)
        for s in idle:
            s.close()
        time.sleep(0.5)
        text = healthy.judge(quiet, hostile, (idle_from, idle_until))
        return f"{count} connections, {each:.1f} KiB each, {refused} above the limit refused; {text}; " \
               f"p99 while they opened {healthy.p99(hostile, idle_from):.1f} ms, while they closed {healthy.p99(idle_until):.1f} ms"


@case
def made_up_names(options, folder):
    """Sends, route queries, heartbeats, pulls and locks with a different name each time."""
    limits = {"maxTopics": 3000, "maxGroups": 3000, "maxQueues": 20000, "maxOffsets": 5000, "maxGroupMembers": 5000}
    with Broker(options.server, folder, **limits, **SMALL) as broker:
        quiet = time.monotonic()
        healthy = Healthy(broker)
        time.sleep(options.quiet)
        hostile, before = time.monotonic(), broker.memory()
        broker.forget_peak()
        kinds = (lambda n: frame(310, n, 0, {"a": f"g{n}", "b": f"HostileTopic{n}", "c": "TBW102", "d": 8, "e": 0, "f": 0, "g": 1, "h": 0, "i": "", "j": 0, "k": "false",
                                             "m": "false"}, b"x"),
                 lambda n: frame(ROUTE, n, 0, {"topic": f"HostileRoute{n}"}),
                 lambda n: frame(HEARTBEAT, n, 0, {}, b'{"clientID":"c%d","producerDataSet":[{"groupName":"P%d"}],"consumerDataSet":[{"groupName":"C%d","consumeType":"CONSUME_PASSIVELY",'
                                 b'"messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{"topic":"T%d","subString":"*"}]}]}' % (n, n, n, n)),
                 lambda n: frame(PULL, n, 0, {"consumerGroup": f"Puller{n}", "topic": "Healthy", "queueId": 0, "queueOffset": 10**9, "maxMsgNums": 1, "sysFlag": 6,
                                              "commitOffset": 0, "suspendTimeoutMillis": 60000, "subscription": "*", "subVersion": 0, "expressionType": "TAG"}),
                 lambda n: frame(15, n, 0, {"consumerGroup": f"Commits{n}", "topic": "Healthy", "queueId": 0, "commitOffset": 1}),
                 lambda n: frame(41, n, 0, {}, b'{"consumerGroup":"Locks%d","clientId":"c%d","mqSet":[{"topic":"Healthy","brokerName":"broker-a","queueId":0}]}' % (n, n)))
        stop, sockets = threading.Event(), [broker.connect() for _ in kinds]
        readers = [discard(s, stop) for s in sockets]
        for s in sockets:
            s.settimeout(60)
        each = 0
        while each < options.names // len(kinds) or time.monotonic() < hostile + options.hostile:
            for s, kind in zip(sockets, kinds):
                s.sendall(b"".join(kind(n) for n in range(each, each + 200)))
            each += 200
        check(eventually(lambda: broker.figures()["refusedTopics"] > 0), "topics have no limit")
        f = broker.figures()
        peak = broker.memory("VmHWM")
        check(f["topics"] <= 3000 and f["groups"] <= 3000 and f["offsets"] <= 5000 and f["groupMembers"] <= 5010, f"limits were passed: {f}")
        check(f["refusedGroups"] > 0 and f["refusedHeartbeats"] > 0, f"{f}")
        check(peak - before < 96, f"{peak - before:.0f} MiB more for {6 * each} names")
        text = healthy.judge(quiet, hostile)
        stop.set()
        for s in sockets:
            s.close()
        return f"{6 * each} names, {peak - before:.0f} MiB more, {f['topics']} topics, {f['refusedTopics']} refused, {f['groups']} groups, {f['refusedGroups']} refused; {text}"


@case
def out_of_descriptors(options, folder):
    """The process may open no more files: who comes is refused at once; when there are descriptors again it goes on."""
    import resource
    with Broker(options.server, folder, **SMALL) as broker:
        healthy_connection = Connection(broker.address)
        healthy_connection.create_topic("Healthy")
        open_now = len(os.listdir(f"/proc/{broker.pid}/fd"))
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (open_now + 10, raise_file_limit()))
        crowd = [broker.connect() for _ in range(40)]
        hung_up = sum(sees_end(s, 0.5) for s in crowd)
        check(hung_up >= 20, f"only {hung_up} of 40 saw that they were refused")
        check(healthy_connection.send("Healthy", b"x").code == OK, "who was connected is not served")
        for s in crowd:
            s.close()
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (4096, raise_file_limit()))
        check(eventually(lambda: ask_quietly(broker), 5), "it does not accept again")
        refused = broker.counted("connectionsRefusedNoDescriptor", 20)
        with open(broker.server.log) as log:
            check("listener.out_of_descriptors" in log.read(), "nothing in the log")
        healthy_connection.close()
        return f"{hung_up} of 40 refused at once, {refused} counted; accepting again when there were descriptors"


def sees_end(sock, limit=10):
    sock.settimeout(limit)
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
    except OSError:
        return False


def ask_quietly(broker):
    try:
        with broker.connect() as s:
            return ask(s, ROUTE, {"topic": "Healthy"})[0]["code"] == OK
    except (OSError, Lost):
        return False


@case
def connections_of_one_address(options, folder):
    """Loopback is exempt, so this goes by the machine's own address, if it has one."""
    own = own_address()
    if own is None:
        return "skipped: this machine has no address but loopback"
    with Broker(options.server, folder, bindAddress="0.0.0.0", maxConnectionsPerAddress=20, **SMALL) as broker:
        sockets = [socket.create_connection((own, broker.port), 5) for _ in range(50)]
        refused = broker.counted("connectionsRefusedOfAddress", 30)
        check(broker.figures()["connections"] <= 22, "more than 20 of one address")
        for s in sockets:
            s.close()
        return f"20 of 50 admitted, {refused} refused"


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))   # sends nothing: it only chooses an address
            own = s.getsockname()[0]
        except OSError:
            return None
    return None if own.startswith("127.") else own


@case
def overload(options, folder):
    """Twice as many messages as there is room for."""
    with Broker(options.server, folder, **{**SMALL, "tailBufferBytes": 4 << 20, "maxMessageSize": 512 << 10}) as broker:
        return flood(broker, options.seconds)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--server", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the program (%(default)s)")
    p.add_argument("--only", metavar="WORD", help="cases with this word in their name")
    p.add_argument("--overload", action="store_true", help="the case `overload` alone")
    p.add_argument("--seconds", type=float, default=12, help="length of the overload (%(default)s)")
    p.add_argument("--idle", type=int, default=10_000, help="idle connections, as far as the limit of open files allows (%(default)s)")
    p.add_argument("--names", type=int, default=60_000, help="made-up names (%(default)s)")
    p.add_argument("--rounds", type=int, default=20, help="of malformed inputs (%(default)s)")
    p.add_argument("--quiet", type=float, default=1, metavar="SECONDS", help="the healthy client is alone for so long first (%(default)s)")
    p.add_argument("--hostile", type=float, default=0, metavar="SECONDS", help="go on attacking for so long at least (%(default)s): a p99 of the healthy client wants some")
    p.add_argument("--times", type=float, default=float("inf"), help="fail when the healthy client's p99 becomes more than so many times what it is alone")
    p.add_argument("--seed", type=int, default=1)
    options = p.parse_args()
    only = "overload" if options.overload else options.only
    Healthy.at_most = options.times
    raise_file_limit()
    work, failed, began = tempfile.mkdtemp(prefix="halfmoon-hostile-"), 0, time.monotonic()
    cases = [(name, run) for name, run in CASES if not only or only in name]
    try:
        for name, run in cases:
            started = time.monotonic()
            try:
                text, word = run(options, os.path.join(work, name)), "ok  "
            except Exception as e:
                failed += 1
                text, word = (str(e) if isinstance(e, Wrong) else traceback.format_exc()), "FAIL"
            print(f"{word} {name}  {text}  ({time.monotonic() - started:.0f} s)", flush=True)
            shutil.rmtree(os.path.join(work, name), ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"-- {time.monotonic() - began:.0f} s")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
