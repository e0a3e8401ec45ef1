// The page: a view from the address, the search that it asks for, and what is shown of the answer.

import { $, announce, fill, h } from "./dom.js";
import { builds, told } from "./api.js";
import { count, many, share, when } from "./words.js";
import { addressOf, asking, fieldsOf, hasQuery, NOTHING, unfiltered, viewOf } from "./state.js";
import { keep, kept } from "./uploads.js";
import { listen, pictureOfRow, preview } from "./query.js";
import { noNotice, notice, problem } from "./notices.js";
import { searchNewest, stopSearching, stopWaiting, whenBack } from "./searching.js";
import { follow, makeFilters } from "./filters.js";
import { showAnswer, spoken } from "./answer.js";
import { light, noHits, showHits, starter } from "./grid.js";
import { bareMap, lightPoint, noMap, showMap } from "./map.js";
import { openDetails } from "./details.js";
import { openCrop } from "./crop.js";
import { openDuplicates, openSuspects } from "./curate.js";
import { openCompare, openDefects } from "./compare.js";

const page = { served: null, build: null, view: NOTHING, labels: [], labelsOf: "", seed: Math.floor(Math.random() * 2 ** 31), turn: 0 };

const NARROW = matchMedia("(max-width: 599px)");

const found = (name) => page.served.builds.find((build) => build.name === (name || page.served.default));

/** Go to a view: the address first, then what it stands for. */
function go(changes, options = {}) {
  const view = changes === null ? unfiltered(page.view) : { ...page.view, ...changes };
  history.pushState(null, "", addressOf(view));
  show(options);
}

/** Search by a file. */
async function take(file) {
  go(asking(page.view, { upload: await keep(file) }), { entered: true });
}

/** Read the builds again, and show the view with them. */
async function fresh(options = {}) {
  page.served = null;
  await show(options);
}

/** Show what the address stands for; `entered`: the reader waits for the answer, and is taken to it. */
async function show({ entered = false, top = false } = {}) {
  const turn = (page.turn += 1), view = (page.view = viewOf(location.search));
  delete document.body.dataset.shown;
  stopSearching();
  stopWaiting();
  noNotice();
  try {
    page.served ??= await builds();
    if (turn !== page.turn) return;
    page.build = found(view.build);
    showTop(page.build, view);
    if (!page.build) return notice(`There is no build ${view.build} here`, [], [["Start anew", () => location.assign("/")]]);
    await (hasQuery(view) ? showFound(turn, page.build, view) : showStart(turn, page.build, view));
    if (turn !== page.turn) return;
    document.body.dataset.shown = location.pathname + location.search;
    if (entered && hasQuery(view)) $("answer").focus({ preventScroll: false });
    if (top) scrollTo(0, 0);
  } catch (error) {
    if (turn === page.turn) failed(error, view);
  }
}

/** Say what a dialog met, on the page under it. */
function said(error) {
  document.querySelector("dialog[open]")?.close();
  failed(error, page.view);
}

function failed(error, view) {
  if (error.status === undefined) throw error;
  const again = () => fresh({ entered: true });
  $("found").hidden = error.place === null;
  fill($("answer"));
  noHits();
  bareMap();
  if (page.build) foot(page.build);
  problem(error, { again, fresh: again, clear: () => go(null) });
  if (error.status === 0) whenBack(again);
  if (hasQuery(view)) showQuery(view, null).catch(() => {});
}

/** Something was asked of a state that is no longer open: say so, unless the newest one is shown already. */
function gone(address) {
  fetch(address, { cache: "no-store" }).then((response) => {
    if (response.status === 410) problem({ status: 410 }, { fresh: () => fresh({ entered: true }) });
  }, () => {});
}

function showTop(build, view) {
  const { served } = page;
  $("builds").hidden = served.builds.length < 2;
  fill($("build"), served.builds.map(({ name }) => h("option", { value: name, ...(name === build?.name ? { selected: true } : {}) }, name)));
  if (!build) return;
  document.title = `${build.name} - simsearch`;
  fill($("name"), h("a", { href: addressOf({ ...NOTHING, build: view.build }) }, build.name));
  const figure = build.figures?.recall_at_1;
  const words = figure ? `recall@1 ${share(figure.value)}${figure.interval ? ` [${figure.interval.map(share).join(", ")}]` : ""}` : "not measured";
  fill($("about"), `${many(build.images, build.can.search ? "picture" : "vector")}${build.labelled ? `, ${many(build.labels, "label")}` : ""}, `,
    build.can.report ? h("a", { href: `/v1/builds/${encodeURIComponent(build.name)}/${build.digest}/report` }, words) : words);
  const tool = (able, words, open) => able && h("button", { type: "button", class: "plain", click: () => open(page.build, preview.asked) }, words);
  fill($("tools"), tool(build.can.same, "Compare two", openCompare), tool(build.can.defects, "Defects", openDefects),
    tool(build.can.suspects, "Labels to check", () => openSuspects(page.build, page.view)),
    tool(build.can.duplicates, "Near-duplicates", () => openDuplicates(page.build, page.view)));
  foot(build);
}

