// Pictures that were dropped, pasted or chosen, kept in this browser so that Back and reload find them again.

const NAME = "simsearch", STORE = "pictures", KEPT = 20;
const here = new Map(); // what was given since the page was opened, also where the browser keeps nothing

function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "key" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Keep a picture; returns the key that the address holds. */
export async function keep(file) {
  const key = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  here.set(key, file);
  try {
    const store = (await opened()).transaction(STORE, "readwrite").objectStore(STORE);
    await done(store.put({ key, at: Date.now(), name: file.name, blob: file }));
    const all = (await done(store.getAll())).sort((one, other) => other.at - one.at);
    for (const old of all.slice(KEPT)) store.delete(old.key);
  } catch {
    // A private window keeps nothing: Back still finds it, a reload asks for it again.
  }
  return key;
}

/** The picture of a key; null where this browser does not have it. */
export async function kept(key) {
  if (here.has(key)) return here.get(key);
  try {
    const store = (await opened()).transaction(STORE).objectStore(STORE);
    const found = await done(store.get(key));
    return found ? new File([found.blob], found.name || "picture", { type: found.blob.type }) : null;
  } catch {
    return null;
  }
}
