// One frame of the test picture, as ../test_picture.hpp makes it: a header of 16 bytes (big endian: u32 counter, u64
// milliseconds since 1970, u16 width, u16 height), then a byte a pixel, rrrgggbb. Every frame stands alone.

const headerSize = 16;

// What a byte looks like, in the order of bytes that canvases have: red, green, blue, opaque.
const palette = new Uint8ClampedArray(256 * 4);
for (let i = 0; i < 256; ++i) palette.set([(i >> 5) * (255 / 7), ((i >> 2) & 7) * (255 / 7), (i & 3) * 85, 255], i * 4);
const colours = new Uint32Array(palette.buffer);

/** The parts of a frame, or null if these bytes are none: what comes from a network may be anything. */
export function decode(bytes) {
  if (bytes.byteLength < headerSize) return null;
  const head = new DataView(bytes.buffer, bytes.byteOffset, headerSize);
  const width = head.getUint16(12);
  const height = head.getUint16(14);
  if (width === 0 || height === 0 || width * height !== bytes.byteLength - headerSize) return null;
  const made = Number(head.getBigUint64(4));
  return { counter: head.getUint32(0), made, width, height, pixels: bytes.subarray(headerSize) };
}

/** Draws it pixel for pixel; CSS scales the canvas. */
export function draw(canvas, { width, height, pixels }) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  for (let i = 0; i < out.length; ++i) out[i] = colours[pixels[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** A frame of what the canvas shows now. */
export function encode(canvas, counter, made) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
  const bytes = new Uint8Array(headerSize + width * height);
  const head = new DataView(bytes.buffer);
  head.setUint32(0, counter);
  head.setBigUint64(4, BigInt(made));
  head.setUint16(12, width);
  head.setUint16(14, height);
  for (let i = 0, at = headerSize; i < data.length; i += 4, ++at)
    bytes[at] = (data[i] & 0xe0) | ((data[i + 1] >> 3) & 0x1c) | (data[i + 2] >> 6);
  return bytes;
}

/** Frame `counter` of an animation: a ball that goes round, over a hue that is the page's own. */
export function animate(canvas, counter, hue, made) {
  const { width, height } = canvas;
  const on = canvas.getContext("2d", { willReadFrequently: true });
  on.fillStyle = `hsl(${hue} 60% 22%)`;
  on.fillRect(0, 0, width, height);
  for (let i = 8; i >= 0; --i) {
    const angle = (counter - i) * 0.16;
    on.fillStyle = `hsl(${hue + 40} 90% ${70 - i * 5}%)`;
    on.beginPath();
    on.arc(width / 2 + width * 0.36 * Math.cos(angle), height / 2 + height * 0.3 * Math.sin(2 * angle), 9 - i, 0, 7);
    on.fill();
  }
  on.fillStyle = "#fff";
  on.textAlign = "center";
  on.font = "bold 22px monospace";
  on.fillText(String(counter), width / 2, height / 2 + 4);
  on.font = "11px monospace";
  on.fillText(new Date(made).toISOString().slice(11, 23), width / 2, height / 2 + 20);
}
