// The filters: each acts inside the search, so that k stays k. They are made once a build, and follow the view.

import { $, fill, h } from "./dom.js";
import { count, oneIn } from "./words.js";
import { hasFilters } from "./state.js";

const LISTED = 200; // labels that are listed at once; typing finds the others
const STEPS = [5, 10, 20, 50, 100, 200, 500, 1000];
const RARE = [["", "any"], ["0.1", "1 in 10"], ["0.01", "1 in 100"], ["0.001", "1 in 1,000"]];

const QUARTERS = [0.25, 0.5, 0.75];
const LETTER = 0.032; // of the width of the slider, that a letter of a mark takes

const option = ([value, words]) => h("option", { value }, words);

/** Make the row of filters of a build; `change(changes)` is called with what was set, `labels` are as the server tells. */
export function makeFilters(build, labels, change) {
  const form = $("filters");
  const marks = ticksOf(build);
  const low = h("input", { type: "range", id: "min", min: 0, max: 1, step: 0.01, list: "ticks", change: () => change({ min: low.value === "0" ? "" : low.value }), input: () => tellLow() });
  const told = h("output", { for: "min", id: "min-told" });
  const tellLow = () => {
    told.textContent = low.value === "0" ? "any" : Number(low.value).toFixed(2);
    low.setAttribute("aria-valuetext", [told.textContent, marks.findLast(({ at, means }) => means && at <= low.value)?.means].filter(Boolean).join(", "));
  };
  const rare = h("select", { id: "far", change: () => change({ far: rare.value }) }, RARE.map(option));
  const k = h("select", { id: "k", change: () => change({ k: Number(k.value) }) }, STEPS.map((step) => option([step, count(step)])));
  const collapse = h("input", { type: "checkbox", id: "collapse", change: () => change({ collapse: collapse.checked }) });
  const itself = h("input", { type: "checkbox", id: "itself", change: () => change({ itself: itself.checked }) });
  const where = h("input", { id: "where", spellcheck: "false", autocomplete: "off", "aria-describedby": "columns", placeholder: example(build) });
  fill(form,
    build.labelled ? labelled(labels, change) : null,
    h("div", { class: "field" }, h("label", { for: "min" }, "Least score"), h("span", { class: "both" }, slide(low, marks), told)),
    build.can.max_far ? h("div", { class: "field" }, h("label", { for: "far" }, "False alarms at most"), rare) : null,
    h("div", { class: "field" }, h("label", { for: "k" }, "Hits"), k),
    h("div", { class: "field checks" },
      h("label", {}, collapse, "Collapse near-duplicates"),
      h("label", {}, itself, "Show the picture itself too")),
    h("details", { id: "more-filters" }, h("summary", {}, "Filter in words"),
      h("div", { class: "field" }, h("label", { for: "where" }, "Only pictures where"),
        h("span", { class: "both" }, where, h("button", {}, "Apply")),
        h("span", { class: "soft", id: "columns" }, `Columns: ${build.columns.join(", ")}`))),
    h("button", { type: "button", id: "clear", click: () => change(null) }, "Clear filters"));
  form.onsubmit = (event) => {
    event.preventDefault();
    change({ where: where.value.trim() }, { entered: true });
  };
  follow.tellLow = tellLow;
}

/** The scores that are marked: those that so few pairs of different labels reach, else quarters. */
function ticksOf(build) {
  const found = build.false_alarms.map(({ rate, score }) => ({ at: Math.ceil(100 * score - 1e-6) / 100, rate })).filter(({ at }) => at > 0 && at < 1);
  if (!found.length) return QUARTERS.map((at) => ({ at, words: at.toFixed(2) }));
  return found.map(({ at, rate }, place) => ({ at, words: place ? count(Math.round(1 / rate)) : oneIn(rate), means: `which ${oneIn(rate)} pairs of different labels score at most` }));
}

/** A slider with its marks in words under it, in as many lines as they need not to lie on each other. */
function slide(low, marks) {
  const ends = [], list = h("ol", { class: "ticks", "aria-hidden": "true" }, marks.map(({ at, words }) => {
    const half = words.length * LETTER / 2;
    let line = ends.findIndex((end) => end < at - half);
    if (line < 0) line = ends.length;
    ends[line] = at + half;
    const tick = h("li", {}, words);
    tick.style.left = `calc(.5rem + ${at} * (100% - 1rem))`;
    tick.style.top = `${line}lh`;
    return tick;
  }));
  list.style.height = `${ends.length}lh`;
  const known = marks[0].means;
  return h("span", { class: "slide", title: known ? "The marks: so many of the pairs of different labels score as much" : null }, low, list,
    h("datalist", { id: "ticks" }, marks.map(({ at, words }) => h("option", { value: at, label: words }))));
}

const example = (build) => (build.labelled ? "label != 'apple'" : "image under 'shelf-3/'");

function labelled(labels, change) {
  const find = h("input", { type: "search", id: "find-label", "aria-label": "Find a label", placeholder: "Find a label", autocomplete: "off", input: () => list() });
  const names = h("ul", { class: "labels" });
  const box = h("details", { id: "labels", class: "field" }, h("summary", { id: "labels-told" }), h("div", { class: "drop-down" }, find, names));
  const list = () => {
    const wanted = find.value.trim().toLowerCase(), chosen = follow.chosen;
    const fits = labels.filter(({ label }) => label.toLowerCase().includes(wanted));
    fits.sort((one, other) => chosen.has(other.label) - chosen.has(one.label));
    fill(names,
      fits.slice(0, LISTED).map(({ label, images }) => h("li", {}, h("label", {},
        h("input", { type: "checkbox", value: label, ...(chosen.has(label) ? { checked: true } : {}), change: (event) => {
          event.target.checked ? chosen.add(label) : chosen.delete(label);
          change({ labels: [...chosen] });
        } }), h("span", {}, label), h("span", { class: "soft" }, count(images))))),
      fits.length > LISTED ? h("li", { class: "soft" }, `and ${count(fits.length - LISTED)} more: type to find one`) : null,
      fits.length ? null : h("li", { class: "soft" }, "no such label"));
  };
  box.addEventListener("toggle", list);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && box.open) {
      box.open = false;
      box.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (box.isConnected && !box.contains(event.target)) box.open = false;
  });
  follow.list = list;
  return box;
}

/** Set the filters to what a view says. */
export function follow(view) {
  const set = (id, value) => {
    if ($(id)) $(id).value = value;
  };
  follow.chosen = new Set(view.labels);
  set("min", view.min === "" ? 0 : view.min);
  follow.tellLow();
  set("far", RARE.some(([value]) => value === view.far) ? view.far : "");
  if ($("k") && ![...$("k").options].some((one) => one.value === String(view.k))) $("k").append(option([view.k, count(view.k)]));
  set("k", view.k);
  set("where", view.where);
  $("collapse").checked = view.collapse;
  $("itself").checked = view.itself;
  if (view.where) $("more-filters").open = true;
  if ($("labels-told")) {
    const chosen = view.labels;
    $("labels-told").textContent = `Labels: ${chosen.length === 0 ? "all" : chosen.length === 1 ? chosen[0] : `${chosen.length} chosen`}`;
    if ($("labels").open && !$("labels").contains(document.activeElement)) follow.list();
  }
  const used = [view.min, view.far, view.where, ...view.labels].filter(Boolean).length + view.collapse;
  $("filter-box").firstElementChild.textContent = used ? `Filters: ${used} set` : "Filters";
  $("clear").hidden = !hasFilters(view) && !view.collapse;
}
follow.chosen = new Set();
follow.tellLow = () => {};
follow.list = () => {};
