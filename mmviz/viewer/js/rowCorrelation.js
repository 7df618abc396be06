// How alike the rows, or the columns, of a map are: in rollout all tokens have nearly the same. No DOM.
import { amounts } from "./attentionRows.js";

const MAX_COMPARED = 64; // tokens of a map that are compared with their mean
export const NEARLY_SAME = 0.95; // from this correlation on it is said

/** Returns Pearson's correlation of two lists of numbers; null where one of them is constant. */
export function correlation(first, second) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanOfFirst, meanOfSecond] = [mean(first), mean(second)];
  let [both, ofFirst, ofSecond] = [0, 0, 0];
  for (let k = 0; k < first.length; k++) {
    const [a, b] = [first[k] - meanOfFirst, second[k] - meanOfSecond];
    both += a * b;
    ofFirst += a * a;
    ofSecond += b * b;
  }
  return ofFirst && ofSecond ? both / Math.sqrt(ofFirst * ofSecond) : null;
}

const samenessByMap = new WeakMap(); // a map -> {from, to}

/**
 * Returns the mean correlation of the rows ("from") or columns ("to") of a map with their mean, over at most 64 of them,
 * evenly spaced; null for a map whose weights are not all here, or with a single token.
 */
export function sameness(attnMap, direction) {
  if (attnMap.isPooled) return null;
  if (!samenessByMap.has(attnMap)) samenessByMap.set(attnMap, {});
  const known = samenessByMap.get(attnMap);
  if (known[direction] === undefined) known[direction] = compare(attnMap, direction);
  return known[direction];
}

function compare(attnMap, direction) {
  const count = direction === "from" ? attnMap.queries : attnMap.keys;
  const compared = Math.min(MAX_COMPARED, count);
  if (compared < 2) return null;
  const tokens = Array.from({ length: compared }, (_, k) => Math.floor((k * count) / compared));
  const mean = amounts(attnMap, tokens, direction);
  const values = tokens.map((token) => correlation(amounts(attnMap, [token], direction), mean));
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}
