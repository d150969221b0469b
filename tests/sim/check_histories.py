#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the histories of simulated lives against the rules that kill -9 runs must obey (tests/crash/checker.py): one checker, one history.

  halfmoon_simulate --seeds 600 --histories FILE     writes what clients asked and saw, one JSON object a line
  tests/sim/check_histories.py FILE                  checks them, seed by seed

A verdict's answer and a check carry the machine's monotonic time, everything else the broker's date, which a simulated life moves at will.
Only lives under SYNC_FLUSH are written: with ASYNC_FLUSH a power cut may take what was acknowledged, and the rules know no such broker.
The last line is "N passed, N failed"."""
import collections
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))
import checker  # noqa: E402

# What a reader adds or takes away beyond what the load of tests/crash uses.
checker.ADDED = checker.ADDED | {"PGROUP"}
checker.REMOVED = checker.REMOVED | {"TIMER_DELAY_SEC", "TIMER_DELIVER_MS"}
checker.LATE_CHECK_MS = 0  # nothing is on its way here: a check after the answer is wrong

Record = collections.namedtuple("Record", "topic queue offset position store_ms properties body crc")


class History(checker.History):
    def saw(self, record, at_ms, life, final=False):
        seen = checker.Seen(record.body, record.crc, record.properties, record.store_ms, record.position, at_ms, life, 0)  # no retries in this world
        place = record.topic, record.queue, record.offset
        first = self.reads.setdefault(place, seen)
        self.read_count += 1
        if (first.id, first.body, first.store_ms, first.position, first.props) != (seen.id, seen.body, seen.store_ms, seen.position, seen.props):
            self.violations.append(checker.Violation("C3", life, f"{place} held {first.id} in life {first.life} and holds {seen.id} in life {life}"))
        if final:
            self.final[record.topic, record.queue][2][record.offset] = seen


class Seed:
    """One life's history, built from its lines."""

    def __init__(self, number):
        self.number, self.history, self.verdicts, self.events, self.released = number, History(), {}, 0, False

    def add(self, line):
        self.events += 1
        kind = line["e"]
        h = self.history
        if kind == "send":
            h.add(checker.Message(line["id"], line["kind"], line["topic"], line["queue"], line["life"], line["at"], line["crc"], line["props"],
                                  delay_ms=line["delay"]))
        elif kind == "sent":
            h.messages[line["id"]].answered(line["code"], line.get("offset"))
            if h.messages[line["id"]].kind != "plain":
                h.messages[line["id"]].offset = None
        elif kind == "verdict":
            self.verdicts[line["n"]] = [line, None, None]
        elif kind == "verdict answered" and line["n"] in self.verdicts:
            self.verdicts[line["n"]][1:] = [None if line["code"] == 10 else line["code"], line["at"]]
        elif kind == "asked":
            h.messages[line["id"]].asked.append((line["at"], line["life"]))
        elif kind == "queue":
            h.final[line["topic"], line["queue"]] = line["min"], line["max"], {}
        elif kind == "released":
            self.released = True
        elif kind == "read":
            h.saw(Record(line["topic"], line["queue"], line["offset"], line["position"], line["store_ms"], line["props"], line["body"], line["crc"]),
                  line["at"], line["life"], bool(line["final"]))

    def check(self):
        for m in self.history.messages.values():
            m.lost()
        for asked, code, at in self.verdicts.values():
            m = self.history.messages[asked["id"]]
            m.verdicts.append(checker.Verdict(asked["kind"], asked["how"], code, asked["at"], at, asked["life"], ""))
        # The topic that lists parked half messages shows what is not committed, on purpose.
        for table in (self.history.final, self.history.reads):
            for place in [p for p in table if p[0].startswith("TRANS_")]:
                del table[place]
        # What retention took is not missing.
        gone = {seen.id for (topic, queue, offset), seen in self.history.reads.items() if offset < self.history.final.get((topic, queue), (0,))[0]}
        return [v for v in checker.check(self.history) if not (self.released and (v.rule in ("C1", "C7") and ("is lost" in v.text or "is nowhere" in v.text)
                                                                             or "refused with code 1" in v.text)) and v.text.split()[0] not in gone]


def seeds(lines):
    seed = None
    for text in lines:
        line = json.loads(text)
        if line["e"] == "seed":
            if seed:
                yield seed
            seed = Seed(line["seed"])
        else:
            seed.add(line)
    if seed:
        yield seed


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 2
    good = bad = events = reads = 0
    with open(sys.argv[1], encoding="utf-8") as lines:
        for seed in seeds(lines):
            violations = seed.check()
            events, reads = events + seed.events, reads + seed.history.read_count
            if violations:
                bad += 1
                if bad <= 10:
                    v = violations[0]
                    print(f"FAIL seed {seed.number}  {v.rule} in life {v.life}: {v.text} ({len(violations)} in all)")
            else:
                good += 1
    print(f"{good + bad} histories, {events} events, {reads} messages read")
    print(f"{good} passed, {bad} failed")
    return 1 if bad or not good or not reads else 0


if __name__ == "__main__":
    sys.exit(main())
