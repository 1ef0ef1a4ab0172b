#!/usr/bin/env python3
"""count_tests.py TESTLOG_JSON: what a `meson test` run proved. Last line: `PASSED FAILED`.

A doctest program counts as its test cases, any other test as one. What failed is printed with the end of its output.
"""
import json
import re
import sys

GOOD, NEITHER = ("OK", "EXPECTEDFAIL"), ("SKIP",)
passed = failed = 0
with open(sys.argv[1]) as log:
    for line in log:
        test = json.loads(line)
        output = (test.get("stdout") or "") + (test.get("stderr") or "")
        cases = re.search(r"test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed", re.sub(r"\x1b\[[\d;]*m", "", output))
        p, f = (int(cases[1]), int(cases[2])) if cases else (0, 0)
        if test["result"] in GOOD:
            p = p if cases else 1
        elif test["result"] not in NEITHER:
            f = max(f, 1)
        passed += p
        failed += f
        print(f"   {test['name']}: {p} passed, {f} failed")
        if f:
            print("\n".join("      " + l for l in output.splitlines()[-40:]))
if passed + failed == 0:
    failed = 1
    print("   no test ran")
print(passed, failed)
