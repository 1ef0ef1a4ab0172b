// The real @moq/net over the real @moq/qmux in Node, in the scenarios of ../SCENARIOS.md.
import "./shim.mjs";
import http from "node:http";
import { parseArgs } from "node:util";
import { finish, finishWith, say, sleep, Unsupported } from "./outcome.mjs";

const { values: options } = parseArgs({
  options: Object.fromEntries(
    "dial listen version role scenario cert key hash qmux streams timeout"
      .split(" ")
      .map((name) => [name, { type: "string" }]),
  ),
});
const { Connection } = await import("@moq/net");
const { default: Qmux, selectSubprotocol } = await import("@moq/qmux");
const { WebSocket, WebSocketServer } = await import("ws");
const { Publisher } = await import("./publisher.mjs");
const { Subscriber } = await import("./subscriber.mjs");
globalThis.WebSocket = WebSocket;

const PROTOCOLS = { "01": "moql", "02": "moql", "03": "moq-lite-03", "04": "moq-lite-04", "05": "moq-lite-05" };
const protocol = PROTOCOLS[options.version];
const versions = { [protocol]: options.qmux ? [options.qmux] : null };
const offer = { protocols: [protocol], versions, requireProtocol: true };

// A connection, the transport under it, and how both end.
class Session {
  constructor(conn, transport) {
    this.conn = conn;
    this.transport = transport;
    this.options = options;
    this.isClosed = false;
    const over = transport.closed.finally(() => (this.isClosed = true));
    this.closed = over; // what the peer closed with
    this.lost = over.then(
      (info) => Promise.reject(new Error(`the session was closed with ${info.closeCode} ${info.reason}`)),
      () => undefined,
    );
    this.closed.catch(() => {});
    this.lost.catch(() => {});
  }
  // The connection's own close has no code.
  async close(closeCode = 0, reason = "") {
    this.transport.close({ closeCode, reason });
    await sleep(150); // it sends the close, and ends the WebSocket 100 ms later
  }
  // Something on the side; what ends with the session is no failure.
  run(job) {
    job().catch((error) => this.isClosed || finishWith(error));
  }
}

async function play(conn, transport) {
  if (!conn.version.endsWith(options.version)) throw new Error(`the version is ${conn.version}`);
  const s = new Session(conn, transport);
  if (options.scenario === "reverse") await both(s);
  else await (options.role === "publisher" ? new Publisher(s) : new Subscriber(s)).run();
  finish("pass");
}
async function both(s) {
  const [ours, theirs] = options.dial ? ["a", "b"] : ["b", "a"];
  const publisher = new Publisher(s);
  const subscriber = new Subscriber(s);
  const written = publisher.usual(5, 20, ours).then(() => sleep(300));
  const broadcast = await subscriber.find(theirs);
  await subscriber.readAll(broadcast.subscribe("t0", subscriber.wish), 0, 4);
  await written;
  await (options.dial ? s.close() : publisher.closed());
}
// A made-up measurement: without one a publisher says that it does not probe, and QMux measures nothing.
function withStats(transport) {
  transport.getStats = async () => ({ estimatedSendRate: 8_000_000, smoothedRtt: 25 });
  return transport;
}

async function dial() {
  const url = new URL(options.dial);
  const transport = withStats(new Qmux(url, offer));
  await transport.ready;
  await play(await Connection.connect(url, { transport }), transport);
}
function listen() {
  const server = http.createServer((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => selectSubprotocol([...offered], offer) ?? false,
  });
  server.on("upgrade", (request, socket, head) => {
    if (selectSubprotocol(request.headers["sec-websocket-protocol"] ?? "", offer) === undefined)
      return socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    sockets.handleUpgrade(request, socket, head, async (ws) => {
      try {
        if (request.url !== "/interop") throw new Error(`the peer asks for ${request.url}`);
        const transport = withStats(Qmux.accept(ws));
        await transport.ready;
        const version = options.version < "03" ? 0xff0dad00 + Number(options.version) : undefined;
        await play(await Connection.accept(transport, new URL("http://127.0.0.1/interop"), { version }), transport);
      } catch (error) {
        finishWith(error);
      }
    });
  });
  server.listen(Number(options.listen), "127.0.0.1", () => say({ listening: server.address().port }));
}

process.on("unhandledRejection", (error) => process.stderr.write(`unhandled: ${error?.stack ?? error}\n`));
process.on("uncaughtException", (error) => finishWith(error));
setTimeout(() => finish("fail", "time-out"), Number(options.timeout ?? 15) * 1000);
try {
  if (options.version === "06")
    throw new Unsupported("@moq/net lite/version.js: knows moq-lite-06-wip, which is another protocol than 06");
  if (protocol === undefined) throw new Unsupported(`no version ${options.version}`);
  if (options.dial && !options.dial.startsWith("ws://"))
    throw new Unsupported("@moq/qmux session.js: speaks WebSocket only; certificates are not taken here");
  if (options.dial) await dial();
  else listen();
} catch (error) {
  finishWith(error);
}
