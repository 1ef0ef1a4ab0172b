// A line of one number over the last half minute, and its median.

const windowMs = 30_000;
const gapMs = 1_000; // no line where nothing came for so long

export class Graph {
  #canvas;
  #points = []; // [time, value], oldest first

  constructor(canvas) {
    this.#canvas = canvas;
  }
  add(time, value) {
    this.#points.push([time, value]);
    const isOld = ([t]) => t < time - windowMs;
    if (isOld(this.#points[0])) this.#points.splice(0, this.#points.findIndex((p) => !isOld(p)));
  }
  clear() {
    this.#points = [];
  }
  median() {
    if (this.#points.length === 0) return undefined;
    const sorted = this.#points.map(([, value]) => value).sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  draw(now) {
    const canvas = this.#canvas;
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * scale;
    canvas.height = height * scale;
    const on = canvas.getContext("2d");
    on.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);

    // Room for the labels on the left; the top is the next round number above all values.
    const box = { left: 60, right: width - 6, top: 10, bottom: height - 10 };
    const top = roundUp(Math.max(10, ...this.#points.map(([, value]) => value)));
    const x = (time) => box.right - ((now - time) / windowMs) * (box.right - box.left);
    const y = (value) => box.bottom - (Math.max(0, value) / top) * (box.bottom - box.top);

    on.font = `11px ${style.fontFamily}`;
    on.textAlign = "right";
    on.textBaseline = "middle";
    on.lineWidth = 1;
    for (const value of [0, top / 2, top]) {
      on.strokeStyle = colour("--line");
      on.beginPath();
      on.moveTo(box.left, Math.round(y(value)) + 0.5);
      on.lineTo(box.right, Math.round(y(value)) + 0.5);
      on.stroke();
      on.fillStyle = colour("--quiet");
      on.fillText(value === top ? `${value} ms` : String(value), box.left - 8, y(value));
    }
    on.strokeStyle = colour("--accent");
    on.lineWidth = 1.5;
    on.lineJoin = "round";
    on.beginPath();
    let before = -Infinity;
    for (const [time, value] of this.#points) {
      if (x(time) >= box.left) on[time - before > gapMs ? "moveTo" : "lineTo"](x(time), y(value));
      before = time;
    }
    on.stroke();
  }
}

/** 10, 20, 50, 100, ...: the first that is not smaller. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value);
}
