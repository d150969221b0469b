#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`halfmoon tx` against the real program: a producer that stays silent, one that does not know, and an operator who looks and decides.
The last line is `N passed, N failed`."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from remoting import COMMIT, OK, ROLLBACK, UNKNOWN, Connection, Server

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETTINGS = {"transactionTimeOut": 500, "transactionCheckInterval": 500, "transactionCheckMax": 2}
RESULTS = []


def check(name, good, saw=""):
    RESULTS.append(bool(good))
    print(f"{'ok  ' if good else 'FAIL'} {name}{'' if good else '  saw ' + str(saw)[:600]}", flush=True)


def until(condition, limit=20):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--show", action="store_true", help="print what the commands print")
    options = parser.parse_args()
    program, work = os.path.abspath(options.server), tempfile.mkdtemp(prefix="halfmoon-tx-")
    server = Server(program, os.path.join(work, "s"), **SETTINGS)

    def tx(*words, stdin=subprocess.DEVNULL, broker=True):
        done = subprocess.run([program, "tx", *words, *(["--broker", server.address] if broker else [])], capture_output=True, text=True, stdin=stdin, timeout=60)
        if options.show:
            print(f"$ halfmoon tx {' '.join(words)}\n{done.stdout}{done.stderr}[exit {done.returncode}]\n")
        return done

    def as_json(*words):
        done = tx(*words, "--json")
        return json.loads(done.stdout) if done.stdout else {}

    try:
        check("no broker there: exit 1 and what to do", (r := tx("list")).returncode == 1 and "halfmoon server" in r.stderr, r)
        server.start()
        check("an empty list", (r := tx("list")).returncode == 0 and r.stdout == "" and "0 half messages" in r.stderr, r)

        silent = Connection(server.address)                                    # is asked, and says nothing
        unsure = Connection(server.address, lambda c, q: c.answer_check(q, "shipping", UNKNOWN))
        topic = silent.create_topic("orders")
        silent.heartbeat(producer="billing")
        unsure.heartbeat(producer="shipping")
        a = silent.half(topic, b"order 17", "billing", {"KEYS": "17", "TAGS": "new"})
        b = unsure.half(topic, b"order 18", "shipping", {"KEYS": "18"})
        gone = Connection(server.address)
        c = gone.half(topic, b"order 19", "nobody", {"KEYS": "19"})
        gone.close()
        states = lambda: {t["uniqueKey"]: t["state"] for t in as_json("list", "--state", "all").get("transactions", [])}
        until(lambda: states() == {a.key: "pending", b.key: "parked", c.key: "waiting"})
        check("pending, parked and waiting", states() == {a.key: "pending", b.key: "parked", c.key: "waiting"}, states())
        r = tx("list")
        check("the table shows all three", r.returncode == 0 and all(h.key in r.stdout for h in (a, b, c)) and "no producer" in r.stdout and "3 half messages" in r.stderr, r)
        for words, keys in ((("--state", "parked"), [b.key]), (("--group", "billing"), [a.key]), (("--topic", "other"), []), (("--older-than", "1h"), []),
                            (("--younger-than", "1h", "--limit", "2"), [a.key, b.key])):
            got = [t["uniqueKey"] for t in as_json("list", *words).get("transactions", [])]
            check("list " + " ".join(words), got == keys, got)
        page = as_json("list", "--limit", "2")
        rest = as_json("list", "--cursor", str(page["nextCursor"]))
        check("a cursor goes on where the page ended", [t["uniqueKey"] for t in rest["transactions"]] == [c.key] and rest["nextCursor"] is None, rest)
        check("a state that is none: exit 2", (r := tx("list", "--state", "done")).returncode == 2 and "rolled-back" in r.stderr, r)
        check("a duration that is none: exit 2", (r := tx("list", "--older-than", "soon")).returncode == 2 and "10m" in r.stderr, r)

        shown = as_json("show", str(b.position))
        words = [e["event"] for e in shown["history"]]
        check("show has the history", words == ["sent", "asked", "answered-unknown", "asked", "answered-unknown", "parked"] and shown["historyBegins"] == "complete", words)
        check("show names who was asked", shown["history"][1].get("client") == unsure.client_id and shown["keys"] == "18", shown)
        check("show by message id and by unique key", as_json("show", shown["messageId"])["uniqueKey"] == b.key == as_json("show", b.key)["uniqueKey"])
        r = tx("show", str(a.position))
        check("show for people", r.returncode == 0 and "half message stored, sent from 127.0.0.1:" in r.stdout and f"asked {silent.client_id}" in r.stdout, r)
        check("show what is not there: exit 3", (r := tx("show", "NOSUCHKEY")).returncode == 3 and "no half message" in r.stderr, r)

        check("a verdict needs a reason", (r := tx("commit", str(a.position))).returncode == 2 and "--reason" in r.stderr, r)
        check("a verdict needs half messages", tx("commit", "--reason", "r").returncode == 2)
        r = tx("rollback", "--topic", topic, "--reason", "r", "--dry-run")
        check("a dry run says what would be, and does nothing", r.returncode == 0 and r.stdout.count("would-be-rolled-back") == 3 and states()[a.key] == "pending", r)
        r = tx("rollback", "--topic", topic, "--reason", "r")
        check("more than one without a terminal: exit 2, nothing done", r.returncode == 2 and "--yes" in r.stderr and states()[a.key] == "pending", r)

        r = tx("commit", a.key, "--reason", "order 17 is in the database", "--operator", "eve")
        check("commit", r.returncode == 0 and r.stdout.startswith("committed"), r)
        time.sleep(0.3)
        check("and it is delivered", [m.body for m in silent.drain("G", topic, 0)] == [b"order 17"])
        check("the producer's contrary verdict is refused", silent.end(a, ROLLBACK).code == 604 and silent.end(a, COMMIT).code == OK)
        last = as_json("show", str(a.position))["history"][-2:]
        check("both are in the history", last[0]["event"] == "committed" and last[0]["operator"] == "eve" and last[0]["reason"] == "order 17 is in the database"
              and last[1]["event"] == "refused" and last[1]["verdict"] == "rollback", last)
        check("the contrary one of an operator: exit 3", (r := tx("rollback", a.key, "--reason", "r")).returncode == 3 and "final" in r.stdout, r)
        check("resume what is not parked: exit 3", (r := tx("resume", str(c.position), "--reason", "r")).returncode == 3 and "not parked" in r.stdout, r)
        r = tx("resume", "--state", "parked", "--reason", "the database is back", "--json")
        check("resume", r.returncode == 0 and [x["result"] for x in json.loads(r.stdout)["results"]] == ["resumed"], r)
        until(lambda: states()[b.key] == "parked")
        check("it was asked about again, and is parked again", [e["event"] for e in as_json("show", b.key)["history"]].count("parked") == 2)
        r = tx("rollback", "--topic", topic, "--reason", "cancelled, ticket 4711", "--yes")
        check("roll back all that is left", r.returncode == 0 and r.stdout.count("rolled-back") == 2, r)
        check("nothing is open any more", as_json("list")["transactions"] == [] and states() == {a.key: "committed", b.key: "rolled-back", c.key: "rolled-back"}, states())
        check("SIGTERM ends it with 0", server.stop() == 0)
    finally:
        server.kill()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
    return 0 if all(RESULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
