// The answer in a sentence: what the verdict says, how many of the hits agree, and bars for the nearest labels.

import { $, bar, fill, h } from "./dom.js";
import { many, oneIn, score } from "./words.js";
import { hasFilters } from "./state.js";

const BARS = 3;
const UNSEEN = "unseen labels"; // what a threshold is calibrated on that keeps its word

/** How many hits each label has, most first, of equals the nearer one. */
export function tally(hits) {
  const counts = new Map();
  for (const hit of hits) counts.set(hit.label, (counts.get(hit.label) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

/** The label that hits are held against, which the sentence names: the verdict's, else that of most of them; null without labels. */
export function leading(answer, labelled) {
  if (!labelled || !answer.hits.length) return null;
  return answer.verdict?.label ?? tally(answer.hits)[0][0];
}

/** The sentence, without anything of HTML. */
export function sentence(answer, view, labelled) {
  const { hits, verdict } = answer;
  if (!hits.length) return "No hit is left.";
  if (!labelled) return `The nearest scores ${score(hits[0].score)}.`;
  const counts = tally(hits), among = hasFilters(view) ? `the ${hits.length} shown` : `the nearest ${hits.length}`;
  const first = leading(answer, labelled);
  const agree = counts.find(([label]) => label === first)?.[1] ?? 0;
  const other = counts.find(([label]) => label !== first);
  const next = other ? ` Nearest other label: ${other[0]}.` : "";
  if (verdict?.known) return `Looks like ${first}: ${agree} of ${among}.${next}`;
  if (verdict) return `Nothing here is clearly the same kind. The nearest label is ${verdict.label}.`;
  return `${agree} of ${among} are ${first}.${next}`;
}

/** What stands small under the sentence: what the verdict is worth, or why there is none. */
function worth(answer) {
  const { verdict } = answer, words = [];
  if (verdict) {
    words.push(verdict.calibrated_on === UNSEEN
      ? `Of pictures of other kinds, ${oneIn(verdict.unknown_accepted)} would still be called known.`
      : `Judged by ${verdict.calibrated_on}: of pictures of other kinds, more than ${oneIn(verdict.unknown_accepted)} would still be called known.`);
    if (verdict.stale) words.push(`This is stale, as the corpus has changed: ${verdict.command}`);
  } else if (answer.verdict_reason) {
    words.push(`No verdict: ${answer.verdict_reason}.`);
  }
  if (answer.provisional) words.push("The build is provisional: its training still runs.");
  if (answer.widened) words.push("The index was searched wider, to find enough.");
  return words.join(" ");
}

/** Show the answer. */
export function showAnswer(answer, view, build) {
  const known = answer.verdict ? (answer.verdict.known ? "known" : "unknown") : "plain";
  const first = leading(answer, build.labelled), total = answer.hits.length;
  const rows = build.labelled ? tally(answer.hits).slice(0, BARS) : [];
  fill($("answer"),
    h("h2", { class: `lead ${known}` }, sentence(answer, view, build.labelled)),
    rows.length > 1 || known !== "known"
      ? h("ul", { class: "bars" }, rows.map(([label, number]) => h("li", {},
        h("span", { class: "label" }, label),
        bar(number / total, label === first ? "" : "other"),
        h("span", { class: "figure" }, `${number} of ${total}`))))
      : null,
    worth(answer) ? h("p", { class: "soft" }, worth(answer)) : null);
}

/** What is said to those who do not see it. */
export function spoken(answer, labelled) {
  if (!answer.hits.length) return "No results";
  const best = answer.hits[0];
  return `${many(answer.hits.length, "result")}, best ${score(best.score)}${labelled ? ` ${best.label}` : ""}`;
}
