// The map of the corpus: the query at the weighted mean of its hits, a legend that chooses colours, and all as a table.

import { $, fill, h } from "./dom.js";
import { told } from "./api.js";
import { count, fileOf } from "./words.js";
import { addressOf, asking } from "./state.js";
import { pictureOf } from "./pictures.js";
import { HUES, mark, plot } from "./plot.js";

const NEAR = 10; // pixels from a point at which it is meant
const PAUSE = 125; // milliseconds before a point that is passed over is shown
const NEIGHBOURS = 3;
const WIDE = matchMedia("(min-width: 1100px)"), DARK = matchMedia("(prefers-color-scheme: dark)");

const map = { of: "", labels: [], points: [], counts: [], hues: new Map(), places: new Map(), query: null, hits: [], labelled: [], lit: null, shown: null };
let draw = () => {};

/** Hide the map. */
export function noMap() {
  $("map").hidden = true;
}

/** Take an answer from the map, which stays as it is of the corpus. */
export function bareMap() {
  Object.assign(map, { query: null, hits: [], labelled: [], lit: null });
  if (map.of) legend();
  draw();
}

/** Show the map of a build with an answer on it; `acts` has lit(row, on), go(href) and change. */
export async function showMap(answer, view, build, acts) {
  $("map").hidden = !build.can.map;
  if (!build.can.map) return;
  map.shown = { view, build, acts };
  const state = `${build.name}/${build.digest}`;
  if (map.of !== state) {
    const found = await told(build, "map");
    if (map.shown.build !== build) return;
    Object.assign(map, { of: state, ...found, lit: null });
    map.counts = new Array(map.labels.length).fill(0);
    for (const [, , , label] of map.points) if (label >= 0) map.counts[label] += 1;
    make();
  }
  map.query = answer.place;
  map.hits = answer.hits.map((hit) => hit.row);
  map.labelled = answer.hits.map((hit) => map.labels.indexOf(hit.label));
  const near = [...new Set(answer.hits.map((hit) => map.labels.indexOf(hit.label)))].filter((label) => label >= 0);
  const common = [...map.counts.keys()].sort((one, other) => map.counts[other] - map.counts[one]);
  map.hues = new Map([...new Set([...near, ...common])].slice(0, HUES).map((label, hue) => [label, hue]));
  legend();
  draw();
}

/** Light the point of a row. */
export function lightPoint(row, on) {
  map.lit = on ? row : null;
  draw();
}

function make() {
  const canvas = h("canvas", { id: "points", role: "img" });
  const card = h("div", { id: "card" }, h("p", { class: "soft" }, "Point at a picture, or touch it, to see it."));
  const table = h("div", { id: "map-table", hidden: true, class: "scroll", tabindex: 0, role: "region", "aria-label": "Labels of the map" });
  const button = h("button", { type: "button", class: "plain", "aria-expanded": "false", click: () => {
    table.hidden = !table.hidden;
    button.setAttribute("aria-expanded", String(!table.hidden));
    button.textContent = table.hidden ? "Show as table" : "Hide the table";
    if (!table.hidden) fill(table, tableOf());
  } }, "Show as table");
  const box = h("details", { id: "map-box", ...(WIDE.matches ? { open: true } : {}) }, h("summary", {}, "Map"),
    h("figure", {}, canvas, card, h("ul", { id: "legend" }),
      h("figcaption", { class: "soft" }, "Pictures that look alike lie together. The ring is the query, at the mean of its hits, the nearer the heavier: it is not measured itself."),
      button, table));
  fill($("map"), box);
  draw = () => {
    if (!canvas.clientWidth) return;
    canvas.setAttribute("aria-label", `Map of ${count(map.points.length)} pictures of ${count(map.labels.length)} labels${map.query ? ", with a ring at the place of the query" : ""}`);
    map.places = plot(canvas, map.points, map);
  };
  new ResizeObserver(() => draw()).observe(canvas);
  point(canvas, card);
}
DARK.addEventListener("change", () => {
  draw();
  if (map.of) legend();
});

