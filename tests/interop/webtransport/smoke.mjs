// A headless browser against `echo`: node smoke.mjs ECHO [BROWSER]. Prints what came of each step; exit code 0 when all
// came as it should, 77 when there is no browser.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";

const [echo, browser = "chromium"] = process.argv.slice(2);
if (spawnSync(browser, ["--version"]).status !== 0) {
  console.log(`${browser} does not run`);
  process.exit(77);
}

/** Runs in the page. `step(name, value)` reports. */
async function page(port, sha, step) {
  const hex = (h) => new Uint8Array(h.match(/../g).map((x) => parseInt(x, 16)));
  const text = async (s) => {
    let out = "";
    const r = s.getReader();
    for (;;) {
      const { value, done } = await r.read();
      if (done) return out;
      out += new TextDecoder().decode(value);
    }
  };
  const bytes = (s) => new TextEncoder().encode(s);
  const options = (protocols) => ({ protocols, serverCertificateHashes: [{ algorithm: "sha-256", value: hex(sha) }] });
  const connect = async (protocols = ["moq-lite-05", "moq-lite-04"]) => {
    const wt = new WebTransport(`https://127.0.0.1:${port}/room/a?x=1`, options(protocols));
    const closed = wt.closed.then((i) => i, (e) => ({ error: String(e) }));
    await wt.ready;
    return { wt, closed };
  };
  const wrong = (e) => `${e.source} ${e.streamErrorCode}`;

  const none = new WebTransport(`https://127.0.0.1:${port}/`, options(["moqt-19"]));
  none.closed.catch(() => {});
  step("refused", await none.ready.then(() => "open", () => "refused"));

  const { wt, closed } = await connect();
  step("protocol", wt.protocol);
  step("datagram size", wt.datagrams.maxDatagramSize >= 1100);

  const uni = (await wt.createUnidirectionalStream()).getWriter();
  await uni.write(bytes("one way"));
  await uni.close();
  const unis = wt.incomingUnidirectionalStreams.getReader();
  step("uni echo", await text((await unis.read()).value));

  const bidi = await wt.createBidirectionalStream();
  const bw = bidi.writable.getWriter();
  await bw.write(bytes("both "));
  await bw.write(bytes("ways"));
  await bw.close();
  step("bidi echo", await text(bidi.readable));

  const datagrams = wt.datagrams.readable.getReader();
  const dw = (wt.datagrams.createWritable?.() ?? wt.datagrams.writable).getWriter();
  await dw.write(bytes("datagram"));
  step("datagram echo", new TextDecoder().decode((await datagrams.read()).value));

  const big = await wt.createBidirectionalStream();
  const size = 8 << 20;
  (async () => {
    const w = big.writable.getWriter();
    for (let i = 0; i < size; i += 65536) await w.write(new Uint8Array(65536).fill(i >> 16));
    await w.close();
  })();
  let got = 0, good = true;
  for (const r = big.readable.getReader(); ; ) {
    const { value, done } = await r.read();
    if (done) break;
    for (const b of value) good &&= b === ((got++ >> 16) & 255);
  }
  step("8 MiB", got === size && good);

  const many = 1500;  // more than may be open at once
  (async () => {
    for (let i = 0; i < many; ++i) {
      const w = (await wt.createUnidirectionalStream()).getWriter();
      await w.write(bytes(`stream ${i}`));
      w.close();
    }
  })();
  const seen = new Set();
  while (seen.size < many) seen.add(await text((await unis.read()).value));
  step("many streams", seen.size);

  const a = await wt.createBidirectionalStream();
  const aw = a.writable.getWriter();
  await aw.write(bytes("reset me"));
  const broken = (await unis.read()).value.getReader();
  let code;
  try {
    while (!(await broken.read()).done);
  } catch (e) {
    code = wrong(e);
  }
  step("their reset", code);
  const theirs = (await wt.incomingBidirectionalStreams.getReader().read()).value;
  const tr = theirs.readable.getReader();
  step("their bidi", new TextDecoder().decode((await tr.read()).value));
  await tr.cancel(new WebTransportError({ message: "", streamErrorCode: 77 }));
  await theirs.writable.getWriter().abort(new WebTransportError({ message: "", streamErrorCode: 30 })).catch(() => {});

  const s = await wt.createBidirectionalStream();
  const sw = s.writable.getWriter();
  await sw.write(bytes("stop me"));
  step("reset answers", await s.readable.getReader().read().then(() => "data", wrong));
  // Which of STOP_SENDING and RESET_STREAM wins is a race in the browser: sometimes there is no code.
  const stopped = await sw.closed.then(() => "closed", wrong);
  step("stop", stopped === "stream 55" || stopped === "session null" || stopped === "undefined undefined");

  wt.close({ closeCode: 1234, reason: "client bye" });
  step("own close", await closed);

  const again = await connect(["moq-lite-04", "moq-lite-05"]);
  step("client's order", again.wt.protocol);
  const c = (await again.wt.createBidirectionalStream()).writable.getWriter();
  await c.write(bytes("close me"));
  step("their close", await again.closed);

  const left = await connect();
  step("left open", left.wt.protocol);
}

