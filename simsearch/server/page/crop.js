// Search by a part: a box drawn on the query, by pointer or by four numbers.

import { h } from "./dom.js";
import { draw } from "./pictures.js";
import { frame } from "./query.js";
import { openDialog } from "./dialog.js";

const SIDE = 900;
const LEAST = 0.02; // of a side: less is a click, not a box
const SIDES = ["Left", "Top", "Width", "Height"];

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Let the reader draw a box on the picture that was asked; `chosen(crop)` gets "x,y,w,h", empty for the whole. */
export async function openCrop(asked, chosen) {
  const canvas = h("canvas", { class: "crop", role: "img", "aria-label": "The query; the four numbers set the part of it" });
  if (!asked?.blob || !(await draw(canvas, asked.blob, SIDE))) {
    openDialog("crop", "Search by a part", h("p", {}, "This browser cannot show the picture, so no part of it can be chosen."));
    return;
  }
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [canvas.width, canvas.height];
  whole.getContext("2d").drawImage(canvas, 0, 0);
  let box = asked.crop ? asked.crop.split(",").map(Number) : [0.25, 0.25, 0.5, 0.5];
  const numbers = SIDES.map((side, place) => h("input", { type: "number", id: `crop-${place}`, min: 0, max: 100, step: 1, input: typed }));
  const paint = () => {
    canvas.getContext("2d").drawImage(whole, 0, 0);
    frame(canvas, box);
  };
  const set = (next) => {
    box = next;
    numbers.forEach((input, place) => (input.value = Math.round(100 * box[place])));
    paint();
  };
  function typed() {
    const [x, y, w, height] = numbers.map((input) => clamp(Number(input.value) / 100 || 0, 0, 1));
    const left = clamp(x, 0, 1 - LEAST), top = clamp(y, 0, 1 - LEAST);
    box = [left, top, clamp(w, LEAST, 1 - left), clamp(height, LEAST, 1 - top)];
    paint();
  }
  drag(canvas, () => box, set);
  const dialog = openDialog("crop", "Search by a part",
    h("p", { class: "soft" }, "Draw a box around what you look for, or move it; or set it in per cent of the picture."),
    canvas,
    h("form", { submit: (event) => {
      event.preventDefault();
      dialog.close();
      chosen(box.map((share) => Number(share.toFixed(4))).join(","));
    } },
    h("div", { class: "numbers" }, SIDES.map((side, place) => h("div", { class: "field" }, h("label", { for: `crop-${place}` }, side), numbers[place]))),
    h("p", { class: "buttons" }, h("button", { class: "main" }, "Search by this part"),
      asked.crop ? h("button", { type: "button", click: () => {
        dialog.close();
        chosen("");
      } }, "Search by the whole") : null)));
  set(box);
}

/** A drag in the box moves it, one elsewhere draws another. */
function drag(canvas, now, set) {
  let from = null, moved = null;
  const at = (event) => {
    const place = canvas.getBoundingClientRect();
    return [clamp((event.clientX - place.left) / place.width, 0, 1), clamp((event.clientY - place.top) / place.height, 0, 1)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = (from = at(event)), [left, top, w, height] = now();
    moved = x > left && x < left + w && y > top && y < top + height ? now() : null;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = at(event);
    if (moved) {
      const [left, top, w, height] = moved;
      set([clamp(left + x - from[0], 0, 1 - w), clamp(top + y - from[1], 0, 1 - height), w, height]);
    } else if (Math.abs(x - from[0]) > LEAST && Math.abs(y - from[1]) > LEAST) {
      set([Math.min(x, from[0]), Math.min(y, from[1]), Math.abs(x - from[0]), Math.abs(y - from[1])]);
    }
  });
  for (const event of ["pointerup", "pointercancel"]) canvas.addEventListener(event, () => (from = null));
}
