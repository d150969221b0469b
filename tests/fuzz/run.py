#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets (src/*/*_fuzz.cc, built by the preset `fuzz`): first each target's committed corpus, then new inputs for a while.

Without names all targets run. An input that breaks a target is kept, and the command that repeats it is printed; once its cause is mended, put
it into tests/fuzz/corpus/TARGET as crash-..., where every later run tries it again. New inputs that reach new code stay in
build/fuzz-corpus/TARGET and are the start of the next run; --merge brings what they add into the committed corpus, smallest inputs first.

The last line is `N passed, N failed`: one for each target's corpus and one for each target's new inputs."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CORPUS_BYTES_MAX = 190_000     # of one target's committed corpus
CAPTURED_BYTES_MAX = 110_000   # of it, what was captured from clients
INPUT_BYTES_MAX = {"settings": 512, "dispatch": 8192, "frame": 2048}   # others: 4096
SLOWEST_S = 20                 # of one input
# Which dictionary a target reads, where it is not one of its own name.
DICTIONARIES = {"header": "fields", "request_headers": "fields", "json": "bodies", "client_bodies": "bodies", "nameserver_bodies": "bodies"}
# Small quarantine and short stacks: most inputs are handled in microseconds, and these are what they would wait for.
ENVIRONMENT = {"ASAN_OPTIONS": "quarantine_size_mb=16:malloc_context_size=12:allocator_release_to_os_interval_ms=-1",
               "UBSAN_OPTIONS": "print_stacktrace=1"}


def targets():
    """name -> source file"""
    return {p.name.removesuffix("_fuzz.cc"): p for p in sorted((ROOT / "src").rglob("*_fuzz.cc"))}


class Target:
    def __init__(self, options, name):
        self.options, self.name = options, name
        self.program = options.build / f"fuzz_{name}"
        self.corpus = HERE / "corpus" / name
        self.found = ROOT / "build" / "fuzz-corpus" / name
        self.artifacts = ROOT / "build" / "fuzz-artifacts" / name
        for folder in (self.corpus, self.found, self.artifacts):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = self.artifacts / "log"
        self.report = []
        self.cpu_s = 0.0   # of the last run

    def fuzzer(self, *arguments, limit):
        """Runs the program; gives its exit code and what it said."""
        command = [str(self.program), f"-artifact_prefix={self.artifacts}/", f"-timeout={SLOWEST_S}", "-rss_limit_mb=2048",
                   f"-max_len={INPUT_BYTES_MAX.get(self.name, 4096)}", "-print_final_stats=1", *map(str, arguments)]
        dictionary = HERE / "dictionaries" / (DICTIONARIES.get(self.name, self.name) + ".dict")
        if dictionary.exists():
            command.append(f"-dict={dictionary}")
        with open(self.log, "wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **ENVIRONMENT}) as program:
            overdue = threading.Timer(limit, program.kill)
            overdue.start()
            _, status, used = os.wait4(program.pid, 0)
            overdue.cancel()
            program.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = used.ru_utime + used.ru_stime
        return program.returncode, self.log.read_text(errors="replace")

    def passed(self, what, code, text):
        if code == 0:
            return True
        self.report.append(f"FAIL {self.name}: {what} (exit code {code})")
        why = [line for line in text.splitlines() if re.search(r"ERROR:|runtime error|check failed|SUMMARY|dispatch:", line)]
        self.report += ["  " + line for line in why[:6]] + [f"  all of it: {self.log}"]
        inputs = re.findall(r"Test unit written to (\S+)", text) or re.findall(r"^Running: (\S+)", text, re.M)[-1:]
        for path in inputs:
            self.report += [f"  input:  {path}", f"  repeat: {self.program} {path}"]
        return False

    def regression(self):
        """Every committed input once."""
        inputs = sorted(str(p) for p in self.corpus.iterdir() if p.is_file())
        if not inputs:
            self.report.append(f"FAIL {self.name}: it has no corpus in {self.corpus}")
            return False
        code, text = self.fuzzer(*inputs, limit=600)
        return self.passed("a committed input", code, text)

    def explore(self):
        before = {p.name for p in self.found.iterdir()}
        seed = [f"-seed={self.options.seed}"] if self.options.seed else []
        code, text = self.fuzzer(f"-max_total_time={self.options.seconds}", *seed, self.found, self.corpus, limit=self.options.seconds + 300)
        executions = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text)
        edges = re.findall(r"\bcov: (\d+)", text)
        new = len({p.name for p in self.found.iterdir()} - before)
        self.report.append(f"{self.name:18} {int(executions[-1]) if executions else 0:>10} executions  {edges[-1] if edges else '?':>6} edges  "
                           f"{new:>5} new inputs  {self.cpu_s:>6.0f} s of CPU time")
        return self.passed("a new input", code, text)

    def merge(self):
        """The fewest and smallest inputs that reach all that is reached. What was captured from clients comes first; findings and seeds stay."""
        fresh = self.found.parent / (self.name + ".merged")
        captured = self.found.parent / (self.name + ".captured")
        for folder in (fresh, captured):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for path in self.corpus.glob("captured-*"):
            shutil.copy(path, captured)
        for folders in ([captured], [self.corpus, self.found]):
            code, text = self.fuzzer("-merge=1", fresh, *folders, limit=3600)
            if not self.passed("merging", code, text):
                return False
        names = {path.read_bytes(): path.name for path in self.corpus.iterdir()}
        kept = [path for path in self.corpus.iterdir() if path.name.startswith(("crash-", "seed-"))]
        total = sum(path.stat().st_size for path in kept)
        for path in set(self.corpus.iterdir()) - set(kept):
            path.unlink()
        left = 0
        is_captured = {path: names.get(path.read_bytes(), "").startswith("captured-") for path in fresh.iterdir()}
        for path in sorted(is_captured, key=lambda p: (not is_captured[p], p.stat().st_size)):
            data = path.read_bytes()
            if total + len(data) > (CAPTURED_BYTES_MAX if is_captured[path] else CORPUS_BYTES_MAX):
                left += 1
                continue
            total += len(data)
            (self.corpus / names.get(data, path.name[:16])).write_bytes(data)
        for folder in (fresh, captured):
            shutil.rmtree(folder)
        self.report.append(f"{self.name:18} {len(list(self.corpus.iterdir()))} inputs, {total} bytes; {left} more did not fit")
        return True


def run(target):
    results = [target.regression()]
    if target.options.seconds > 0:
        results.append(target.explore())
    if target.options.merge:
        results.append(target.merge())
    return target, results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", help="targets; none: all (--list names them)")
    parser.add_argument("--seconds", type=int, default=20, help="for new inputs, each target (default 20; 0: only the committed corpus)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; default: a new one each time")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz", help="where the programs are")
    parser.add_argument("--merge", action="store_true", help="afterwards take what was found into tests/fuzz/corpus")
    parser.add_argument("--list", action="store_true", help="print the targets' names")
    options = parser.parse_args()
    known = targets()
    if options.list:
        print("\n".join(known))
        return 0
    names = options.target or list(known)
    for name in names:
        if name not in known:
            sys.exit(f"run.py: there is no target '{name}'; --list names them")
        if not (options.build / f"fuzz_{name}").exists():
            sys.exit(f"run.py: {options.build}/fuzz_{name} is not there: cmake --preset fuzz && cmake --build --preset fuzz")
    began = time.monotonic()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for target, results in pool.map(run, [Target(options, name) for name in names]):
            for line in target.report:
                print(line, flush=True)
            passed += sum(results)
            failed += len(results) - sum(results)
    print(f"{len(names)} targets, {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
