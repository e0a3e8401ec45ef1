// Two pictures beside each other: are they of the same label? And one picture: is it as the normal ones?

import { fill, h } from "./dom.js";
import { defects, same } from "./api.js";
import { oneIn, score } from "./words.js";
import { draw } from "./pictures.js";
import { openDialog, picker } from "./dialog.js";

const SIDE = 640;

function verdict(found) {
  const rate = typeof found.false_accept_rate === "number" ? oneIn(found.false_accept_rate, found.false_accept_rate_at_most) : null;
  const words = { true: "The same label", false: "Different labels" }[String(found.same)] ?? "Too few pairs were measured to tell";
  return [h("h3", { class: "lead" }, `${words}.`),
    h("p", {}, `Score ${score(found.score)}${rate ? `: of pairs of different labels, ${rate} score as much` : ""}.`)];
}

const trouble = (error) => h("p", { class: "notice bad" }, `${error.message}. ${error.hint ?? ""}`);

/** Compare two pictures; the query, if there is one, is the first. */
export function openCompare(build, asked) {
  const files = [null, null];
  const told = h("div", { role: "status" });
  const places = ["One picture", "Another picture"].map((words, place) => picker(`compare-${place}`, words, (file) => take(place, file)));
  async function take(place, file) {
    files[place] = file;
    const { canvas, name } = places[place];
    canvas.hidden = !(await draw(canvas, file, SIDE));
    name.textContent = file.name || "picture";
    if (!files[0] || !files[1]) return;
    fill(told, "Comparing ...");
    try {
      fill(told, verdict(await same(build.name, files[0], files[1])));
    } catch (error) {
      fill(told, trouble(error));
    }
  }
  const dialog = openDialog("compare", "Compare two pictures", h("div", { class: "pair" }, places.map(({ place }) => place)), told);
  dialog.onpaste = (event) => {
    const [file] = event.clipboardData.files;
    if (file) take(files[0] ? 1 : 0, file);
  };
  if (asked?.blob && !asked.crop) take(0, new File([asked.blob], asked.name, { type: asked.blob.type }));
}

/** Score a picture by how far it is from normal ones, with a map of where. */
export function openDefects(build, asked) {
  const told = h("div", { role: "status" });
  const place = picker("defects-file", "A picture", take);
  async function take(file) {
    place.canvas.hidden = !(await draw(place.canvas, file, SIDE));
    place.name.textContent = file.name || "picture";
    fill(told, "Looking ...");
    try {
      const found = await defects(build.name, file);
      fill(told, judged(found));
      if (build.can.heatmap) {
        const canvas = h("canvas", { class: "heat", role: "img", "aria-label": "Where the picture differs from normal ones" });
        await draw(canvas, await defects(build.name, file, true), 2 * SIDE);
        told.append(canvas);
      }
    } catch (error) {
      fill(told, trouble(error));
    }
  }
  const dialog = openDialog("defects", "Look for defects", h("div", { class: "pair apart" }, place.place, told));
  dialog.onpaste = (event) => event.clipboardData.files[0] && take(event.clipboardData.files[0]);
  if (asked?.blob && !asked.crop) take(new File([asked.blob], asked.name, { type: asked.blob.type }));
}

function judged(found) {
  return [h("h3", { class: "lead" }, found.defective ? "A defect." : "As the normal ones."),
    h("p", {}, `Score ${score(found.score)}, called a defect from ${score(found.threshold)} on. At most ${oneIn(found.p_value)} normal pictures scores as much.`)];
}
