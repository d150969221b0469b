#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where the time of one message goes: runs the broker on a fresh folder under a scenario of `halfmoon bench`, samples its processor time with perf
(Debian's package linux-perf), gives each sample to the innermost part of the program that it is in, and prints nanoseconds of processor time a
message for each part. All threads of the broker are in it; the sum is the broker's processor time over the messages, as the kernel counts it.

  bench/budget.py                                  sends, JSON header, 64 in flight, ASYNC_FLUSH
  bench/budget.py --flush SYNC_FLUSH --scenario 'send --in-flight 256'
  bench/budget.py --scenario 'tx --in-flight 64' -n 300000

perf must be allowed to look at kernel addresses for the kernel's part: root, or kernel.perf_event_paranoid at most 1."""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from compare import Broker, ROOT

# What a sample belongs to: the innermost frame that one of these patterns names; if there is none, the innermost that one of REST names.
PARTS = [
    ("kernel: page faults", r"asm_exc_page_fault|handle_mm_fault"),
    ("kernel: send()", r"sys_sendto|sys_sendmsg"),
    ("kernel: recv()", r"sys_recvfrom|sys_recvmsg"),
    ("kernel: waiting for sockets, waking", r"sys_epoll_wait|sys_epoll_ctl|sys_futex|sys_poll|sys_eventfd|sys_write$"),
    ("kernel: writing the log", r"pwritev|sys_pwrite|vfs_write|sys_fdatasync|sys_fsync|sys_fallocate|sys_io_uring|io_wq_worker"),
    ("reading the header", r"HeaderDecoder::decode|JsonHeaderSketch|wire::decode_header"),
    ("its fields as a send's or a verdict's", r"wire::decode_"),
    ("the body's checksum for clients", r"crc32_ieee|libdeflate_crc32|crc32_x86"),
    ("the record's checksum", r"crc32c"),
    ("laying the message out in the ring", r"encode_image"),
    ("may it be stored: topic, queue, properties", r"Core::Impl::prepare"),
    ("room in the log, sealing the record", r"storage::Log::reserve|storage::Log::finish"),
    ("the queue's entry", r"Core::Impl::index|QueueIndex"),
    ("writing answers", r"write_send_answer|FrameWriter|write_pull"),
]
REST = [
    ("the core otherwise", r"halfmoon::broker::"),
    ("remoting otherwise: frames, dispatch, turns", r"halfmoon::adapter::|halfmoon::wire::"),
    ("the log otherwise", r"halfmoon::storage::"),
    ("the runtime otherwise", r"halfmoon::runtime::|boost::asio|halfmoon::server::"),
    ("kernel otherwise", r"entry_SYSCALL|asm_|do_syscall|ret_from_fork"),
]
COMPILED = [[(name, re.compile(pattern)) for name, pattern in parts] for parts in (PARTS, REST)]


def part_of(frames):
    """frames: the names of functions, innermost first."""
    for parts in COMPILED:
        for frame in frames:
            for name, pattern in parts:
                if pattern.search(frame):
                    return name
    return "elsewhere"


def samples(perf, data):
    """The parts of all samples, counted."""
    script = subprocess.run([perf, "script", "-i", data, "-F", "ip,sym"], capture_output=True, text=True, check=True).stdout
    counts = collections.Counter()
    for stack in script.split("\n\n"):
        frames = [line.strip().split(" ", 1)[-1] for line in stack.splitlines() if line.strip()]
        if frames:
            counts[part_of(frames)] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="send --in-flight 64", help="words of `halfmoon bench`")
    parser.add_argument("-n", type=int, default=2_000_000, help="messages")
    parser.add_argument("--flush", default="ASYNC_FLUSH", choices=["ASYNC_FLUSH", "SYNC_FLUSH"])
    parser.add_argument("--broker-core", default="0", metavar="LIST", help="as taskset takes them; '' for none in particular")
    parser.add_argument("--generator-core", default="1", metavar="LIST")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "halfmoon"))
    parser.add_argument("--dir", default=".", help="where the broker's folder is made, and removed again")
    options = parser.parse_args()
    perf = shutil.which("perf")
    if not perf:
        sys.exit("budget.py: perf is not there: apt install linux-perf")
    options.commands, options.stops, options.pids = {}, {}, {}
    options.program = os.path.abspath(options.program)
    with tempfile.TemporaryDirectory(prefix="budget-", dir=options.dir) as folder:
        options.out = folder
        broker = Broker("halfmoon", options)
        broker.prepare(os.path.join(folder, "data"), options.flush.split("_")[0].lower())
        broker.start()
        try:
            pid = broker.pids()[0]
            data, result = os.path.join(folder, "perf.data"), os.path.join(folder, "result.json")
            pin = ["taskset", "-c", options.generator_core] if options.generator_core else []
            words = [options.program, "bench", *options.scenario.split(), "-p", str(broker.fields["port"]), "--broker-pid", pid, "--json", result]
            subprocess.run(pin + words + ["-n", str(max(1000, options.n // 10))], check=True, stdout=subprocess.DEVNULL)   # warm
            recording = subprocess.Popen([perf, "record", "-q", "-F", "4999", "-g", "-p", pid, "-o", data], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            subprocess.run(pin + words + ["-n", str(options.n)], check=True, stdout=subprocess.DEVNULL)
            recording.terminate()
            recording.wait()
        finally:
            broker.stop()
        with open(result) as f:
            figures = json.load(f)
        counts = samples(perf, data)
    total = sum(counts.values())
    if total < 100:
        sys.exit(f"budget.py: perf took {total} samples only; is it allowed to? (kernel.perf_event_paranoid)")
    ns = figures["broker_cpu_s_per_million"] * 1000
    print(f"{options.scenario}, {options.flush}: {figures['rate_per_s']:,.0f} messages/s, {ns:,.0f} ns of processor time a message, {total} samples\n")
    print("| part | ns a message | share |\n| --- | ---: | ---: |")
    for name, count in counts.most_common():
        print(f"| {name} | {ns * count / total:,.0f} | {100 * count / total:.1f} % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
