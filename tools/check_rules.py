#!/usr/bin/env python3
"""check_rules.py ROOT: every rule of tests/spec/rules.tsv is proven by a test that exists, or says why not.

Columns: rule, versions, actor, what, test, reason. `test` holds the beginnings of test names, separated by ` ; `; `-`
needs a reason. TODO is a failure.
"""
import pathlib
import sys

from test_names import missing, test_names

RULES = [f"R-{n:03}" for n in range(1, 176)]


def main(root):
    names, bad = test_names(root)
    seen = []
    proven = 0
    lines = (pathlib.Path(root) / "tests/spec/rules.tsv").read_text().splitlines()
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != 6:
            bad.append(f"rules.tsv:{number}: {len(cells)} columns, not 6")
            continue
        rule, versions, actor, what, test, reason = cells
        seen.append(rule)
        if not (versions and actor and what):
            bad.append(f"{rule}: versions, actor or what is empty")
        if test in ("TODO", ""):
            bad.append(f"{rule}: no test yet ({what})")
        elif test == "-":
            if not reason:
                bad.append(f"{rule}: neither a test nor a reason")
        else:
            lost = missing(test, names)
            bad += [f'{rule}: no test is named "{t}"' for t in lost]
            proven += not lost
    bad += [f"{r}: no row" for r in RULES if r not in seen]
    bad += [f"{r}: unknown or twice" for r in sorted(set(seen)) if r not in RULES or seen.count(r) > 1]
    for b in bad:
        print(b)
    print(f"{len(RULES)} rules, {proven} proven by {len(names)} tests, {len(bad)} complaints")
    return bool(bad)


sys.exit(main(sys.argv[1]))
