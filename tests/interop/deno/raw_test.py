#!/usr/bin/env python3
"""Raw QUIC between our adapter and quinn, both ways round, and each against itself.
Usage: raw_test.py [--ours RAW_PEER] [--deno DENO] [-s SCENARIO...]; README.md says what is needed."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

SCENARIOS = """alpn uni-1000 few-streams empty echo large datagrams reset-asker reset-answerer stop-asker stop-answerer
close-asker close-answerer""".split()
HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("MOQL_INTEROP_CACHE", "/var/tmp/moql-interop")


def make_certificates(directory):
    """An authority and a leaf of its own: rustls refuses a leaf that is an authority."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)
    with open(os.path.join(directory, "extensions"), "w") as f:
        f.write("basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n"
                "extendedKeyUsage=serverAuth\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "9", "-subj", "/CN=moql test",
            "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "9",
            "-extfile", "extensions", "-out", "leaf.pem")
    return directory


def last(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {"result": "fail", "why": "said nothing"}


def run(listener, dialler, certificates, scenario, asks):
    """Results of the one who asks and the one who answers."""
    streams = "10" if scenario == "few-streams" else "100"
    name = "uni-1000" if scenario == "few-streams" else scenario
    roles = {True: "asker", False: "answerer"}
    common = ["--scenario", name, "--streams", streams]
    files = ["--cert", f"{certificates}/leaf.pem", "--key", f"{certificates}/leaf.key"]
    first = subprocess.Popen([*listener, "--listen", "0", "--role", roles[asks == "listener"], *common, *files],
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    hello = first.stdout.readline()
    port = json.loads(hello).get("listening") if hello.startswith("{") else None
    if port is None:
        out, err = first.communicate(timeout=60)
        return [(roles[asks == "listener"], last(hello + out), err)]
    second = subprocess.run([*dialler, "--dial", f"moqt://127.0.0.1:{port}/", "--role", roles[asks == "dialler"], *common,
                             "--ca", f"{certificates}/ca.pem"], text=True, capture_output=True, timeout=60)
    result = last(second.stdout)
    if result["result"] == "unsupported" and first.poll() is None:
        first.kill()
    out, err = first.communicate(timeout=60)
    return [(roles[asks == "dialler"], result, second.stderr), (roles[asks == "listener"], last(out), err)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", default="")
    parser.add_argument("--deno", default=f"{CACHE}/deno/node_modules/.bin/deno")
    parser.add_argument("-s", "--scenarios", nargs="*", default=SCENARIOS)
    options = parser.parse_args()
    peers = {"deno": [options.deno, "run", "-A", "--quiet", "--unstable-net", os.path.join(HERE, "deno-peer.mjs")]}
    if options.ours:
        peers["ours"] = [options.ours]
    count = {"pass": 0, "fail": 0, "unsupported": 0}
    with tempfile.TemporaryDirectory() as directory:
        certificates = make_certificates(directory)
        for scenario in options.scenarios:
            for listener in peers:
                for dialler in peers:
                    for asks in ("dialler", "listener"):
                        if scenario == "alpn" and asks == "listener":
                            continue  # who dials finds out
                        results = run(peers[listener], peers[dialler], certificates, scenario, asks)
                        kinds = [r["result"] for _, r, _ in results]
                        kind = "unsupported" if "unsupported" in kinds else "fail" if "fail" in kinds else "pass"
                        count[kind] += 1
                        if kind != "pass":
                            print(kind, scenario, f"{dialler} dials {listener}, the {asks} asks:",
                                  *(f"{role}: {r.get('why')}" for role, r, _ in results if r["result"] == kind))
                        if kind == "fail":
                            print(*(f"  {role}: {err.strip()[:400]}" for role, _, err in results), sep="\n")
    print(f"{count['pass']} passed, {count['fail']} failed, {count['unsupported']} skipped")
    return 1 if count["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
