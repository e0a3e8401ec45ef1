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
const RING = " The ring is the query, at the mean of its hits, the nearer the heavier: it is not measured itself.";
const WIDE = matchMedia("(min-width: 1100px)"), DARK = matchMedia("(prefers-color-scheme: dark)");

const map = { of: "", asked: "", coming: null, labels: [], points: [], counts: [], hues: new Map(), places: new Map(), answer: null, query: null, hits: [], labelled: [], lit: null, shown: null };
let draw = () => {}, hideTable = () => {};

/** Hide the map. */
export function noMap() {
  $("map").hidden = true;
}

/** Take an answer from the map, which stays as it is of the corpus. */
export function bareMap() {
  map.answer = null;
  if (map.of) place();
}

/** Show the map of a build, with an answer on it where there is one; `acts` has lit(row, on), change and problem. */
export async function showMap(answer, view, build, acts) {
  $("map").hidden = !build.can.map;
  if (!build.can.map) return;
  Object.assign(map, { answer, shown: { view, build, acts } });
  if (!$("map-box")) make();
  if ($("map-box").open) await load();
}

/** Ask for the points, once a state and not before they can be seen. */
async function load() {
  const { build } = map.shown, state = `${build.name}/${build.digest}`;
  if (map.asked !== state) Object.assign(map, { asked: state, coming: told(build, "map") });
  const found = await map.coming.catch((error) => {
    map.asked = "";
    throw error;
  });
  if (map.shown.build !== build) return;
  if (map.of !== state) {
    Object.assign(map, { of: state, ...found, counts: new Array(found.labels.length).fill(0) });
    for (const [, , , label] of map.points) if (label >= 0) map.counts[label] += 1;
    $("card").replaceChildren(h("p", { class: "soft" }, "Point at a picture, or touch it, to see it."));
    hideTable();
  }
  place();
}

/** Put the answer on the map, or nothing. */
function place() {
  const hits = map.answer?.hits ?? [];
  map.query = map.answer?.place ?? null;
  map.hits = hits.map((hit) => hit.row);
  map.labelled = hits.map((hit) => map.labels.indexOf(hit.label));
  map.lit = null;
  const near = [...new Set(map.labelled)].filter((label) => label >= 0);
  const common = [...map.counts.keys()].sort((one, other) => map.counts[other] - map.counts[one]);
  map.hues = new Map([...new Set([...near, ...common])].slice(0, HUES).map((label, hue) => [label, hue]));
  $("map-told").textContent = `Pictures that look alike lie together.${map.query ? RING : ""}`;
  if (!$("map-table").hidden) fill($("map-table"), tableOf());
  legend();
  draw();
}

/** Light the point of a row. */
export function lightPoint(row, on) {
  map.lit = on ? row : null;
  draw();
}

function make() {
  const canvas = h("canvas", { id: "points", role: "img", "aria-label": "Map" });
  const card = h("div", { id: "card" });
  const table = h("div", { id: "map-table", hidden: true, class: "scroll", tabindex: 0, role: "region", "aria-label": "Labels of the map" });
  const button = h("button", { type: "button", class: "plain", click: () => showTable(table.hidden) });
  const showTable = (shown) => {
    table.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
    button.textContent = shown ? "Hide the table" : "Show as table";
    if (shown) fill(table, tableOf());
  };
  hideTable = () => showTable(false);
  hideTable();
  const box = h("details", { id: "map-box", ...(WIDE.matches ? { open: true } : {}), toggle: () => {
    if (box.open) load().catch((error) => map.shown.acts.problem(error));
  } }, h("summary", {}, "Map"),
    h("figure", {}, canvas, card, h("ul", { id: "legend" }), h("figcaption", { class: "soft", id: "map-told" }), button, table));
  fill($("map"), box);
  draw = () => {
    if (!canvas.clientWidth || !map.of) return;
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
    return h("li", {}, canvas, h("span", {}, map.labels[label], h("span", { class: "soft" }, ` (${count(map.counts[label])}${hits ? `, ${count(hits)} of the hits` : ""})`)));
  }), map.labels.length > map.hues.size
    ? h("li", {}, h("span", { class: "other-dot", "aria-hidden": "true" }), h("label", { for: "colour" }, "the others are grey; colour"), more)
    : null);
}

/** Label, how many pictures, and the labels whose middles lie nearest: what the map shows, in words; with an answer each filters it. */
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
    h("thead", {}, h("tr", {}, ["Label", "Pictures", map.answer && "Hits", "Nearest labels"].filter(Boolean).map((words) => h("th", { scope: "col" }, words)))),
    h("tbody", {}, there.map((label) => h("tr", {},
      h("th", { scope: "row" }, map.answer ? h("button", { type: "button", class: "plain", click: () => map.shown.acts.change({ labels: [map.labels[label]] }) }, map.labels[label]) : map.labels[label]),
      h("td", {}, count(map.counts[label])), map.answer && h("td", {}, count(hitsOf(label))), h("td", {}, near(label).map((other) => map.labels[other]).join(", "))))));
}