/** What a pointer on the map means: passing over shows a point, a click of a mouse searches by it. */
function point(canvas, card) {
  let timer = null;
  const nearest = (event) => {
    const box = canvas.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let found = null, least = NEAR ** 2;
    for (const [row, [left, top]] of map.places) {
      const distance = (left - x) ** 2 + (top - y) ** 2;
      if (distance <= least) [found, least] = [row, distance];
    }
    return found;
  };
  const show = async (row) => {
    const { build, view, acts } = map.shown;
    lightPoint(row, row !== null);
    acts.lit(row, row !== null);
    canvas.classList.toggle("pointed", row !== null);
    if (row === null) return;
    const about = await told(build, `images/${row}`).catch(() => null);
    if (!about || map.lit !== row) return;
    fill(card, h("a", { class: "tile", href: addressOf(asking(view, { image: about.image })), "data-row": row },
      pictureOf(about, "", { sharp: false }), h("span", {}, about.label || fileOf(about.image), h("span", { class: "soft" }, ` ${fileOf(about.image)} `), "Search by this")));
  };
  canvas.addEventListener("pointermove", (event) => {
    clearTimeout(timer);
    const row = nearest(event);
    if (row !== map.lit) timer = setTimeout(() => show(row), PAUSE);
  });
  canvas.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    if (map.lit !== null) map.shown.acts.lit(map.lit, false);
    lightPoint(null, false);
  });
  canvas.addEventListener("click", async (event) => {
    clearTimeout(timer);
    const row = nearest(event);
    if (row === null) return;
    await show(row);
    if (event.pointerType !== "touch") card.querySelector(`a[data-row="${row}"]`)?.click();
  });
}

const hitsOf = (label) => map.labelled.filter((own) => own === label).length;

/** The labels in colours, each with how many of its pictures are drawn; another may take the place of the last. */
function legend() {
  const more = h("select", { id: "colour", change: () => {
    const chosen = Number(more.value), last = [...map.hues.keys()].at(map.hues.size < HUES ? map.hues.size : -1);
    const hue = last === undefined ? map.hues.size : map.hues.get(last);
    if (last !== undefined) map.hues.delete(last);
    map.hues = new Map([[chosen, hue], ...map.hues]);
    legend();
    draw();
    $("colour").focus();
  } }, h("option", { value: "" }, "another label"), map.labels.map((label, number) => (map.hues.has(number) ? null : h("option", { value: number }, label))));
  fill($("legend"), [...map.hues].map(([label, hue]) => {
    const canvas = h("canvas", { width: 20, height: 20, "aria-hidden": "true" });
    mark(canvas, hue);
    const hits = hitsOf(label);
    return h("li", {}, canvas, h("span", {}, map.labels[label], h("span", { class: "soft" }, ` ${hits ? `${count(hits)} of the hits / ` : ""}${count(map.counts[label])}`)));
  }), map.labels.length > map.hues.size
    ? h("li", {}, h("span", { class: "other-dot", "aria-hidden": "true" }), h("label", { for: "colour" }, "the others are grey; colour"), more)
    : null);
}

/** Label, how many pictures, and the labels whose middles lie nearest: what the map shows, in words. */
function tableOf() {
  const middles = map.labels.map(() => [0, 0]);
  for (const [, x, y, label] of map.points) {
    if (label < 0) continue;
    middles[label][0] += x / map.counts[label];
    middles[label][1] += y / map.counts[label];
  }
  const far = (one, other) => Math.hypot(middles[one][0] - middles[other][0], middles[one][1] - middles[other][1]);
  const there = [...map.counts.keys()].filter((label) => map.counts[label]);
  const near = (label) => there.filter((other) => other !== label).sort((one, other) => far(label, one) - far(label, other)).slice(0, NEIGHBOURS);
  return h("table", {}, h("caption", {}, "Labels of the map"),
    h("thead", {}, h("tr", {}, ["Label", "Pictures", "Hits", "Nearest labels"].map((words) => h("th", { scope: "col" }, words)))),
    h("tbody", {}, there.map((label) => h("tr", {},
      h("th", { scope: "row" }, h("button", { type: "button", class: "plain", click: () => map.shown.acts.change({ labels: [map.labels[label]] }) }, map.labels[label])),
      h("td", {}, count(map.counts[label])), h("td", {}, count(hitsOf(label))), h("td", {}, near(label).map((other) => map.labels[other]).join(", "))))));
}
