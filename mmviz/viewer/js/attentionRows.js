// What a view shows of a run: arrays in, arrays out. No DOM.
import { lut } from "./codes.js";
import { makeLongPlane, streamsOf } from "./pooledMap.js";

export const MODALITIES = ["image", "text", "audio", "special"];

/** The planes of one run that are here; more may come later. `moment`: the one of training that is shown, null where
 * the run has none. */
export class Planes {
  constructor() {
    this.run = null;
    this.planes = new Map();
    this.moment = null;
  }

  /** Take what a container of the run with this `header` brings; what came before for the same run stays. */
  take(data, header = data.header) {
    if (header.run !== this.run) this.planes.clear();
    this.run = header.run;
    const names = Object.keys(data.header.sections);
    for (const name of names) {
      const [kind, id] = name.split("/");
      if ((kind === "codes" || kind === "overview") && !this.planes.has(id)) {
        const plane = kind === "codes" ? makePlane(data, header, id) : makeLongPlane(data, header, id);
        this.planes.set(id, plane);
        if (plane.moment === undefined) continue;
        const before = this.planes.get(plane.id + "@0");
        plane.moments = before.moments ?? [];
        plane.moments.push(plane);
      }
    }
    for (const name of names) {
      const [kind, id, ...rest] = name.split("/");
      if (kind === "row") this.get(id)?.keepRow(rest.join("/"), data.section(name));
      else if (kind === "window") this.get(id)?.keepWindow(rest.join("/"), data.section(name));
    }
  }

  get(id) {
    return this.planes.get(this.moment === null ? id : `${id}@${this.moment}`) ?? null;
  }
}

/** A plane; of a run with moments one a moment, `moments` all of them, for a scale that is the same for all. */
function makePlane(data, header, name) {
  const codes = data.section("codes/" + name);
  const [id, moment] = name.split("@");
  const [queryStream, keyStream] = streamsOf(header, id);
  return {
    id,
    moment,
    codes,
    queryStream,
    keyStream,
    queries: codes.shape[0],
    keys: codes.shape[1],
    values: lut(codes.decade),
    from: data.section("from/" + name),
    to: data.section("to/" + name),
    matrix: data.section("matrix/" + name),
  };
}

/** One weight of a plane; null where it is not here. */
export function weight(plane, query, key) {
  if (plane.isLong) return plane.weight(query, key);
  return plane.values[plane.codes[query * plane.keys + key]];
}

/** What a group of tokens gives (from) or gets (to): the mean of their rows or columns. */
export function amounts(plane, tokens, direction) {
  if (plane.isLong) return plane.amounts(tokens, direction);
  const from = direction === "from";
  const found = new Float64Array(from ? plane.keys : plane.queries);
  const { codes, values, keys } = plane;
  for (const token of tokens) {
    if (from) for (let k = 0, at = token * keys; k < keys; k++) found[k] += values[codes[at + k]];
    else for (let q = 0, at = token; q < found.length; q++, at += keys) found[q] += values[codes[at]];
  }
  if (tokens.length > 1) for (let k = 0; k < found.length; k++) found[k] /= tokens.length;
  return found;
}

/** First minus second. */
export function difference(first, second) {
  return first.map((amount, k) => amount - second[k]);
}

/** The largest amount over the tokens that have a place: where a scale ends. 1 where there is none above 0. */
export function largest(values, where) {
  let most = 0;
  for (let k = 0; k < values.length; k++) if (where[k] && Math.abs(values[k]) > most) most = Math.abs(values[k]);
  if (most === 0) for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most || 1;
}

/** A plane at all moments of training; most runs have but one. */
export function everyMoment(plane) {
  return plane.moments ?? [plane];
}

/** The same over all rows (from) or columns (to) of a plane, at all moments; without `where` over all its cells. */
export function largestOfPlane(plane, where = null, direction = "from") {
  return Math.max(...everyMoment(plane).map((one) => largestAt(one, where, direction)));
}

function largestAt(plane, where, direction) {
  if (plane.isLong) return plane.largest;
  const { codes, keys } = plane;
  let most = 0; // a larger amount has a larger code
  for (let q = 0, at = 0; q < plane.queries; q++) {
    for (let k = 0; k < keys; k++, at++) {
      if (codes[at] > most && (!where || where[direction === "from" ? k : q])) most = codes[at];
    }
  }
  return plane.values[most] || 1;
}

/** Attention of a group by modality: `sums`, `perToken`, and `ratio` to uniform attention; `counts` of tokens. */
export function shares(plane, tokens, direction, modalities) {
  const sections = direction === "from" ? plane.from : plane.to;
  const counts = countModalities(modalities);
  const sums = [0, 0, 0, 0];
  for (const token of tokens) for (let m = 0; m < 4; m++) sums[m] += sections[token * 4 + m] / tokens.length;
  const perToken = sums.map((sum, m) => (counts[m] ? sum / counts[m] : 0));
  return { sums, perToken, ratio: perToken.map((mean) => mean * modalities.length), counts };
}

/** How many tokens each modality has. */
export function countModalities(modalities) {
  return MODALITIES.map((modality) => modalities.filter((one) => one === modality).length);
}

/** A modality matrix in one of three ways of counting; rows ask. */
export function matrixAs(plane, which, keyCounts) {
  const all = keyCounts.reduce((sum, count) => sum + count, 0);
  return Float64Array.from(plane.matrix, (sum, at) => {
    const count = keyCounts[at % 4];
    if (which === "sums" || !count) return sum;
    return (sum / count) * (which === "ratio" ? all : 1);
  });
}

/** The tokens with the largest amounts. */
export function strongest(values, count) {
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
  return order.slice(0, count).filter((k) => values[k] !== 0);
}
