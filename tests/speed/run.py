#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions that a message costs on the hot paths, with callgrind, and compares them with those in instructions.json: more than 5 % more
fails; 5 % less says that it is time to record. Nothing is timed. --record writes what was counted. Counts belong to a compiler and its release: with another
one there is nothing to compare, which is said and is no failure. The last line is `N passed, N failed`."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RECORD = os.path.join(HERE, "instructions.json")
SCENARIOS = {"send-json": "a send, JSON header, 64 in a read", "send-binary": "a send, binary header, 64 in a read", "transaction": "half message and commit",
             "pull": "a message of a pull of 32", "check": "a check asked and answered"}
TOLERANCE = 0.05


def compiler():
    return subprocess.run(["c++", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()


def count(program, scenario, work):
    """Instructions a message."""
    counting = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*broker_turn*", f"--callgrind-out-file={work}/{scenario}.out"]
    done = subprocess.run([*counting, program, scenario, os.path.join(work, scenario)], capture_output=True, text=True, timeout=300)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not collected:
        raise RuntimeError(f"{scenario}: exit {done.returncode}: {done.stderr[-1500:]}")
    return int(collected[1]) / int(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "halfmoon_hot_paths"), help="the driver; target halfmoon_hot_paths of the release preset")
    parser.add_argument("--record", action="store_true", help="write the counts to instructions.json")
    parser.add_argument("--keep", metavar="DIR", help="leave callgrind's files there, for callgrind_annotate")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="halfmoon-speed-")
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            counts = dict(zip(SCENARIOS, pool.map(lambda s: count(os.path.abspath(options.program), s, work), SCENARIOS)))
        for scenario in SCENARIOS if options.keep else ():
            shutil.copy(os.path.join(work, f"{scenario}.out"), options.keep)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if options.record:
        with open(RECORD, "w") as f:
            json.dump({"compiler": compiler(), "instructions": {s: round(n) for s, n in counts.items()}}, f, indent=1)
            f.write("\n")
    with open(RECORD) as f:
        record = json.load(f)
    comparable, bad = record["compiler"] == compiler(), 0
    if not comparable:
        print(f"skipped: the counts were recorded with g++ {record['compiler']}, this is {compiler()}")
    for scenario, what in SCENARIOS.items():
        recorded = record["instructions"].get(scenario)
        ratio = counts[scenario] / recorded if recorded else float("inf")
        failed = comparable and ratio > 1 + TOLERANCE
        bad += failed
        print(f"{'FAIL' if failed else 'ok  '} {scenario:12} {counts[scenario]:8.0f} instructions for {what}; recorded {recorded}"
              + ("; less: record it with tests/speed/run.py --record" if ratio < 1 - TOLERANCE else ""))
    print(f"{len(SCENARIOS) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
