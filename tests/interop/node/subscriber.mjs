import { Path } from "@moq/net";
import { checkFrame, framesOf, MAX_AGE_MS, TIMESCALE } from "./content.mjs";
import { expect, onLog, sleep, Unsupported } from "./outcome.mjs";

export class Subscriber {
  constructor(session) {
    this.s = session;
    this.scenario = session.options.scenario;
    this.coming = new Map();
    this.version = session.options.version;
    // Before 03 a subscription begins with what is live.
    this.wish = { latencyMax: MAX_AGE_MS, ...(this.version >= "03" ? { startGroup: 0 } : {}) };
  }
  // Announcements below `room`, as text.
  async *announcements() {
    const announced = this.s.conn.announced(Path.from("room"));
    for (let e; (e = await announced.next()) !== undefined; ) yield (e.active ? "+" : "-") + e.path;
    throw new Error("the announcements ended");
  }
  async find(name = "a") {
    for await (const e of this.announcements()) if (e === `+${name}`) return this.broadcast(name);
  }
  broadcast(name) {
    return this.s.conn.consume(Path.from(`room/${name}`));
  }
  // Reads a group to its end and checks every byte; throws when it is not whole.
  async read(group) {
    let f = 0;
    for (let frame; (frame = await group.readFrame()) !== undefined; f++)
      checkFrame(this.scenario, group.sequence, f, frame, this.version >= "05");
    expect(`the number of frames in group ${group.sequence}`, f, framesOf(this.scenario, group.sequence).length);
    return group.sequence;
  }
  // The next group, or what `others` bring first; a group is not lost when they do.
  async next(sub, others) {
    if (!this.coming.has(sub)) this.coming.set(sub, sub.recvGroup().then((group) => ({ group })));
    const first = await Promise.race([this.coming.get(sub), ...others]);
    if (first?.group !== undefined) this.coming.delete(sub);
    return first;
  }
  // Reads whole groups until `enough(set of those)`, or until the track ends.
  async readUntil(sub, enough) {
    const whole = new Set();
    const reading = new Set();
    while (!enough(whole)) {
      const first = await this.next(sub, reading);
      if (first === undefined) continue; // a group has been read
      if (first.group === undefined) break;
      if (whole.has(first.group.sequence)) throw new Error(`group ${first.group.sequence} came twice`);
      const job = this.read(first.group).then((g) => {
        whole.add(g);
        reading.delete(job);
      });
      job.catch(() => {});
      reading.add(job);
    }
    await Promise.all(reading);
    return whole;
  }
  async readAll(sub, first, last) {
    const has = (whole) => [...Array(last - first + 1)].every((_, i) => whole.has(first + i));
    const whole = await this.readUntil(sub, has);
    if (!has(whole)) throw new Error(`the track ended with groups ${[...whole].join(" ")}`);
    return whole;
  }
  async refused(name, track) {
    const sub = this.broadcast(name).subscribe(track, this.wish);
    const got = await sub.recvGroup().then(
      (group) => group,
      (error) => error,
    );
    if (!(got instanceof Error)) throw new Error(got === undefined ? "the track ended in order" : "a group came");
  }

