// How a scenario ends: one line on standard output and an exit code. Everything else goes to standard error.
import { writeSync } from "node:fs";

export class Unsupported extends Error {}

export function say(line) {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
export function finish(result, why) {
  say(why === undefined ? { result } : { result, why });
  process.exit({ pass: 0, fail: 1, unsupported: 3 }[result]);
}
export function finishWith(error) {
  if (error instanceof Unsupported) finish("unsupported", error.message);
  process.stderr.write(`${error?.stack ?? error}\n`);
  finish("fail", error?.message || String(error));
}
export function expect(what, got, wanted) {
  if (got !== wanted) throw new Error(`${what} is ${got}, not ${wanted}`);
}
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What the library logs, and who wants to know of a line: some things it tells in no other way.
const listeners = [];
export const onLog = (listener) => listeners.push(listener);
for (const level of ["debug", "log", "info", "warn", "error"])
  console[level] = (...words) => {
    const line = words.map((w) => (w instanceof Error ? w.message : String(w))).join(" ");
    process.stderr.write(`${level}: ${line}\n`);
    for (const listener of listeners) listener(line);
  };
