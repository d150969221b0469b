#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every scenario of `halfmoon bench`, with small numbers, against the real program; then bench/compare.py with two brokers. It is asked whether they
measure at all and count right, never how fast. The last line is `N passed, N failed`."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "raw"))
sys.dont_write_bytecode = True

from remoting import Server

RESULTS = []
SMALL = ["-n", "2000", "--warmup", "200"]
# name, words, what must hold of the figures
CASES = [
    ("send", ["send", *SMALL], lambda f: f["messages"] == 2000),
    ("send with the binary header, open loop", ["send", *SMALL, "--header", "binary", "--rate", "5000"], lambda f: f["messages"] == 2000),
    ("tx", ["tx", *SMALL, "--topic", "BenchTx"], lambda f: 1 < f["log_bytes_per_payload_byte"] < 2),
    ("every committed half message is there", ["pull", "--topic", "BenchTx"], lambda f: f["messages"] == 2200),
    ("checks", ["checks", *SMALL, "--topic", "BenchChecks", "--connections", "4"], lambda f: f["messages"] == 2200 and f["memory_bytes_each"] >= 0),
    ("e2e", ["e2e", *SMALL, "--rate", "5000", "--topic", "BenchE2e"], lambda f: f["messages"] == 2000),
    ("groups, in batches", ["groups", *SMALL, "--groups", "5", "--rate", "5000", "--topic", "BenchGroups"], lambda f: f["messages"] == 10000 and f["messages_a_pull"] > 10),
    ("groups, long polls", ["groups", *SMALL, "--groups", "5", "--batch", "1", "--rate", "5000", "--topic", "BenchGroups"], lambda f: f["messages"] == 10000),
    ("pull", ["pull"], lambda f: f["messages"] == 4400),
    ("delays due in one second", ["delays", "-n", "2000", "--lead", "2", "--topic", "BenchDelays"], lambda f: f["messages"] == 2000 and f["early"] == 0 and f["twice"] == 0),
    ("delays due at one moment", ["delays", "-n", "2000", "--lead", "1", "--spread", "0", "--topic", "BenchDelays"], lambda f: f["messages"] == 2000 and f["early"] == 0),
    ("topics", ["topics", *SMALL, "--topics", "200", "--queues", "10"], lambda f: f["messages"] == 2000 and f["memory_bytes_a_queue_sent"] >= 0),
    ("connections", ["connections", *SMALL, "--connections", "300", "--active", "30", "--in-flight", "1"], lambda f: f["active"] == 30),
    ("beside long polls", ["send", *SMALL, "--beside", "polls", "--polls", "500", "--topic", "BenchPolls"], lambda f: f["beside_polls"] == 500),
    ("beside a cold reader", ["send", "-n", "20000", "--beside", "drain", "--cold-topic", "BenchTopic"], lambda f: f["beside_messages_per_s"] > 0),
    ("beside a hog", ["send", *SMALL, "--beside", "hog"], lambda f: f["messages"] == 2000),
    ("idle", ["idle", "--seconds", "0.5"], lambda f: f["resident_mb"] > 1 and f["threads"] >= 2),
]


def check(name, good, saw=""):
    RESULTS.append(bool(good))
    print(f"{'ok  ' if good else 'FAIL'} {name}{'' if good else '  saw ' + str(saw)[:1500]}", flush=True)


def check_budget(program, work):
    """bench/budget.py, where perf is there and may look."""
    words = [sys.executable, os.path.join(ROOT, "bench", "budget.py"), "--program", program, "--dir", work, "-n", "30000"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if "apt install linux-perf" in done.stderr or "is it allowed to?" in done.stderr:
        return print(f"skipped: budget.py: {done.stderr.strip()}", flush=True)
    parts = {name: float(share) for name, share in re.findall(r"^\| (.+?) \| [\d,]+ \| ([\d.]+) % \|$", done.stdout, re.M)}
    check("budget.py finds the parts of a send", done.returncode == 0 and abs(sum(parts.values()) - 100) < 2 and parts.get("kernel: send()", 0) > 2 and parts.get("reading the header", 0) > 1,
          done.stdout + done.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", metavar="FILE", default=os.path.join(ROOT, "build", "release", "halfmoon"), help="the halfmoon program")
    options = parser.parse_args()
    program, work = os.path.abspath(options.server), tempfile.mkdtemp(prefix="halfmoon-bench-")
    server = Server(program, os.path.join(work, "s"))

    def bench(name, words, holds, port=None, pid=None):
        out = os.path.join(work, "result.json")
        place = ["-p", str(port or server.port)] if words[0] != "idle" else []
        done = subprocess.run([program, "bench", words[0], *place, *(["--broker-pid", str(pid)] if pid else []), "--json", out, *words[1:]], capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        figures = {}
        if done.returncode == 0:
            with open(out) as f:
                figures = json.load(f)
        good = done.returncode == 0 and figures["invalid"] == "" and figures.get("refused", 0) == 0
        check(name, good and holds(figures), done.stdout + done.stderr)
        return out

    try:
        server.start()
        for name, words, holds in CASES:
            bench(name, words, holds, pid=server.process.pid)
        server.stop()
        data = server.settings["storePathRootDir"]
        restart = ["start", "-n", "1", "--scratch", work, "--", program, "server", "--data", data, "--port", str(server.port), "--namesrv-port", str(server.ns_port)]
        bench("start on what is there", restart, lambda f: f["messages"] == 1 and f["p50_us"] > 0)
        restart[restart.index(data)] = "{}"
        bench("start on an empty folder, twice", ["start", "-n", "2", *restart[3:]], lambda f: f["messages"] == 2)
        check("its folders are gone", not [n for n in os.listdir(work) if n.startswith("bench-start")], os.listdir(work))
        out = os.path.join(work, "compare")
        other = f"{program} server -d {{dir}} -p {{port}} --namesrv-port {{namesrv}} --flush {{flush}}"
        compared = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "compare.py"), "--program", program, "--start", "halfmoon", "--start", "other=" + other, "--rounds", "1",
                                   "--scale", "0.001", "--scenario", "send64,drain,restart", "--dir", work, "--out", out], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        rows = [line.split(" | ") for line in compared.stdout.splitlines() if line.startswith("| ")]
        check("compare.py measures two brokers in turn", compared.returncode == 0 and len(rows) == 8 and all("-" not in row[3:5] for row in rows) and os.path.exists(os.path.join(out, "drain-other-0.json")),
              compared.stdout + compared.stderr)
        check_budget(program, work)
        gaps = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "gaps.py"), "--seconds", "0.3"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        check("gaps.py looks at every core", gaps.returncode == 0 and len(re.findall(r"^core \d+: \d+ gaps .*ms$", gaps.stdout, re.M)) == len(os.sched_getaffinity(0)), gaps.stdout + gaps.stderr)
    finally:
        server.kill()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{sum(RESULTS)} passed, {len(RESULTS) - sum(RESULTS)} failed")
    return 0 if all(RESULTS) and RESULTS else 1


if __name__ == "__main__":
    sys.exit(main())
