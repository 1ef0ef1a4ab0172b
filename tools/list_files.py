#!/usr/bin/env python3
"""list_files.py DIRECTORY PATTERN [WORD]: the files there that match, one per line, and that contain WORD if it is given.

Meson has no globbing on purpose; for one-file-per-target folders a list by hand could only be forgotten.
"""
import pathlib
import sys

directory = pathlib.Path(sys.argv[1])
word = sys.argv[3] if len(sys.argv) > 3 else ""
for path in sorted(directory.glob(sys.argv[2])):
    if word in path.read_text():
        print(path.relative_to(directory).as_posix())
