"""What is run beside the matrix of scenarios, and has a result of its own: quinn on bare streams, a page in a browser,
a large file through the reference's relay and over a network that loses packets, a mesh with that relay."""
import dataclasses
import os
import re
import subprocess
import sys

import peers


@dataclasses.dataclass
class Run:
    title: str
    output: str
    passed: int
    failed: int


def counted(title, command, folder=peers.HERE, limit=1800):
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=limit)
    except subprocess.TimeoutExpired as late:
        return Run(title, f"{(late.stdout or b'').decode()}\nnot done after {limit} s", 0, 1)
    if done.returncode == 77:
        raise peers.Missing(done.stdout.strip().splitlines()[-1])
    m = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
    passed, failed = (int(m[1]), int(m[2])) if m else (0, 1)
    return Run(title, done.stdout.strip(), passed, max(failed, 1 if done.returncode else 0))


def program(ours, name):
    """A program of the build that our driver comes from."""
    path = os.path.join(os.path.dirname(ours.command[0]), "..", "..", "examples", "moql-" + name)
    if not os.path.exists(path):
        peers.do(["meson", "compile", "-C", os.path.join(os.path.dirname(path), ".."), "moql-" + name], peers.ROOT)
    return os.path.abspath(path)


def deno(ours):
    folder = peers.with_packages("deno")
    raw = os.path.join(os.path.dirname(ours.command[0]), "raw-peer")
    if not os.path.exists(raw):
        peers.do(["meson", "compile", "-C", os.path.join(os.path.dirname(raw), "..", ".."), "raw-peer"], peers.ROOT)
    title = f"quinn, as {peers.package_versions(folder, 'deno')} has it: QUIC without moq"
    return counted(title, [sys.executable, "raw_test.py", "--ours", raw, "--deno",
                           os.path.join(folder, "node_modules", ".bin", "deno")], os.path.join(peers.HERE, "deno"))


def browser(ours):
    peers.need("node", "npm", "chromium")
    page = os.path.join(peers.ROOT, "examples", "browser")
    if not os.path.isdir(os.path.join(page, "node_modules")):
        peers.do(["npm", "ci", "--no-audit", "--no-fund"], page)
    chromium = peers.do(["chromium", "--version"], page).splitlines()[-1]  # behind what its start script has to say
    title = f"{peers.package_versions(page, '@moq/net')} in {chromium}"
    return counted(title, ["node", os.path.join(peers.ROOT, "tests", "browser_test.mjs"), program(ours, "serve"),
                           program(ours, "subscribe")])


def reference_relay():
    relay = os.path.join(peers.CACHE, "relay", "bin", "moq-relay")
    if not os.path.exists(relay):
        peers.need("cargo")
        peers.do(["cargo", "install", "--root", os.path.join(peers.CACHE, "relay"), "--no-default-features", "--features",
                  "noq,websocket", "moq-relay@0.17.10"], peers.HERE, CARGO_TARGET_DIR=os.path.join(peers.CACHE, "cargo"))
    return relay


def transfer(ours):
    try:
        relay = [reference_relay()]
    except peers.Missing as why:
        print(f"moq-relay: {why}", flush=True)
        relay = []
    programs = [program(ours, name) for name in ("publish", "subscribe", "serve")]
    title = "100 MB through moql-serve and moq-relay 0.17.10, and through a link that loses packets"
    return counted(title, [sys.executable, "transfer.py", *programs, *relay])


def relays(ours):
    reference = reference_relay()
    traffic = os.path.join(os.path.dirname(ours.command[0]), "..", "relay-traffic")
    if not os.path.exists(traffic):
        peers.do(["meson", "compile", "-C", os.path.join(os.path.dirname(traffic), ".."), "relay-traffic"], peers.ROOT)
    try:
        node, packages = ["--node", peers.with_packages("node")], " and @moq/net"
    except peers.Missing as why:
        print(f"@moq/net: {why}", flush=True)
        node, packages = [], ""
    title = f"moql-relay in one mesh with moq-relay 0.17.10{packages}"
    return counted(title, [sys.executable, "relay_live.py", program(ours, "relay"), traffic, ours.command[0], reference, *node])


RUNS = {"deno": deno, "browser": browser, "transfer": transfer, "relays": relays}
