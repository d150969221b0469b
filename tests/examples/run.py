#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the programs in examples/ against the real broker, kills them where it hurts, and looks at what their databases and the topics hold."""
import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("raw", "txkill"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import programs
from remoting import Connection, Server

SETTINGS = {"transactionTimeOut": 4000, "transactionCheckInterval": 500, "logLevel": "warn"}
# Milliseconds that a program waits at the place where it is to be killed: longer than a busy machine needs to do it, and shorter than a check
# takes to come; or, to be overtaken by a check, much longer than that.
SHORT, LONG = 2500, 10000
ORDERS = {f"order-{n}": n for n in range(1, 7)}


class Failure(Exception):
    pass


def expect(good, text):
    if not good:
        raise Failure(text)


class Stage:
    """One case of one language: its topic, its folder, its programs."""

    def __init__(self, server, client, name, work):
        self.server, self.client, self.name = server, client, f"{client.name}/{name}"
        self.folder, self.topic, self.started = os.path.join(work, client.name, name), f"{name}-{client.name}".replace(".", "-"), []
        self.orders, self.warehouse = os.path.join(self.folder, "orders.db"), os.path.join(self.folder, "warehouse.db")
        with Connection(server.address) as c:
            c.create_topic(self.topic, 1)

    def start(self, program, *arguments, pause=0, **options):
        db = self.warehouse if program == "idempotent_consumer" else self.orders
        self.started.append(self.client.example(program, self.folder, *arguments, pause=pause, ns=self.server.ns, topic=self.topic, db=db,
                                                group=f"{program}-{self.topic}", **options))
        return self.started[-1]

    def seen(self, program, pattern):
        found = program.wait_for(pattern)
        expect(found, f"never printed {pattern}:\n{program.tail()}")
        return found

    def anywhere(self, beginning, limit=60):
        deadline = time.monotonic() + limit
        while not any(line.startswith(beginning) for p in self.started for _, line in list(p.lines)):
            expect(time.monotonic() < deadline, f"nobody printed {beginning}\n{self.started[-1].tail()}")
            time.sleep(0.02)

    def bodies(self):
        with Connection(self.server.address) as c:
            return [r.properties.get("KEYS") for r in c.drain("Look", self.topic, 0)]

    def consume(self, wanted, twice=()):
        """Runs the consumer until it has met all these ids, some of them twice, stops it in order, and tells what stands in its database."""
        consumer = self.start("idempotent_consumer")
        for id in wanted:
            self.seen(consumer, rf"^(SHIPPED|AGAIN) {id}$")
        for id in twice:
            self.seen(consumer, f"^AGAIN {id}$")
        consumer.stop()
        processed, shipped = self.client.query(self.folder, self.warehouse, "SELECT id FROM processed ORDER BY id", "SELECT item, 1000000 - quantity FROM stock")
        return sorted(row[0] for row in processed), shipped

    def again(self):
        return sum(len(p.words("AGAIN")) for p in self.started)

    def close(self):
        for p in self.started:
            p.kill()


def arguments(orders):
    return [f"{id}=moon-cake {quantity}" for id, quantity in orders.items()]


def idempotent_consumer(s):
    """Killed twice between the effect and the acknowledgement: each message comes again, its effect does not."""
    producer = s.start("transactional_producer", *arguments(ORDERS))
    s.seen(producer, "^DONE")
    for _ in range(2):
        consumer = s.start("idempotent_consumer", pause=SHORT)
        s.seen(consumer, "^(SHIPPED|AGAIN)")
        consumer.kill()
    processed, shipped = s.consume(ORDERS)
    expect(processed == sorted(ORDERS), f"processed: {processed}")
    expect(shipped == [("moon-cake", str(sum(ORDERS.values())))], f"shipped: {shipped}")
    expect(s.again() >= 2, "nothing was delivered twice: the case shows nothing")
    return f"{s.again()} deliveries were repeated, {len(processed)} orders shipped once each, in all {shipped[0][1]}"


def outbox(s):
    """The relay is killed between sending and deleting: the message is there twice, its effect once, and in order."""
    relay = s.start("outbox_relay", *arguments(ORDERS), pause=SHORT)
    s.seen(relay, "^SENT order-2$")
    relay.kill()
    relay = s.start("outbox_relay")
    s.seen(relay, "^SENT order-6$")
    time.sleep(0.5)  # deletes it
    relay.kill()
    left, = s.client.query(s.folder, s.orders, "SELECT id FROM outbox")
    expect(left == [], f"left in the outbox: {left}")
    expect(s.bodies() == ["order-1", "order-2", "order-2", "order-3", "order-4", "order-5", "order-6"], f"in the topic: {s.bodies()}")
    processed, shipped = s.consume(ORDERS, twice=["order-2"])
    expect(processed == sorted(ORDERS) and shipped == [("moon-cake", str(sum(ORDERS.values())))], f"processed {processed}, shipped {shipped}")
    return f"order-2 was sent twice, {len(processed)} orders shipped once each, in all {shipped[0][1]}"


def transactional(s):
    """Committed, refused, killed before and after the local commit, and overtaken by a check: rows and messages agree."""
    producer = s.start("transactional_producer", "fine=moon-cake 3", "greedy=moon-cake 900")
    s.seen(producer, "^DONE")
    producer.kill()
    for id, moment in (("before", "HALF before"), ("after", "PLACED after")):
        producer = s.start("transactional_producer", f"{id}=moon-cake 1", pause=SHORT)
        s.seen(producer, "^" + moment)
        producer.kill()
    producer = s.start("transactional_producer")
    s.anywhere("CHECK before false")  # the producer that was killed since then may have been asked already
    s.anywhere("CHECK after true")
    producer.kill()
    producer = s.start("transactional_producer", "late=moon-cake 1", pause=LONG)
    s.seen(producer, "^CHECK late false")
    s.seen(producer, "^REFUSED late .*already")
    s.seen(producer, "^DONE")
    producer.kill()
    rows, = s.client.query(s.folder, s.orders, "SELECT id FROM orders ORDER BY id")
    processed, _ = s.consume(("fine", "after"))
    expect([row[0] for row in rows] == ["after", "fine"], f"rows: {rows}")
    expect(sorted(s.bodies()) == ["after", "fine"], f"in the topic: {s.bodies()}")
    expect(processed == ["after", "fine"], f"processed: {processed}")
    return "2 of 5 orders are rows and messages; refused by the shop, killed before the commit, and overtaken by a check: neither row nor message"


CASES = {"idempotent-consumer": idempotent_consumer, "outbox": outbox, "transactional": transactional}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", metavar="FILE", default=os.path.join(programs.ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--only", metavar="PART", default="", help="cases with this in their name")
    options = parser.parse_args()
    clients = [programs.Go(), programs.Java("5.3.3")]
    for client in clients:
        client.build(campaign=isinstance(client, programs.Java))
    work = tempfile.mkdtemp(prefix="halfmoon-examples-")
    server = Server(os.path.abspath(options.server), os.path.join(work, "server"), **SETTINGS).start()
    wrong = programs.building.go_test("the examples' own tests in Go", os.path.join(programs.EXAMPLES, "go"))
    results, printing = [not wrong], threading.Lock()
    print(wrong, end="", flush=True)

    def run(client):
        for name, case in CASES.items():
            stage = Stage(server, client, name, work)
            if options.only not in stage.name:
                continue
            began, wrong, text = time.monotonic(), None, ""
            try:
                text = case(stage)
            except Failure as e:
                wrong = str(e)
            except Exception:  # a mistake in this file must be seen as a failure
                wrong = traceback.format_exc()
            finally:
                stage.close()
            with printing:
                results.append(not wrong)
                print(f"{'FAIL' if wrong else 'ok  '} {stage.name}  ({time.monotonic() - began:.1f} s)  {wrong or text}", flush=True)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    server.kill()
    shutil.rmtree(work, ignore_errors=True)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
