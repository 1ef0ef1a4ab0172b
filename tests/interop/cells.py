"""What is run: every cell is one scenario between our driver and a peer's, and has one outcome."""
import csv
import dataclasses
import fnmatch
import json
import os
import re
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = ["01", "02", "03", "04", "05", "06"]
TRANSPORTS = {"moqt": "QUIC", "https": "WebTransport", "ws": "QMux, WebSocket", "wss": "QMux, WebSocket, TLS",
              "tcp": "QMux, TCP"}
WITH_DATAGRAMS = {"moqt", "https"}


@dataclasses.dataclass(frozen=True)
class Cell:
    peer: str
    version: str
    transport: str
    qmux: str  # the one revision to speak, or ""
    dials: str  # "we" or "they"
    publishes: str
    scenario: str

    def __str__(self):
        how = f"{self.transport}/{self.qmux}" if self.qmux else self.transport
        roles = "" if self.scenario == "reverse" else f", {self.publishes} publish"
        return f"{self.peer} {self.version} {how} {self.scenario}: {self.dials} dial{roles}"


@dataclasses.dataclass
class Outcome:
    what: str  # pass, fail, limit (the peer says it cannot), peer (a known fault of its), fixed (known, and passes)
    why: str = ""
    where: str = ""
    seen: str = ""  # what a known fault looked like this time


def scenarios():
    """Names, versions and needs, from the table in SCENARIOS.md."""
    found = {}
    with open(os.path.join(HERE, "SCENARIOS.md")) as f:
        for line in f:
            row = [c.strip() for c in line.strip().strip("|").split("|")]
            if len(row) != 4 or row[0] in ("name", "---"):
                continue
            named = re.findall(r"\d\d", row[1])
            versions = VERSIONS if row[1] == "all" else named
            if row[1].endswith(" on"):
                versions = VERSIONS[VERSIONS.index(named[0]):]
            found[row[0]] = (versions, "QUIC and WebTransport" in row[1])
    return found


def known():
    """Faults of peers that we know of: a pattern for each column of a cell, where it is, and what it is."""
    path = os.path.join(HERE, "known.tsv")
    with open(path) as f:
        rows = [r for r in csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if r and not r[0].startswith("#")]
    for r in rows:
        if len(r) != 8:
            raise SystemExit(f"{path}: eight columns are wanted: {r}")
    return rows


def known_fault(cell, table):
    values = (cell.peer, cell.version, f"{cell.transport}/{cell.qmux}" if cell.qmux else cell.transport, cell.dials,
              cell.publishes, cell.scenario)
    for row in table:
        if all(any(fnmatch.fnmatchcase(v, p) for p in pattern.split(",")) for v, pattern in zip(values, row)):
            return row[6], row[7]
    return None


def matrix(peers, versions, transports, names):
    table = scenarios()
    for peer in peers:
        for transport in peer.transports:
            for version in peer.versions:
                for qmux in peer.revisions if transport in ("ws", "wss", "tcp") else [""]:
                    for name, (having, needs_datagrams) in table.items():
                        if version not in having or (needs_datagrams and transport not in WITH_DATAGRAMS):
                            continue
                        if (versions and version not in versions) or (transports and transport not in transports):
                            continue
                        if names and name not in names:
                            continue
                        for dials in ("we", "they"):
                            for publishes in ("we", "they") if name != "reverse" else ("we",):
                                yield Cell(peer.name, version, transport, qmux, dials, publishes, name)


class Driver:
    """One process of a cell; its output is read on the side, so that it never blocks."""

    def __init__(self, command, folder, log):
        self.lines = []
        self.ready = threading.Event()
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=log)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                self.lines.append(said)
            if "listening" in said or "result" in said:
                self.ready.set()
        self.ready.set()

    def said(self, key):
        return next((line[key] for line in reversed(self.lines) if key in line), None)

    def result(self, seconds):
        """The last word, or what happened instead of one."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return {"result": "fail", "why": "did not end by itself"}
        self.reader.join(5)
        last = self.lines[-1] if self.lines else {}
        if "result" not in last:
            return {"result": "fail", "why": f"ended with exit code {code} and without a result"}
        wanted = {"pass": 0, "fail": 1, "unsupported": 3}.get(last["result"])
        if code != wanted:
            return {"result": "fail", "why": f"says {last['result']}, but the exit code is {code}"}
        return last

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def run(cell, ours, peer, certificate, logs, timeout):
    """Runs both sides of a cell. `certificate` is (certificate, key, hash); logs go to a file each."""
    name = re.sub(r"[^\w.-]+", "-", str(cell))
    common = ["--version", cell.version, "--scenario", cell.scenario, "--timeout", str(timeout)]
    if cell.qmux:
        common += ["--qmux", cell.qmux]
    cert, key, sha = certificate

    def start(who, listens, port=0):
        publishes = cell.publishes == who
        command = list(ours.command if who == "we" else peer.command)
        command += common + ["--role", "publisher" if publishes else "subscriber"]
        if listens:
            command += ["--listen", "0", "--cert", cert, "--key", key]
        else:
            command += ["--dial", f"{cell.transport}://127.0.0.1:{port}/interop", "--hash", sha]
        if who == "we" and ours is not peer:
            command += ["--dump", *peer.our_options]
            command += peer.our_qmux_options if cell.transport in ("ws", "tcp") else []
            if listens and cell.scenario == "many-groups":
                command += ["--streams", "10"]
        folder = peer.folder if command[0] == peer.command[0] else None
        with open(os.path.join(logs, f"{name}.{'ours' if who == 'we' else 'theirs'}.log"), "wb") as log:
            log.write((" ".join(command) + "\n").encode())
            log.flush()
            return Driver(command, folder, log)

    other = {"we": "they", "they": "we"}
    listener = start(other[cell.dials], True)
    results = {}
    try:
        if not listener.ready.wait(timeout + 15):
            return Outcome("fail", f"{other[cell.dials]}: nothing is listening after {timeout + 15} s")
        port = listener.said("listening")
        if port:
            sha = listener.said("hash") or sha
            dialler = start(cell.dials, False, port)
            try:
                results[cell.dials] = dialler.result(timeout + 15)
            finally:
                dialler.kill()
            if results[cell.dials]["result"] == "unsupported":
                listener.kill()
            else:
                results[other[cell.dials]] = listener.result(timeout + 15)
        else:
            results[other[cell.dials]] = listener.result(timeout + 15)
    finally:
        listener.kill()
    limits = [r for who, r in results.items() if (who == "they" or ours is peer) and r["result"] == "unsupported"]
    if limits:
        return Outcome("limit", limits[0].get("why", ""))
    bad = [f"{'ours' if who == 'we' else 'theirs'}: {r.get('why', r['result'])}" for who, r in results.items()
           if r["result"] != "pass"]
    return Outcome("fail", "; ".join(bad)) if bad else Outcome("pass")
