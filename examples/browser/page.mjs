// Watches a broadcast of moql-serve or moql-picture, and publishes one when asked to, with the real @moq/net.
//
//   ?broadcast=PATH           what to watch; default test/picture
//   ?transport=websocket      no WebTransport; ?transport=webtransport: no WebSocket in its place

import * as Moq from "@moq/net";
import { Graph } from "./graph.mjs";
import { animate, decode, draw, encode } from "./picture.mjs";

const trackName = "picture";
const query = new URLSearchParams(location.search);
const $ = (id) => document.getElementById(id);
const none = "\u2013"; // for a number that there is not

// ---- the session: connected again whenever it is lost

// @moq/net takes WebTransport if the browser has it. There is no option against it, so we make believe it has not.
if (query.get("transport") === "websocket") globalThis.WebTransport = undefined;

/** One attempt; throws when it fails. */
async function connect() {
  const limit = AbortSignal.timeout(15_000);
  // No authority vouches for a certificate that the server made for this run. A browser takes it all the same if the
  // page knows its hash. Asked for before every attempt, because a server that was started anew has another one.
  const answer = await fetch("/certificate.sha256", { signal: limit });
  const hash = (await answer.text()).trim();
  return Moq.Connection.connect(new URL(`https://${location.host}/`), {
    webtransport: { serverCertificateHashes: [{ value: hash }] },
    // For a hash there is no such option here, so the WebSocket is a plain one: to the port that this page came from.
    websocket: {
      enabled: query.get("transport") !== "webtransport",
      url: new URL(`ws://${location.host}/`),
      delay: 2_000, // how far ahead WebTransport starts
    },
    signal: limit,
  });
}

let connection; // while there is one

async function stayConnected() {
  const firstWait = 500;
  for (let wait = firstWait; ; wait = Math.min(wait * 2, 8_000)) {
    status("connecting", "connecting");
    try {
      connection = await connect();
      const since = performance.now();
      status("connected", "connected");
      $("version").textContent = connection.version;
      $("transport").textContent = connection.transport === "websocket" ? "WebSocket" : "WebTransport";
      offer();
      listBroadcasts(connection);
      await connection.closed.catch(() => {});
      if (performance.now() - since > 5_000) wait = firstWait; // not one that is cut off again and again
    } catch (error) {
      console.warn("cannot connect:", error);
    }
    connection?.close();
    connection = undefined;
    $("version").textContent = $("transport").textContent = none;
    withdraw();
    announced.clear();
    showBroadcasts();
    // Somewhere in the second half of the wait: pages that lost the same server do not come back at once.
    const pause = wait * (0.5 + Math.random() / 2);
    status("lost", `no connection, next try in ${Math.ceil(pause / 1000)} s`);
    await new Promise((done) => setTimeout(done, pause));
  }
}

function status(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
}

// ---- what there is to watch

const announced = new Set(); // paths, in the order they came

async function listBroadcasts(on) {
  try {
    const updates = on.announced();
    for (let update; (update = await updates.next()); ) {
      if (on !== connection) return;
      if (update.active) announced.add(update.path);
      else announced.delete(update.path);
      showBroadcasts();
    }
  } catch (error) {
    if (on === connection) console.warn("no more announcements:", error);
  }
}