function foot(build, answer = null) {
  const parts = [`Build ${build.name}, state ${build.digest}`, when(build.built) && `built ${when(build.built)}`];
  if (build.synced) parts.push(`synced ${when(build.synced)}`);
  if (build.watching) parts.push(`follows ${build.watching.folder}: ${build.watching.message ?? build.watching.state}`);
  if (answer) parts.push(`this search took ${answer.milliseconds.toFixed(answer.milliseconds < 10 ? 1 : 0)} ms`);
  fill($("foot"), `${parts.filter(Boolean).join(" · ")} · `, h("a", { href: "/docs" }, "API"));
}

async function showStart(turn, build, view) {
  $("found").hidden = true;
  fill($("answer"));
  noMap();
  await preview(null);
  $("query").hidden = !build.can.search;
  $("start").append($("map"));
  const { images } = await told(build, `start?seed=${page.seed}`);
  if (turn !== page.turn) return;
  $("start").hidden = false;
  fill($("starts"), images.map((row) => starter(row, view, build, gone)));
  showMap(null, view, build, { lit: light, change: go, problem: said }).catch(said);
}

async function showFound(turn, build, view) {
  $("start").hidden = true;
  $("found").append($("map"));
  $("query").hidden = false;
  $("replace").hidden = !build.can.search;
  $("part").hidden = !build.can.search || (view.image !== "" && !build.can.originals);
  const file = view.upload ? await kept(view.upload) : null;
  if (turn !== page.turn) return;
  if (view.upload && !file) {
    $("found").hidden = true;
    fill($("answer"));
    await preview(null);
    return notice("The picture of this link is not in this browser", ["It was never sent anywhere but to the server, which keeps none. Drop it here again."]);
  }
  const drawn = file ? showQuery(view, null, file) : null;
  const filters = showFilters(turn, build, view).catch(() => {});
  const answer = await searchNewest(build.name, { file, image: view.image }, fieldsOf(view));
  if (answer === null || turn !== page.turn) return;
  await filters;
  noNotice();
  if (answer.digest !== build.digest) {
    page.served = await builds();
    if (turn !== page.turn) return;
    build = page.build = found(view.build);
    showTop(build, view);
  }
  $("found").hidden = false;
  showAnswer(answer, view, build);
  const open = (hit) => openDetails(hit, { answer, view, build, asked: preview.asked, labels: page.labels, problem: said });
  showHits(answer, view, build, { gone, lit: lightPoint, change: go, open });
  showMap(answer, view, build, { lit: light, change: go, problem: said }).catch(said);
  foot(build, answer);
  if (answer.hits.length) announce(spoken(answer, build.labelled));
  else none(view);
  await (drawn ?? showQuery(view, answer));
}

/** No hit is left: said at once, with what took them. */
function none(view) {
  const buttons = [["Clear the filters", () => go(null, { entered: true })]];
  announce("");
  notice("No picture passes these filters", [view.labels.length ? `Labels: ${view.labels.join(", ")}.` : ""], buttons, "wait");
}

async function showQuery(view, answer, file = null) {
  if (file || view.upload) {
    const blob = file ?? (await kept(view.upload));
    return preview({ blob, name: blob?.name || "a pasted picture", label: null, crop: view.crop });
  }
  const row = /^row-(\d+)$/.exec(answer?.id ?? "")?.[1];
  if (row === undefined) return preview({ blob: null, name: view.image, label: null, crop: "" });
  const about = await told({ name: answer.build, digest: answer.digest }, `images/${row}`);
  const blob = await pictureOfRow(about);
  if (page.view.image !== view.image || page.view.crop !== view.crop) return;
  return preview({ blob, name: about.image, label: about.label, crop: view.crop });
}

async function showFilters(turn, build, view) {
  const made = `${build.name}/${build.digest}`;
  if (page.labelsOf !== made) {
    const { labels } = build.labelled ? await told(build, "labels") : { labels: [] };
    if (turn !== page.turn) return;
    page.labels = labels.map(({ label }) => label);
    makeFilters(build, labels, go);
    page.labelsOf = made;
  }
  follow(view);
  $("filters").hidden = false;
}

/** Links of the page itself are followed without loading it again. */
function links(event) {
  const link = event.target.closest("a[href^='/?'], a[href='/']");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  document.querySelector("dialog[open]")?.close();
  show({ entered: true, top: true });
}

/** On a phone the tools stand at the end, and the filters are closed until asked for. */
function narrow() {
  document.querySelector(NARROW.matches ? "footer" : "header").append($("tools"));
  $("filter-box").open = !NARROW.matches;
}

NARROW.addEventListener("change", narrow);
narrow();
listen(take, (words) => notice("This is not a picture", [words]));
addEventListener("popstate", () => show());
document.addEventListener("click", links);
$("build").addEventListener("change", () => go({ ...unfiltered(page.view), build: $("build").value, image: "" }));
$("remove").addEventListener("click", () => go(asking(page.view, {})));
$("part").addEventListener("click", () => openCrop(preview.asked, (crop) => go({ crop }, { entered: true })));
$("others").addEventListener("click", () => {
  page.seed += 1;
  show();
});
show();
