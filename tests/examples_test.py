#!/usr/bin/env python3
"""moql-loopback and moql-inspect as a person runs them: what they print, their exit codes, how they refuse.

Usage: examples_test.py MOQL_LOOPBACK MOQL_INSPECT DATA_DIRECTORY
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

LOOPBACK, INSPECT, DATA = (sys.argv[i] for i in (1, 2, 3))
CLIP = os.path.join(DATA, "clip.mp4")
SESSIONS = pathlib.Path(DATA, "vectors/sessions")
VERSIONS = ["01", "02", "03", "04", "05", "06"]
LINE = re.compile(r"(?P<version>\d\d)  groups (?P<groups>\d+)  frames (?P<frames>\d+)  bytes (?P<bytes>\d+)  "
                  r"streams (?P<streams>\d+)  control (?P<control>\d+) bytes  overhead (?P<overhead>[\d.]+) bytes/frame  "
                  r"allocations (?P<allocations>\d+ after group \d+|n/a)"
                  r"(  datagrams (?P<received>\d+)/(?P<sent>\d+))?  (?P<verdict>equal|DIFFERENT)")


def run(program, *args, stdin=b""):
    done = subprocess.run([program, *map(str, args)], input=stdin, capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def refuses(self, program, args, *says):
        """Exit code 2, nothing on the standard output, one line that says what and where."""
        code, out, err = run(program, *args)
        self.assertEqual((code, out), (2, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith(os.path.basename(program) + ": "), err)
        for words in says:
            self.assertIn(str(words), err)


class Loopback(Case):
    def carries(self, path, *args, versions=VERSIONS):
        """One line a version, all equal, and the numbers add up. Returns the lines."""
        code, out, err = run(LOOPBACK, path, *args)
        self.assertEqual(code, 0, out + err)
        lines = [LINE.fullmatch(line) for line in out.splitlines()]
        self.assertNotIn(None, lines, out)
        self.assertEqual([line["version"] for line in lines], versions)
        for line in lines:
            self.assertEqual(line["verdict"], "equal")
            self.assertEqual(int(line["bytes"]), os.path.getsize(path))
            self.assertGreater(int(line["control"]), 2 * int(line["groups"]))
            self.assertAlmostEqual(float(line["overhead"]), int(line["control"]) / int(line["frames"]), delta=0.06)
        return lines

    def test_a_film_arrives_in_every_version(self):
        for line in self.carries(CLIP):
            self.assertEqual((line["groups"], line["frames"]), ("5", "17"))
        self.assertEqual(len(self.carries(CLIP, "--version", "all")), 6)
        self.carries(CLIP, "--version", "03", versions=["03"])

    def test_any_bytes_arrive_in_every_version(self):
        data = random.Random(1).randbytes(3_000_000)
        for line in self.carries(self.file("any", data)):
            self.assertEqual((line["groups"], line["frames"]), ("6", "184"))

    def test_a_file_of_one_byte_and_fragments_of_one_byte(self):
        self.carries(self.file("one", b"\0"))
        self.carries(self.file("small", random.Random(2).randbytes(20_000)), "--seed", 7, "--chunk", 1)

    def test_every_seed_gives_the_file_and_one_seed_the_same_line(self):
        for seed in range(1, 9):
            self.carries(CLIP, "--seed", seed, "--chunk", seed * seed * 50)
        self.assertEqual(run(LOOPBACK, CLIP, "--seed", 3), run(LOOPBACK, CLIP, "--seed", 3))

    def test_a_warm_session_hardly_allocates(self):
        zeros = self.file("long", bytes(72 << 20))
        code, out, err = run(LOOPBACK, zeros, "--version", "06")
        self.assertEqual(code, 0, out + err)
        line = LINE.fullmatch(out.strip())
        self.assertLessEqual(int(line["allocations"].split()[0]), 8, out)
        steps = [int(n) for n in re.findall(r"version 06: (\d+)%", err)]
        self.assertEqual(steps, list(range(5, 101, 5)))

    def test_lost_datagrams_are_counted_and_change_nothing(self):
        path = self.file("any", random.Random(3).randbytes(3_000_000))
        for percent in (0, 30, 100):
            for line in self.carries(path, "--drop-datagrams", percent):
                if line["version"] < "05":
                    self.assertIsNone(line["sent"])
                    continue
                sent, received = int(line["sent"]), int(line["received"])
                self.assertGreater(sent, 100)
                self.assertAlmostEqual(received / sent, 1 - percent / 100, delta=0.15 if percent == 30 else 0)

    def test_the_output_has_its_name_only_when_it_is_whole(self):
        out = self.folder / "out"
        self.carries(CLIP, "--out", out)
        self.assertEqual(out.read_bytes(), pathlib.Path(CLIP).read_bytes())
        self.assertEqual(os.listdir(self.folder), ["out"])

    def test_the_log_tells_messages_by_the_names_of_their_draft(self):
        names = {"01": "ANNOUNCE_PLEASE", "04": "ANNOUNCE_INTEREST", "05": "ANNOUNCE_BROADCAST", "06": "ANNOUNCE_START"}
        for version, name in names.items():
            code, out, err = run(LOOPBACK, CLIP, "--version", version, "--log")
            self.assertEqual((code, err), (0, ""))
            self.assertRegex(out, rf"(?m)^ +\d+\.\d{{3}} ms  \w+ > \w+  bidi \d+ +{name} {{")
            self.assertRegex(out, r"(?m)^ +\d+\.\d{3} ms  server > client  uni \d+ +GROUP {Subscribe ID=0, Group Sequence=4")
            self.assertEqual(len(re.findall(r"  FRAME \d+: \d+ bytes", out)), 17)
            self.assertIn("FIN\n", out)
            self.assertNotIn("WRONG", out)
            self.assertTrue(out.endswith("equal\n"))

    def test_what_cannot_be_sent_is_refused_in_one_line(self):
        missing = self.folder / "missing"
        self.refuses(LOOPBACK, [missing], missing, "no such file")
        self.refuses(LOOPBACK, [self.folder], self.folder, "is a directory")
        self.refuses(LOOPBACK, ["/dev/zero"], "/dev/zero", "not a regular file")
        empty = self.file("empty", b"")
        self.refuses(LOOPBACK, [empty], empty, "is empty")
        if os.geteuid() != 0:
            locked = self.file("locked", b"x")
            locked.chmod(0)
            self.refuses(LOOPBACK, [locked], locked, "Permission denied")

    def test_bad_arguments_are_refused_in_one_line(self):
        self.refuses(LOOPBACK, [CLIP, "--version", "07"], "--version 07")
        self.refuses(LOOPBACK, [CLIP, "--version", ""], "--version")
        self.refuses(LOOPBACK, [CLIP, "--chunk", "0"], "--chunk")
        self.refuses(LOOPBACK, [CLIP, "--seed", "x"], "--seed")
        self.refuses(LOOPBACK, [CLIP, "--drop-datagrams", "101"], "--drop-datagrams")
        self.refuses(LOOPBACK, [CLIP, "--what"], "--what")
        self.refuses(LOOPBACK, [], "FILE")
        self.refuses(LOOPBACK, [CLIP, "--out", self.folder], self.folder)
        self.refuses(LOOPBACK, [CLIP, "--out", self.folder / "no" / "out"], self.folder / "no" / "out")
        self.refuses(LOOPBACK, [CLIP, "--record", self.folder / "r"], "--record")
        same = self.file("same", b"x")
        self.refuses(LOOPBACK, [same, "--out", same], same)
        self.assertEqual(same.read_bytes(), b"x")
        self.assertEqual(sorted(os.listdir(self.folder)), ["same"])


class Inspect(Case):
    subscribe = "02 0f 00 04726f6f6d 027631 80 00 00 00 00 00"

    def shows(self, args, *says, stdin=b""):
        code, out, err = run(INSPECT, *args, stdin=stdin)
        self.assertEqual((code, err), (0, ""), out)
        for words in says:
            self.assertIn(words, out)
        return out

    def faults(self, args, byte, rule, caret, *says):
        """Exit code 1; the byte, the rule, and a caret under it."""
        code, out, err = run(INSPECT, *args)
        self.assertEqual(code, 1, out + err)
        self.assertIn(f"byte {byte} (offset in ", err)
        self.assertIn(rule, err)
        for words in says:
            self.assertIn(words, err)
        _, row, carets = err.splitlines()
        at = carets.index("^^")
        self.assertEqual(row[at:at + 2], caret, err)

    def test_hex_is_shown_with_the_names_of_its_draft(self):
        self.shows([self.subscribe], "Subscribe stream", 'SUBSCRIBE {Subscribe ID=0, Broadcast Path="room"',
                   "Subscriber Max Age=0")
        self.shows(["--version", "04", "02 0e 00 04726f6f6d 027631 80 01 05 00 00"], "Subscriber Max Latency=5",
                   "Subscriber Ordered=yes")
        self.shows(["--version", "01", "01 01 00"], "ANNOUNCE_PLEASE")
        self.shows(["--version", "04", "01 02 00 00"], "ANNOUNCE_INTEREST")
        self.shows(["--version", "05", "01 02 00 00"], "ANNOUNCE_REQUEST")

    def test_groups_answers_and_datagrams(self):
        out = self.shows(["--stream", "uni", "00 03 00 07 00 0a 05 68656c6c6f 04 00"], "Group Sequence=7")
        self.assertIn("FRAME 0: 5 bytes, timestamp 5\n", out)
        self.assertIn("FRAME 1: 0 bytes, timestamp 7\n", out)
        self.shows(["--stream", "uni", "--version", "02", "00 02 00 07 02 6869"], "FRAME 0: 2 bytes\n")
        self.shows(["--side", "answer", "--type", "2", "00 01 04 01 01 07"], "SUBSCRIBE_OK {Group=4}",
                   "SUBSCRIBE_END {Group=7}")
        self.shows(["--side", "answer", "--type", "3", "0a 02 6869"], "FRAME 0: 2 bytes, timestamp 5")
        self.shows(["--stream", "datagram", "00 03 05 6869"], "Group Sequence=3, Timestamp=5}: 2 bytes")

    def test_input_from_files_and_the_standard_input(self):
        raw = bytes.fromhex(self.subscribe)
        self.shows([self.file("raw", raw)], "SUBSCRIBE {")
        self.shows([self.file("hex", self.subscribe.encode() + b"\n")], "SUBSCRIBE {")
        self.shows(["-"], "SUBSCRIBE {", stdin=raw)
        self.shows(["-"], "SUBSCRIBE {", stdin=self.subscribe.encode())

    def test_the_byte_and_the_rule_where_it_is_wrong(self):
        self.faults(["02 0f 00 04726f6f6d 327631 80 00 00 00 00 00"], 8, "R-021", "32", "Track Name")
        self.faults([self.subscribe.replace("0f", "10") + " 00"], 17, "R-018", "00", "SUBSCRIBE")
        self.faults([self.subscribe.replace("72", "ff")], 3, "R-022", "04", "Broadcast Path")
        self.faults(["3f"], 0, "R-016", "3f")
        self.faults(["--version", "05", "--side", "answer", "--type", "6", "04 00 00 00 00"], 4, "R-120", "00", "Timescale")
        self.faults(["--side", "answer", "--type", "2", "00 01 00 00 01 01"], 3, "R-098", "00")
        self.faults(["--side", "answer", "--type", "1", "02 05 00 01 01 09"], 3, "R-072", "01")
        self.faults(["--stream", "uni", "--from", "server", "01 04 01 02 01 2f"], 1, "R-037", "04", "SETUP")
        self.faults(["--stream", "uni", "00 03 00 07 00 01 00"], 5, "R-142", "01", "Timestamp Delta")
        self.faults(["--stream", "uni", "00 03 00 07 00 00 bfffffff"], 6, "limit", "bf", "Message Length")
        self.faults(["--stream", "datagram", "00 03"], 2, "R-021", "..")
        self.faults(["02 bfffffff 00"], 1, "limit", "bf", "Message Length")

    def test_a_capture_that_is_cut_anywhere_but_between_messages_is_refused(self):
        raw = bytes.fromhex(self.subscribe + "06 40 05 00 00 00 00")  # SUBSCRIBE_UPDATE behind it
        whole = {17, 24}
        for n in range(1, len(raw) + 1):
            code, out, err = run(INSPECT, self.file("raw", raw[:n]))
            self.assertEqual(code, 0 if n in whole else 1, (n, out, err))
            if n not in whole:
                self.assertIn(f"byte {n} (offset in stream): R-020", err)

    def test_hostile_bytes_end_in_a_clear_refusal(self):
        chance = random.Random(4)
        for _ in range(60):
            raw = self.file("raw", bytes([chance.randrange(7)]) + chance.randbytes(chance.randrange(1, 400)))
            for stream in ("bidi", "uni", "datagram"):
                code, out, err = run(INSPECT, "--version", chance.choice(VERSIONS), "--stream", stream, raw)
                self.assertIn(code, (0, 1, 2), err)
                self.assertEqual(code == 0, err == "")
                self.assertNotIn("Sanitizer", err)

    def test_recorded_sessions_of_other_stacks(self):
        seen = set()
        for path in sorted(SESSIONS.glob("0?-*.json")):
            out = self.shows([path], f'version {path.name[:2]}\n')
            self.assertNotIn("WRONG", out)
            seen.add(path.name[:2])
            numbers = [int(line.split()[0]) for line in out.splitlines()[1:]]
            self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(sorted(seen), VERSIONS[:5])
        out = self.shows([SESSIONS / "05-resets.json"], "RESET_STREAM, code 0", "STOP_SENDING, code 0", "FIN\n")
        self.refuses(INSPECT, [SESSIONS / "06wip-range.json"], "06wip")

    def test_a_session_of_our_own_in_every_version(self):
        for version in VERSIONS:
            path = self.folder / "session.json"
            code, out, err = run(LOOPBACK, CLIP, "--version", version, "--record", path, "--drop-datagrams", "0")
            self.assertEqual((code, err), (0, ""))
            out = self.shows([path], f"version {version}\n", "the session is closed, code 0\n")
            self.assertEqual(len(re.findall(r"  FRAME \d+: \d+ bytes", out)), 17)
            self.assertEqual("DATAGRAM {" in out, version >= "05")

    def test_a_session_with_a_fault_goes_on_behind_it(self):
        session = json.loads((SESSIONS / "05-subscribe-1.json").read_text())
        broken = next(s for s in session["streams"] if s["kind"] == "uni" and s["chunks"][0]["hex"].startswith("00"))
        broken["chunks"][0]["hex"] = "00" + "03" + "000000"
        path = self.file("session.json", json.dumps(session).encode())
        code, out, err = run(INSPECT, path)
        self.assertEqual(code, 1)
        self.assertIn("R-018", err)
        self.assertIn(f"stream uni {broken['stream']} from the {broken['opener']}", err)
        self.assertIn("SUBSCRIBE_END", out)

    def test_what_cannot_be_looked_at_is_refused_in_one_line(self):
        self.refuses(INSPECT, ["nothing here"], "nothing here", "no such file")
        self.refuses(INSPECT, ["020"], "odd number")
        self.refuses(INSPECT, [""], "empty")
        self.refuses(INSPECT, [self.folder], self.folder, "is a directory")
        self.refuses(INSPECT, [self.file("empty", b"")], "empty")
        self.refuses(INSPECT, ["-"], "standard input", "empty")
        for text in (b"{", b"{}", b'{"version":"05","streams":7}', b'{"version":"05","streams":[{"stream":0,"at":0}]}',
                     b'{"version":"05","streams":[{"stream":0,"at":0,"kind":"bidi","opener":"x","chunks":[]}]}',
                     b'{"version":"05","streams":[{"stream":0,"at":0,"kind":"bidi","opener":"client","chunks":'
                     b'[{"at":1,"from":"client","hex":"0"}]}]}'):
            self.refuses(INSPECT, [self.file("session.json", text)], "session.json", "not a recorded session")
        self.refuses(INSPECT, [self.file("session.json", b'{"version":"09","streams":[]}')], "version 09")

    def test_bad_arguments_are_refused_in_one_line(self):
        self.refuses(INSPECT, [], "INPUT")
        self.refuses(INSPECT, ["--version", "7", "00"], "--version 7")
        self.refuses(INSPECT, ["--stream", "x", "00"], "--stream")
        self.refuses(INSPECT, ["--side", "answer", "00"], "--type is needed")
        self.refuses(INSPECT, ["--side", "answer", "--stream", "uni", "--type", "0", "00"], "--side answer")
        self.refuses(INSPECT, ["--type", "99", "00"], "--type 99")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
