#!/usr/bin/env python3
"""What README.md shows is what works.

readme_code.py compile README.md COMPILER [FLAG...]
    Compiles the ```cpp blocks; those with a main are linked and run too. A block that begins with an #include starts a
    new file, any other one continues the file before it.
readme_code.py command README.md HEADING
    Prints the first ```sh block below the heading, for a shell to run.
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def blocks(text, language):
    return [(text.count("\n", 0, m.start(1)), m[1]) for m in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)]


def compile_all(readme, compiler):
    files = []  # (line of the first block, code)
    for line, code in blocks(readme.read_text(), "cpp"):
        # The compiler reports places in README.md, not in the file we make.
        code = f'#line {line + 1} "{readme.name}"\n{code}'
        if files and not code.split("\n")[1].startswith("#include"):
            files[-1] = (files[-1][0], files[-1][1] + code)
        else:
            files.append((line + 1, code))
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        for line, code in files:
            unit, program = pathlib.Path(tmp) / f"readme_{line}.cpp", pathlib.Path(tmp) / f"readme_{line}"
            unit.write_text(code)
            run = re.search(r"^int main\(", code, re.M) is not None
            steps = [[*compiler, str(unit), "-o", str(program)], [str(program)]] if run else [[*compiler, "-fsyntax-only", str(unit)]]
            for step in steps:
                done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
                if done.returncode != 0:
                    print(f"README.md line {line}: {' '.join(step)}\n{done.stdout}")
                    bad += 1
                    break
            else:
                print(f"README.md line {line}: {'compiles and runs' if run else 'compiles'}")
    return bad != 0


def command(readme, heading):
    text = readme.read_text()
    at = re.search(rf"^#+ {re.escape(heading)}$", text, re.M)
    found = blocks(text[at.end():], "sh") if at else []
    if not found:
        sys.exit(f"no ```sh block below a heading '{heading}' in {readme}")
    print(found[0][1], end="")


if sys.argv[1] == "compile":
    sys.exit(compile_all(pathlib.Path(sys.argv[2]), sys.argv[3:]))
command(pathlib.Path(sys.argv[2]), sys.argv[3])
