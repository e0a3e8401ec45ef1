// What is worth a look: images whose label may be a mistake, and groups of near-duplicates.

import { fill, h } from "./dom.js";
import { told } from "./api.js";
import { count, fileOf, many, score } from "./words.js";
import { addressOf, asking } from "./state.js";
import { pictureOf } from "./pictures.js";
import { openDialog } from "./dialog.js";

const AT_ONCE = 30;
const KINDS = { copies: "the same bytes", looks: "look the same", score: "score as the same" };

/** A picture of a list, which searches by itself. */
function searcher(row, view, ...words) {
  const address = addressOf(asking({ ...view, labels: [], where: "" }, { image: row.image }));
  return h("a", { class: "tile", href: address },
    h("span", { class: "frame" }, pictureOf(row, `${row.label ? `${row.label}, ` : ""}${fileOf(row.image)}`, { sharp: false })), words);
}

/** Show a list piece by piece: `entry(one)` makes each. */
function pieces(place, all, entry) {
  const list = h("ol", { class: "entries" }), more = h("button", { type: "button" });
  let shown = 0;
  const next = () => {
    const from = list.children.length;
    list.append(...all.slice(shown, shown + AT_ONCE).map(entry));
    shown += AT_ONCE;
    more.hidden = shown >= all.length;
    more.textContent = `Show more of ${count(all.length)}`;
    if (from) list.children[from].querySelector("a")?.focus();
  };
  more.addEventListener("click", next);
  next();
  fill(place, list, h("p", {}, more));
}

async function listed(name, title, words, build, what, show) {
  const place = h("div", { role: "status" }, "Looking ...");
  openDialog(name, title, words.map((each) => h("p", { class: "soft" }, each)), place);
  try {
    show(h("div"), await told(build, what), (found) => {
      place.removeAttribute("role");
      fill(place, found);
    });
  } catch (error) {
    const gone = error.status === 410 ? "The build changed: load the page again." : "";
    fill(place, `${error.message}. ${error.hint ?? ""} ${gone}`);
  }
}

/** Images whose label their neighbours deny. */
export function openSuspects(build, view) {
  const words = ["Images whose neighbours say another label than their own. The report writes them to suspects.csv: "
    + "correct the labels there, and give the file to simsearch sync --labels."];
  return listed("suspects", "Labels to check", words, build, "suspects", (place, { suspects }, done) => {
    if (!suspects.length) return done("No label looks wrong.");
    pieces(place, suspects, (one) => h("li", { class: "suspect" }, searcher(one, view),
      h("div", {}, h("p", {}, "Label ", h("strong", {}, one.label), ", neighbours say ", h("strong", {}, one.says)),
        h("p", { class: "soft" }, [typeof one.score === "number" ? `Score ${score(one.score)}` : null, one.why].filter(Boolean).join(": ")),
        h("p", { class: "soft" }, one.image))));
    return done([h("p", {}, many(suspects.length, "image")), place]);
  });
}

/** Groups of images that are, or look, the same. */
export function openDuplicates(build, view) {
  const words = ["Images that are nearly the same. Collapse near-duplicates, among the filters, shows one of each group."];
  return listed("duplicates", "Near-duplicates", words, build, "duplicates", (place, { groups, kinds = [] }, done) => {
    if (!groups.length) return done("No two images are nearly the same.");
    const all = groups.map((rows, number) => ({ rows, kind: KINDS[kinds[number]] }));
    pieces(place, all, ({ rows, kind }) => h("li", {},
      h("p", {}, `${many(rows.length, "image")}${kind ? `: ${kind}` : ""}${new Set(rows.map((row) => row.label)).size > 1 ? ", with different labels" : ""}`),
      h("ul", { class: "grid few" }, rows.map((row) => h("li", {}, searcher(row, view, h("span", { class: "label" }, row.label || fileOf(row.image))))))));
    return done([h("p", {}, many(groups.length, "group")), place]);
  });
}
