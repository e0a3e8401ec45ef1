// Pictures: drawn on canvases where they are the reader's own, from the server's addresses where they are the corpus'.

import { h } from "./dom.js";

const SMALL = 96; // the longer side of a thumbnail: one that has it may have been a larger picture
const MOST_BYTES = 2_000_000; // of a whole picture that is fetched only to look sharper
const SHOWN = /^image\/(jpeg|png|webp|gif|bmp|avif)/; // what every browser draws
const AT_ONCE = 4;

let running = 0;
const waiting = [];

/** Draw a blob on a canvas, upright, its longer side at most `side` pixels; false where the browser cannot read it. */
export async function draw(canvas, blob, side) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return false;
  }
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const brush = canvas.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.classList.toggle("few-pixels", Math.max(bitmap.width, bitmap.height) < SMALL);
  bitmap.close();
  return true;
}

/** The image element of a row, whole, never cut: its thumbnail, and in its place the file itself where that is larger. */
export function pictureOf(row, alt, { gone, sharp = true } = {}) {
  if (!row.thumbnail) return h("span", { class: "picture none", role: "img", "aria-label": alt }, "no picture");
  const image = h("img", { class: "picture", src: row.thumbnail, alt, decoding: "async", draggable: "false" });
  image.addEventListener("error", () => {
    image.classList.add("missing");
    gone?.(row.thumbnail);
  }, { once: true });
  image.addEventListener("load", () => {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    image.classList.toggle("few-pixels", side < SMALL);
    if (sharp && row.full && side >= SMALL) sharpen(image, row.full);
  }, { once: true });
  return image;
}

async function sharpen(image, address) {
  if (running >= AT_ONCE) await new Promise((go) => waiting.push(go));
  running += 1;
  try {
    if (image.isConnected && (await worthIt(address)) && image.isConnected) {
      const whole = new Image();
      whole.src = address;
      await whole.decode();
      image.src = address;
    }
  } catch {
    // The thumbnail stays.
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** Whether a file is one that browsers draw, and small enough; its bytes are in the browser's cache then. */
async function worthIt(address) {
  const stop = new AbortController();
  const response = await fetch(address, { signal: stop.signal });
  const kind = response.headers.get("Content-Type") ?? "", size = Number(response.headers.get("Content-Length"));
  if (!response.ok || !SHOWN.test(kind) || !size || size > MOST_BYTES) {
    stop.abort();
    return false;
  }
  await response.arrayBuffer();
  return true;
}
