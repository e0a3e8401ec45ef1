// The address holds the view: what is searched by, in which build, and every filter. Back, reload and a shared link
// bring the same view back; a picture that was dropped is kept in this browser and named by its key.

export const NOTHING = Object.freeze({
  build: "", image: "", upload: "", crop: "", k: 10, min: "", far: "", where: "", labels: [], collapse: false, itself: false,
});
const TEXTS = ["build", "image", "upload", "crop", "min", "far", "where"];
const FLAGS = ["collapse", "itself"];
const MOST = 1000;

/** The view that the part of an address after "?" stands for; what it does not know is passed over. */
export function viewOf(search) {
  const said = new URLSearchParams(search);
  const view = { ...NOTHING, labels: said.getAll("label") };
  for (const name of TEXTS) view[name] = said.get(name) ?? "";
  for (const name of FLAGS) view[name] = said.get(name) === "1";
  const k = Number(said.get("k"));
  if (Number.isInteger(k) && k >= 1) view.k = Math.min(k, MOST);
  return view;
}

/** The address of a view: only what differs from nothing. */
export function addressOf(view) {
  const said = new URLSearchParams();
  for (const name of TEXTS) if (view[name] !== "") said.set(name, view[name]);
  if (view.k !== NOTHING.k) said.set("k", view.k);
  for (const label of view.labels) said.append("label", label);
  for (const name of FLAGS) if (view[name]) said.set(name, "1");
  const words = said.toString();
  return words ? `/?${words}` : "/";
}

/** The view of another query with the same filters. */
export const asking = (view, query) => ({ ...view, image: "", upload: "", crop: "", ...query });

/** The view without any filter. */
export const unfiltered = (view) => ({ ...NOTHING, build: view.build, image: view.image, upload: view.upload, crop: view.crop, k: view.k });

export const hasQuery = (view) => view.image !== "" || view.upload !== "";
export const hasFilters = (view) => view.min !== "" || view.far !== "" || view.where !== "" || view.labels.length > 0;

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

/** The filter that labels and typed words are together; empty for none. */
export function whereOf(view) {
  const labels = view.labels.length ? `label in (${view.labels.map(quoted).join(", ")})` : "";
  return labels && view.where ? `(${view.where}) and ${labels}` : labels || view.where;
}

/** The fields that a search of a view has beside its picture. */
export function fieldsOf(view) {
  const fields = { k: view.k };
  if (view.min !== "" && Number.isFinite(Number(view.min))) fields.min_score = Number(view.min);
  if (view.far !== "" && Number(view.far) > 0) fields.max_far = Number(view.far);
  if (whereOf(view)) fields.where = whereOf(view);
  if (view.collapse) fields.collapse = true;
  if (!view.itself) fields.not_self = true;
  if (view.crop) fields.crop = view.crop;
  return fields;
}
