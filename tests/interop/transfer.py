#!/usr/bin/env python3
"""transfer.py PUBLISH SUBSCRIBE SERVE [RELAY]: a large file through moql-serve and through the reference's relay, and
over a network that loses packets. SHA-256 of what comes out must be that of what went in; what does not come must be
reported. Without RELAY, or without root for the network namespaces, it says what it leaves out.
"""
import argparse
import hashlib
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

from lossy_link import lossy_link

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("publish")
p.add_argument("subscribe")
p.add_argument("serve")
p.add_argument("relay", nargs="?", help="the program moq-relay")
p.add_argument("--megabytes", type=int, default=100)
args = p.parse_args()
here = pathlib.Path(__file__).resolve().parent
scratch = tempfile.TemporaryDirectory()
folder = pathlib.Path(scratch.name)
patience = 900
passed = failed = 0


def outcome(name, good, detail):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok  ' if good else 'FAIL'}  {name}: {detail}", flush=True)


def plain(_, command, **how):
    return subprocess.Popen(command, **how)


class through_serve:
    name = "moql-serve"

    def __init__(self, popen, address):
        self.process = popen("b", [args.serve, "--port", "0", "--address", address, "--quiet"], stderr=subprocess.PIPE, text=True)
        m = re.search(r"port (\d+), certificate SHA-256 ([0-9a-f]{64})", self.process.stderr.readline())
        self.port, self.trust = m[1], ["--hash", m[2]]
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class through_relay:
    name = "moq-relay"

    def __init__(self, popen, address):
        port = str(random.randrange(20000, 30000))
        self.process = popen("b", [str(here / "rust" / "relay.sh"), port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             text=True, env={**os.environ, "MOQ_RELAY": args.relay})
        m = re.search(r'"hash":"([0-9a-f]{64})"', self.process.stdout.readline())
        self.process.stdout.readline()
        self.port, self.trust = port, ["--hash", m[1]]

    stop = through_serve.stop


def transfer(server, popen, host, inner, version, path, size):
    out = folder / "out"
    out.unlink(missing_ok=True)
    options = ["--version", version, "--quiet", *server.trust]
    room = f"room-{version}-{random.randrange(1 << 30)}"
    began = time.monotonic()
    a = popen("b", [args.publish, f"moqt://{inner}:{server.port}/{room}", "a", "file", str(path), *options], stderr=subprocess.PIPE, text=True)
    b, said = None, ""
    try:
        while time.monotonic() - began < patience:
            b = popen("a", [args.subscribe, f"moqt://{host}:{server.port}/{room}", "a", "file", "--from", "0", "-o", str(out), *options],
                      stderr=subprocess.PIPE, text=True)
            said = b.communicate(timeout=patience)[1]
            if b.returncode == 0 or "no track" not in said:
                break
        spent = time.monotonic() - began
        good = b.returncode == 0 and out.exists() and hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
        return good, f"{size / 1e6:.0f} MB in {spent:.1f} s, SHA-256 equal" if good else f"exit code {b.returncode}: {said.strip()}"
    finally:
        for x in (a, b):
            if x and x.poll() is None:
                x.terminate()
            if x:
                x.communicate(timeout=60)


def make_file(size):
    path = folder / f"file-{size}"
    if not path.exists():
        path.write_bytes(random.Random(size).randbytes(size))
    return path


def on_this_machine():
    size = args.megabytes * 1_000_000
    kinds = [through_serve] + ([through_relay] if args.relay else [])
    if not args.relay:
        print("skip  moq-relay: no program given", flush=True)
    for kind in kinds:
        server = kind(plain, "127.0.0.1")
        for version in ("05", "06"):
            good, detail = transfer(server, plain, "127.0.0.1", "127.0.0.1", version, make_file(size), size)
            outcome(f"{kind.name}, {version}, QUIC", good, detail)
        server.stop()


def with_loss():
    # What congestion control makes of loss decides how much fits into a test: about a third of a MB a second at 1 %.
    for loss, size in ((0.01, 20_000_000), (0.05, 5_000_000)):
        for version in ("05", "06"):
            with lossy_link(loss=loss, delay=0.025) as link:
                server = through_serve(link.popen, "0.0.0.0")
                good, detail = transfer(server, link.popen, link.address["b"], "127.0.0.1", version, make_file(size), size)
                server.stop()
                outcome(f"moql-serve, {version}, QUIC, {loss:.0%} loss, 50 ms", good, f"{detail}; {link.lost} of {link.sent} packets lost")


def expiry():
    """A live track with more bytes than the link carries: every group is whole, cut, or reported as lost."""
    for version in ("05", "06"):
        with lossy_link(loss=0.05, delay=0.025) as link:
            server = through_serve(link.popen, "0.0.0.0")
            options = ["--version", version, "--quiet", *server.trust]
            a = link.popen("b", [args.publish, f"moqt://127.0.0.1:{server.port}/", "a", "live", "-", "--max-age", "1000", *options],
                           stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            noise = random.Random(1).randbytes(40_000)

            def feed():
                try:
                    for _ in range(400):  # 1 MB a second
                        a.stdin.write(noise)
                        a.stdin.flush()
                        time.sleep(0.04)
                    a.stdin.close()
                except OSError:
                    pass

            threading.Thread(target=feed, daemon=True).start()
            for _ in range(100):
                b = link.popen("a", [args.subscribe, f"moqt://{link.address['b']}:{server.port}/", "a", "live", "--max-age", "1000", "--log",
                                     "-o", str(folder / "live"), *options], stderr=subprocess.PIPE, text=True)
                said = b.communicate(timeout=patience)[1]
                if "no track" not in said:
                    break
            a.wait(60)
            server.stop()
            whole = {int(n) for n in re.findall(r"group (\d+) finished: no error", said)}
            cut = {int(n) for n in re.findall(r"group (\d+) was cut short", said)}
            lost = {g for first, last in re.findall(r"groups (\d+) to (\d+) were", said) for g in range(int(first), int(last) + 1)}
            known = whole | cut | lost
            silent = set(range(min(known), max(known) + 1)) - known if known else {"everything"}
            outcome(f"moql-serve, {version}, QUIC, live, more than the link carries", known and (cut or lost) and not silent,
                    f"{len(whole)} groups whole, {len(cut)} cut and {len(lost)} lost, both reported, {len(silent)} missing in silence")


on_this_machine()
try:
    with lossy_link():
        pass
    with_loss()
    expiry()
except (OSError, subprocess.CalledProcessError) as e:
    print(f"skip  network namespaces: {e}", flush=True)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
