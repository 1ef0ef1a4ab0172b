#!/usr/bin/env python3
"""rust-peer against rust-peer: every scenario, version, transport and direction, so that a failure against another
implementation is not this driver's. A transport may name its QMux revision: -t ws+qmux-00 tcp+qmux-02."""

import argparse
import collections
import json
import os
import subprocess
import sys
import threading

SCENARIOS = """
announce-discover discover-announce withdraw subscribe-1 subscribe-3 late-join range priority-update sizes
many-groups end-of-track unknown-broadcast unknown-track unsubscribe fetch track-info datagrams probe goaway reset stop
close-subscriber close-publisher loss reverse""".split()
DEFAULT = os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release", "rust-peer")


def run(peer, scenario, version, transport, listener):
    """One scenario, between two processes: what came out, and why."""
    dialler = {"publisher": "subscriber", "subscriber": "publisher"}[listener]
    transport, _, qmux = transport.partition("+")
    common = ["--version", version, "--scenario", scenario] + (["--qmux", qmux] if qmux else [])
    first = subprocess.Popen([peer, "--listen", "0", "--role", listener, *common], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    port, hash_ = None, None
    early = []
    for line in first.stdout:
        early.append(json.loads(line))
        hash_ = early[-1].get("hash", hash_)
        port = early[-1].get("listening")
        if port or "result" in early[-1]:
            break
    results = {}
    if port:
        url = f"{transport}://127.0.0.1:{port}/interop"
        command = [peer, "--dial", url, "--role", dialler, *common]
        if hash_ and transport in ("moqt", "https", "wss"):
            command += ["--hash", hash_]
        second = subprocess.run(command, text=True, capture_output=True, timeout=60)
        results[dialler] = json.loads(second.stdout.splitlines()[-1])
        if results[dialler]["result"] == "unsupported":
            first.kill()
    out, err = first.communicate(timeout=60)
    all_lines = early + [json.loads(line) for line in out.splitlines()]
    results[listener] = all_lines[-1] if "result" in all_lines[-1] else {"result": "killed"}
    unsupported = [r for r in results.values() if r["result"] == "unsupported"]
    if unsupported:
        return "unsupported", unsupported[0]["why"]
    bad = {role: r for role, r in results.items() if r["result"] != "pass"}
    return ("fail", bad) if bad else ("pass", None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--peer", default=DEFAULT)
    parser.add_argument("-v", "--versions", nargs="*", default=["01", "02", "03", "04", "05", "06"])
    parser.add_argument("-t", "--transports", nargs="*", default=["moqt", "https", "ws", "tcp"])
    parser.add_argument("-s", "--scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("-l", "--listeners", nargs="*", default=["publisher", "subscriber"])
    options = parser.parse_args()
    count = collections.Counter()
    whys = collections.defaultdict(set)
    jobs = [(s, v, t, l) for s in options.scenarios for v in options.versions for t in options.transports
            for l in options.listeners]
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not jobs:
                    return
                job = jobs.pop(0)
            result, why = run(options.peer, *job)
            with lock:
                count[result] += 1
                if result == "unsupported":
                    whys[(job[0], why)].add(job[1] + "/" + job[2])
                elif result == "fail":
                    print("FAIL", *job, why, flush=True)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (scenario, why), where in sorted(whys.items()):
        print("unsupported", scenario, "on", " ".join(sorted(where)) + ":", why)
    print(dict(count))
    return 1 if count["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
