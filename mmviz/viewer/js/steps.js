// One attention worked out step by step, in double precision, as analysis/steps.py does it. No DOM.
import { MODALITIES } from "./attentionRows.js";

/** The vectors of the maps of one run that are here; more may come later. */
export class AllSteps {
  constructor() {
    this.run = null;
    this.found = new Map();
  }

  /** Take what a container of the run with this `header` brings. */
  take(data, header = data.header) {
    if (header.run !== this.run) this.found.clear();
    this.run = header.run;
    for (const name of Object.keys(data.header.sections)) {
      const [kind, map, part] = name.split("/");
      if (kind !== "steps") continue;
      if (!this.found.has(Number(map))) this.found.set(Number(map), { ...header.steps[map] });
      this.found.get(Number(map))[part] = data.section(name);
    }
  }

  get(map) {
    return this.found.get(map) ?? null;
  }
}

/** One row of a part `[head, token, number]`; a part that heads share has one. */
export function vector(part, head, token) {
  const [heads, tokens, size] = part.shape;
  const at = ((heads > 1 ? head : 0) * tokens + token) * size;
  return part.subarray(at, at + size);
}

/** The rows of a map `[1, head * d, width]` that are those of one head. */
export function rowsOf(part, head, size) {
  const width = part.shape[2];
  return part.subarray(head * size * width, (head + 1) * size * width);
}

export function dot(one, other) {
  let sum = 0;
  for (let k = 0; k < one.length; k++) sum += one[k] * other[k];
  return sum;
}

/** The length of a vector. */
export function norm(values) {
  return Math.sqrt(dot(values, values));
}

/** The largest difference of two vectors. */
export function apart(one, other) {
  let most = 0;
  for (let k = 0; k < one.length; k++) most = Math.max(most, Math.abs(one[k] - other[k]));
  return most;
}

/** The product of the query with every key. */
export function scores(steps, head, query) {
  const asking = vector(steps.query, head, query);
  return Float64Array.from({ length: steps.key.shape[1] }, (_, key) => dot(asking, vector(steps.key, head, key)));
}

/** The terms of one of these products. */
export function terms(steps, head, query, key) {
  const asked = vector(steps.key, head, key);
  return Float64Array.from(vector(steps.query, head, query), (one, k) => one * asked[k]);
}

/** exp(seen / temperature), of which the largest is taken off first: `top`, `parts`, their `sum`, and the weights. */
export function softmax(seen, temperature = 1) {
  const over = seen.map((one) => one / temperature);
  const top = over.reduce((most, one) => Math.max(most, one), -Infinity);
  if (top === -Infinity) return { top, parts: over.map(() => 0), sum: 0, weights: over.map(() => 0) };
  const parts = over.map((one) => Math.exp(one - top));
  const sum = parts.reduce((total, part) => total + part, 0);
  return { top, parts, sum, weights: parts.map((part) => part / sum) };
}

/** The values of a head, added up by weights. */
export function mixedOf(steps, head, weights) {
  const found = new Float64Array(steps.value.shape[2]);
  weights.forEach((weight, key) => {
    if (weight) vector(steps.value, head, key).forEach((one, k) => (found[k] += weight * one));
  });
  return found;
}

/** A linear map `[1, row, number]` with a bias, which may be missing, applied to a vector. */
export function applied(matrix, bias, taken) {
  const rows = matrix.shape[1];
  return Float64Array.from({ length: rows }, (_, row) => dot(vector(matrix, 0, row), taken) + (bias ? bias[row] : 0));
}

/** What the map that joins the heads makes of one head's vector alone, without its bias. */
export function partOf(steps, head, mixed) {
  const { projection } = steps;
  const alone = new Float64Array(projection.shape[2]);
  alone.set(mixed, head * mixed.length);
  return applied(projection, null, alone);
}

/** Nothing changed: `scores` of keys that are replaced, `blocked` keys, temperature, and whether it is scaled. */
export function noEdits() {
  return { temperature: 1, isScaled: true, blocked: new Set(), scores: new Map() };
}

