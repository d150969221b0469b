#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every #include line under src/ against the module graph in cmake/layers.cmake. Exit 1 names each forbidden edge.

Rules beside the graph: no catch-all folders, no thread or clock in the deterministic modules, tests may use testkit."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
layers = {}
for line in (root / "cmake/layers.cmake").read_text().splitlines():
    m = re.match(r'\s*"([^":]+):([^"]*)"', line)
    if m:
        layers[m[1]] = set(m[2].split())
if not layers:
    sys.exit("cmake/layers.cmake names no module")

CATCH_ALL = {"util", "utils", "common", "misc", "helpers"}
PURE = {"model", "broker", "nameserver", "wire/remoting"}  # no thread, lock, socket or clock of their own
FORBIDDEN = re.compile(r"std::(mutex|thread|jthread|condition_variable|shared_mutex)|std::chrono::\w+_clock|::now\(\)|<sys/socket.h>|co_await")
problems = []
files = 0
for path in sorted((root / "src").rglob("*")):
    if path.is_dir() and path.name in CATCH_ALL:
        problems.append(f"{path}: a folder needs a subject")
    if path.suffix not in (".h", ".cc"):
        continue
    files += 1
    module = str(path.parent.relative_to(root / "src"))
    if module not in layers:
        problems.append(f"{path}: module '{module}' is not declared in cmake/layers.cmake")
        continue
    is_test = bool(re.search(r"_(test|fuzz|bench)\.cc$", path.name))
    allowed = layers[module] | ({"testkit", module} if is_test else {module})
    if is_test:
        allowed |= layers["testkit"]
    text = path.read_text()
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'#include "([^"]+)"', line)
        if m:
            folder = m[1].rpartition("/")[0]
            if folder not in allowed and m[1] not in allowed:
                problems.append(f"{path}:{number}: '{module}' may not include \"{m[1]}\"")
        if module in PURE and not is_test and FORBIDDEN.search(line.split("//")[0]):
            problems.append(f"{path}:{number}: '{module}' must stay deterministic: {line.strip()}")
if files == 0:
    problems.append("no source file was read")
print("\n".join(problems) if problems else f"{files} files, {len(layers)} modules, no forbidden edge")
sys.exit(1 if problems else 0)
