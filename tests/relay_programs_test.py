#!/usr/bin/env python3
"""relay_programs_test.py PUBLISH SUBSCRIBE RELAY TRAFFIC [NAME...]: moql-relay, alone and as a mesh, with the other
programs. See relay_mesh.py for how it waits."""
import hashlib
import itertools
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack

import relay_mesh as mesh
from relay_mesh import problem, require, until

publish, subscribe, relay_program, traffic = sys.argv[1:5]
tests = mesh.suite(sys.argv[5:])
test = tests.test
scratch = tempfile.TemporaryDirectory()
folder = pathlib.Path(scratch.name)
numbers = itertools.count()


def relay(stack, *options, **how):
    return stack.enter_context(mesh.relay(relay_program, *options, stats=folder / f"stats-{next(numbers)}", **how))


def publisher(stack, r, *options, transport="ws", broadcast="room", tracks=10):
    return stack.enter_context(mesh.publisher(traffic, r.url(transport), broadcast, "--hash", r.hash, *options, tracks=tracks))


def reader(stack, r, *options, transport="ws", broadcast="room", tracks=10):
    return stack.enter_context(mesh.reader(traffic, r.url(transport), broadcast, "--hash", r.hash, *options, tracks=tracks))


def trust(r, transport):
    return ["--hash", r.hash] if transport in ("moqt", "https", "wss") else []


def subscribe_when_there(stack, command):
    """A subscriber that has its first line, started again until its broadcast has been announced."""
    for _ in range(300):
        q = stack.enter_context(mesh.process(command))
        until(lambda: q.out or not q.is_running(), lambda: f"nothing comes: {q.said}")
        if q.out:
            return q
        require(any("no track" in l for l in q.said), f"moql-subscribe: {q.said}")
    raise problem("the broadcast is never there")


class feeder:
    """Lines to a program's standard input until it is told to stop: a group is whole when the next one begins."""

    def __init__(self, pipe):
        self.pipe, self.written, self.stopped = pipe, b"", threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.wait(0.05):
            self.write(b"line %d\n" % len(self.written))

    def write(self, data):
        self.pipe.write(data)
        self.pipe.flush()
        self.written += data

    def end(self, last):
        self.stopped.set()
        self.thread.join()
        self.write(last)
        self.pipe.close()


