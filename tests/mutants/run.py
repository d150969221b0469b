#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the simulation fails on a broken broker: each mutant of mutants.py is one small change of a source, and must be killed.

All changes are put into copies of the sources at once, each behind `if this is the run of that mutant`, so that one build serves all. What is
not changed comes from the release build. First the copy is run as no mutant at all, and must pass.

  tests/mutants/run.py                 every mutant
  tests/mutants/run.py NAME...         those whose name contains one of these
  tests/mutants/run.py --table         the table of docs/design/mutants.md

Build first: cmake --build --preset release --target halfmoon_simulate. The last line is "N passed, N failed"."""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from mutants import GENERAL, OTHERS, SECOND_PLACES, TRANSACTIONS  # noqa: E402


def mutated_sources():
    """File -> its text with all mutants in it; and what is wrong with the table."""
    texts, wrong = {}, []
    for name, file, old, new in TRANSACTIONS + OTHERS + GENERAL + SECOND_PLACES:
        if file not in texts:
            with open(os.path.join(ROOT, file), encoding="utf-8") as source:
                texts[file] = source.read()
        found = texts[file].count(old)
        if found != 1:
            wrong.append(f"FAIL {name}: its place is found {found} times in {file}; the source has changed: adapt the entry in tests/mutants/mutants.py\n"
                         f"     looked for: {old.strip()}")
            continue
        texts[file] = texts[file].replace(old, new)
    return texts, wrong


def build(texts, folder, jobs):
    """Compiles the changed copies with the release build's own commands and links them before its libraries."""
    release = os.path.join(ROOT, "build", "release")
    with open(os.path.join(release, "compile_commands.json"), encoding="utf-8") as file:
        commands = {os.path.relpath(c["file"], ROOT): c for c in json.load(file)}
    objects, work = [], []
    for file, text in texts.items():
        copy = os.path.join(folder, file)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        text = '#include "mutant.h"\n' + text
        if not os.path.exists(copy) or open(copy, encoding="utf-8").read() != text:
            with open(copy, "w", encoding="utf-8") as out:
                out.write(text)
        words = shlex.split(commands[file]["command"])
        words[words.index("-o") + 1] = copy + ".o"
        words[words.index("-c") + 1] = copy
        words = [w for w in words if w != "-Werror" and w != "-O2"] + ["-O1", "-I", HERE]
        objects.append(copy + ".o")
        work.append((words, commands[file]["directory"]))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(lambda w: subprocess.run(w[0], cwd=w[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), work):
            if done.returncode != 0:
                sys.exit(done.stdout[-3000:] + "\nFAIL the mutants do not compile\n0 passed, 1 failed")
    listed = subprocess.run(["ninja", "-C", release, "-t", "commands", "halfmoon_simulate"], stdout=subprocess.PIPE, text=True, check=True).stdout
    link = next(line for line in reversed(listed.splitlines()) if "-o halfmoon_simulate" in line)
    program = os.path.join(folder, "simulate")
    link = link.replace("-o halfmoon_simulate", " ".join(map(shlex.quote, objects)) + " -o " + shlex.quote(program))
    subprocess.run(link, shell=True, cwd=release, check=True, stdout=subprocess.DEVNULL)
    return program


def run(program, mutant, world, seeds, jobs):
    """(killed, after how many seeds, by what)"""
    environment = dict(os.environ)
    environment.pop("HALFMOON_MUTANT", None)
    if mutant:
        environment["HALFMOON_MUTANT"] = mutant
    command = [program, "--world", world, "--seeds", str(seeds), "--jobs", str(jobs), "--no-coverage", "--stop"]
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        return True, seeds, "it does not end"
    failures = sorted((int(s), text) for s, text in re.findall(r"^FAIL \w+ seed (\d+): (.*)$", done.stdout, re.M))
    if failures:
        return True, failures[0][0], failures[0][1]
    return done.returncode != 0, seeds, "" if done.returncode == 0 else "the program ended with status %d" % done.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=20000, help="at most so many seeds to kill a mutant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="print the results as a table for the page")
    options = parser.parse_args()
    began = time.monotonic()
    texts, wrong = mutated_sources()
    for line in wrong:
        print(line)
    if wrong:
        print(f"0 passed, {len(wrong)} failed")
        return 1
    program = build(texts, os.path.join(ROOT, "build", "mutants"), options.jobs)
    good = bad = 0
    for world in ("transactions", "general"):
        killed, seed, text = run(program, "", world, 1000, options.jobs)
        if killed:
            print(f"FAIL no mutant at all: seed {seed} of {world}: {text}")
            bad += 1
        else:
            good += 1
    table = [("transactions", name, file) for name, file, _, _ in TRANSACTIONS + OTHERS] + [("general", name, file) for name, file, _, _ in GENERAL]
    for world, name, file in table:
        if options.names and not any(n in name for n in options.names):
            continue
        killed, seed, text = run(program, name, world, options.seeds, options.jobs)
        good, bad = good + killed, bad + (not killed)
        text = re.sub(r"^life \d+: ", "", text)
        if options.table:
            print(f"| {name} | `{file}` | {seed if killed else 'survived ' + str(seed)} | {text} |", flush=True)
        else:
            print(f"{'ok  ' if killed else 'FAIL'} {name}: " + (f"killed by seed {seed}: {text}" if killed else f"survived {seed} seeds"), flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