export function isEdited({ temperature, isScaled, blocked, scores: replaced }) {
  return temperature !== 1 || !isScaled || blocked.size > 0 || replaced.size > 0;
}

/**
 * All steps of one head and query, from its vectors alone: `raw` scores, `scaled`, `mask` (null for none), `seen` by
 * the softmax, `top`, `parts`, `sum`, `weights`, `mixed`, the vectors of all heads `joined`, and the `output` (null
 * where the map that joins them is not known). What is changed is changed in this head alone.
 */
export function work(steps, head, query, edits = noEdits()) {
  const raw = scores(steps, head, query);
  for (const [key, score] of edits.scores) raw[key] = score;
  const scaled = raw.map((score) => score * (edits.isScaled ? steps.scale : 1));
  const mask = steps.mask ? Float64Array.from(vector(steps.mask, head, query)) : null;
  const seen = scaled.map((score, key) => (edits.blocked.has(key) ? -Infinity : score + (mask ? mask[key] : 0)));
  const { top, parts, sum, weights } = softmax(seen, edits.temperature);
  const mixed = mixedOf(steps, head, weights);
  const heads = steps.query.shape[0];
  const joined = new Float64Array(heads * mixed.length);
  for (let one = 0; one < heads; one++) {
    if (steps.off.includes(one)) continue;
    joined.set(one === head ? mixed : headOf(steps, one, query), one * mixed.length);
  }
  const output = steps.projection ? applied(steps.projection, steps.bias, joined) : null;
  return { raw, scaled, mask, seen, top, parts, sum, weights, mixed, joined, output };
}

/** What a head that nobody changed gives a query. */
function headOf(steps, head, query) {
  const mask = steps.mask ? vector(steps.mask, head, query) : null;
  const seen = scores(steps, head, query).map((score, key) => score * steps.scale + (mask ? mask[key] : 0));
  return mixedOf(steps, head, softmax(seen).weights);
}

/** The largest differences to what the model made itself; `output` null where there is none to compare with. */
export function differences(steps, head, query, worked) {
  return {
    weights: apart(worked.weights, vector(steps.weights, head, query)),
    mixed: apart(worked.mixed, vector(steps.mixed, head, query)),
    output: worked.output ? apart(worked.output, vector(steps.output, 0, query)) : null,
  };
}

/** Sums over the keys of each modality, in the order of `MODALITIES`. */
export function byModality(modalities, values) {
  const sums = [0, 0, 0, 0];
  modalities.forEach((modality, key) => (sums[MODALITIES.indexOf(modality)] += values[key]));
  return sums;
}

/** Tokens in groups of their modality, each in its own order. */
export function grouped(modalities) {
  const all = Array.from(modalities.keys());
  return MODALITIES.flatMap((modality) => all.filter((token) => modalities[token] === modality));
}

/** What is worked out where this is looked at: map, head and query, and codes of what has to be said of the choice. */
export function placeOf(header, { id, tokens, chosen, direction }) {
  const notes = [];
  const [first, second] = id.split(":");
  const map = second === undefined ? header.maps.length - 1 : Number(first);
  const head = second === undefined || second === "mean" ? 0 : Number(second);
  if (second === undefined) notes.push("calc-flow");
  else if (second === "mean") notes.push("calc-mean");
  const { queries } = header.maps[map];
  if (direction === "to") notes.push("calc-asked");
  if (tokens.length > 1) notes.push("calc-several");
  const { modality } = header.streams[queries];
  const query = chosen === queries && tokens[0] < modality.length ? tokens[0] : Math.max(0, modality.indexOf("special"));
  return { map, head, query, notes };
}

/** Whether scores are divided by the root of the size of a query, as they are as a rule. */
export function isRoot(steps) {
  return Math.abs(steps.scale * Math.sqrt(steps.query.shape[2]) - 1) < 1e-6;
}

/** A number with so many digits that count; very small and very large ones as 1.2e-7. */
export function plain(value, digits = 4) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const size = Math.abs(value);
  const written = size < 0.001 || size >= 1e5 ? size.toExponential(1) : String(Number(size.toPrecision(digits)));
  return (value < 0 ? "−" : "") + written;
}
