#!/usr/bin/env node
// The page of examples/browser in a real Chromium, with the real @moq/net, against moql-serve.
//
//   node browser_test.mjs MOQL_SERVE [MOQL_SUBSCRIBE] [--transport webtransport|websocket] [--screenshot FILE]
//
// Exit codes: 0 all passed, 1 not, 77 skipped because something it needs is not installed.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const folder = fileURLToPath(new URL("../examples/browser/", import.meta.url));
const chromiumPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const patience = 60_000; // ms for anything that will happen at all
const patienceForAll = 540_000;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { transport: { type: "string" }, screenshot: { type: "string" } },
});
const [servePath, subscribePath] = positionals;
if (!servePath) {
  console.error("usage: browser_test.mjs MOQL_SERVE [MOQL_SUBSCRIBE] [--transport NAME] [--screenshot FILE]");
  process.exit(2);
}

function skip(why) {
  console.log(`skipped: ${why}`);
  process.exit(77);
}
if (!existsSync(chromiumPath)) skip(`there is no ${chromiumPath}`);
if (!existsSync(`${folder}/node_modules/@moq/net`)) skip("examples/browser has no node_modules: run npm ci there");
let playwright;
try {
  playwright = createRequire(folder)("playwright-core");
} catch (error) {
  skip(`playwright-core: ${error.message.split("\n")[0]}`);
}

// ---- checks

let passed = 0;
let failed = 0;

async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message.split("\n")[0]}`);
  }
}
function expect(is, what) {
  if (!is) throw new Error(what);
}

// ---- the programs

const running = new Set();
const scratch = mkdtempSync(join(tmpdir(), "moql-browser-")); // for what a server that is killed leaves behind

function start(path, args) {
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, TMPDIR: scratch } });
  running.add(child);
  child.over = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  child.over.then(() => running.delete(child));
  return child;
}
async function stop(child, signal = "SIGTERM") {
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await child.over;
  clearTimeout(late);
}

class Server {
  static async run(args = [], port = 0) {
    const server = new Server();
    const all = ["--port", port, "--picture", "test/picture", "--web", folder, "--quiet", ...args];
    server.child = start(servePath, all.map(String));
    server.said = "";
    server.port = await new Promise((resolve, reject) => {
      server.child.stderr.on("data", (text) => {
        server.said += text;
        const found = /port (\d+), certificate/.exec(server.said);
        if (found) resolve(Number(found[1]));
      });
      server.child.once("error", reject);
      server.child.once("exit", () => reject(new Error(`moql-serve did not start: ${server.said.trim()}`)));
      setTimeout(() => reject(new Error("moql-serve names no port")), patience).unref();
    });
    return server;
  }
  get hash() {
    return /SHA-256 ([0-9a-f]{64})/.exec(this.said)[1];
  }
  stop(signal) {
    return stop(this.child, signal);
  }
}

// ---- the page, as a person sees it

class Page {
  static async open(port, query = {}) {
    const page = new Page();
    page.tab = await browser.newPage({ viewport: { width: 1160, height: 900 } });
    page.tab.setDefaultTimeout(patience);
    page.tab.on("pageerror", (error) => page.errors.push(String(error)));
    page.tab.on("requestfailed", (request) => {
      if (/js$/.test(request.url())) page.errors.push(`${request.url()}: ${request.failure().errorText}`);
    });
    await page.tab.goto(`http://127.0.0.1:${port}/?${new URLSearchParams(query)}`);
    return page;
  }
  errors = [];

  text(id) {
    return this.tab.locator(`#${id}`).innerText();
  }
  async shows(id, what) {
    const is = ([of, pattern]) => new RegExp(pattern).test(document.getElementById(of).textContent);
    try {
      await this.tab.waitForFunction(is, [id, what.source], { polling: 100 });
    } catch {
      const said = this.errors[0] ?? ((await this.text("notice")) || (await this.text("status")));
      throw new Error(`#${id} is "${await this.text(id)}", not ${what} (${said})`);
    }
  }
  /** Different pixels `times` times, and a counter that changed as often and never fell. */
  async moves(times = 10) {
    const watch = async ([wanted, limit]) => {
      const canvas = document.getElementById("picture");
      const looks = new Set();
      const counters = [];
      const until = performance.now() + limit;
      while (performance.now() < until && (looks.size < wanted || counters.length < wanted)) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let sum = 0;
        for (let i = 0; i < data.length; ++i) sum = (Math.imul(sum, 31) + data[i]) | 0;
        looks.add(sum);
        const counter = Number(document.getElementById("counter").textContent);
        if (!Number.isNaN(counter) && counter !== counters.at(-1)) counters.push(counter);
        await new Promise((done) => setTimeout(done, 20));
      }
      return { looks: looks.size, counters };
    };
    const { looks, counters } = await this.tab.evaluate(watch, [times, patience]);
    expect(looks >= times, `the picture changed ${looks} times only (${await this.text("notice")})`);
    expect(counters.length >= times, `the counter changed ${counters.length} times only`);
    const fell = counters.findIndex((c, i) => i > 0 && c < counters[i - 1]);
    expect(fell < 0, `the counter fell from ${counters[fell - 1]} to ${counters[fell]}`);
  }
  async publish() {
    await this.tab.click("#publish");
    await this.shows("published", /^browser\//);
    return this.text("published");
  }
  button(path) {
    return this.tab.locator("#broadcasts button", { hasText: path });
  }
  async close() {
    await this.tab.close();
    expect(this.errors.length === 0, this.errors[0]);
  }
}

