"""Relays as processes, publishers and readers of endless tracks, and what the readers must have got.

Used by relay_programs_test.py and interop/relay_live.py. Every wait is for something to happen and has a generous end;
no time decides whether a test passes. Processes are ended by what started them.
"""
import json
import re
import signal
import socket
import subprocess
import threading
import time

patience = 90


class problem(Exception):
    pass


def require(fact, what):
    if not fact:
        raise problem(what)


def until(fact, what):
    """Waits for `fact()`, which may be anything that is not false."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = fact()
        if value:
            return value
        time.sleep(0.02)
    raise problem(f"not in {patience} s: {what() if callable(what) else what}")


def free_port():
    """One that is free for TCP and UDP just now."""
    while True:
        with socket.socket() as t, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
            t.bind(("127.0.0.1", 0))
            try:
                u.bind(t.getsockname())
            except OSError:
                continue
            return t.getsockname()[1]


class process:
    """One that is killed with the block, if it is still there; what it says is read all the time."""

    def __init__(self, command, stdin=None):
        self.command = command
        self.process = subprocess.Popen([str(c) for c in command], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.said, self.out = [], []
        self.threads = [threading.Thread(target=self.hear, args=a, daemon=True)
                        for a in ((self.process.stderr, self.said), (self.process.stdout, self.out))]
        for t in self.threads:
            t.start()

    def hear(self, pipe, lines):
        for line in pipe:
            line = line.decode(errors="replace").rstrip("\n")
            lines.append(line)
            if lines is self.out:
                self.heard(line)

    def heard(self, line):
        pass

    def is_running(self):
        return self.process.poll() is None

    def ask(self, how=signal.SIGTERM):
        if self.is_running():
            self.process.send_signal(how)

    def wait(self):
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise problem(f"{self.command[0]} does not end")
        for t in self.threads:
            t.join(patience)
        return code

    def stop(self):
        self.ask()
        return self.wait()

    def kill(self):
        self.ask(signal.SIGKILL)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_running():
            self.process.kill()
            self.process.wait()


class relay(process):
    """moql-relay; `stats` is its file, if it was given one."""

    def __init__(self, program, *options, stats=None, port=0):
        self.stats_file = stats
        more = ["--stats", stats, "--stats-interval", "0.1"] if stats else []
        super().__init__([program, "--port", port, "--quiet", *more, *options])
        until(lambda: self.said or not self.is_running(), "moql-relay says nothing")
        m = re.search(r"port (\d+), certificate SHA-256 ([0-9a-f]{64})", self.said[0] if self.said else "")
        if not m:
            self.kill()
            raise problem(f"moql-relay does not start: {self.said}")
        self.port, self.hash = int(m[1]), m[2]

    def url(self, transport="ws", path=""):
        return f"{transport}://127.0.0.1:{self.port}/{path}"

    def lines(self):
        try:
            return [json.loads(l) for l in self.stats_file.read_text().splitlines(keepends=True) if l.endswith("\n")]
        except FileNotFoundError:
            return []

    def stats(self):
        lines = self.lines()
        return lines[-1] if lines else {}

    def until_stats(self, fact, what):
        return until(lambda: (lambda s: s if s and fact(s) else None)(self.stats()), lambda: f"{what}: {self.stats()}")


class reader(process):
    """relay-traffic read: which groups of each track came whole."""

    def __init__(self, program, url, broadcast, *options, tracks=10):
        self.groups = {t: [] for t in range(tracks)}
        self.ended, self.cut = {}, []
        super().__init__([program, "read", url, broadcast, "--tracks", tracks, *options])

    def heard(self, line):
        if m := re.fullmatch(r"(\d+) (\d+)", line):
            self.groups[int(m[1])].append(int(m[2]))
        elif m := re.fullmatch(r"track (\d+): (.*)", line):
            self.ended[int(m[1])] = m[2]
        elif line.startswith(("cut ", "lost ")):
            self.cut.append(line)

    def least(self):
        return min(len(g) for g in self.groups.values())

    def until_groups(self, n):
        """Until every track has brought n more."""
        want = {t: len(g) + n for t, g in self.groups.items()}
        until(lambda: self.ended or not self.is_running() or all(len(self.groups[t]) >= w for t, w in want.items()),
              lambda: f"groups: {self.summary()}")
        require(self.is_running() and not self.ended, f"a reader ended: {self.summary()}")

    def summary(self):
        each = {t: f"{len(g)} up to {max(g, default=-1)}" for t, g in self.groups.items()}
        return f"{each}, ended {self.ended}, cut {self.cut[-5:]}, said {self.said[-5:]}"

    def missing(self):
        """The groups between the first and the newest of each track that are not there."""
        found = {}
        for t, got in self.groups.items():
            got = list(got)
            if lacks := sorted(set(range(min(got), max(got) + 1)) - set(got)):
                found[t] = lacks
        return found

    def check(self, lost_max=0):
        """Every track without a repeated group, and with at most so many missing: the newest come first, so the others may
        take a while. What is missing, for a report."""
        until(lambda: all(len(m) <= lost_max for m in self.missing().values()),
              lambda: f"missing groups: {self.missing()}; {self.summary()}")
        for t, got in self.groups.items():
            repeated = {g for g in got if got.count(g) > 1}
            require(not repeated, f"track {t}: groups {sorted(repeated)} came twice")
        return self.missing()


def publisher(program, url, broadcast, *options, tracks=10):
    p = process([program, "publish", url, broadcast, "--tracks", tracks, *options])
    until(lambda: p.out or not p.is_running(), f"a publisher does not connect: {p.said}")
    if not p.out:
        raise problem(f"a publisher ended: {p.said}")
    return p


class suite:
    """Runs functions as tests, named by their first line; only those that are wanted."""

    def __init__(self, wanted=()):
        self.wanted, self.passed, self.failed = wanted, 0, 0

    def test(self, f):
        name = f.__doc__.strip().splitlines()[0]
        if self.wanted and not any(w in f.__name__ or w in name for w in self.wanted):
            return
        began = time.monotonic()
        try:
            note = f()
            self.passed += 1
            print(f"ok    {name} ({time.monotonic() - began:.1f} s){': ' + note if note else ''}", flush=True)
        except problem as e:
            self.failed += 1
            print(f"FAIL  {name}: {e}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed != 0
