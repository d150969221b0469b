#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9, again and again, of the real program under a mixed load, and a check that it kept every promise (checker.py).

Plain sends one at a time, pipelined and in batches; delayed messages; half messages with verdicts, repeated and contrary ones; checks;
offsets; messages sent back. The process is killed at a random moment, sometimes again during its recovery, sometimes stopped with
SIGTERM; it starts again on the same data. In the end every queue is drained, twice, with one more kill in between."""
import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

sys.dont_write_bytecode = True

import checker
import load
from checker import COMMIT, Verdict
from load import CONSUMERS, DEAD, LONGEST_DELAY_MS, PLAIN, PRODUCERS, REMEMBERED, RETRY, SETTINGS, TOPICS, World
from remoting import END_TRANSACTION, MAX_OFFSET, MIN_OFFSET, OK, Connection, Late, Lost, Server, now_ms

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
            waiting.append((m, v, c.start(END_TRANSACTION, m.half.end_header(m.plan[0]))))
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
    """Everything in all queues, and the group's offsets."""
    world.history.final = {}
    for topic, queues in (*TOPICS, DEAD):
        for queue in range(queues):
            ends = [c.request(code, {"topic": topic, "queueId": queue}) for code in (MIN_OFFSET, MAX_OFFSET)]
            if ends[0].code != OK and topic == DEAD[0]:
                continue  # no dead letter yet
            world.history.final[topic, queue] = *(int(e.ext["offset"]) for e in ends), {}
            at = now_ms()
            for record in c.drain("Drain", topic, queue):
                world.history.saw(record, at, world.life, final=True)
    offsets = {(topic, queue): c.query_offset(CONSUMERS, topic, queue) for topic, queues in TOPICS[:3] for queue in range(queues)}
    for (topic, queue), value in offsets.items():
        world.history.offsets.append((CONSUMERS, topic, queue, "query", value, True, world.life))
    held = {place: (low, high, {o: (s.id, s.body, s.props) for o, s in found.items()}) for place, (low, high, found) in world.history.final.items()}
    return held, offsets


def everything_there(history):
    """Whether all that was acknowledged has arrived, as far as counting tells: what is late is waited for."""
    counts = collections.Counter()
    for (topic, _), (_, _, held) in history.final.items():
        for seen in held.values():
            counts[topic in (RETRY[0], DEAD[0]), seen.id] += 1
    for m in history.messages.values():
        due = m.accepted(COMMIT) if m.kind == "half" else m.outcome == "ok"
        if due and not counts[False, m.id] or any(b[2] == "ok" for b in m.backs) and not counts[True, m.id]:
            return False
    return True


def undecided(world, limit=15):
    """What the broker lists as without a verdict, when producers have had time to answer its checks: unique key -> (state, checks answered "unknown")."""
    deadline = time.monotonic() + limit
    while True:
        listed = subprocess.run([world.server.program, "tx", "list", "--json", "--limit", "0", "--broker", world.server.address], capture_output=True, text=True, check=False)
        if listed.returncode != 0:
            world.violated("C14", f"halfmoon tx list ended with {listed.returncode}: {listed.stderr[-1000:]}")
            return {}
        left = {t["uniqueKey"]: (t["state"], t["unknownAnswers"]) for t in json.loads(listed.stdout)["transactions"]}
        if time.monotonic() > deadline or all(state == "parked" for state, _ in left.values()):
            return left
        time.sleep(0.5)


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
    world.starts += 1
    while how > 0.8:
        world.server.launch(flushDiskType=flush_of(options, dice))
        world.up.set()
        time.sleep(dice.uniform(0.01, 0.1))
        if world.server.process.poll() is not None:
            world.violated("C14", f"the server did not start: exit code {world.server.process.returncode}\n{world.server.tail()}")
        world.up.clear()
        world.server.kill()
        world.starts += 1
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


