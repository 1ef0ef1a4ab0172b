// quinn, inside deno, as the other end of raw QUIC: README.md says what the two sides do.
// deno run -A --unstable-net deno-peer.mjs (--dial URL | --listen PORT) --role asker|answerer --scenario NAME ...

const ALPN = "moql-raw";
const MB20 = 20 * 1024 * 1024;

// ---- outcomes

class Unsupported extends Error {}
let isFinished = false;
function say(line) {
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(line) + "\n"));
}
function finish(result, why) {
  if (isFinished) return;
  isFinished = true;
  say(why === undefined ? { result } : { result, why });
  Deno.exit({ pass: 0, fail: 1, unsupported: 3 }[result]);
}
function expect(what, got, wanted) {
  if (got !== wanted) throw new Error(`${what} is ${got} and not ${wanted}`);
}

const options = { scenario: "", role: "asker", timeout: "20", streams: "100" };
for (let i = 0; i < Deno.args.length; i += 2) options[Deno.args[i].replace(/^--/, "")] = Deno.args[i + 1];
setTimeout(() => finish("fail", "time-out"), Number(options.timeout) * 1000);
globalThis.addEventListener("unhandledrejection", (e) => {
  e.preventDefault();
  console.error("unhandled:", e.reason?.message);
});

// ---- bytes

