// Numbers in words, as the command line writes them.

export const count = (number) => number.toLocaleString("en");
export const many = (number, one, several = `${one}s`) => `${count(number)} ${number === 1 ? one : several}`;
export const score = (number) => number.toFixed(3);

/** A share of 0 to 1 as ".692". */
export const share = (number) => number.toFixed(3).replace(/^0\./, ".");

/** The nearest whole number, of two as near the even one, as Python rounds. */
const even = (number) => (number % 1 === 0.5 ? 2 * Math.round(number / 2) : Math.round(number));

/** A rate above 0 with two significant digits: "1 in 3,800"; `atMost`: it is no more than that, "< 1 in 3,800". */
export function oneIn(rate, atMost = false) {
  const whole = even(1 / rate), unit = 10 ** Math.max(String(whole).length - 2, 0);
  const times = even(whole / unit) * unit;
  return `${atMost ? "< " : ""}1 in ${count(times)}`;
}

/** How rare the score of a hit is, as the column of `simsearch query`; null where the build does not know. */
export function rarity(hit) {
  if (typeof hit.stranger_rate === "number") return `${oneIn(hit.stranger_rate, hit.stranger_rate_at_most)} strangers`;
  if (typeof hit.false_accept_rate === "number") {
    return `${oneIn(hit.false_accept_rate, hit.false_accept_rate_at_most)} pairs`;
  }
  return null;
}

/** The last part of a name with slashes. */
export const fileOf = (name) => name.slice(name.lastIndexOf("/") + 1);

/** A day and a time as the reader's own clock has them; empty for none. */
export function when(text) {
  const found = text ? new Date(text) : null;
  return found && !Number.isNaN(found.getTime()) ? found.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "";
}
