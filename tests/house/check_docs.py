#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every Markdown document of the tree and fails when one names something that is not there:

 * a relative link, and its #heading if it has one;
 * a file or folder in `back quotes`: from the document's folder, from the root, or as the end of some path in the tree
   (so `broker/api.h` and `core_send.cc` are found); `*` stands for anything;
 * a function or type in back quotes (`Log::reserve`, `split_frame()`): each word must occur in the sources;
 * a test (`Consume.PullThatWaitsEndsInTime`): there must be one of that name.

Fenced blocks are not read. Exit 1 names each problem with its line."""
import fnmatch
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
SKIP = {".git", "build", ".build", ".cache", "node_modules", "target", "__pycache__", "data"}
EXTENSIONS = r"[\w*]\.(h|cc|md|py|cmake|go|java|json|xml|sh|conf)$"
NOT_OURS = {"broker.conf", "namesrv.conf"}  # files of the user's

paths, documents, sources = set(), [], []


def walk(folder):
    for path in folder.iterdir():
        if path.name in SKIP:
            continue
        paths.add(path.relative_to(root).as_posix())
        if path.is_dir():
            walk(path)
        elif path.suffix == ".md":
            documents.append(path)
        elif path.suffix in (".h", ".cc"):
            sources.append(path)


walk(root)
tops = {p for p in paths if "/" not in p}
endings = set()
for p in paths:
    parts = p.split("/")
    endings.update("/".join(parts[i:]) for i in range(len(parts)))

words, tests = set(), set()
for path in sources:
    text = path.read_text(errors="replace")
    words.update(re.findall(r"\w+", text))
    tests.update(f"{suite}.{name}" for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", text, re.M))


def slug(heading):
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def headings(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    return {slug(h) for h in re.findall(r"^#+ (.*)$", text, re.M)}


def there(name, document):
    name = re.sub(r":\d+$", "", name).rstrip("/")
    if name.startswith("./"):
        name = name[2:]
    if not name or (document.parent / name).exists():
        return True
    if "*" in name:
        return any(fnmatch.fnmatchcase(ending, name) for ending in endings)
    return name in endings


def quoted(text, document):
    """What is wrong with a text in back quotes, or None."""
    if re.fullmatch(r"\.?[\w.\-/*%]+(:\d+)?", text) and text not in NOT_OURS:
        first = text.removeprefix("./").split("/")[0]
        is_path = text.startswith("./") or re.search(EXTENSIONS, re.sub(r":\d+$", "", text)) or ("/" in text and first in tops)
        if is_path:
            return None if there(text, document) else "there is no such file"
    if re.fullmatch(r"[A-Z]\w+\.[A-Z]\w+", text):
        return None if text in tests else "there is no such test"
    if "::" in text or text.endswith("()"):
        code = re.sub(r"\(.*\)$", "", text)
        if re.fullmatch(r"[\w:]+", code) and not code.startswith("std::"):
            gone = [word for word in code.split("::") if word and word != "halfmoon" and word not in words]
            return f"the sources do not know {', '.join(gone)}" if gone else None
    return None


problems, named = [], 0
for document in sorted(documents):
    fenced = False
    for number, line in enumerate(document.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if fenced:
            continue
        place = f"{document.relative_to(root)}:{number}"
        for text in re.findall(r"`([^`]+)`", line):
            named += 1
            wrong = quoted(text, document)
            if wrong:
                problems.append(f"{place}: `{text}`: {wrong}")
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            named += 1
            name, _, anchor = target.partition("#")
            file = document if not name else document.parent / name
            if not file.exists():
                problems.append(f"{place}: ({target}): there is no such file")
            elif anchor and file.suffix == ".md" and anchor not in headings(file):
                problems.append(f"{place}: ({target}): {name or document.name} has no such heading")
if not documents:
    problems.append("no document was read")
print("\n".join(problems) if problems else f"{len(documents)} documents, {named} names and links, all there")
sys.exit(1 if problems else 0)
