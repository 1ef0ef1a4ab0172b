#!/usr/bin/env python3
"""every_header.py INCLUDE_DIR OUTPUT: writes one header that includes all of ours. Left alone if nothing changed."""
import pathlib
import sys

include_dir, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
headers = sorted(p.relative_to(include_dir).as_posix() for p in include_dir.rglob("*.hpp"))
text = "".join(f"#include <{h}>\n" for h in headers if not h.endswith("c_impl.hpp"))
if not output.exists() or output.read_text() != text:
    output.write_text(text)
