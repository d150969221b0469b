#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts and failing disks, again and again, under a real file system under the real program, and a check that it kept every promise (checker.py).

The store lies on ext4 or XFS in a file behind a loop device, under the mixed load of run.py. The disk lets it down in one of three ways:

  volatile   the disk has a write cache, as disks have (volatile.py): of what no sync brought to safety any 512 bytes may be lost, in any order
  failing    the same disk; the power stays, but a sync fails, and what it should have written is gone; reads and writes go on. The program must
             acknowledge nothing more, and end by itself with status 74 and a line that says what to do
  shutdown   the file system's own shutdown call: its journal and its cache are lost, what it had handed to the disk is not. A sync that overlaps
             the call may report success for what is lost, so no answer counts that came after the call began

The program is killed, the file system mounted again, which replays its journal, and the program starts on what is there. flushDiskType is
SYNC_FLUSH. Where the machine allows no loop device, no FUSE or no mounting, it says so and skips.

--control runs with ASYNC_FLUSH on the volatile disk instead: acknowledged messages must be missing then, or the test could not fail."""
import argparse
import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True

import checker
import disks
import run
from load import CONSUMERS, PLAIN, SETTINGS, World
from remoting import Connection, Server

SEGMENT = 8 << 20  # small, so that cuts meet the change from one to the next


def cycle(world, options, dice, figures):
    """One life: load, the cut, and a start on what it left; sometimes another cut during that start."""
    time.sleep(dice.uniform(*options.load))
    cut(world, dice, figures)
    world.life += 1
    while dice.random() < 0.15 and not world.disk.ends_program:
        world.server.launch()
        time.sleep(dice.uniform(0.01, 0.15))
        cut(world, dice, figures)
        figures["while starting"] += 1
    began = time.monotonic()
    world.server.start()
    with Connection(world.server.address, timeout=30) as c:
        c.query_offset(CONSUMERS, PLAIN[0], 0)
    figures["restart ms"] = max(figures["restart ms"], int(1000 * (time.monotonic() - began)))
    world.up.set()


def cut(world, dice, figures):
    world.history.failing.add(world.life)
    if not world.disk.exact:
        Connection.generation += 1
    if not world.disk.ends_program:
        world.up.clear()
    world.disk.cut(dice)
    figures["cuts"] += 1
    if world.disk.ends_program:
        must_end(world)
        world.up.clear()
    else:
        time.sleep(dice.uniform(0, 0.05))
    code = world.server.process.poll()
    if code == 74:
        figures["ended by itself with 74"] += 1
    elif code not in (None, 1):  # 1: while it was starting
        world.violated("C14", f"after the cut the server ended with exit code {code}\n{world.server.tail()}")
    world.server.kill()
    world.starts += 1
    world.disk.unmount()
    world.disk.mount()


def must_end(world):
    """Under the load that goes on, the program sees the failed sync, and ends as docs/operating.md says."""
    try:
        code = world.server.process.wait(10)
    except subprocess.TimeoutExpired:
        return world.violated("C14", "the program goes on, 10 s after syncs began to fail")
    said = [line for line in world.server.tail().splitlines() if "store.poisoned" in line]
    if code != 74 or not said or "restart the broker" not in said[-1]:
        world.violated("C14", f"after the failed sync the server ended with exit code {code}, and said\n{world.server.tail()}")


def campaign(kind, fs, options):
    """The number of cycles that failed, or None if it was skipped."""
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    work = tempfile.mkdtemp(prefix="halfmoon-power-", dir=options.where)
    try:
        why = disks.why_not(fs, work, disks.DISKS[kind])
        if why:
            print(f"skipped: {kind}, {fs}: {why}")
            return None
        print(f"-- {kind}, {fs}, seed {seed}, {options.cycles} cycles", flush=True)
        figures, began = collections.Counter(), time.monotonic()
        with disks.DISKS[kind](fs, os.path.join(work, "disk"), disks.LEAST_MEGABYTES + 12 * options.cycles) as disk:
            server = Server(os.path.abspath(options.server), os.path.join(work, "server"), storePathRootDir=os.path.join(disk.path, "store"),
                            mappedFileSizeCommitLog=SEGMENT, flushDiskType=options.flush, **SETTINGS)
            world = World(server, seed)
            world.disk = disk
            run.campaign(world, options, random.Random(seed), figures, cycle)
            if disk.exact:
                figures["sectors kept"], figures["sectors lost"] = disk.kept, disk.lost
            found, took = checker.check(world.history), time.monotonic() - began
            kept = f"; data and log kept in {work}" if found and options.keep else ""
            if kept:
                shutil.copytree(server.settings["storePathRootDir"], os.path.join(work, "store"))
        if kept:
            work = None
        return run.report(world.history, found, figures, options, seed, took, kept)
    finally:
        if work:
            shutil.rmtree(work, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disk", choices=disks.DISKS, help="all, one after the other, unless given")
    parser.add_argument("--fs", choices=("ext4", "xfs"), help="both, one after the other, unless given")
    parser.add_argument("--cycles", type=int, default=3, help="on each disk and file system")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--load", type=float, nargs=2, metavar=("LEAST", "MOST"), default=(0.2, 1.0), help="seconds of load before each cut")
    parser.add_argument("--server", metavar="FILE", default=os.path.join(run.ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    parser.add_argument("--where", metavar="FOLDER", help="where the images are made; default: the folder for temporary files")
    parser.add_argument("--keep", action="store_true", help="keep data and log when something failed")
    parser.add_argument("--show", type=int, default=40, help="so many violations are printed")
    parser.add_argument("--control", action="store_true", help="shows that it can fail")
    options = parser.parse_args()
    options.flush, options.began = "ASYNC_FLUSH" if options.control else "SYNC_FLUSH", time.monotonic()
    if not os.access(options.server, os.X_OK):
        sys.exit(f"power.py: {options.server} is not there: build it first, or name it with --server")
    total = collections.Counter()
    for kind in ("volatile",) if options.control else (options.disk,) if options.disk else disks.DISKS:
        for fs in (options.fs,) if options.fs else ("ext4", "xfs"):
            failed = campaign(kind, fs, options)
            total["skipped" if failed is None else "ran"] += options.cycles
            if failed is not None:
                total["failed"] += failed if not options.control else 0 if failed else options.cycles
    print(f"{total['ran'] - total['failed']} passed, {total['failed']} failed" + (f", {total['skipped']} skipped" if total["skipped"] else ""))
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
