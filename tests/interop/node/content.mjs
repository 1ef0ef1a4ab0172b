// What is published: both sides know every byte of it beforehand.
import { expect } from "./outcome.mjs";

export const TIMESCALE = 1000;
export const MAX_AGE_MS = 3600000;

export function payloadOf(g, f, size) {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = (g * 31 + f * 17 + i * 7 + (i >> 8) * 13) & 255;
  return out;
}
export const timestampOf = (g, f) => g * TIMESCALE + f * 40;

export function framesOf(scenario, g) {
  if (scenario === "sizes") return [[], [0], [0, 1, 63, 64, 16383, 16384, 65536, 1048576]][g];
  if (scenario === "many-groups") return [10];
  if (scenario === "stop") return Array(10).fill(100000);
  return [100, 100, 100];
}
export function checkFrame(scenario, g, f, frame, hasTimestamps) {
  const sizes = framesOf(scenario, g);
  if (f >= sizes.length) throw new Error(`group ${g} has more than ${sizes.length} frames`);
  const where = `group ${g} frame ${f}`;
  expect(`the size of ${where}`, frame.payload.byteLength, sizes[f]);
  const wanted = payloadOf(g, f, sizes[f]);
  if (Buffer.compare(frame.payload, wanted) !== 0) throw new Error(`${where} has wrong bytes`);
  if (!hasTimestamps) return;
  expect(`the timescale of ${where}`, frame.timestamp.scale, TIMESCALE);
  expect(`the timestamp of ${where}`, frame.timestamp.value, timestampOf(g, f));
}
