// Elements: found, made and filled. Names of files and labels are only ever set as text, never as HTML.

export const $ = (id) => document.getElementById(id);

/** Make an element; attributes that are functions listen, true and false set or leave out, children may be text. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Put children in the place of what an element holds. */
export function fill(place, ...children) {
  place.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** A bar of a share from 0 to 1, for the eye alone: the figure stands beside it as text. */
export function bar(share, kind = "") {
  const inner = h("span");
  inner.style.width = `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`;
  return h("span", { class: `bar ${kind}`.trim(), "aria-hidden": "true" }, inner);
}

/** The status that a screen reader says when it is filled. */
export function announce(words) {
  $("status").textContent = words;
}
