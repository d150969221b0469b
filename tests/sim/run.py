#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Simulated lives of the core (src/testkit/simulated_world.h), as ./test runs them, or as many as you like:

  the corpus of seeds that once failed, then N seeds of each world, each in several processes;
  some seeds twice, comparing files, answers and deliveries byte by byte;
  the histories of some seeds, held against the rules of the kill -9 runs (check_histories.py).

  tests/sim/run.py --transactions 2000000 --from 1000000 --jobs 2

Build the program first: cmake --build --preset release --target halfmoon_simulate. One seed again, with all that happens in it:
  build/release/halfmoon_simulate --world transactions --seed S --trace
Progress goes to stderr. The last line is "N passed, N failed"."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def run(command, totals):
    print("$", " ".join(os.path.relpath(c, ROOT) if c.startswith(ROOT) else c for c in command), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(done.stdout)
    sys.stdout.flush()
    last = re.findall(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M)
    if not last or (done.returncode != 0) != (int(last[-1][1]) > 0):
        print(f"FAIL {command[0]} ended with status {done.returncode}")
        totals[1] += 1
        return
    totals[0] += int(last[-1][0])
    totals[1] += int(last[-1][1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "halfmoon_simulate"))
    parser.add_argument("--transactions", type=int, default=200_000, metavar="N", help="seeds of the world of transactions")
    parser.add_argument("--general", type=int, default=100_000, metavar="N", help="seeds of the world of everything")
    parser.add_argument("--twice", type=int, default=1000, metavar="N", help="seeds to run twice")
    parser.add_argument("--histories", type=int, default=600, metavar="N", help="seeds whose histories are checked")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="M", help="first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J", help="processes")
    options = parser.parse_args()
    totals = [0, 0]
    shared = ["--from", str(options.first), "--jobs", str(options.jobs)]
    corpus = ["--corpus", os.path.join(HERE, "corpus.txt")]
    for world, seeds in (("transactions", options.transactions), ("general", options.general)):
        if not seeds:
            continue
        run([options.program, "--world", world, "--seeds", str(seeds), *shared, *corpus], totals)
        if options.twice:
            run([options.program, "--world", world, "--seeds", str(options.twice), "--twice", "--no-coverage", *shared], totals)
    if options.histories:
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "histories")
            run([options.program, "--seeds", str(options.histories), "--histories", file, "--no-coverage", *shared], totals)
            run([sys.executable, os.path.join(HERE, "check_histories.py"), file], totals)
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