def to_two_subscribers(r, to, transport, v, size=2_000_000):
    """A piped stream through `r` (publisher) and `to` (two subscribers); what comes out must be what went in."""
    noise = random.Random(size).randbytes(size // 2).hex().encode() + b"\n"
    with ExitStack() as stack:
        p = stack.enter_context(mesh.process(
            [publish, r.url(transport), "room/a", "live", "-", "--max-age", "60000", "--quiet", "--version", v,
             *trust(r, transport)], stdin=subprocess.PIPE))
        feed = feeder(p.process.stdin)
        outs = []
        for _ in range(2):
            outs.append(subscribe_when_there(stack, [subscribe, to.url(transport), "room/a", "live", "--from", "0", "--wait",
                                                     "60000", "--quiet", "--version", v, *trust(to, transport)]))
        feed.end(noise)
        for q in outs:
            require(q.wait() == 0, f"moql-subscribe: {q.said}")
            got = "\n".join(q.out).encode() + b"\n"
            require(hashlib.sha256(got).digest() == hashlib.sha256(feed.written).digest(),
                    f"other bytes came out: {len(got)} of {len(feed.written)}")
        require(p.wait() == 0, f"moql-publish: {p.said}")


@test
def one_relay():
    """one publisher, one relay, two subscribers: both get what was sent, on every transport, from draft 03 on"""
    troubles = []
    with ExitStack() as stack:
        r = relay(stack)
        for transport, v in itertools.product(("moqt", "https", "ws", "wss", "tcp"), ("03", "04", "05", "06")):
            try:
                to_two_subscribers(r, r, transport, v)
            except problem as e:
                troubles.append(f"{transport} {v}: {e}")
        require(r.stop() == 0, f"moql-relay: {r.said}")
    require(not troubles, "; ".join(troubles))


@test
def old_drafts():
    """readers of drafts 01 and 02 get whole groups of a publisher of any draft, and the other way round"""
    with ExitStack() as stack:
        r = relay(stack)
        for a, b in (("01", "06"), ("06", "01"), ("02", "05"), ("04", "02"), ("01", "02")):
            with ExitStack() as both:
                publisher(both, r, "--version", a, broadcast=f"room-{a}-{b}", tracks=3)
                q = reader(both, r, "--version", b, broadcast=f"room-{a}-{b}", tracks=3)
                q.until_groups(5)
                q.check()


@test
def two_relays():
    """two relays, the publisher at one and the subscriber at the other: every draft on the link, every pair beside it"""
    for link in ("04", "05", "06"):
        with ExitStack() as stack:
            a = relay(stack)
            b = relay(stack, "--peer", a.url("moqt"), "--link-version", link, "--hash", a.hash)
            until(lambda: any(f"draft {link}" in l for l in b.said), lambda: f"no link: {b.said}")
            for from_, to in itertools.product(("04", "05", "06"), repeat=2):
                for here, there in ((a, b), (b, a)):
                    with ExitStack() as both:
                        name = f"{from_}-{to}-{here.port}"
                        publisher(both, here, "--version", from_, broadcast=name, tracks=2)
                        q = reader(both, there, "--version", to, broadcast=name, tracks=2)
                        try:
                            q.until_groups(3)
                            q.check()
                        except problem as e:
                            raise problem(f"{from_} to {to} over {link}: {e}")
            require(b.stop() == 0 and a.stop() == 0, "a relay failed")


@test
def old_links():
    """an --upstream may speak any draft, a --peer none before 04"""
    with ExitStack() as stack:
        a = relay(stack)
        for link in ("01", "02", "03"):
            b = relay(stack, "--upstream", a.url(), "--link-version", link)
            with ExitStack() as both:
                publisher(both, a, broadcast=f"up-{link}", tracks=2)
                q = reader(both, b, broadcast=f"up-{link}", tracks=2)
                q.until_groups(3)
                q.check()
            require(b.stop() == 0, "a relay failed")
        done = subprocess.run([relay_program, "--port", "0", "--peer", a.url(), "--version", "03"], capture_output=True, text=True,
                              timeout=mesh.patience)
        require(done.returncode == 2 and "--peer" in done.stderr, f"exit code {done.returncode}: {done.stderr}")


@test
def no_loops():
    """a relay that is its own peer, and two that dial each other, pass everything on once"""
    for link in ("04", "05", "06"):
        with ExitStack() as stack:
            port, other = mesh.free_port(), mesh.free_port()
            a = relay(stack, "--peer", f"ws://127.0.0.1:{port}/", "--peer", f"moqt://127.0.0.1:{other}/", "--insecure",
                      "--link-version", link, port=port)
            b = relay(stack, "--peer", f"moqt://127.0.0.1:{port}/", "--insecure", "--link-version", link, port=other)
            until(lambda: sum("up, draft" in l for l in a.said) == 2 and any("up, draft" in l for l in b.said), "no links")
            publisher(stack, a, tracks=2)
            for r in (a, b):
                q = reader(stack, r, tracks=2)
                q.until_groups(5)
                q.check()
                s = r.until_stats(lambda s: s["sources"]["now"] == 2, "not one source for a track")
                require(s["upstream"]["copies_repeated"] == 0, f"something came twice: {s}")


@test
def file_across():
    """a file crosses two relays and comes out the same"""
    with ExitStack() as stack:
        a = relay(stack)
        b = relay(stack, "--peer", a.url("ws"))
        until(lambda: any("up" in l for l in b.said), "no link")
        for v in ("04", "05", "06"):
            to_two_subscribers(a, b, "moqt", v, size=1_000_000)


def triangle(stack, transport, a_options=(), b_options=(), c_options=()):
    """a, b, c, each joined to the others, such that c is on the best way from a to b: what comes straight from a costs b
    more."""
    a = relay(stack, *a_options)
    b = relay(stack, "--peer", a.url(transport), "--link-cost", "10", "--hash", a.hash, *b_options)
    c = relay(stack, "--peer", a.url(transport), "--peer", b.url(transport), "--hash", a.hash, "--hash", b.hash, *c_options)
    until(lambda: sum("up, draft 06" in l for l in c.said) == 2 and any("up, draft 06" in l for l in b.said),
          lambda: f"no triangle: {b.said} {c.said}")
    return a, b, c


@test
def three_relays():
    """a triangle: the publisher at one corner, readers at all three, each group once"""
    with ExitStack() as stack:
        corners = triangle(stack, "moqt")
        publisher(stack, corners[0])
        readers = [reader(stack, r) for r in corners]
        for q in readers:
            q.until_groups(20)
        for q in readers:
            q.check()
        for r in corners:
            s = r.stats()
            require(s["upstream"]["copies_conflicting"] == 0, f"copies differ: {s}")
            require(s["sources"]["now"] == 10, f"not one source for a track: {s}")


def lose_a_corner(transport, end, lost_max, a_options=()):
    with ExitStack() as stack:
        a, b, c = triangle(stack, transport, ("--idle-timeout", "3"), ("--idle-timeout", "3"), ("--idle-timeout", "3"))
        publisher(stack, a)
        near, far = reader(stack, a), reader(stack, b)
        near.until_groups(10)
        far.until_groups(10)
        c.until_stats(lambda s: s["sources"]["now"] == 10 and s["subscriptions"]["now"] == 10, "c is not on the way")
        before = far.least()
        end(c)
        far.until_groups(40)
        b.until_stats(lambda s: s["sources"]["now"] == 10, "b has other sources")
        a.until_stats(lambda s: s["subscriptions"]["now"] == 20, "a has other subscriptions")
        missing = far.check(lost_max)
        require(not near.check(), "the reader at a lost something")
        s = b.stats()
        return (f"10 tracks, {before} groups of each before and {far.least() - before} after; missing {missing or 'none'}; "
                f"failovers {s['failovers']}, moves {s['moves']}")


@test
def killed_over_websocket():
    """a relay of the triangle is killed while 10 tracks flow through it: readers resume, at most one group lost, none twice"""
    return lose_a_corner("ws", lambda c: c.kill(), 1)


@test
def killed_over_quic():
    """the same where nothing but silence tells that it is gone"""
    return lose_a_corner("moqt", lambda c: c.kill(), 1)


@test
def drained():
    """a relay of the triangle is stopped while 10 tracks flow through it: nothing is lost"""

    def drain(c):
        require(c.stop() == 0, f"moql-relay: {c.said}")

    return lose_a_corner("moqt", drain, 0)


@test
def dialled_again():
    """a relay that comes back is dialled again, and what it has is there again"""
    with ExitStack() as stack:
        port = mesh.free_port()
        b = relay(stack, "--peer", f"ws://127.0.0.1:{port}/")
        until(lambda: any("again in" in l for l in b.said), "it does not say that nobody is there")
        a = relay(stack, port=port)
        publisher(stack, a, tracks=2)
        q = reader(stack, b, tracks=2)
        q.until_groups(3)
        a.kill()
        until(lambda: len(q.ended) == 2, "the subscriptions do not end")
        stack.enter_context(q)
        a = relay(stack, port=port)
        publisher(stack, a, tracks=2)
        q = reader(stack, b, tracks=2)
        q.until_groups(3)
        q.check()


@test
def told_to_leave():
    """SIGTERM tells everybody, waits for them as long as was said, throws out who stays, and is no failure"""
    with ExitStack() as stack:
        r = relay(stack, "--drain", "1")
        p = publisher(stack, r, tracks=2)
        q = reader(stack, r, tracks=2)
        old = reader(stack, r, "--version", "02", tracks=2)
        q.until_groups(3)
        old.until_groups(3)
        r.ask()
        until(lambda: "goaway" in q.out, "the reader is not told")
        require(r.wait() == 0, f"moql-relay: {r.said}")
        for x in (p, q, old):
            require(x.wait() == 1, "who stays is not thrown out")
        q.check()


@test
def idle_ones_leave_at_once():
    """with nothing to pass on it does not wait"""
    with ExitStack() as stack:
        r = relay(stack, "--drain", "3000")
        publisher(stack, r, tracks=2)
        require(r.stop() == 0, f"moql-relay: {r.said}")


@test
def sent_elsewhere():
    """GOAWAY with a URI: the relay that is told dials there first, and what it has is found there"""
    with ExitStack() as stack:
        other = relay(stack)
        a = relay(stack, "--drain", "30", "--drain-to", other.url("ws"))
        b = relay(stack, "--upstream", a.url("ws"))
        publisher(stack, b, tracks=2)
        q = reader(stack, a, tracks=2)
        q.until_groups(3)
        a.ask()
        late = reader(stack, other, tracks=2)
        late.until_groups(3)
        q.ask(signal.SIGINT)
        require(a.wait() == 0, f"moql-relay: {a.said}")
        late.until_groups(3)
        late.check()


@test
def sent_nowhere():
    """a GOAWAY whose URI is none, or has another scheme, is not followed"""
    with ExitStack() as stack:
        other = relay(stack)
        for uri in ("nonsense", other.url("tcp")):
            a = relay(stack, "--drain-to", uri)
            b = relay(stack, "--upstream", a.url("ws"))
            until(lambda: any("up, draft" in l for l in b.said), "no link")
            require(a.stop() == 0, f"moql-relay: {a.said}")
            until(lambda: any("not a URL to go to" in l for l in b.said), lambda: f"said {b.said}")
            require(b.stop() == 0, f"moql-relay: {b.said}")
        require(other.stats().get("sessions", {}).get("joined", 0) == 0, "somebody came")


@test
def numbers_add_up():
    """every line of --stats is JSON, no total goes down, and at the end all is accounted for"""
    with ExitStack() as stack:
        r = relay(stack)
        p = publisher(stack, r)
        readers = [reader(stack, r, "--version", v, transport=t) for v, t in (("06", "ws"), ("05", "moqt"), ("02", "tcp"))]
        for q in readers:
            q.until_groups(10)
        now = r.until_stats(lambda s: s["subscriptions"]["now"] == 30, "30 subscriptions")
        require(now["tracks"]["now"] == 10 and now["sources"]["now"] == 10 and now["sessions"]["now"] == 4, f"{now}")
        require(now["cache"]["bytes"] > 0, "nothing is kept")
        for q in readers:
            require(q.stop() == 0, f"relay-traffic: {q.said}")
        require(p.stop() == 0, f"relay-traffic: {p.said}")
        r.until_stats(lambda s: s["connections"] == 0, "they do not go")
        require(r.stop() == 0, f"moql-relay: {r.said}")
        lines = r.lines()
        last = lines[-1]
        for name, a, b in (("sessions", "joined", "left"), ("subscriptions", "opened", "closed"), ("tracks", "opened", "closed"),
                           ("sources", "opened", "closed")):
            for line in lines:
                both = line[name][b] + line[name]["now"]
                # A TRACK that waits for its answer is counted with the subscriptions there are.
                good = line[name][a] <= both if name == "subscriptions" else line[name][a] == both
                require(good, f"{name} do not add up: {line}")
            require(last[name]["now"] == 0, f"{name} are left: {last}")
        drops = last["drops"]
        ended = last["groups_out"] + sum(v for k, v in drops.items() if k != "unopened")
        require(last["groups_opened"] == ended, f"groups opened are not those that ended: {last}")
        got = sum(len(g) for q in readers for g in q.groups.values())
        require(last["groups_out"] >= got, f"{got} groups came, {last['groups_out']} were sent")
        require(last["bytes_out"] > last["payload_bytes_in"] > 0 and last["bytes_in"] >= last["payload_bytes_in"], f"{last}")
        require(last["cache"]["bytes"] == 0, f"something is kept for nobody: {last}")
        for a, b in zip(lines, lines[1:]):
            for key in ("bytes_in", "bytes_out", "groups_in", "groups_out", "payload_bytes_in"):
                require(a[key] <= b[key], f"{key} went down")


def refused(r, broadcast, track, code, *options):
    done = subprocess.run([subscribe, r.url("ws"), broadcast, track, "--quiet", *options], capture_output=True, text=True,
                          timeout=mesh.patience)
    require(done.returncode == 1 and code in done.stderr, f"exit code {done.returncode}: {done.stderr}")


@test
def authorised():
    """--allow-announce and --allow-subscribe refuse what lies elsewhere, by whole segments"""
    with ExitStack() as stack:
        r = relay(stack, "--allow-announce", "live/a", "--allow-announce", "live/b", "--allow-subscribe", "live/a")
        for name in ("live/a/x", "live/b", "live/ab", "other"):
            publisher(stack, r, broadcast=name, tracks=1)
        q = reader(stack, r, broadcast="live/a/x", tracks=1)
        q.until_groups(3)
        r.until_stats(lambda s: s["refusals"]["routes"] == 2, "two announcements are refused")
        refused(r, "live/b", "t0", "UNAUTHORIZED")
        refused(r, "live/ab", "t0", "UNAUTHORIZED")
        refused(r, "live/a/none", "t0", "UNROUTABLE")
        r.until_stats(lambda s: s["refusals"]["requests"] >= 3, "three refusals")
        require(r.stats()["sources"]["opened"] == 1, f"somebody was asked for what is not allowed: {r.stats()}")


@test
def as_the_readme_says():
    """the commands of README.md start a relay and publish a file, which arrives twice"""
    root = pathlib.Path(__file__).resolve().parent.parent
    said = subprocess.run([sys.executable, root / "tools/readme_code.py", "command", root / "README.md", "See it talk"],
                          capture_output=True, text=True, check=True).stdout
    require(said.count("4443") == 3, said)
    said = said.replace("build/examples", str(pathlib.Path(relay_program).resolve().parent)).replace("4443", str(mesh.free_port()))
    said = said.replace("tests/data", str(root / "tests/data"))
    # Everything but the relay, which is the first, ends by itself.
    ended = subprocess.run(["bash", "-c", said + "for job in $(jobs -p | tail -n +2); do wait $job; done; kill $(jobs -p)"],
                           cwd=folder, capture_output=True, text=True, timeout=120)
    clip = (root / "tests/data/clip.mp4").read_bytes()
    for copy in ("1.mp4", "2.mp4"):
        require((folder / copy).is_file() and (folder / copy).read_bytes() == clip, f"{copy} differs: {ended.stderr}")


@test
def limited():
    """limits refuse with NO_CAPACITY, and what is there goes on"""
    with ExitStack() as stack:
        r = relay(stack, "--tracks-max", "2", "--readers-max", "3", "--peers-max", "4")
        publisher(stack, r, tracks=4)
        q = reader(stack, r, tracks=2)
        q.until_groups(2)
        refused(r, "room", "t2", "NO_CAPACITY")
        one = reader(stack, r, tracks=1)
        one.until_groups(2)
        refused(r, "room", "t0", "NO_CAPACITY")
        fourth = stack.enter_context(mesh.process([subscribe, r.url("ws"), "nothing", "t"]))
        fourth.wait()
        r.until_stats(lambda s: s["sessions"]["now"] == 3, "the fourth does not go")
        more = stack.enter_context(mesh.reader(traffic, r.url("ws"), "elsewhere", tracks=1))
        r.until_stats(lambda s: s["sessions"]["now"] == 4, "four sessions")
        fifth = stack.enter_context(mesh.reader(traffic, r.url("ws"), "elsewhere", tracks=1))
        require(fifth.wait() == 1 and more.is_running(), f"the fifth is let in: {fifth.said}")
        q.until_groups(2)
        one.until_groups(2)
        q.check()
        r.until_stats(lambda s: s["refusals"]["requests"] >= 3, "three refusals")


@test
def bounded_cache():
    """--cache-mb bounds what is kept of all tracks"""
    with ExitStack() as stack:
        r = relay(stack, "--cache-mb", "1")
        publisher(stack, r, "--size", "20000", tracks=5)
        q = reader(stack, r, tracks=5)
        r.until_stats(lambda s: s["cache"]["evictions"] > 10, "nothing is evicted")
        q.until_groups(5)
        q.check()
        for line in r.lines():
            require(line["cache"]["bytes"] <= 1 << 20, f"over the limit: {line}")


sys.exit(tests.end())
