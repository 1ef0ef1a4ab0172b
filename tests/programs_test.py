#!/usr/bin/env python3
"""programs_test.py PUBLISH SUBSCRIBE SERVE [NAME...]: the programs against each other and against what should not be there.

Every wait is for something to happen and has a generous end; no time decides whether a test passes.
"""
import hashlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

publish, subscribe, serve = sys.argv[1:4]
wanted = sys.argv[4:]
patience = 90
passed = failed = 0
scratch = tempfile.TemporaryDirectory()
folder = pathlib.Path(scratch.name)
versions = ["01", "02", "03", "04", "05", "06"]
transports = ["moqt", "https", "ws", "wss", "tcp"]


class problem(Exception):
    pass


def test(f):
    global passed, failed
    name = f.__doc__
    if wanted and not any(w in f.__name__ or w in name for w in wanted):
        return
    try:
        f()
        passed += 1
        print(f"ok    {name}", flush=True)
    except (problem, subprocess.TimeoutExpired) as e:
        failed += 1
        print(f"FAIL  {name}: {e}", flush=True)


def require(fact, what):
    if not fact:
        raise problem(what)


class server:
    """moql-serve on a free port, ended with the block; what it said is in `said`."""

    def __init__(self, *options):
        self.process = subprocess.Popen([serve, "--port", "0", "--quiet", *options], stderr=subprocess.PIPE, text=True)
        first = self.process.stderr.readline()
        m = re.search(r"port (\d+), certificate SHA-256 ([0-9a-f]{64})", first)
        require(m, f"moql-serve does not start: {first}")
        self.port, self.hash = int(m[1]), m[2]
        self.said = []
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def url(self, transport):
        return f"{transport}://127.0.0.1:{self.port}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise problem("moql-serve does not stop")


def trust(s, transport):
    return ["--hash", s.hash] if transport in ("moqt", "https", "wss") else []


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=patience)


def complains(r, *texts, code=(1, 2)):
    """One line that says what is wrong, and a code that is not 0."""
    lines = [l for l in r.stderr.splitlines() if l.strip()]
    require(r.returncode in code, f"exit code {r.returncode}, said {r.stderr!r}")
    require(len(lines) == 1, f"not one line: {r.stderr!r}")
    for t in texts:
        require(t in lines[0], f"does not say '{t}': {lines[0]}")


