// The grid: whole pictures, each one link that searches on, and a small button for its details.

import { $, bar, fill, h } from "./dom.js";
import { count, fileOf, many, rarity, score } from "./words.js";
import { addressOf, asking } from "./state.js";
import { pictureOf } from "./pictures.js";
import { leading } from "./answer.js";

const STEPS = [10, 20, 50, 100, 200, 500, 1000];

/** The words beside a picture for those who do not see it. */
const alt = (row, labelled) => (labelled && row.label ? `${row.label}, ${fileOf(row.image)}` : fileOf(row.image));

/** A tile of the start page: a picture that is searched by. */
export function starter(row, view, build, gone) {
  return h("li", {}, h("a", { class: "tile", href: addressOf(asking(view, { image: row.image })) },
    h("span", { class: "frame" }, pictureOf(row, alt(row, build.labelled), { gone, sharp: false })),
    build.labelled || !row.thumbnail
      ? h("span", { class: "label", "aria-hidden": "true" }, build.labelled ? row.label : fileOf(row.image))
      : null));
}

function tile(hit, view, build, { first, gone, open, lit }) {
  const other = first !== null && hit.label !== first;
  const rare = rarity(hit);
  const item = h("li", { class: other ? "hit other" : "hit", "data-row": hit.row },
    h("a", { class: "tile", href: addressOf(asking(view, { image: hit.image })) },
      h("span", { class: "frame" }, pictureOf(hit, alt(hit, build.labelled), { gone })),
      h("span", { class: "line" },
        h("span", { class: "rank" }, `${hit.rank}`),
        h("span", { class: "label" }, build.labelled ? hit.label : fileOf(hit.image))),
      h("span", { class: "line" }, bar(hit.score), h("span", { class: "score" }, score(hit.score))),
      rare ? h("span", { class: "rare" }, rare) : null,
      hit.same_file ? h("span", { class: "rare" }, "the same file") : null,
      hit.alike ? h("span", { class: "rare" }, `and ${many(hit.alike, "near-duplicate")}`) : null,
      !hit.full && hit.thumbnail && build.can.originals ? h("span", { class: "rare" }, "original not on this machine") : null),
    h("button", { type: "button", class: "more", "aria-label": `Details of hit ${hit.rank}`, click: () => open(hit) }, "Details"));
  for (const [event, on] of [["mouseenter", true], ["focusin", true], ["mouseleave", false], ["focusout", false]]) {
    item.addEventListener(event, () => lit(hit.row, on));
  }
  return item;
}

/** Show the hits of an answer; `acts` are what can be done: open, gone, lit, change. */
export function showHits(answer, view, build, acts) {
  const first = leading(answer, build.labelled);
  fill($("hits"), answer.hits.map((hit) => tile(hit, view, build, { ...acts, first })));
  fill($("shown"), leftOut(answer, view, acts.change));
  const next = STEPS.find((step) => step > view.k);
  fill($("further"), answer.more && next
    ? h("button", { type: "button", click: () => acts.change({ k: next }) }, `Show ${next} hits`)
    : "");
}

/** Show no hits: those of another search would pass for an answer. */
export function noHits() {
  for (const place of ["hits", "shown", "further"]) fill($(place));
}

/** The count in words, and what brings back what filters took. */
function leftOut(answer, view, change) {
  const { min_score: low, max_far: common } = answer.left_out;
  const words = [`${count(answer.hits.length)} of ${count(answer.hits.length + low + common)} shown`];
  const show = (label, changes) => h("button", { type: "button", class: "plain", click: () => change(changes) }, label);
  const parts = [];
  if (low) parts.push(`, ${count(low)} below the least score `, show("Show them", { min: "" }));
  if (common) parts.push(`, ${count(common)} not rare enough `, show("Show these", { far: "" }));
  if (!parts.length) words[0] = many(answer.hits.length, "hit");
  if (answer.passing !== null) parts.push(` among ${many(answer.passing, "picture")} that pass the filter`);
  const strangers = answer.hits.some((hit) => typeof hit.stranger_rate === "number");
  if (strangers) parts.push(". Strangers are pictures of other kinds: so many of them score as much.");
  return [words[0], ...parts];
}

/** Light or dim the tile of a row. */
export function light(row, on) {
  for (const item of document.querySelectorAll("#hits > li")) item.classList.toggle("lit", on && Number(item.dataset.row) === row);
}