def finish(world):
    """After the load: everything that is late arrives, then all is drained, and once more after another kill -9."""
    stopped = time.monotonic()
    c = settle(world)
    time.sleep(max(0, LONGEST_DELAY_MS / 1000 + 0.5 - (time.monotonic() - stopped)))
    for _ in range(4):
        before = drain(world, c)
        if everything_there(world.history):
            break
        time.sleep(1.5)
    world.history.undecided, world.history.checks_max = undecided(world), SETTINGS["transactionCheckMax"]
    c.close()
    world.server.kill()
    world.life += 1
    world.server.start()
    with Connection(world.server.address, timeout=30) as c:
        checker.check_same(world.history, before, drain(world, c))
    code = world.server.stop()
    if code != 0:
        world.violated("C14", f"after SIGTERM in the end the server ended with exit code {code}\n{world.server.tail()}")
    verified = subprocess.run([world.server.program, "log", "verify", world.server.settings["storePathRootDir"]], capture_output=True, text=True, check=False)
    if verified.returncode != 0:
        world.violated("C12", f"halfmoon log verify ended with {verified.returncode}: {verified.stdout[-2000:]} {verified.stderr[-2000:]}")


def campaign(world, options, dice, figures, cycle):
    """The load, cycle() again and again beside it, and the end of it all. cycle(world, options, dice, figures) ends a life and begins the next."""
    began, history = time.monotonic(), world.history
    try:
        world.server.start(flushDiskType=flush_of(options, dice))
        with Connection(world.server.address) as c:
            for topic, queues in TOPICS[:3]:
                c.create_topic(topic, queues)
            c.heartbeat(consumer=CONSUMERS, topics=[t for t, _ in TOPICS[:3]])
        world.up.set()
        actors = load.actors(world)
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
        finish(world)
    except (Lost, Late, RuntimeError) as e:
        world.violated("C14", f"the run ended early: {e}; the server's exit code: {world.server.process.poll()}\n{world.server.tail()}")
    finally:
        world.stop.set()
        world.server.kill()


def run(options):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    figures, began = collections.Counter(), time.monotonic()
    work = tempfile.mkdtemp(prefix="halfmoon-crash-")
    world = World(Server(os.path.abspath(options.server), os.path.join(work, "server"), **SETTINGS), seed)
    print(f"-- seed {seed}, {options.cycles} cycles", flush=True)
    campaign(world, options, random.Random(seed), figures, cycle)
    took = time.monotonic() - began
    found = checker.check(world.history)
    kept = f"; data and log kept in {work}" if found and options.keep else ""
    if not kept:
        shutil.rmtree(work, ignore_errors=True)
    bad = report(world.history, found, figures, options, seed, took, kept)
    print(f"{options.cycles - bad} passed, {bad} failed")
    return 1 if bad else 0


def report(history, found, figures, options, seed, took, kept):
    """Prints what was found and what was done; returns the number of cycles to which a violation belongs."""
    for v in found[:options.show]:
        print(f"FAIL seed {seed}, life {v.life}: {v.rule}: {v.text}")
    if len(found) > options.show:
        print(f"FAIL ... and {len(found) - options.show} more: {dict(collections.Counter(v.rule for v in found))}")
    kinds = collections.defaultdict(collections.Counter)
    for m in history.messages.values():
        kinds[m.kind][m.outcome] += 1
    verdicts = collections.Counter("not answered" if v.code is None else v.code for m in history.messages.values() for v in m.verdicts)
    backs = collections.Counter(f"{b[3]} {b[2]}" for m in history.messages.values() for b in m.backs)
    held = sum(len(h) for _, _, h in history.final.values())
    for kind in ("plain", "delayed", "half"):
        refused = collections.Counter(m.code for m in history.messages.values() if m.kind == kind and m.outcome == "refused")
        print(f"-- {kind}: " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(kinds[kind].items())) + (f" with codes {dict(refused)}" if refused else ""))
    print(f"-- verdicts: {dict(verdicts)}; checks: {sum(len(m.asked) for m in history.messages.values())}; sent back: {dict(backs)}; "
          f"locks granted: {history.locks}, topics asked for: {history.topics_asked}; "
          f"offset commits acknowledged: {sum(1 for o in history.offsets if o[3] == 'commit' and o[5])}, asked: {sum(1 for o in history.offsets if o[3] == 'query')}")
    print(f"-- {held} messages in the queues, {history.read_count} reads; " + ", ".join(f"{v} {k}" for k, v in figures.items() if k != "restart ms") +
          f"; slowest restart {figures['restart ms']} ms; {took:.0f} s, checked in {time.monotonic() - took - options.began:.1f} s{kept}")
    bad = len({min(max(v.life, 0), options.cycles - 1) for v in found})
    return bad


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
