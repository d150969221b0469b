#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the broker, of transactional producers, and of both at once, while the producers' local transactions go into a real database.
In the end the committed rows and the messages of the topic must be the same, exactly. README.md tells the whole story."""
import argparse
import collections
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))

import agreement
import programs
import remoting
import self_check
from agreement import Delivery, Evidence, Message, Row, Violation
from remoting import OK, Connection, Lost, Server

TOPIC, QUEUES, PRODUCERS, CONSUMERS = "Orders", 4, "Shop", "Warehouse"
PARKING = "TRANS_CHECK_MAX_TIME_TOPIC"
INTERVAL_MS = 500
SETTINGS = {"transactionTimeOut": 300, "transactionCheckInterval": INTERVAL_MS, "transactionCheckMax": 15, "snapshotIntervalSeconds": 1,
            "snapshotLogBytes": 1 << 20, "logLevel": "warn"}
ROWS = "SELECT transaction_id, id, payload FROM orders", "SELECT transaction_id, verdict FROM verdicts"
EFFECTS = "SELECT id FROM processed", "SELECT 1000000 - quantity FROM stock"
LOAD = 20      # commits in each cycle before anything is killed
LOSSES = 3     # with --no-tombstone: so many transactions must be seen to be rolled back by a check and then committed, with nothing killed afterwards
PATIENCE = 90  # seconds for anything that must happen


class Stuck(Exception):
    """Something that must happen did not."""


class Reader:
    """Reads a topic by raw pulls, from where it stopped."""

    def __init__(self, topic, queues):
        self.topic, self.next, self.messages = topic, [0] * queues, []

    def go_on(self, connection):
        for queue in range(len(self.next)):
            while True:
                got = connection.pull("Drain", self.topic, queue, self.next[queue], 256)
                if got.code != OK:
                    break
                self.messages += [Message(queue, r.offset, r.properties.get("UNIQ_KEY"), r.properties.get("KEYS"), hash(r.body)) for r in got.records]
                self.next[queue] = got.next
        return self


class World:
    def __init__(self, options, client, seed, work):
        self.options, self.client, self.work = options, client, work
        self.dice, self.figures = random.Random(f"{seed}/{client.name}"), collections.Counter()
        self.server = Server(os.path.abspath(options.server), os.path.join(work, "server"), **SETTINGS)
        self.databases = os.path.join(work, "databases")
        os.makedirs(self.databases)
        self.orders, self.warehouse = os.path.join(self.databases, "orders"), os.path.join(self.databases, "warehouse")
        self.lives, self.producers, self.past, self.consumers, self.kills = 0, [], [], [], []

    def start_server(self):
        flush = self.options.flush or self.dice.choice(("SYNC_FLUSH", "ASYNC_FLUSH"))
        self.server.start(flushDiskType=flush)

    def start_producer(self, **more):
        self.lives += 1
        self.producers.append(self.client.producer(os.path.join(self.work, "home"), ns=self.server.ns, topic=TOPIC, group=PRODUCERS, db=self.orders,
                                                   life=f"L{self.lives}", seed=self.dice.randrange(1 << 31), tombstone=not self.options.no_tombstone, **more))

    def start_consumer(self):
        self.consumers.append(self.client.example("idempotent_consumer", os.path.join(self.work, "home"), ns=self.server.ns, topic=TOPIC, group=CONSUMERS,
                                                  db=self.warehouse))

    def revive(self):
        """Starts what does not run: killed, or dead by its own plan."""
        for p in [p for p in self.producers if not p.running()]:
            p.kill()
            if p.process.returncode not in (-signal.SIGKILL, 137):
                raise Stuck(f"a producer ended by itself with exit code {p.process.returncode}\n{p.tail()}")
            self.producers.remove(p)
            self.past.append(p)
        while len(self.producers) < self.client.producers:
            self.start_producer()
        if not self.consumers or not self.consumers[-1].running():
            self.start_consumer()

    def wait(self, what, ready, limit=PATIENCE):
        deadline = time.monotonic() + limit
        while not ready():
            if time.monotonic() > deadline:
                raise Stuck(f"{what}: not in {limit} s\nserver:\n{self.server.tail()}" +
                            "".join(f"\n{name}:\n{p.tail()}" for name, p in [*(("producer", p) for p in self.producers), ("consumer", self.consumers[-1])]))
            time.sleep(0.02)

    def placed(self):
        return sum(len(p.words("PLACED")) for p in self.producers)

    # one cycle

    def cycle(self):
        """Load, then a kill, then a start. Mostly at a moment when the load has been seen to run, sometimes at any."""
        self.revive()
        if self.dice.random() < 0.9:
            before = self.placed()
            self.wait(f"{LOAD} commits", lambda: self.placed() - before >= LOAD or not all(p.running() for p in self.producers))
        time.sleep(self.dice.uniform(0, 1.0))
        kind = self.dice.choices(("broker", "a producer", "all producers", "broker and producers"), (40, 20, 10, 30))[0]
        victims = {"a producer": [self.dice.choice(self.producers)], "broker": []}.get(kind, self.producers)
        if self.dice.random() < 0.2:
            victims = [*victims, self.consumers[-1]]
            self.figures["consumer"] += 1
        self.figures[kind] += 1
        if "broker" in kind:
            self.server.process.kill()
        for v in victims:
            v.signal_kill()
        since = time.monotonic()
        for v in victims:
            v.kill()
        if "broker" in kind:
            self.restart()
        self.kills.append((since, time.monotonic()))

    def restart(self):
        self.server.kill()
        time.sleep(self.dice.choice((0, 0.05, 0.3)))
        while self.dice.random() < 0.15:
            self.server.launch()
            time.sleep(self.dice.uniform(0.01, 0.1))
            self.server.kill()
            self.figures["broker while starting"] += 1
        if self.dice.random() < 0.3:
            self.revive()  # the producers are there before the broker
        self.start_server()

    # the end

    def contradicted(self, since):
        """The ids that a check rolled back because there was no row, and whose row was seen to be committed after that."""
        rolled_back, placed = {}, set()
        lines = sorted((at, line) for p in (*self.past, *self.producers) for at, line in list(p.lines) if at >= since and line.startswith(("CHECK ", "PLACED ")))
        for at, line in lines:
            words = line.split(" ")
            if words[0] == "CHECK" and words[2] == "rollback":
                rolled_back[words[1]] = at
            elif words[0] == "PLACED" and at > rolled_back.get(words[1], at):
                placed.add(words[1])
        return placed

    def see_losses(self):
        """A short campaign may end before any check has met a local transaction on its way: goes on, killing nothing, until some have."""
        since = time.monotonic()
        self.wait(f"{LOSSES} transactions that a check rolled back and that were committed then", lambda: self.revive() or len(self.contradicted(since)) >= LOSSES)

    def rows(self):
        orders, verdicts = self.client.query(self.databases, self.orders, *ROWS)
        return {t: Row(id, hash(payload.encode())) for t, id, payload in orders}, dict(verdicts)

    def settle(self):
        """Everything is killed once more. Then one producer answers checks until there are none, and all that is committed must come."""
        for p in (*self.producers, *self.consumers[-1:]):
            p.signal_kill()
        self.server.kill()
        since = time.monotonic()
        for p in (*self.producers, *self.consumers[-1:]):
            p.kill()
        self.kills.append((since, time.monotonic()))
        self.past += self.producers
        self.producers = []
        self.start_server()
        committed = set(self.rows()[0])
        self.start_consumer()
        self.start_producer(threads=0)
        last, reader = self.producers[-1], Reader(TOPIC, QUEUES)
        with Connection(self.server.address) as c:
            def everything():
                reader.go_on(c)
                # The last producer's own message is committed by a check only: that it is there shows that checks are asked.
                asked = any((m.id or "").startswith(f"L{self.lives}-last-") for m in reader.messages)
                return asked and (self.options.no_tombstone or committed <= {m.transaction for m in reader.messages})

            try:
                self.wait("every committed message", everything)
            except Stuck as e:
                print(f"-- {e}", flush=True)
            self.quiet(lambda: (len(last.lines), len(reader.go_on(c).messages)))
        return reader

    def quiet(self, state, seconds=5 * INTERVAL_MS / 1000):
        """Until nothing has changed for so long."""
        last = [None, 0]

        def unchanged():
            now = state()
            if now != last[0]:
                last[:] = now, time.monotonic()
            return time.monotonic() - last[1] >= seconds

        self.wait("the end of checks and deliveries", unchanged)

    def drain(self):
        with Connection(self.server.address) as c:
            messages = Reader(TOPIC, QUEUES).go_on(c).messages
            return messages, len(Reader(PARKING, 1).go_on(c).messages)

    def evidence(self):
        e = Evidence()
        if self.options.no_tombstone:
            self.see_losses()
        reader = self.settle()
        e.messages = reader.messages
        ids = {m.id for m in e.messages}
        delivered = lambda: {words[1] for p in self.consumers for words in p.words("SHIPPED", "AGAIN")}
        try:
            self.wait("every message at the consumer", lambda: ids <= delivered())
        except Stuck as stuck:
            print(f"-- {stuck}", flush=True)
        self.consumers[-1].stop()
        self.producers[-1].kill()
        self.past += self.producers
        self.server.kill()
        self.start_server()
        e.again, e.parked = self.drain()
        e.rows, e.verdicts = self.rows()
        processed, shipped = self.client.query(self.databases, self.warehouse, *EFFECTS)
        e.processed, e.shipped = {row[0] for row in processed}, [int(row[0]) for row in shipped]
        for p in self.past:
            e.plans.update((words[2], words[3]) for words in p.words("HALF"))
            e.placed.update(words[1] for words in p.words("PLACED"))
            e.rolled_back.update(words[1] for words in p.words("CHECK") if words[2] == "rollback")
        e.deliveries = sorted(Delivery(at, life, line.split(" ")[1]) for life, p in enumerate(self.consumers) for at, line in p.lines
                              if line.startswith(("SHIPPED ", "AGAIN ")))
        e.kills = self.kills
        return e

    def summary(self, e, seconds):
        checks = collections.Counter(words[2] for p in self.past for words in p.words("CHECK"))
        kills = [f"{n} {what}" for what, n in self.figures.items()]
        dead = sum(e.plans[t].startswith("die") for t in e.plans)
        return (f"{seconds:.0f} s; killed: {', '.join(kills)}, {dead} producers in the middle by plan; {len(e.plans)} transactions, {len(e.rows)} committed, "
                f"{sum(v == 'rollback' for v in e.verdicts.values())} tombstones; checks answered: {dict(sorted(checks.items()))}; {len(e.messages)} messages, "
                f"{len(e.deliveries)} deliveries to the consumer, {len(e.deliveries) - len(e.processed)} of them repeated, "
                f"{len(e.deliveries) - len({(d.life, d.id) for d in e.deliveries})} of these within one life of the consumer")

    def close(self):
        """What everybody printed stands in the working folder afterwards, in case that it is kept."""
        for p in (*self.producers, *self.consumers):
            p.kill()
        self.server.kill()
        for name, printed in (("producers", (*self.past, *self.producers)), ("consumers", self.consumers)):
            with open(os.path.join(self.work, name), "w") as f:
                f.writelines(f"{life} {at:.3f} {line}\n" for life, p in enumerate(printed) for at, line in p.lines)


def run(options, client, cycles, seed):
    began, work = time.monotonic(), tempfile.mkdtemp(prefix="halfmoon-tx-")
    world = World(options, client, seed, work)
    print(f"-- {client.name}: seed {seed}, {cycles} cycles", flush=True)
    found, text = [], ""
    try:
        world.start_server()
        with Connection(world.server.address) as c:
            c.create_topic(TOPIC, QUEUES)
        for i in range(cycles):
            world.cycle()
            if (i + 1) % 10 == 0:
                print(f"-- {i + 1} cycles, {time.monotonic() - began:.0f} s, {world.placed()} commits by the producers of now", flush=True)
        e = world.evidence()
        found, text = agreement.check(e), world.summary(e, time.monotonic() - began)
        if options.no_tombstone:
            found += agreement.check_losses(e)
        if not e.rows or not options.no_tombstone and "rollback" not in e.verdicts.values():
            found.append(Violation("no evidence", "there must be commits and tombstones"))
    except (Stuck, Lost, RuntimeError) as e:
        found.append(Violation("stuck", str(e)))
    except Exception:  # a mistake in this file must be seen as a failure
        found.append(Violation("failed", traceback.format_exc()))
    finally:
        world.close()
    counts = collections.Counter(v.rule for v in found)
    good = set(counts) == {"missing"} if options.no_tombstone else not found
    print(f"{'ok  ' if good else 'FAIL'} {client.name}  {'; '.join([f'{n} {rule}' for rule, n in counts.items()] + [text])}", flush=True)
    for rule, n in counts.items():
        print(f"   {rule}: {n}{'; ' + agreement.RULES[rule] if rule in agreement.RULES else ''}")
        for v in [v for v in found if v.rule == rule][:5]:
            print(f"      {v.text}")
    if options.keep or not good:
        print(f"-- kept: {work}; again with --seed {seed}", flush=True)
    else:
        shutil.rmtree(work, ignore_errors=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=40, help="of each client; with several, half of them go to the first and the rest is shared")
    parser.add_argument("--client", default=",".join(c.name for c in programs.CLIENTS), help="some of %(default)s")
    parser.add_argument("--server", metavar="FILE", default=os.path.join(programs.ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--flush", choices=("SYNC_FLUSH", "ASYNC_FLUSH"), help="always so; otherwise by chance at each start")
    parser.add_argument("--keep", action="store_true", help="keep the working folder also when nothing is wrong")
    parser.add_argument("--self-check", action="store_true", help="seeded faults against the checker")
    parser.add_argument("--no-tombstone", action="store_true", help="the producers answer checks unsafely: passes if committed rows are found to miss their message")
    options = parser.parse_args()
    if options.self_check:
        return self_check.main()
    clients = [c for c in programs.CLIENTS if c.name in options.client.split(",")]
    if not clients:
        sys.exit(f"run.py: there is no client {options.client}")
    if not os.access(options.server, os.X_OK):
        sys.exit(f"run.py: {options.server} is not there: build it first, or name it with --server")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    shares = [options.cycles] if len(clients) == 1 else [options.cycles // 2] + [options.cycles // 2 // (len(clients) - 1)] * (len(clients) - 1)
    passed = 0
    for client, cycles in zip(clients, shares):
        client.build()
        passed += run(options, client, cycles, seed)
    print(f"{passed} passed, {len(clients) - passed} failed")
    return 0 if passed == len(clients) else 1


if __name__ == "__main__":
    sys.exit(main())
