// The unit of what a map shows, and what a reader may conclude from its sums. No DOM.
import { flowMethod } from "./mapRef.js";

const ROUNDING = 0.01; // of a row sum: weights are rounded to about three digits

/** Returns what the values of a map are: "attention", "rollout" or "relevance". */
export function unitOf(mapRef) {
  return flowMethod(mapRef) ?? "attention";
}

/** Returns the name of the unit of a map, for sentences and legends. */
export function nameOfUnit(say, mapRef) {
  return say("unit-" + unitOf(mapRef));
}

/** Returns the legend of the unit of a frame: its name, and what its rows sum to. */
export function describeUnit(say, { mapRef, attnMap, isDifference }) {
  const unit = nameOfUnit(say, mapRef);
  if (isDifference) return say("unit-difference", { unit });
  if (unitOf(mapRef) === "relevance") return say("unit-relative", { unit });
  const sums = attnMap && rowSums(attnMap);
  if (!sums) return unit;
  return unitOf(mapRef) === "rollout" ? say("rollout-" + sums, { unit }) : say("attention-" + sums, { unit });
}

const rowSumsByMap = new WeakMap();

/** Returns what the rows of a map sum to: "rows-1", or "rows-below-1" where the model takes a share away. */
function rowSums(attnMap) {
  if (!attnMap.from) return null;
  if (!rowSumsByMap.has(attnMap)) {
    let isWhole = true;
    for (let row = 0; row < attnMap.queries && isWhole; row++) {
      const sum = attnMap.from.subarray(row * 4, row * 4 + 4).reduce((total, part) => total + part, 0);
      isWhole = Math.abs(sum - 1) < ROUNDING;
    }
    rowSumsByMap.set(attnMap, isWhole ? "rows-1" : "rows-below-1");
  }
  return rowSumsByMap.get(attnMap);
}
