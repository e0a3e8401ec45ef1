// What is asked of the server, and what goes wrong, as one kind of error.

/** An answer that is none: `status` 0 where no server answered at all. */
export class Problem extends Error {
  constructor(status, detail, hint = null, more = {}) {
    super(detail);
    Object.assign(this, { status, hint, after: null, place: null, ...more });
  }
}

async function problemOf(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // A proxy's own page: its status says enough.
  }
  const after = Number(response.headers.get("Retry-After")) || null;
  return new Problem(response.status, said.detail ?? response.statusText, said.hint ?? null, { after, place: said.place ?? null });
}

/** Ask for an address; raises Problem, or AbortError where the signal says so. */
export async function ask(address, options = {}) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the server does not answer");
  }
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw await problemOf(response);
  return response;
}

export const get = async (address, options) => (await ask(address, options)).json();

const of = (name) => `/v1/builds/${encodeURIComponent(name)}`;

export const builds = () => get("/v1/builds", { cache: "no-store" });
export const alive = () => ask("/healthz", { cache: "no-store" }).then(() => true, () => false);

/** What an address of a state of a build gives: "labels", "map", "start?seed=3", "images/12". */
export const told = (build, what, options) => get(`${of(build.name)}/${build.digest}/${what}`, options);
export const addressOf = (build, what) => `${of(build.name)}/${build.digest}/${what}`;

function form(fields, files) {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, String(value));
  for (const [name, file] of Object.entries(files)) made.append(name, file, file.name || "picture");
  return made;
}

/** Search by a file, or by the name of an image of the corpus; `fields` are k, where and the like. */
export async function search(build, query, fields, signal) {
  const address = `${of(build)}/search`;
  if (query.file) return (await ask(address, { method: "POST", body: form(fields, { image: query.file }), signal })).json();
  return postJson(address, { image: query.image, ...fields }, signal);
}

/** Compare two files. */
export async function same(build, one, other) {
  return (await ask(`${of(build)}/same`, { method: "POST", body: form({}, { one, other }) })).json();
}

/** How far a file is from normal pictures; `heatmap` asks for a picture of where. */
export async function defects(build, image, heatmap = false) {
  const response = await ask(`${of(build)}/defects${heatmap ? "?heatmap=true" : ""}`, { method: "POST", body: form({}, { image }) });
  return heatmap ? response.blob() : response.json();
}

export const feedback = (said) => ask("/v1/feedback", jsonBody(said));

const jsonBody = (document, signal) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(document),
  signal,
});

async function postJson(address, document, signal) {
  return (await ask(address, jsonBody(document, signal))).json();
}
