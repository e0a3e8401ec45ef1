// Details of a hit: query and hit side by side, what is known of it, others of its folder, arrow keys to the next.

import { bar, h } from "./dom.js";
import { feedback, told } from "./api.js";
import { count, fileOf, oneIn, rarity, score } from "./words.js";
import { addressOf, asking } from "./state.js";
import { draw, pictureOf } from "./pictures.js";
import { frame } from "./query.js";
import { openDialog } from "./dialog.js";

const SIDE = 800; // pixels of the query's picture, at most

/** Open the details of a hit; `shown` is what is on the page: answer, view, build, asked (the query), labels, problem. */
export async function openDetails(hit, shown) {
  const { answer, view, build } = shown;
  let about;
  try {
    about = await told({ name: build.name, digest: answer.digest }, `images/${hit.row}`);
  } catch (error) {
    return shown.problem(error);
  }
  const place = answer.hits.findIndex((one) => one.row === hit.row);
  const beside = [answer.hits[place - 1], answer.hits[place + 1]];
  const title = `Hit ${hit.rank}${build.labelled ? `: ${hit.label}` : ""}`;
  const dialog = openDialog("details", title,
    h("div", { class: "pair" }, await ofQuery(shown.asked), h("figure", {},
      h("div", { class: "frame" }, pictureOf({ ...hit, ...about }, `${title}, ${fileOf(hit.image)}`)),
      h("figcaption", {}, title))),
    h("p", { class: "line" }, h("span", {}, `Score ${score(hit.score)}`), bar(hit.score), h("span", {}, rarity(hit) ?? "")),
    typeof hit.false_accept_rate === "number"
      ? h("p", { class: "soft" }, `Of pairs of different labels, ${oneIn(hit.false_accept_rate, hit.false_accept_rate_at_most)} score as much.`)
      : null,
    h("p", { class: "path" }, h("code", {}, hit.image), copier(hit.image)),
    about.here ? null : h("p", { class: "soft" }, build.can.originals ? "The original is not on this machine, or has changed since." : "This server has small pictures alone."),
    columns(about.columns),
    build.feedback && answer.id && !view.crop ? opinion(hit, shown) : null,
    h("p", { class: "buttons" },
      h("a", { class: "button", href: addressOf(asking(view, { image: hit.image })) }, "Search by this"),
      ["Previous", "Next"].map((words, side) => h("button", { type: "button", id: `details-${words}`, disabled: !beside[side], click: () => openDetails(beside[side], shown) }, words))),
    about.folder.length
      ? [h("h3", {}, `Others in this folder${about.folder.length >= 24 ? " (some)" : ""}`),
        h("ol", { class: "grid few" }, about.folder.map((row) => h("li", {},
          h("a", { class: "tile", href: addressOf(asking(view, { image: row.image })) },
            h("span", { class: "frame" }, pictureOf(row, fileOf(row.image), { sharp: false }))))))]
      : null);
  dialog.onkeydown = (event) => {
    const next = { ArrowLeft: beside[0], ArrowRight: beside[1] }[event.key];
    if (!next || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    openDetails(next, shown);
  };
}

async function ofQuery(asked) {
  const canvas = h("canvas", { class: "picture", role: "img", "aria-label": `The query: ${asked?.name ?? ""}` });
  const drawn = asked?.blob && (await draw(canvas, asked.blob, SIDE));
  if (drawn && asked.crop) frame(canvas, asked.crop.split(",").map(Number));
  return h("figure", {}, h("div", { class: "frame" }, drawn ? canvas : h("span", { class: "picture none" }, "no preview")),
    h("figcaption", {}, "The query"));
}

function columns(said) {
  const more = Object.entries(said).filter(([name]) => name !== "image" && name !== "label");
  if (!more.length) return null;
  return h("dl", { class: "columns" }, more.flatMap(([name, value]) => [
    h("dt", {}, name), h("dd", {}, typeof value === "number" ? count(value) : String(value ?? ""))]));
}

/** A button that copies; where the browser does not let a page copy, the text is marked for the reader to. */
function copier(text) {
  const button = h("button", { type: "button", class: "plain" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
      button.textContent = "Marked: press Ctrl+C";
    }
  });
  return button;
}

/** "Right", or "wrong, it is ...", kept by the server in its file. */
function opinion(hit, { answer, build, labels }) {
  const said = h("span", { role: "status" });
  const send = async (words) => {
    try {
      await feedback({ build: build.name, digest: answer.digest, query: answer.id, row: hit.row, said: words });
      said.textContent = `Noted: ${words}.`;
    } catch (error) {
      said.textContent = `Not noted: ${error.message}.`;
    }
  };
  const other = h("input", { id: "said", list: "said-labels", autocomplete: "off" });
  return h("form", { class: "opinion", submit: (event) => {
    event.preventDefault();
    if (other.value.trim()) send(other.value.trim());
  } },
  h("span", {}, "Is this hit right?"),
  h("button", { type: "button", click: () => send("right") }, "Right"),
  h("label", { for: "said" }, "Wrong, the query is"), other,
  h("datalist", { id: "said-labels" }, labels.map((label) => h("option", { value: label }))),
  h("button", {}, "Send"), said);
}