const expected = {
  refused: "refused",
  protocol: "moq-lite-05",
  "datagram size": true,
  "uni echo": "one way",
  "bidi echo": "both ways",
  "datagram echo": "datagram",
  "8 MiB": true,
  "many streams": 1500,
  "their reset": "stream 300",
  "their bidi": "y",
  "reset answers": "stream 56",
  stop: true,
  "own close": { closeCode: 1234, reason: "client bye" },
  "client's order": "moq-lite-04",
  "their close": { closeCode: 4321, reason: "server says bye" },
  "left open": "moq-lite-05",
};
const expectedLines = [
  "open path=/room/a?x=1 protocol=moq-lite-05",
  "reset 30",
  "stop 77",
  "close application=1 code=1234 reason=client bye",
];

const server = spawn(echo, [], { stdio: ["pipe", "pipe", "inherit"] });
const lines = [];
const said = {};
let bad = 0;
const check = (ok, what) => {
  console.log(`${ok ? "ok " : "BAD"} ${what}`);
  if (!ok) ++bad;
};

readline.createInterface({ input: server.stdout }).on("line", (line) => {
  console.log(`    server: ${line}`);
  const first = line.match(/^port (\d+) hash (\w+)$/);
  if (first) browse(first[1], first[2]);
  lines.push(line);
});

function browse(port, sha) {
  const profile = mkdtempSync(path.join(tmpdir(), "moql-browser-"));
  let child;
  const finish = () => {
    for (const [name, want] of Object.entries(expected))
      check(JSON.stringify(said[name]) === JSON.stringify(want), `${name}: ${JSON.stringify(said[name])}`);
    for (const want of expectedLines) check(lines.some((l) => l.startsWith(want)), `server said "${want}"`);
    server.stdin.end();
    child.on("exit", () => {
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
      process.exit(bad ? 1 : 0);
    });
    child.kill();
  };
  const html = `<!doctype html><script>${page}
    const post = (where, what) => fetch(where, { method: "POST", body: JSON.stringify(what) });
    page(${port}, "${sha}", (name, value) => post("/step", { name, value }))
      .catch((e) => post("/step", { name: "exception", value: String(e) }))
      .finally(() => setTimeout(() => post("/done", 0), 300));
  </script>`;
  const web = http.createServer((q, r) => {
    let body = "";
    q.on("data", (d) => (body += d));
    q.on("end", () => {
      if (q.url === "/step") {
        const { name, value } = JSON.parse(body);
        said[name] = value;
        if (name === "exception") check(false, value);
      }
      r.setHeader("content-type", "text/html");
      r.end(q.url === "/" ? html : "");
      if (q.url === "/done") finish();
    });
  });
  web.listen(0, "127.0.0.1", () => {
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`];
    child = spawn(browser, [...flags, `http://127.0.0.1:${web.address().port}/`], { stdio: "ignore" });
  });
  setTimeout(() => {
    check(false, "not done within 90 s");
    finish();
  }, 90_000);
}
