"""The names of all doctest cases that are built, for the scripts that check claims against them."""
import pathlib
import re

_CASE = re.compile(r'\bTEST_CASE(?:_FIXTURE|_TEMPLATE|_TEMPLATE_DEFINE)?\s*\(\s*(?:[\w:]+\s*,\s*)?((?:"(?:[^"\\]|\\.)*"\s*)+)')
_PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"')


def test_names(root):
    """(names, complaints). A file that tests/meson.build does not list is not built, so its tests do not count."""
    names, complaints = [], []
    tests = pathlib.Path(root) / "tests"
    listed = "".join(p.read_text() for p in tests.rglob("meson.build"))
    for path in sorted(tests.rglob("*.cpp")):
        cases = ["".join(_PIECE.findall(c)) for c in _CASE.findall(path.read_text())]
        relative = path.relative_to(tests).as_posix()
        if cases and relative not in listed:
            complaints.append(f"tests/{relative}: not listed in tests/meson.build, so its tests never run")
        else:
            names += cases
    for name in sorted({n for n in names if names.count(n) > 1}):
        complaints.append(f'two tests are named "{name}"')
    return names, complaints


def missing(claims, names):
    """Those of `claims` (separated by ` ; `) that no test name starts with. `[seed 9.1]` stands for all with that tag."""
    out = []
    for claim in (c.strip().strip("`") for c in claims.split(" ; ")):
        tag = re.fullmatch(r"\[seed ([\d.]+)\]", claim)
        if tag:
            found = any(tag[1] in re.split(r"[ ,;]+", rows) for n in names for rows in re.findall(r"\[seed ([^\]]*)\]", n))
        else:
            found = claim != "" and any(n.startswith(claim) for n in names)
        if not found:
            out.append(claim)
    return out
