#!/usr/bin/env python3
"""check_status.py ROOT: the status table of README.md has every row, and every tick names a test that exists.

A row is `| number | name | section | state | tests |`. The state is empty (not there yet), a tick, or words that say
what is missing; the tests are as in rules.tsv, or `[seed 9.1]` for every test with that tag.
"""
import pathlib
import re
import sys

from test_names import missing, test_names

ROWS = """2.1 2.3 2.4 2.4.1 2.4.2 2.4.3 3.1 3.1.1 3.1.2 3.2 3.3 3.4 3.5 3.6 4.1 4.2 4.3 5.1 5.1.1 5.2 5.2.1 5.2.2 5.3
6.1 6.2 6.3 7.1 7.1.1 7.2 7.3 7.4 7.4.1 7.4.2 7.5 7.6 7.7 7.8 7.9 8.1 9.1 9.2 10.1""".split()
TICK = "\u2705"


def main(root):
    names, bad = test_names(root)
    readme = (pathlib.Path(root) / "README.md").read_text()
    seen, ticks = [], 0
    for line in readme.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("|") or not re.fullmatch(r"\d+(\.\d+)+", cells[0]):
            continue
        seen.append(cells[0])
        if len(cells) != 5:
            bad.append(f"{cells[0]}: {len(cells)} columns, not 5")
            continue
        if TICK in cells[3]:
            ticks += 1
            if cells[4] == "":
                bad.append(f"{cells[0]}: ticked without a test")
        if cells[4]:
            bad += [f'{cells[0]}: no test is named "{t}"' for t in missing(cells[4], names)]
    bad += [f"{r}: no row" for r in ROWS if r not in seen]
    bad += [f"{r}: unknown or twice" for r in sorted(set(seen)) if r not in ROWS or seen.count(r) > 1]
    for b in bad:
        print(b)
    print(f"{len(ROWS)} rows, {ticks} ticked, {len(bad)} complaints")
    return bool(bad)


sys.exit(main(sys.argv[1]))