def make_file(name, size):
    path = folder / name
    path.write_bytes(random.Random(size).randbytes(size))
    return path


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def transfer(publisher_url, subscriber_url, options, path, publish_options=(), subscribe_options=()):
    out = folder / "out"
    if out.exists():
        out.unlink()
    p = subprocess.Popen([publish, publisher_url, "room/a", "file", str(path), "--quiet", *options, *publish_options],
                         stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(200):  # until the publisher has been announced
            r = run(subscribe, subscriber_url, "room/a", "file", "-o", str(out), "--quiet", *options, *subscribe_options)
            if "no track" not in r.stderr:
                break
        require(r.returncode == 0, f"moql-subscribe: {r.stderr}")
        said = p.communicate(timeout=patience)[1]
        require(p.returncode == 0, f"moql-publish: {said}")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    require(sha(out) == sha(path), "other bytes came out")


@test
def transfers():
    """a file goes through moql-serve and comes out the same, on every transport in every version"""
    path = make_file("file", 3_000_000)
    troubles = []
    for transport in transports:
        for v in versions:
            with server("--version", v) as s:
                try:
                    transfer(s.url(transport), s.url(transport), ["--version", v, *trust(s, transport)], path)
                except (problem, subprocess.TimeoutExpired) as e:
                    troubles.append(f"{transport} {v}: {e}")
    require(not troubles, "; ".join(troubles))


@test
def crossing():
    """publisher and subscriber may speak different versions over different transports"""
    path = make_file("file", 1_000_000)
    with server() as s:
        for a, va, b, vb in (("moqt", "06", "ws", "03"), ("tcp", "04", "https", "05"), ("wss", "05", "moqt", "06")):
            out = folder / "out"
            p = subprocess.Popen([publish, s.url(a), "room/a", "file", str(path), "--quiet", "--version", va,
                                  *trust(s, a)], stderr=subprocess.PIPE, text=True)
            for _ in range(200):
                r = run(subscribe, s.url(b), "room/a", "file", "-o", str(out), "--quiet", "--version", vb, *trust(s, b))
                if "no track" not in r.stderr:
                    break
            said = p.communicate(timeout=patience)[1]
            require(r.returncode == 0 and p.returncode == 0, f"{a} {va} to {b} {vb}: {r.stderr} {said}")
            require(sha(out) == sha(path), f"{a} {va} to {b} {vb}: other bytes came out")


def feed(process, stop):
    """Lines to a program's standard input until it is gone or `stop` is set."""

    def lines():
        n = 0
        try:
            while not stop.wait(0.05):
                n += 1
                process.stdin.write(b"line %d\n" % n)
                process.stdin.flush()
        except (OSError, ValueError):  # its end is closed, or ours
            pass

    threading.Thread(target=lines, daemon=True).start()


def first_output(command):
    """Starts a subscriber, again until its broadcast has been announced; the process and its first line."""
    for _ in range(200):
        q = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        watchdog = threading.Timer(patience, q.kill)
        watchdog.start()
        line = q.stdout.readline()
        watchdog.cancel()
        if line:
            break
        q.communicate()
    return q, line


@test
def standard_input():
    """what is piped in comes out live"""
    with server() as s:
        options = ["--hash", s.hash, "--quiet"]
        p = subprocess.Popen([publish, s.url("moqt"), "room/a", "live", "-", *options], stdin=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        q = None
        try:
            stop = threading.Event()
            feed(p, stop)
            q, line = first_output([subscribe, s.url("moqt"), "room/a", "live", *options])
            require(line.startswith(b"line "), f"nothing came out: {line!r}")
            stop.set()
            q.send_signal(signal.SIGINT)
            q.communicate(timeout=patience)
            require(q.returncode == 0, "an interrupted moql-subscribe has not failed")
            p.send_signal(signal.SIGINT)
            p.wait(patience)
        finally:
            for x in (p, q):
                if x and x.poll() is None:
                    x.kill()
                    x.wait()


@test
def wrong_urls():
    """a wrong URL is told in one line, with what is wrong and where"""
    path = str(make_file("small", 100))
    for url, text in (("nonsense", "scheme"), ("gopher://x/", "scheme"), ("moqt://", "host"), ("moqt://h:0/", "port"),
                      ("tcp://127.0.0.1/", "port"), ("ws://[::x]/", "IPv6"), ("https://h/%zz", "percent")):
        complains(run(publish, url, "b", "t", path), "moql-publish: ", text)
        complains(run(subscribe, url, "b", "t"), "moql-subscribe: ", text)


@test
def nobody_there():
    """where nobody listens, a client says so"""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        for transport in ("ws", "wss", "tcp", "moqt"):
            complains(run(subscribe, f"{transport}://127.0.0.1:{port}/", "b", "t", "--insecure"), f"127.0.0.1:{port}")


@test
def busy_port():
    """a busy port is told in one line, whether TCP or UDP has it"""
    with server() as s:
        complains(run(serve, "--port", str(s.port)), "moql-serve: ", str(s.port), code=(2,))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        u.bind(("127.0.0.1", 0))
        complains(run(serve, "--port", str(u.getsockname()[1])), "moql-serve: ", code=(2,))


@test
def certificates():
    """a certificate that is missing, broken, not trusted or another one is told in one line"""
    complains(run(serve, "--port", "0", "--cert", "/nowhere.pem", "--key", "/nowhere.pem"), "/nowhere.pem", code=(2,))
    broken = folder / "broken.pem"
    broken.write_text("no certificate\n")
    complains(run(serve, "--port", "0", "--cert", str(broken), "--key", str(broken)), "broken.pem", code=(2,))
    complains(run(serve, "--port", "0", "--cert", str(broken)), "--key", code=(2,))
    with server() as s:
        for transport in ("moqt", "https", "wss"):
            complains(run(subscribe, s.url(transport), "b", "t"), "certificate")
            complains(run(subscribe, s.url(transport), "b", "t", "--hash", "00" * 32), "hash")


@test
def refused_version():
    """a peer of another version is told in one line, on every transport"""
    for theirs, ours in (("04", "06"), ("06", "02")):
        with server("--version", theirs) as s:
            for transport in transports:
                r = run(subscribe, s.url(transport), "b", "t", "--version", ours, *trust(s, transport))
                complains(r, "version")


@test
def unknown_names():
    """an unknown broadcast is refused by its name, with the name and the number of the code"""
    with server() as s:
        for v in versions:
            r = run(subscribe, s.url("ws"), "room/none", "video", "--version", v)
            complains(r, "room/none", "video", "UNROUTABLE (0x36)", code=(1,))


@test
def unusable_names():
    """a broadcast that no version can name is told in one line, by publisher and subscriber"""
    deep = "/".join("a" * 40)
    with server() as s:
        complains(run(publish, s.url("ws"), deep, "t", str(make_file("small", 100))), "cannot announce", code=(1,))
        complains(run(subscribe, s.url("ws"), deep, "t"), "cannot subscribe", code=(1,))


class garbage:
    """Says what nobody can understand, to whoever connects."""

    def __init__(self, kind, first=b""):
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.kind, self.first = kind, first
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        threading.Thread(target=self.talk, daemon=True).start()

    def talk(self):
        noise = random.Random(5)
        try:
            while True:
                if self.kind == socket.SOCK_DGRAM:
                    _, who = self.socket.recvfrom(2048)
                    self.socket.sendto(noise.randbytes(1200), who)
                else:
                    c, _ = self.socket.accept()
                    c.sendall(self.first + noise.randbytes(5000))
        except OSError:
            pass


@test
def garbage_from_a_server():
    """a server that sends garbage is told in one line"""
    tcp, udp = garbage(socket.SOCK_STREAM), garbage(socket.SOCK_DGRAM)
    for transport, port in (("ws", tcp.port), ("wss", tcp.port), ("tcp", tcp.port), ("moqt", udp.port), ("https", udp.port)):
        complains(run(subscribe, f"{transport}://127.0.0.1:{port}/", "b", "t", "--insecure"), code=(1,))
    tcp.socket.close()
    udp.socket.close()


@test
def garbage_from_clients():
    """clients that send garbage do not hurt a server or its other peers"""
    path = make_file("file", 300_000)
    noise = random.Random(7)
    with server() as s:
        for i in range(60):
            with socket.create_connection(("127.0.0.1", s.port)) as c:
                first = (b"", b"\x16\x03\x01", b"GET ", b"GET / HTTP/1.1\r\n\r\n", b"\x3e\xffQS0")[i % 5]
                try:
                    c.sendall(first + noise.randbytes(2000))
                except OSError:
                    pass
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                u.sendto(noise.randbytes(1200), ("127.0.0.1", s.port))
                u.sendto(bytes([0xC0 | noise.randrange(64)]) + b"\0\0\0\1" + noise.randbytes(1195), ("127.0.0.1", s.port))
        transfer(s.url("moqt"), s.url("ws"), ["--hash", s.hash], path)
        require(s.process.poll() is None, "moql-serve is gone")


@test
def lost_server():
    """a subscriber whose server dies says that the connection was lost"""
    s = server()
    p = subprocess.Popen([publish, s.url("ws"), "room/a", "live", "-", "--quiet"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    q = None
    try:
        feed(p, threading.Event())
        q, first = first_output([subscribe, s.url("ws"), "room/a", "live", "--quiet"])
        require(first, "nothing came out")
        s.process.kill()
        said = q.communicate(timeout=patience)[1]
        require(q.returncode == 1 and b"lost" in said, f"exit code {q.returncode}: {said}")
        said = p.communicate(timeout=patience)[1]
        require(p.returncode == 1 and b"lost" in said, f"exit code {p.returncode}: {said}")
    finally:
        s.process.wait()
        for x in (p, q):
            if x and x.poll() is None:
                x.kill()
                x.wait()


@test
def interrupted():
    """an interrupted program leaves in order"""
    with server() as s:
        p = subprocess.Popen([publish, s.url("moqt"), "room/a", "f", str(make_file("f", 1000)), "--hash", s.hash, "--quiet"],
                             stderr=subprocess.PIPE, text=True)
        while run(subscribe, s.url("moqt"), "room/a", "other", "--hash", s.hash, "--quiet").returncode == 0:
            pass
        p.send_signal(signal.SIGTERM)
        said = p.communicate(timeout=patience)[1]
        require(p.returncode in (0, 1), f"exit code {p.returncode}: {said}")
    require(not [l for l in s.said if "rror" in l], f"moql-serve: {s.said}")


print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
