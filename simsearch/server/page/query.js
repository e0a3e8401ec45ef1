// The query field: a picture comes in by drop, paste, file or camera; after a search it is a small preview.

import { $, h } from "./dom.js";
import { ask } from "./api.js";
import { draw } from "./pictures.js";

const SIDE = 320; // pixels of the preview, which is shown at half of that

/** Listen for pictures; `taken(file)` gets each, `refused(words)` what is none. */
export function listen(taken, refused) {
  for (const name of ["file", "camera"]) {
    $(name).addEventListener("change", (event) => {
      const [file] = event.target.files;
      event.target.value = ""; // the same file may be chosen again
      if (file) taken(file);
    });
  }
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (!file || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    taken(file);
  });
  const over = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  addEventListener("drop", (event) => {
    if (!event.dataTransfer.types.includes("Files") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    over(false);
    const file = event.dataTransfer.files[0];
    if (file) taken(file);
    else refused("what was dropped is no file");
  });
}

/** Show the large field, or the preview of what was asked: a blob with its name and its crop. */
export async function preview(asked) {
  preview.asked = asked;
  $("drop").classList.toggle("small", asked !== null);
  $("asked").hidden = asked === null;
  document.body.classList.toggle("searched", asked !== null);
  if (asked === null) return;
  const cut = asked.name.lastIndexOf("/") + 1;
  $("called").replaceChildren(...[
    asked.crop && h("span", { class: "soft" }, "A part of"),
    h("strong", {}, asked.name.slice(cut)),
    cut && h("span", { class: "soft" }, asked.name.slice(0, cut)),
    asked.label && h("span", { class: "soft" }, `Label: ${asked.label}`)].filter(Boolean));
  const canvas = $("preview");
  canvas.setAttribute("aria-label", `The query: ${asked.crop ? "a part of " : ""}${asked.name}`);
  if (!asked.blob || !(await draw(canvas, asked.blob, SIDE))) {
    nothing(canvas);
    return;
  }
  if (asked.crop) frame(canvas, asked.crop.split(",").map(Number));
}

preview.asked = null;

/** The file of an image of the corpus, or its thumbnail where that is all there is. */
export async function pictureOfRow(told) {
  for (const address of [told.full, told.thumbnail]) {
    try {
      if (address) return await (await ask(address)).blob();
    } catch (error) {
      if (error.status === 410) throw error;
    }
  }
  return null;
}

function nothing(canvas) {
  [canvas.width, canvas.height] = [SIDE, SIDE / 2];
  const brush = canvas.getContext("2d");
  brush.fillStyle = getComputedStyle(document.body).color;
  brush.font = "24px system-ui, sans-serif";
  brush.textAlign = "center";
  brush.fillText("no preview", SIDE / 2, SIDE / 4);
}

/** Darken what is not in the box of shares x, y, w, h. */
export function frame(canvas, [x, y, w, h]) {
  const brush = canvas.getContext("2d"), { width, height } = canvas;
  brush.fillStyle = "rgb(0 0 0 / 60%)";
  brush.beginPath();
  brush.rect(0, 0, width, height);
  brush.rect(x * width, y * height, w * width, h * height);
  brush.fill("evenodd");
  brush.lineWidth = Math.max(2, width / 120);
  brush.strokeStyle = "#fff";
  brush.strokeRect(x * width, y * height, w * width, h * height);
}
