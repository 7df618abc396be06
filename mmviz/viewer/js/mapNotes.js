// What a reader must know about the map that is shown: what takes a share of its rows, and its windows. No DOM.
import { twoDigits } from "./numberFormat.js";

/** Returns sentences about the map of a frame; none for an ordinary map, a flow and one that has not arrived. */
export function mapNotes(header, say, mapIndex, frame) {
  const { absorbed_by: absorbedBy, windows } = header.maps[mapIndex];
  const notes = [];
  if (absorbedBy && frame.attnMap) {
    const isRow = frame.direction === "from" && !frame.isDifference;
    const share = 1 - meanRowSum(frame.attnMap, isRow ? frame.tokens : null);
    notes.push(say(isRow ? `absorbed-${absorbedBy}` : `absorbed-${absorbedBy}-mean`, { share: twoDigits(Math.max(0, 100 * share)) }));
  }
  if (windows) notes.push(say("windows", { count: windows }));
  return notes;
}

/** Returns the mean sum of the rows of these queries; of all for null. */
function meanRowSum({ from, queries }, tokens) {
  const rows = tokens ?? Array.from({ length: queries }, (_, query) => query);
  let sum = 0;
  for (const row of rows) for (let m = 0; m < 4; m++) sum += from[row * 4 + m];
  return sum / rows.length;
}
