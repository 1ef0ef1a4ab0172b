"""The implementations that ours is run against: how each is built, where its driver is and what it can speak."""
import dataclasses
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get("MOQL_INTEROP_CACHE", "/var/tmp/moql-interop")
ALL = ["01", "02", "03", "04", "05", "06"]


class Missing(Exception):
    """A peer cannot be built here; says what is missing."""


@dataclasses.dataclass
class Peer:
    name: str
    title: str
    command: list
    transports: list
    versions: list
    revisions: list = dataclasses.field(default_factory=lambda: [""])
    our_options: list = dataclasses.field(default_factory=list)  # for our driver, when it meets this peer
    our_qmux_options: list = dataclasses.field(default_factory=list)  # the same, over ws and tcp
    folder: str = None


def need(*programs):
    for p in programs:
        if shutil.which(p) is None:
            raise Missing(f"{p} is not installed")


def do(command, folder, **environment):
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Missing(f"`{' '.join(command)}` fails: " + " / ".join(done.stdout.strip().splitlines()[-3:]))
    return done.stdout.strip()


def ours(driver, build_dir):
    """Our driver: given, or built in `build_dir`, or in a build directory of the cache."""
    if not driver:
        need("meson", "ninja")
        build = build_dir or os.path.join(CACHE, "build")
        if not os.path.exists(os.path.join(build, "build.ninja")):
            do(["meson", "setup", build, "--buildtype=debugoptimized"], ROOT)
        do(["meson", "compile", "-C", build, "moql-peer"], ROOT)
        driver = os.path.join(build, "tests", "interop", "moql-peer")
    return Peer("moql", "moql itself, both sides", [os.path.abspath(driver)], ["moqt", "https", "ws", "tcp"], ALL)


def with_packages(name):
    """A folder of the cache with the driver and, beside it, the packages that its lock file names."""
    need("node", "npm")
    source = os.path.join(HERE, name)
    with open(os.path.join(source, "package-lock.json"), "rb") as f:
        lock = hashlib.sha256(f.read()).hexdigest()[:12]
    folder = os.path.join(CACHE, f"{name}-{lock}")
    os.makedirs(folder, exist_ok=True)
    for path in glob.glob(os.path.join(source, "*")):
        if os.path.isfile(path):
            shutil.copy(path, folder)
    if not os.path.exists(os.path.join(folder, "installed")):
        do(["npm", "ci", "--no-audit", "--no-fund"], folder)
        open(os.path.join(folder, "installed"), "w").close()
    return folder


def package_versions(folder, *names):
    with open(os.path.join(folder, "package-lock.json")) as f:
        packages = json.load(f)["packages"]
    return ", ".join(f"{n} {packages['node_modules/' + n]['version']}" for n in names)


def node():
    folder = with_packages("node")
    title = f"{package_versions(folder, '@moq/net', '@moq/qmux')} on Node {do(['node', '--version'], folder)}"
    return Peer("node", title, ["node", os.path.join(folder, "node-peer.mjs")], ["ws"], ALL,
                ["qmux-00", "qmux-01", "qmux-02"], folder=folder)


def rust():
    need("cargo")
    source = os.path.join(HERE, "rust")
    target = os.path.join(CACHE, "cargo")
    do(["cargo", "build", "--release", "--locked"], source, CARGO_TARGET_DIR=target)
    with open(os.path.join(source, "Cargo.lock")) as f:
        found = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', f.read()))
    title = ", ".join(f"{n} {found[n]}" for n in ("moq-net", "moq-tokio", "qmux", "web-transport-moq"))
    return Peer("rust", title, [os.path.join(target, "release", "rust-peer")], ["moqt", "https", "ws", "tcp"], ALL,
                our_options=["--any-reason"],  # it makes up the reasons of closes
                our_qmux_options=["--any-end"])  # it closes its socket on what it has not read, and so its close is lost


def go():
    need("go")
    source = os.path.join(HERE, "go")
    program = os.path.join(CACHE, "go", "go-peer")
    do(["go", "build", "-o", program, "."], source, GOFLAGS="-mod=mod")
    with open(os.path.join(source, "go.mod")) as f:
        found = re.findall(r"^\s*(?:require )?(github\.com/\S+) (v\S+)$", f.read(), re.M)
    title = ", ".join(f"{n.removeprefix('github.com/')} {v}" for n, v in found)
    # Its paths begin with a slash, and a prefix without one ends its process. It notes a subscription after it has sent
    # SUBSCRIBE (moqt/session.go:264-290), and a group that comes in between is refused (the same, 780-785).
    return Peer("go", title, [program], ["moqt", "https"], ["04"], our_options=["--slashes", "--begin-after", "50"])


BUILDERS = {"node": node, "rust": rust, "go": go}
