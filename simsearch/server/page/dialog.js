// Dialogs: a native one each, with a heading, a way to close it, and what it is filled with.

import { fill, h } from "./dom.js";

const made = new Map();

/** The dialog of a name, filled anew and open; the browser gives focus back to what opened it. */
export function openDialog(name, title, ...children) {
  let dialog = made.get(name);
  if (!dialog) {
    dialog = h("dialog", { id: name, "aria-labelledby": `${name}-title`, click: (event) => event.target === dialog && dialog.close() });
    document.body.append(dialog);
    made.set(name, dialog);
  }
  const focused = dialog.open && document.activeElement?.id;
  fill(dialog, h("div", { class: "inside" },
    h("div", { class: "head" },
      h("h2", { id: `${name}-title`, tabindex: -1, autofocus: true }, title),
      h("button", { type: "button", class: "close", click: () => dialog.close() }, "Close")),
    children));
  if (!dialog.open) dialog.showModal();
  else {
    const again = focused && dialog.querySelector(`#${CSS.escape(focused)}:not(:disabled)`);
    (again || dialog.querySelector("h2")).focus();
  }
  dialog.scrollTop = 0;
  return dialog;
}

/** A place in a dialog that takes a picture, by choosing, dropping or pasting; `taken(file)` gets it. */
export function picker(id, words, taken) {
  const canvas = h("canvas", { role: "img", "aria-label": words, hidden: true });
  const name = h("span", { class: "soft" }, "Drop or choose a picture");
  const input = h("input", { type: "file", id, accept: "image/*", change: () => {
    const [file] = input.files;
    input.value = "";
    if (file) taken(file);
  } });
  const label = h("label", { for: id }, h("strong", {}, words), canvas, name);
  const place = h("div", { class: "picker" }, input, label);
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) taken(file);
  });
  return { place, canvas, name };
}