// ---- what is checked

const names = { webtransport: "WebTransport", websocket: "WebSocket" };
const versionsOver = { webtransport: ["05", "04", "03"], websocket: ["05", "04", "03", "02", "01"] };
const transports = options.transport ? [options.transport] : Object.keys(names);

async function watches(transport, version) {
  const is = `${names[transport]} ${version}`;
  const server = await Server.run(["--version", version]);
  const page = await Page.open(server.port, { transport });
  await check(`${is}: the picture moves and its counter only rises`, () => page.moves(25));
  await check(`${is}: the page says so`, async () => {
    await page.shows("transport", new RegExp(`^${names[transport]}$`));
    await page.shows("version", new RegExp(`${version}$`));
  });
  await check(`${is}: the latency is a number`, async () => {
    await page.shows("latency", /^-?\d+$/);
    await page.shows("median", /^-?\d+$/);
  });
  const other = await Page.open(server.port, { transport });
  let path;
  await check(`${is}: what one page publishes is announced to another`, async () => {
    await page.shows("status", /^connected$/);
    path = await page.publish();
    await other.button(path).click();
    await other.shows("watching", new RegExp(`^${path}$`));
  });
  await check(`${is}: and moves there`, () => other.moves(8));
  await check(`${is}: until it stops publishing`, async () => {
    await page.tab.click("#publish");
    await other.button(path).waitFor({ state: "detached" });
    await other.shows("notice", /not announced/);
  });
  await check(`${is}: nothing failed in the pages`, () => Promise.all([page.close(), other.close()]));
  await server.stop();
}

async function recovers(transport) {
  const is = names[transport];
  let server = await Server.run();
  const page = await Page.open(server.port, { transport });
  await page.shows("status", /^connected$/);
  await check(`${is}: a page that is loaded again goes on`, async () => {
    await page.tab.reload();
    await page.moves();
  });
  const path = await page.publish().catch(() => {});
  for (const signal of ["SIGTERM", "SIGKILL"])
    await check(`${is}: goes on when the server, ended by ${signal}, is back with another certificate`, async () => {
      const { port, hash } = server;
      await server.stop(signal);
      await page.shows("status", /no connection|connecting/);
      server = await Server.run([], port);
      expect(server.hash !== hash, "the certificate is the same");
      await page.shows("status", /^connected$/);
      await page.moves();
    });
  await check(`${is}: and publishes what it published before`, async () => {
    const other = await Page.open(server.port, { transport, broadcast: path });
    await other.moves(8);
    await other.close();
  });
  await page.close();
  await server.stop();
}

async function reachesEverybody() {
  const server = await Server.run();
  const [from, to] = [transports[0], transports.at(-1)];
  const page = await Page.open(server.port, { transport: from });
  await page.shows("status", /^connected$/);
  const path = await page.publish();
  await check(`from a page over ${names[from]} to one over ${names[to]}`, async () => {
    const other = await Page.open(server.port, { transport: to, broadcast: path });
    await other.moves(8);
    await other.close();
  });
  if (subscribePath)
    await check("from a page to moql-subscribe", async () => {
      const scheme = to === "websocket" ? "ws" : "https";
      const args = [`${scheme}://127.0.0.1:${server.port}/`, path, "picture", "--hash", server.hash, "--quiet"];
      const child = start(subscribePath, args);
      const frameSize = 16 + 160 * 90;
      let got = Buffer.alloc(0);
      let said = "";
      child.stderr.on("data", (text) => (said += text));
      await new Promise((resolve, reject) => {
        child.stdout.on("data", (bytes) => {
          got = Buffer.concat([got, bytes]);
          if (got.length >= 20 * frameSize) resolve();
        });
        child.once("exit", () => reject(new Error(`it ended: ${said.trim()}`)));
        setTimeout(() => reject(new Error(`only ${got.length} bytes: ${said.trim()}`)), patience).unref();
      }).finally(() => stop(child, "SIGINT"));
      for (let at = 0; at + frameSize <= 20 * frameSize; at += frameSize) {
        const header = [got.readUInt16BE(at + 12), got.readUInt16BE(at + 14)];
        expect(header.join() === "160,90", `frame ${at / frameSize} is ${header.join(" by ")}`);
        const counters = [got.readUInt32BE(at), got.readUInt32BE(0)];
        expect(counters[0] === counters[1] + at / frameSize, `frame ${at / frameSize} has number ${counters[0]}`);
      }
    });
  if (options.screenshot) {
    const other = await Page.open(server.port, { transport: from });
    await other.shows("status", /^connected$/);
    await other.publish();
    await other.moves(25 * 30); // a graph that is full
    await page.tab.bringToFront();
    await page.moves();
    await page.tab.screenshot({ path: options.screenshot, fullPage: true });
    await other.close();
  }
  await page.close();
  await server.stop();
}

const limit = setTimeout(() => {
  console.log(`FAILED  it takes longer than ${patienceForAll / 1000} s`);
  process.exit(1);
}, patienceForAll);
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});

const browser = await playwright.chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
async function group(name, body) {
  try {
    await body();
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message.split("\n")[0]}`);
  }
}
for (const transport of transports) {
  for (const version of versionsOver[transport])
    await group(`${names[transport]} ${version}`, () => watches(transport, version));
  await group(names[transport], () => recovers(transport));
}
await group("everybody", reachesEverybody);
await browser.close();
clearTimeout(limit);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