function showBroadcasts() {
  $("broadcasts").replaceChildren(
    ...[...announced].map((path) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = path; // as text: anybody may announce anything
      button.setAttribute("aria-pressed", path === wanted);
      button.addEventListener("click", () => choose(path));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  $("nothing").hidden = announced.size > 0;
  tune();
}

// ---- watching

let wanted = query.get("broadcast") ?? "test/picture";
let watching; // the subscription to it, while there is one
const graph = new Graph($("graph"));
let seen; // the numbers on the page

function forget() {
  seen = { frames: 0, groups: 0, groupsDropped: 0, framesDropped: 0 };
  graph.clear();
}

function choose(path) {
  wanted = path;
  query.set("broadcast", path);
  history.replaceState(null, "", `?${query}`);
  forget();
  showBroadcasts();
}

/** Subscribes to what is wanted as soon as it is announced, and leaves what is wanted no more. */
function tune() {
  $("watching").textContent = wanted;
  if (watching && (watching.path !== wanted || !announced.has(wanted))) leave();
  if (!watching && announced.has(wanted)) {
    const broadcast = connection.consume(Moq.Path.from(wanted));
    watching = { path: wanted, broadcast, track: broadcast.subscribe(trackName, { priority: 1 }) };
    watch(watching);
  }
  const isOurs = outgoing && wanted === outgoing.path;
  notice(watching ? "" : isOurs ? "published by this page" : connection ? "not announced yet" : "no connection");
}

function leave() {
  watching.track.close();
  watching.broadcast.close();
  watching = undefined;
  $("counter").textContent = $("latency").textContent = none;
}

async function watch(it) {
  let first, group, counter; // the first group; the last group and frame
  try {
    // Frames as they come, in order; a group that lags behind a newer one is left behind, as live pictures want it.
    for (let next; (next = await it.track.readFrameSequence()); ) {
      if (it !== watching) return;
      const frame = decode(next.payload);
      if (!frame) {
        notice("this track is no test picture");
        continue;
      }
      if (next.group !== group) {
        seen.groups += 1;
        if (group !== undefined) seen.groupsDropped += next.group - group - 1;
        first ??= next.group;
        group = next.group;
      }
      if (counter !== undefined && frame.counter > counter) seen.framesDropped += frame.counter - counter - 1;
      counter = frame.counter;
      seen.frames += 1;
      const now = Date.now();
      // We come in the middle of the first group and get it from its start: its frames are old, but not late.
      if (group !== first) graph.add(now, now - frame.made);
      draw($("picture"), frame);
      $("counter").textContent = counter;
      $("latency").textContent = now - frame.made;
      notice("");
    }
  } catch (error) {
    console.warn("subscription ended:", error);
  }
  if (it !== watching) return;
  // It is over although it is still announced: perhaps its publisher comes back.
  notice("the track has ended");
  setTimeout(() => {
    if (it !== watching) return;
    leave();
    tune();
  }, 1_000);
}

function notice(text) {
  $("notice").textContent = text;
}

// Numbers that change with every frame but are read by people: a few times a second is enough.
let framesBefore = 0;
setInterval(() => {
  graph.draw(Date.now());
  $("median").textContent = graph.median() ?? none;
  $("groups").textContent = seen.groups;
  $("groups-dropped").textContent = seen.groupsDropped;
  $("frames-dropped").textContent = seen.framesDropped;
}, 200);
setInterval(() => {
  $("rate").textContent = Math.max(0, seen.frames - framesBefore);
  framesBefore = seen.frames;
}, 1_000);

// ---- publishing

const framesPerSecond = 10; // of which a browser leaves one while the page is in the background
const hue = Math.random() * 360; // so that pages differ
let outgoing; // from the press of the button to the next

$("publish").addEventListener("click", () => {
  if (outgoing) {
    withdraw();
    clearInterval(outgoing.timer);
    outgoing = undefined;
  } else {
    const path = Moq.Path.from("browser", crypto.randomUUID().slice(0, 8));
    outgoing = { path, frames: 0, timer: setInterval(publishFrame, 1000 / framesPerSecond) };
    offer();
  }
  $("publish").setAttribute("aria-pressed", outgoing !== undefined);
  $("publish").textContent = outgoing ? "Stop publishing" : "Publish";
  $("published").textContent = outgoing?.path ?? "";
  tune();
});

/** Announces our broadcast on this connection. The connection takes it along when it ends; the next needs a new one. */
function offer() {
  if (!outgoing || !connection) return;
  outgoing.broadcast = new Moq.Broadcast.Producer();
  outgoing.track = outgoing.broadcast.createTrack(trackName, { latencyMax: 2_000 });
  connection.publish(outgoing.path, outgoing.broadcast);
}

function withdraw() {
  outgoing?.group?.close();
  outgoing?.track?.close();
  outgoing?.broadcast?.close();
  if (outgoing) outgoing.group = outgoing.track = outgoing.broadcast = undefined;
}

function publishFrame() {
  const made = Date.now();
  const counter = outgoing.frames++;
  animate($("preview"), counter, hue, made);
  if (!outgoing.track) return;
  // A group can be joined at its start only: a new one every second is how long a new watcher waits at most.
  if (!outgoing.group || counter % framesPerSecond === 0) {
    outgoing.group?.close();
    outgoing.group = outgoing.track.appendGroup();
  }
  outgoing.group.writeFrame({
    payload: encode($("preview"), counter, made),
    timestamp: Moq.Time.Timestamp.now(),
  });
}

animate($("preview"), 0, hue, Date.now());
forget();
showBroadcasts();
stayConnected();
