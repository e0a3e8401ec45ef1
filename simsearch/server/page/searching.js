// One search: the newest alone counts, "Searching" is said after a while, a busy or gone server is asked again.

import { $, fill } from "./dom.js";
import { alive, Problem, search } from "./api.js";
import { notice } from "./notices.js";

const SLOW = 150; // milliseconds after which a search is said to run
const TRIES = 5;
const TOO_LARGE = 8 * 2 ** 20; // bytes of an upload that a server may have refused without being heard

let current = null;

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(new DOMException("another search", "AbortError"));
  });
});

/** Stop the search that runs, if any. */
export function stopSearching() {
  current?.abort();
  current = null;
  waitingFor(null);
}

/** Search; returns null where a newer one took its place, raises Problem. */
export async function searchNewest(build, query, fields) {
  stopSearching();
  const mine = (current = new AbortController());
  const timer = setTimeout(() => waitingFor("Searching ..."), SLOW);
  try {
    for (let tried = 1; ; tried += 1) {
      try {
        return await search(build, query, fields, mine.signal);
      } catch (error) {
        if (error.status !== 503 || tried === TRIES) throw await heard(error, query);
        clearTimeout(timer);
        const seconds = Math.min(error.after ?? 2, 30);
        waitingFor(`The server is busy: retrying in ${seconds} s`);
        await pause(seconds, mine.signal);
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || current !== mine) return null;
    throw error;
  } finally {
    clearTimeout(timer);
    if (current === mine) waitingFor(null);
  }
}

/** A server that refuses a large body closes before it is sent: where it is alive, that is what happened. */
async function heard(error, query) {
  if (error.status !== 0 || (query.file?.size ?? 0) < TOO_LARGE || !(await alive())) return error;
  return new Problem(413, `it has ${Math.round(query.file.size / 2 ** 20)} MB, more than the server takes`, "send a smaller picture");
}

function waitingFor(words) {
  $("found").setAttribute("aria-busy", words === null ? "false" : "true");
  document.body.classList.toggle("busy", words !== null);
  if (words === null) document.querySelector("#notice .waiting")?.closest(".notice").remove();
  else if (words.startsWith("Searching")) fill($("notice"), waiting(words));
  else {
    notice(words, [], [], "wait");
    $("notice").firstChild.querySelector("h2").classList.add("waiting");
  }
}

function waiting(words) {
  const made = document.createElement("p");
  made.className = "notice wait";
  made.append(Object.assign(document.createElement("span"), { className: "waiting", textContent: words }));
  return made;
}

/** Call `back` once the server answers again. */
export async function whenBack(back) {
  const mine = (whenBack.turn = (whenBack.turn ?? 0) + 1);
  while (whenBack.turn === mine) {
    await new Promise((go) => setTimeout(go, 2000));
    if (whenBack.turn === mine && (await alive())) return back();
  }
}
export const stopWaiting = () => (whenBack.turn = (whenBack.turn ?? 0) + 1);
