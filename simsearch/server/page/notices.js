// What went wrong, in words that say what to do: one place on the page, said at once to a screen reader.

import { $, fill, h } from "./dom.js";

/** Show a notice: a heading, words, and buttons as [label, function]; `kind` colours it. */
export function notice(title, words = [], buttons = [], kind = "bad") {
  fill($("notice"), h("div", { class: `notice ${kind}`, role: "alert" },
    h("h2", {}, title),
    words.filter(Boolean).map((each) => h("p", {}, each)),
    buttons.length
      ? h("p", { class: "buttons" }, buttons.map(([label, act]) => h("button", { type: "button", click: act }, label)))
      : null));
}

export const noNotice = () => $("notice").replaceChildren();

const sentence = (text) => (text ? `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "");

/** Show a problem of the server; `again` searches again, `fresh` takes the build as it is now, `clear` drops filters. */
export function problem(found, { again, fresh, clear }) {
  const words = [sentence(found.message), sentence(found.hint)];
  if (found.status === 0) {
    notice("The server is gone", ["The page works again when simsearch serve runs."], [["Try now", again]]);
  } else if (found.status === 410) {
    notice("The build changed: search again", ["What was shown is of a state that is no longer open."], [["Search again", fresh]]);
  } else if (found.status === 413) {
    notice("This picture is too large", words);
  } else if (found.place !== null) {
    notice("The filter is not understood", words, [["Clear the filters", clear]]);
  } else if (found.status === 422 || found.status === 415 || found.status === 400) {
    notice(/image|picture|pixel|decode/i.test(found.message) ? "This is not a picture that can be read" : "This cannot be searched", words);
  } else if (found.status === 404) {
    notice("Not here", words, [["Start anew", () => location.assign("/")]]);
  } else {
    notice(found.status === 503 ? "The server is busy" : "The server made a mistake", words, [["Search again", again]]);
  }
}