const text = (bytes) => new TextDecoder().decode(bytes);
const encode = (string) => new TextEncoder().encode(string);
function pattern(n) {
  const out = new Uint8Array(n);
  for (let i = 0; i < n; ++i) out[i] = (i * 7 + (i >> 8) * 13) & 255;
  return out;
}
function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; ++i) if (a[i] !== b[i]) return false;
  return true;
}
function join(pieces) {
  const out = new Uint8Array(pieces.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of pieces) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
async function readAll(readable) {
  const pieces = [];
  for await (const p of readable) pieces.push(p);
  return join(pieces);
}
async function writeAll(writable, bytes, close = true) {
  const w = writable.getWriter();
  for (let at = 0; at < bytes.length; at += 65536) {
    await w.ready;
    await w.write(bytes.subarray(at, at + 65536));
  }
  if (close) await w.close();
  w.releaseLock();
}
// The code of a reset or a stop is told in the text of an error and nowhere else.
function codeIn(error) {
  const found = /error (\d+)/.exec(error?.message ?? "");
  if (found === null) throw error;
  return Number(found[1]);
}

const CANNOT_RESET = "deno ext/net/quic.rs, SendStreamResource: no operation resets a stream";

// ---- the one who answers

async function answer(conn) {
  const uni = (async () => {
    for await (const s of conn.incomingUnidirectionalStreams) {
      readAll(s).then(async (bytes) => {
        const back = await conn.createUnidirectionalStream({ waitUntilAvailable: true });
        await writeAll(back, bytes);
      }).catch((e) => console.error("uni:", e.message));
    }
  })();
  const datagrams = (async () => {
    while (true) await conn.sendDatagram(await conn.readDatagram());
  })();
  uni.catch(() => {});
  datagrams.catch(() => {});
  const bidi = (async () => {
    for await (const s of conn.incomingBidirectionalStreams) {
      request(conn, s).catch((e) => console.error("bidi:", e.message));
    }
  })();
  bidi.catch(() => {});
  const how = await conn.closed;
  const wanted = options.scenario === "close-asker" ? [0x1234, "bye now"] : [0, ""];
  if (options.scenario === "close-answerer") return; // closed here
  expect("the close code", how.closeCode, wanted[0]);
  expect("the close reason", how.reason, wanted[1]);
}

async function request(conn, stream) {
  const r = stream.readable.getReader();
  let head = new Uint8Array(0);
  while (!head.includes(10)) {
    const { value, done } = await r.read();
    if (done) break;
    head = join([head, value]);
  }
  const at = head.indexOf(10);
  const [name, ...words] = text(head.subarray(0, at)).split(" ");
  let rest = head.subarray(at + 1);
  const w = stream.writable.getWriter();
  const reply = async (string) => {
    await w.write(encode(string));
    await w.close();
  };
  switch (name) {
    case "echo":
      if (rest.length !== 0) await w.write(rest);
      while (true) {
        const { value, done } = await r.read();
        if (done) break;
        await w.ready;
        await w.write(value);
      }
      return await w.close();
    case "read":
      try {
        while (true) {
          const { value, done } = await r.read();
          if (done) break;
          rest = join([rest, value]);
        }
        return await reply(`fin ${rest.length}`);
      } catch (e) {
        return await reply(`reset ${codeIn(e)}`);
      }
    case "stop":
      if (words[0] !== "0") return await reply("cannot deno ext/net/quic.rs, RecvStreamResource: stops with 0 only");
      await r.cancel();
      return await w.close();
    case "reset":
      return await reply(`cannot ${CANNOT_RESET}`);
    case "tell":
      try {
        while (true) {
          await w.ready;
          await w.write(new Uint8Array(1000));
        }
      } catch (e) {
        const out = await conn.createUnidirectionalStream({ waitUntilAvailable: true });
        await writeAll(out, encode(`stopped ${codeIn(e)}`));
      }
      return;
    case "close":
      conn.close({ closeCode: Number(words[0]), reason: words.slice(1).join(" ") });
      setTimeout(() => finish("pass"), 300);
      return;
  }
  await reply(`cannot ${name}`);
}

// ---- the one who asks

async function ask(conn, line, bytes = new Uint8Array(0), close = true) {
  const s = await conn.createBidirectionalStream({ waitUntilAvailable: true });
  await writeAll(s.writable, join([encode(line + "\n"), bytes]), close);
  return s;
}

// A close before the handshake is confirmed loses its code and reason (RFC 9000, 10.2.3).
async function oneEcho(conn) {
  const s = await ask(conn, "echo", encode("hello"));
  expect("the echo", text(await readAll(s.readable)), "hello");
}

const questions = {
  alpn: oneEcho,
  async "uni-1000"(conn) {
    const missing = new Set();
    for (let i = 0; i < 1000; ++i) missing.add(`uni stream ${i}`);
    const heard = (async () => {
      for await (const s of conn.incomingUnidirectionalStreams) {
        const got = text(await readAll(s));
        if (!missing.delete(got)) throw new Error(`nobody sent ${got}`);
        if (missing.size === 0) return;
      }
    })();
    for (let i = 0; i < 1000; ++i) {
      const s = await conn.createUnidirectionalStream({ waitUntilAvailable: true });
      await writeAll(s, encode(`uni stream ${i}`));
    }
    await heard;
  },
  async empty(conn) {
    const s = await ask(conn, "echo");
    expect("the echo of nothing", (await readAll(s.readable)).length, 0);
    const u = await conn.createUnidirectionalStream();
    await u.close();
    for await (const back of conn.incomingUnidirectionalStreams) {
      expect("the echo of an empty stream", (await readAll(back)).length, 0);
      return;
    }
  },
  async echo(conn) {
    const all = [];
    for (let i = 0; i < 200; ++i) {
      const said = pattern(i * 37);
      all.push(ask(conn, "echo", said).then(async (s) => {
        if (!same(await readAll(s.readable), said)) throw new Error(`echo ${i} differs`);
      }));
    }
    await Promise.all(all);
  },
  async large(conn) {
    const said = pattern(MB20);
    const s = await conn.createBidirectionalStream();
    const heard = readAll(s.readable);
    await writeAll(s.writable, join([encode("echo\n"), said]));
    if (!same(await heard, said)) throw new Error("the echo of 20 MB differs");
  },
  async datagrams(conn) {
    if (conn.maxDatagramSize === 0) throw new Error("no datagrams");
    const missing = new Set();
    (async () => {
      while (true) missing.delete(text(await conn.readDatagram()));
    })().catch(() => {});
    for (let i = 0; i < 100; ++i) {
      const said = `datagram ${i} `.padEnd(100 + i * 10, "x");
      missing.add(said);
      await conn.sendDatagram(encode(said));
      await new Promise((r) => setTimeout(r, 2));
    }
    for (let i = 0; i < 100 && missing.size !== 0; ++i) await new Promise((r) => setTimeout(r, 20));
    if (missing.size > 10) throw new Error(`${missing.size} of 100 datagrams did not come back`);
  },
  async "reset-asker"() {
    throw new Unsupported(CANNOT_RESET);
  },
  async "reset-answerer"(conn) {
    const s = await ask(conn, "reset 55");
    let got = "";
    try {
      got = text(await readAll(s.readable));
    } catch (e) {
      expect("the code of the reset", codeIn(e), 55);
      return;
    }
    if (got.startsWith("cannot ")) throw new Unsupported(got.slice(7));
    throw new Error(`no reset but ${got}`);
  },
  async "stop-asker"(conn) {
    const s = await ask(conn, "tell");
    const r = s.readable.getReader();
    await r.read();
    await r.cancel(); // with 0, there is no other
    for await (const u of conn.incomingUnidirectionalStreams) {
      expect("what the answerer heard", text(await readAll(u)), "stopped 0");
      return;
    }
  },
  async "stop-answerer"(conn) {
    for (const code of [44, 0]) {
      const s = await ask(conn, `stop ${code}`, new Uint8Array(0), false);
      const cannot = readAll(s.readable).then(text, () => "");
      const w = s.writable.getWriter();
      const stopped = (async () => {
        while (true) {
          await w.ready;
          await w.write(new Uint8Array(1000));
        }
      })().catch(codeIn);
      if ((await Promise.race([stopped, cannot.then((c) => c === "" ? stopped : c)])) === code) return;
      w.abort().catch(() => {});
    }
    throw new Error("not stopped with the code that was asked for");
  },
  "close-asker": oneEcho,
  async "close-answerer"(conn) {
    await ask(conn, "close 4660 bye now");
    const how = await conn.closed;
    expect("the close code", how.closeCode, 4660);
    expect("the close reason", how.reason, "bye now");
  },
};

async function ask_all(conn) {
  expect("the protocol", conn.protocol, ALPN);
  const question = questions[options.scenario];
  if (question === undefined) throw new Unsupported(`no scenario ${options.scenario}`);
  await question(conn);
  const [closeCode, reason] = options.scenario === "close-asker" ? [0x1234, "bye now"] : [0, ""];
  if (options.scenario !== "close-answerer") conn.close({ closeCode, reason });
  await new Promise((r) => setTimeout(r, 300)); // for the close to get out
}

// ---- connections

const limits = {
  maxConcurrentUnidirectionalStreams: Number(options.streams),
  maxConcurrentBidirectionalStreams: Number(options.streams),
};

async function dial() {
  const url = new URL(options.dial.replace("moqt:", "http:"));
  const to = { hostname: url.hostname, port: Number(url.port), serverName: "localhost", ...limits };
  if (options.ca) to.caCerts = [Deno.readTextFileSync(options.ca)];
  if (options.scenario === "alpn") {
    let refused = false;
    await Deno.connectQuic({ ...to, alpnProtocols: ["something-else"] }).catch(() => refused = true);
    expect("whether another protocol is refused", refused, true);
  }
  return await Deno.connectQuic({ ...to, alpnProtocols: [ALPN] });
}
async function listen() {
  const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: Number(options.listen) });
  const listener = endpoint.listen({
    cert: Deno.readTextFileSync(options.cert),
    key: Deno.readTextFileSync(options.key),
    alpnProtocols: [ALPN],
    ...limits,
  });
  say({ listening: endpoint.addr.port });
  while (true) {
    try {
      return await listener.accept();
    } catch (e) {
      console.error("refused:", e.message); // whoever wants another protocol
    }
  }
}

try {
  const conn = options.dial ? await dial() : await listen();
  await (options.role === "asker" ? ask_all(conn) : answer(conn));
  finish("pass");
} catch (e) {
  finish(e instanceof Unsupported ? "unsupported" : "fail", e.message);
}
