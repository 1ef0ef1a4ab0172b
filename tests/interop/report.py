"""docs/interop.md: what was run, and how it went."""
import collections
import datetime

import cells

WORDS = {"pass": "passed", "fixed": "passed though known to fail", "fail": "FAILED", "peer": "the peer's known faults",
         "limit": "beyond the peer's interface"}


def text(built, skipped, outcomes, runs, command):
    out = ["# Interoperability", "",
           "Our driver and another implementation's, put together scenario by scenario as",
           "[tests/interop/SCENARIOS.md](../tests/interop/SCENARIOS.md) has it; each dials and listens, publishes and",
           "subscribes. Written by the command below; not edited.", "",
           "```", command.strip(), "```", "", datetime.date.today().isoformat(), "",
           "| peer | " + " | ".join(WORDS.values()) + " |", "|---|" + "---|" * len(WORDS)]
    for p in built:
        count = collections.Counter(o.what for c, o in outcomes.items() if c.peer == p.name)
        out.append(f"| {p.name}: {p.title} | " + " | ".join(str(count[w]) for w in WORDS) + " |")
    for name, why in skipped.items():
        out.append(f"| {name}: not run: {cut(why)} |" + " |" * len(WORDS))
    for r in runs:
        out.append(f"| {r.title} | {r.passed} |  | {r.failed} |  |  |")
    out += ["", "In the tables: `pass` when it passed whoever dialled and whoever published; otherwise how many of",
            "those did, and a note. Where a version does not have the scenario the field is empty."]
    for p in built:
        out += section(p, {c: o for c, o in outcomes.items() if c.peer == p.name})
    for r in runs:
        out += ["", f"## {r.title}", "", "```", *r.output.splitlines(), "```"]
    return "\n".join(out) + "\n"


def section(peer, outcomes):
    out = ["", f"## {peer.name}", "", peer.title]
    notes = {}
    for transport, qmux in sorted({(c.transport, c.qmux) for c in outcomes}):
        title = cells.TRANSPORTS[transport] + (f", {qmux}" if qmux else "")
        here = {c: o for c, o in outcomes.items() if (c.transport, c.qmux) == (transport, qmux)}
        versions = sorted({c.version for c in here})
        out += ["", f"### {peer.name}, {title}", "", "| scenario | " + " | ".join(versions) + " |",
                "|---|" + "---|" * len(versions)]
        for name in cells.scenarios():
            row = [[o for c, o in here.items() if (c.scenario, c.version) == (name, v)] for v in versions]
            if any(row):
                out.append(f"| {name} | " + " | ".join(summary(os, notes) for os in row) + " |")
    if notes:
        out += ["", f"Notes on {peer.name}:", ""]
        out += [f"{n}. {note}" for note, n in notes.items()]
    return out


def summary(outcomes, notes):
    """One field of a table: all four ways of a scenario."""
    if not outcomes:
        return ""
    count = collections.Counter(o.what for o in outcomes)
    good = count["pass"] + count["fixed"]
    numbers = sorted({notes.setdefault(note(o), len(notes) + 1) for o in outcomes if o.what != "pass"})
    marks = " [" + ", ".join(map(str, numbers)) + "]" if numbers else ""
    if good == len(outcomes):
        return "pass" + marks
    words = [f"{good}/{len(outcomes)} pass"] if good else []
    words += [f"{'FAIL' if w == 'fail' else w}" for w in ("fail", "peer", "limit") if count[w]]
    return ", ".join(words) + marks


def note(o):
    kind = {"fail": "FAIL", "peer": "The peer's fault", "limit": "Not possible there", "fixed": "Known to fail, passed"}
    return f"{kind[o.what]}: " + ", ".join(filter(None, [o.where, cut(o.why)]))


def cut(why, size=300):
    why = " ".join(why.split()).replace("|", "/")
    return why if len(why) <= size else why[:size] + " ..."