  async run() {
    await (this[this.scenario]?.() ?? this.groups(4));
    await this.s.close();
  }
  async groups(last, ...tracks) {
    const broadcast = await this.find();
    const names = tracks.length === 0 ? ["t0"] : tracks;
    await Promise.all(names.map((t) => this.readAll(broadcast.subscribe(t, this.wish), 0, last)));
  }
  async "announce-discover"() {
    await sleep(300);
    await this["discover-announce"]();
  }
  async "discover-announce"() {
    const seen = new Set();
    for await (const e of this.announcements()) {
      if ((e !== "+a" && e !== "+b") || seen.has(e)) throw new Error(`${e} was announced`);
      if (seen.add(e).size === 2) return;
    }
  }
  async withdraw() {
    const wanted = ["+a", "-a", "+b"];
    for await (const e of this.announcements()) {
      expect("the announcement", e, wanted.shift());
      if (wanted.length === 0) return;
    }
  }
  "subscribe-3"() {
    return this.groups(4, "t0", "t1", "t2");
  }
  async "late-join"() {
    const start = performance.now();
    const broadcast = await this.find();
    await sleep(Math.max(0, 450 - (performance.now() - start)));
    const whole = await this.readUntil(broadcast.subscribe("t0", { latencyMax: MAX_AGE_MS }), (w) => w.has(9));
    const first = Math.min(...whole);
    if (!whole.has(9) || first > 6 || whole.size !== 10 - first)
      throw new Error(`groups ${[...whole].join(" ")} came`);
  }
  async range() {
    const broadcast = await this.find();
    const sub = broadcast.subscribe("t0", { latencyMax: MAX_AGE_MS, startGroup: 2, endGroup: 4 });
    const whole = await this.readAll(sub, 2, 4);
    const more = await this.next(sub, [sleep(200)]);
    if (more?.group !== undefined || whole.size !== 3) throw new Error("a group came that was not asked for");
  }
  async "priority-update"() {
    const broadcast = await this.find();
    const sub = broadcast.subscribe("t0", { ...this.wish, priority: 1 });
    const first = await this.readAll(sub, 0, 2);
    sub.update({ ...this.wish, priority: 200 });
    await this.readAll(sub, Math.max(...first) + 1, 19);
  }
  sizes() {
    return this.groups(2);
  }
  "many-groups"() {
    return this.groups(499);
  }
  async "end-of-track"() {
    const broadcast = await this.find();
    const whole = await this.readUntil(broadcast.subscribe("t0", this.wish), () => false);
    if (this.s.isClosed) throw new Error("the track did not end before the session");
    expect("the groups", [...whole].sort().join(" "), "0 1 2");
  }
  async "unknown-broadcast"() {
    await this.refused("none", "t0");
    await this.find();
  }
  async "unknown-track"() {
    await this.find();
    await this.refused("a", "none");
    await this.readAll(this.broadcast("a").subscribe("t0", this.wish), 0, 4);
  }
  async unsubscribe() {
    const broadcast = await this.find();
    const first = broadcast.subscribe("t0", this.wish);
    await this.readUntil(first, (whole) => whole.size >= 2);
    first.close();
    await sleep(300);
    await this.readUntil(broadcast.subscribe("t0", { latencyMax: MAX_AGE_MS }), (whole) => whole.size >= 2);
  }
  async fetch() {
    const track = (await this.find()).track("t0");
    await this.read(await track.fetchGroup(1));
    const refused = await track.fetchGroup(99).then((group) => group.readFrame()).then(
      () => false,
      () => true,
    );
    if (!refused) throw new Error("group 99 was fetched");
  }
  async "track-info"() {
    const info = await (await this.find()).track("t0").info();
    expect("the timescale", info.timescale, TIMESCALE);
  }
  async datagrams() {
    throw new Unsupported("@moq/net lite/datagram_stream.js: looks for a datagram size before QMux has agreed on one");
  }
  async probe() {
    if (this.version < "05")
      throw new Unsupported("@moq/net lite/subscriber.js, runProbe: waits for a SETUP, which 03 and 04 do not have");
    const has = () => Object.values(this.s.conn.probe.peek()).some((v) => v !== undefined);
    while (!has()) await this.s.conn.probe.changed();
  }
  async goaway() {
    const heard = new Promise((resolve) => onLog((line) => line.startsWith("received goaway") && resolve()));
    await this.groups(0);
    await heard;
  }
  async reset() {
    const broadcast = await this.find();
    const sub = broadcast.subscribe("t0", this.wish);
    const whole = new Set();
    let cut = false;
    while (!whole.has(0) || !whole.has(2) || !cut) {
      const group = await sub.recvGroup();
      if (group === undefined) throw new Error(`the track ended; whole: ${[...whole].join(" ")}`);
      const read = await this.read(group).then(
        (g) => g,
        (error) => error,
      );
      if (read instanceof Error && group.sequence !== 1) throw read;
      if (!(read instanceof Error) && group.sequence === 1) throw new Error("group 1 is complete");
      read instanceof Error ? (cut = true) : whole.add(read);
    }
  }
  async stop() {
    throw new Unsupported("@moq/net track.js, Producer.#mirror: a reader closes its copy of a group, not the stream");
  }
  async "close-subscriber"() {
    await this.groups(0);
    await this.s.close(0x3e9, "bye");
  }
  async "close-publisher"() {
    await this.groups(0);
    const info = await this.s.closed;
    expect("the close code", info.closeCode, 0x3ea);
    expect("the close reason", info.reason, "gone");
  }
  async loss() {
    await this.groups(0);
    await this.s.lost;
  }
}
