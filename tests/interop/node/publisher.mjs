import { Broadcast, Path, Time } from "@moq/net";
import { framesOf, MAX_AGE_MS, payloadOf, TIMESCALE, timestampOf } from "./content.mjs";
import { expect, finish, sleep, Unsupported } from "./outcome.mjs";

export class Publisher {
  constructor(session) {
    this.s = session;
    this.scenario = session.options.scenario;
  }
  // Announces a broadcast with these tracks; whatever else is asked for in it is refused.
  announce(name, ...tracks) {
    const broadcast = new Broadcast.Producer();
    const info = { timescale: TIMESCALE, latencyMax: MAX_AGE_MS, priority: 0 };
    const made = tracks.map((t) => broadcast.createTrack(t, info));
    this.s.conn.publish(Path.from(`room/${name}`), broadcast);
    this.s.run(async () => {
      for (let asked; (asked = await broadcast.requested()) !== undefined; ) asked.reject(new Error("not found"));
    });
    return { broadcast, tracks: made };
  }
  async used(track) {
    while (!track.used.peek()) await track.used.changed();
  }
  writeFrame(group, g, f) {
    const payload = payloadOf(g, f, framesOf(this.scenario, g)[f]);
    group.writeFrame({ payload, timestamp: new Time.Timestamp(timestampOf(g, f), Time.Timescale(TIMESCALE)) });
  }
  writeGroup(track, g) {
    const group = track.appendGroup();
    expect("the sequence", group.sequence, g);
    for (let f = 0; f < framesOf(this.scenario, g).length; f++) this.writeFrame(group, g, f);
    group.close();
  }
  async write(track, groups, interval) {
    const start = performance.now();
    for (let g = 0; g < groups && !this.s.isClosed; g++) {
      this.writeGroup(track, g);
      await sleep(Math.max(0, start + (g + 1) * interval - performance.now()));
    }
  }
  async usual(groups, interval, name = "a") {
    const { tracks } = this.announce(name, "t0");
    await this.used(tracks[0]);
    await this.write(tracks[0], groups, interval);
    tracks[0].close();
  }
  async closed(code = 0, reason = "") {
    const info = await this.s.closed;
    expect("the close code", info.closeCode, code);
    expect("the close reason", info.reason, reason);
  }

  async run() {
    await (this[this.scenario]?.() ?? this.usual(5, 20));
    await this.closed();
  }
  async "announce-discover"() {
    this.announce("a");
    this.announce("b");
  }
  async "discover-announce"() {
    await sleep(300);
    await this["announce-discover"]();
  }
  async withdraw() {
    const { broadcast } = this.announce("a");
    await sleep(300);
    broadcast.close();
    await sleep(20); // of two changes at a time the new ones are told first
    this.announce("b");
  }
  async "subscribe-3"() {
    const { tracks } = this.announce("a", "t0", "t1", "t2");
    await Promise.all(
      tracks.map(async (track) => {
        await this.used(track);
        await this.write(track, 5, 20);
        track.close();
      }),
    );
  }
  // These stay open: a track that is closed cannot be subscribed to (broadcast.js, subscribe).
  async "late-join"() {
    await this.write(this.announce("a", "t0").tracks[0], 10, 100);
  }
  async range() {
    await this.write(this.announce("a", "t0").tracks[0], 10, 0);
  }
  async fetch() {
    await this.write(this.announce("a", "t0").tracks[0], 5, 0);
  }
  async "track-info"() {
    this.announce("a", "t0");
  }
  async "priority-update"() {
    const { tracks } = this.announce("a", "t0");
    await this.used(tracks[0]);
    expect("the first priority", tracks[0].subscription.peek()?.priority, 1);
    let last = 0;
    tracks[0].subscription.subscribe((s) => {
      if (s !== undefined) last = s.priority;
    });
    await this.write(tracks[0], 20, 20);
    tracks[0].close();
    const info = await this.s.closed;
    expect("the last priority", last, 200);
    expect("the close code", info.closeCode, 0);
  }
  sizes() {
    return this.usual(3, 20);
  }
  "many-groups"() {
    return this.usual(500, 2);
  }
  "end-of-track"() {
    return this.usual(3, 20);
  }
  async "unknown-broadcast"() {
    this.s.run(() => this.usual(5, 20)); // nobody has to subscribe to it
  }
  unsubscribe() {
    return this.usual(Number.POSITIVE_INFINITY, 50);
  }
  stop() {
    return this.usual(Number.POSITIVE_INFINITY, 50);
  }
  async datagrams() {
    throw new Unsupported("@moq/net lite/datagram_stream.js: looks for a datagram size before QMux has agreed on one");
  }
  async probe() {
    this.announce("a", "t0");
  }
  async goaway() {
    throw new Unsupported("@moq/net lite/connection.js, #runBidi: GOAWAY is logged when it comes and never sent");
  }
  async reset() {
    const { tracks } = this.announce("a", "t0");
    await this.used(tracks[0]);
    this.writeGroup(tracks[0], 0);
    await sleep(20);
    const group = tracks[0].appendGroup();
    this.writeFrame(group, 1, 0);
    await sleep(50);
    group.close(new Error("reset"));
    await sleep(20);
    this.writeGroup(tracks[0], 2);
    tracks[0].close();
  }
  async "close-subscriber"() {
    const writing = this.usual(5, 20);
    await this.closed(0x3e9, "bye");
    await writing;
    finish("pass");
  }
  async one() {
    const { tracks } = this.announce("a", "t0");
    await this.used(tracks[0]);
    this.writeGroup(tracks[0], 0);
    await sleep(300);
  }
  async "close-publisher"() {
    await this.one();
    await this.s.close(0x3ea, "gone");
    finish("pass");
  }
  async loss() {
    await this.one();
    finish("pass");
  }
}
