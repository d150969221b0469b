#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The client that means well, in a process of its own, so that it waits for the broker only and not for the attackers' interpreter.

Sends and pulls one message after the other until its standard input ends, then writes a JSON object: `times`, a list of [when it began, seconds that it took], by the
machine's monotonic clock, and `failures`. Runs in the real-time class where it may: what is measured is the broker, not the queue for a processor."""
import json
import os
import select
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))
sys.dont_write_bytecode = True

from remoting import OK, Connection, Late, Lost

PAUSE_S = 0.004


def main():
    address, topic = sys.argv[1:]
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass
    times, failures, connection, offset = [], [], None, 0
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        began = time.monotonic()
        try:
            if connection is None:
                connection = Connection(address)
            answer = connection.send(topic, b"x" * 200)
            got = connection.pull("HealthyGroup", topic, 0, offset)
            if answer.code != OK or got.code != OK:
                failures.append(f"send {answer.code} {answer.remark}, pull {got.code} {got.remark}")
            else:
                offset = got.next
                times.append((began, time.monotonic() - began))
        except (Lost, Late) as e:
            failures.append(repr(e))
            connection = None
    json.dump({"times": times, "failures": failures}, sys.stdout)


main()
