#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of its time a program that only looks at the clock is not let run, on each core: what the machine, or its host, takes away. No latency
measured here can be steadier: when 1 % of the time is lost in gaps, the p99 of anything is such a gap.

  bench/gaps.py [--seconds 8]

Prints for each core the gaps longer than 100 us, the share of the time that they took, and the longest. Run it with nothing else on the machine."""
import argparse
import multiprocessing
import os
import time

GAP_NS = 100_000


def look(core, seconds):
    os.sched_setaffinity(0, {core})
    began = last = time.monotonic_ns()
    count = lost = longest = 0
    while last - began < seconds * 1e9:
        now = time.monotonic_ns()
        gap = now - last
        if gap > GAP_NS:
            count, lost, longest = count + 1, lost + gap, max(longest, gap)
        last = now
    return f"core {core}: {count} gaps of more than 100 us, {100 * lost / (last - began):.2f} % of the time, the longest {longest / 1e6:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with multiprocessing.Pool(len(cores)) as pool:
        for line in pool.starmap(look, [(core, options.seconds) for core in cores]):
            print(line)


if __name__ == "__main__":
    main()
