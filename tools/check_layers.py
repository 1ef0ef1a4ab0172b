#!/usr/bin/env python3
"""check_layers.py ROOT: includes point downwards, headers stay cheap and small, nothing reads a clock, files are tidy."""
import pathlib
import re
import sys

ORDER = ["base", "wire", "message", "delivery", "stream", "session", "relay", "binding", "adapter"]
# Only for who connects a session to a stack: `binding` knows nothing of sessions, and they know nothing of it.
BINDING_KNOWS = ("base", "wire", "binding")
KNOWS_BINDING = ("binding", "adapter")
BOUNDARY = "adapter/transport.hpp"  # what a QUIC stack must provide; knows base only, so a session may know it
TOOLS = {"wire/inspect.hpp", "message/all.hpp"}  # for tests, fuzzers and bindings; no library header includes them
CHEAP = set("array bit climits compare concepts cstddef cstdint cstdlib cstring initializer_list limits new optional span "
            "string_view tuple type_traits utility variant version".split())
CHEAP_C = {"stdbool.h", "stddef.h", "stdint.h"}  # for the one boundary that C sees
LINES_MAX = 450
COLUMNS_MAX = 120


def folder(header):
    return header.split("/")[0] if "/" in header else None


def layer(header):  # "wire/varint.hpp" -> its place in ORDER; headers of include/moql itself are above all
    if header == BOUNDARY:
        return ORDER.index("base")
    own = folder(header)
    return len(ORDER) if own is None else ORDER.index(own) if own in ORDER else -1


def check_header(root, path):
    name = path.relative_to(root).as_posix()
    text = path.read_text(errors="replace")
    if layer(name) < 0:
        yield "is in no layer"
    if text.count("#pragma once") != 1:
        yield "does not say #pragma once (once)"
    if text.count("\n") > LINES_MAX:
        yield f"has {text.count(chr(10))} lines (at most {LINES_MAX}); which second idea moved in?"
    for found in re.findall(r'^\s*#\s*include\s*([<"][^>"]+[>"])', text, re.M):
        inside = found[1:-1]
        if found[0] == '"':
            target = (path.parent / inside).resolve()
            if not target.is_relative_to(root):
                yield f"includes {inside}, which is outside of {root.name}/"
                continue
            included = target.relative_to(root).as_posix()
        elif inside.startswith("moql/"):
            included = inside[5:]
        else:
            if inside not in (CHEAP_C if path.suffix == ".h" else CHEAP) and name not in TOOLS:
                yield f"includes <{inside}>, which is not among the cheap standard headers"
            continue
        if layer(included) > layer(name):
            yield f"includes {included}, which is above it"
        if folder(name) == "binding" and included != BOUNDARY and folder(included) not in BINDING_KNOWS:
            yield f"includes {included}, but a binding knows base, wire and the boundary only"
        if folder(included) == "binding" and folder(name) not in KNOWS_BINDING:
            yield f"includes {included}, which is for adapters"
        if included in TOOLS and name not in TOOLS:
            yield f"includes {included}, which is a tool"
    code = re.sub(r"//[^\n]*", "", text)
    if re.search(r"::\s*now\s*\(|\b(steady|system|high_resolution)_clock\b|\bclock_gettime\b|\bgettimeofday\b", code):
        yield "reads a clock; time is an argument"
    if re.search(r"\bassert\s*\(|\bthrow\b|\bdynamic_cast\b|\btypeid\b|\bstatic\s+thread_local\b|\bthread_local\b", code):
        yield "uses assert, throw, dynamic_cast, typeid or thread_local"


def check_style(path):
    data = path.read_bytes()
    if not data.isascii():
        line = next(i for i, l in enumerate(data.split(b"\n"), 1) if not l.isascii())
        yield f"line {line} is not ASCII"
    if b"\t" in data or b"\r" in data:
        yield "contains tabs or carriage returns"
    if not data.endswith(b"\n") or data.endswith(b"\n\n"):
        yield "does not end with one newline"
    for number, line in enumerate(data.split(b"\n"), 1):
        if line != line.rstrip():
            yield f"line {number} ends with blanks"
        if len(line) > COLUMNS_MAX:
            yield f"line {number} has {len(line)} columns (at most {COLUMNS_MAX})"


def main(root):
    root = pathlib.Path(root).resolve()
    include = root / "include/moql"
    bad = 0
    headers = sorted(p for p in include.rglob("*") if p.suffix in (".hpp", ".h"))
    sources = [p for d in ("include", "tests", "fuzz", "bench", "examples") for p in sorted((root / d).rglob("*"))
               if p.suffix in (".hpp", ".cpp", ".h", ".c")]
    for path, complaints in [(h, check_header(include, h)) for h in headers] + [(s, check_style(s)) for s in sources]:
        for c in complaints:
            print(f"{path.relative_to(root)}: {c}")
            bad += 1
    print(f"{len(headers)} headers, {len(sources)} sources, {bad} complaints")
    return bool(bad)


sys.exit(main(sys.argv[1]))
