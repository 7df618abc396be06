// One attention computed step by step in float64, as analysis/attention_steps.py does (Vaswani et al. 2017, section
// 3.2). A part of the steps is a typed array [head, token, number]; see steps in format_schema.json. No DOM.
import { MODALITIES } from "./attentionRows.js";
import { isFlow, parseMapRef } from "./mapRef.js";
import { lastMapOf } from "./modelStacks.js";

/** The steps of the maps of one run that have arrived so far, by the index of the map. */
export class StepsStore {
  constructor() {
    this.run = null;
    this.byMap = new Map();
  }

  /** Adds the steps of a container; `header` is the header of the whole run. Steps of another run are dropped. */
  addSections(data, header = data.header) {
    if (header.run !== this.run) this.byMap.clear();
    this.run = header.run;
    for (const name of Object.keys(data.header.sections)) {
      const [kind, index, part] = name.split("/");
      if (kind !== "steps") continue;
      const mapIndex = Number(index);
      if (!this.byMap.has(mapIndex)) this.byMap.set(mapIndex, { ...header.steps[mapIndex] });
      this.byMap.get(mapIndex)[part] = data.section(name);
    }
  }

  /** Returns the steps of a map; null where they have not arrived. */
  get(mapIndex) {
    return this.byMap.get(mapIndex) ?? null;
  }
}

/** Returns the vector of one head and token, [number]; a part that all heads share holds one head. */
export function vector(part, head, token) {
  const [heads, tokens, size] = part.shape;
  const at = ((heads > 1 ? head : 0) * tokens + token) * size;
  return part.subarray(at, at + size);
}

/** Returns the rows of a weight matrix [1, heads * size, width] that belong to one head. */
export function headRows(matrix, head, size) {
  const width = matrix.shape[2];
  return matrix.subarray(head * size * width, (head + 1) * size * width);
}

export function dot(first, second) {
  let sum = 0;
  for (let k = 0; k < first.length; k++) sum += first[k] * second[k];
  return sum;
}

/** Returns the Euclidean norm of a vector. */
export function norm(values) {
  return Math.sqrt(dot(values, values));
}

/** Returns the largest absolute difference between two vectors. */
export function maxDifference(first, second) {
  let most = 0;
  for (let k = 0; k < first.length; k++) most = Math.max(most, Math.abs(first[k] - second[k]));
  return most;
}

/** Returns the dot product of a query with every key, [key]. */
export function scores(steps, head, query) {
  const q = vector(steps.query, head, query);
  return Float64Array.from({ length: steps.key.shape[1] }, (_, key) => dot(q, vector(steps.key, head, key)));
}

/** Returns the products that one score sums up, [number]. */
export function productTerms(steps, head, query, key) {
  const k = vector(steps.key, head, key);
  return Float64Array.from(vector(steps.query, head, query), (number, at) => number * k[at]);
}

/**
 * Returns softmax(logits / temperature): the `weights` [key], the `exps` exp(logit / temperature - top) before they are
 * divided by their `sum`, and `top`, the largest logit / temperature. All weights are 0 where every key is masked.
 */
export function softmax(logits, temperature = 1) {
  const sharpened = logits.map((logit) => logit / temperature);
  const top = sharpened.reduce((most, logit) => Math.max(most, logit), -Infinity);
  if (top === -Infinity) return { top, exps: logits.map(() => 0), sum: 0, weights: logits.map(() => 0) };
  const exps = sharpened.map((logit) => Math.exp(logit - top));
  const sum = exps.reduce((total, value) => total + value, 0);
  return { top, exps, sum, weights: exps.map((value) => value / sum) };
}

/** Returns the values of a head summed by their weights [key]: [number]. */
export function weightedSum(steps, head, weights) {
  const total = new Float64Array(steps.value.shape[2]);
  weights.forEach((weight, key) => {
    if (weight) vector(steps.value, head, key).forEach((number, k) => (total[k] += weight * number));
  });
  return total;
}

/** Returns matrix @ input + bias for a matrix [1, row, column] and a bias [row], which may be missing. */
export function linear(matrix, bias, input) {
  const rows = matrix.shape[1];
  return Float64Array.from({ length: rows }, (_, row) => dot(vector(matrix, 0, row), input) + (bias ? bias[row] : 0));
}

/** Returns what one head's vector contributes to the output: the output projection of it alone, without the bias. */
export function headContribution(steps, head, attnOutput) {
  const { projection } = steps;
  const padded = new Float64Array(projection.shape[2]);
  padded.set(attnOutput, head * attnOutput.length);
  return linear(projection, null, padded);
}

/** Returns edits that change nothing: `scores` replaced by key, `blocked` keys, temperature, and whether scores are scaled. */
export function noEdits() {
  return { temperature: 1, isScaled: true, blocked: new Set(), scores: new Map() };
}

export function isEdited({ temperature, isScaled, blocked, scores: replaced }) {
  return temperature !== 1 || !isScaled || blocked.size > 0 || replaced.size > 0;
}

/**
 * Computes every step of one head and query from its vectors: `raw` scores, `scaled` scores, `mask` (null for none),
 * `logits` (scaled and masked), `top`, `exps`, `sum` and `weights` of the softmax, each [key]; `attnOutput`, the
 * weighted sum of the values; `concatenated`, the vectors of all heads; and `output`, null where the output projection
 * is not known. `edits` change this head alone.
 */
export function computeAttention(steps, head, query, edits = noEdits()) {
  const raw = scores(steps, head, query);
  for (const [key, score] of edits.scores) raw[key] = score;
  const scaled = raw.map((score) => score * (edits.isScaled ? steps.scale : 1));
  const mask = steps.mask ? Float64Array.from(vector(steps.mask, head, query)) : null;
  const logits = scaled.map((score, key) => (edits.blocked.has(key) ? -Infinity : score + (mask ? mask[key] : 0)));
  const { top, exps, sum, weights } = softmax(logits, edits.temperature);
  const attnOutput = weightedSum(steps, head, weights);
  const heads = steps.query.shape[0];
  const concatenated = new Float64Array(heads * attnOutput.length);
  for (let other = 0; other < heads; other++) {
    if (steps.ablated_heads.includes(other)) continue;
    const headOutput = other === head ? attnOutput : uneditedOutput(steps, other, query);
    concatenated.set(headOutput, other * attnOutput.length);
  }
  const output = steps.projection ? linear(steps.projection, steps.bias, concatenated) : null;
  return { raw, scaled, mask, logits, top, exps, sum, weights, attnOutput, concatenated, output };
}

/** Returns the weighted sum of the values of a head without edits. */
function uneditedOutput(steps, head, query) {
  const mask = steps.mask ? vector(steps.mask, head, query) : null;
  const logits = scores(steps, head, query).map((score, key) => score * steps.scale + (mask ? mask[key] : 0));
  return weightedSum(steps, head, softmax(logits).weights);
}

/** Returns the largest differences between computed steps and the model's own; `output` is null where the model's is not known. */
export function differences(steps, head, query, computed) {
  return {
    weights: maxDifference(computed.weights, vector(steps.weights, head, query)),
    attnOutput: maxDifference(computed.attnOutput, vector(steps.attn_output, head, query)),
    output: computed.output ? maxDifference(computed.output, vector(steps.output, 0, query)) : null,
  };
}

/** Returns sums over the keys of each modality, in the order of `MODALITIES`. */
export function sumByModality(modalities, values) {
  const sums = [0, 0, 0, 0];
  modalities.forEach((modality, key) => (sums[MODALITIES.indexOf(modality)] += values[key]));
  return sums;
}

/** Returns the indices of all tokens ordered by modality, within a modality in their own order. */
export function groupByModality(modalities) {
  const tokens = Array.from(modalities.keys());
  return MODALITIES.flatMap((modality) => tokens.filter((token) => modalities[token] === modality));
}

/**
 * Returns the attention that the calculator computes for a frame: `mapIndex`, `head` and `query`, and `notes`, codes of
 * sentences that explain the choice where the frame shows more than one head or query.
 */
export function calculatorTarget(header, { mapRef, tokens, chosenStream, direction }) {
  const notes = [];
  const parts = parseMapRef(header, mapRef);
  const { mapIndex } = parts ?? parseMapRef(header, lastMapOf(header, header.default_stack));
  const head = parts && parts.head !== "mean" ? parts.head : 0;
  if (isFlow(mapRef)) notes.push("calc-flow");
  else if (parts.head === "mean") notes.push("calc-mean");
  const { queries } = header.maps[mapIndex];
  if (direction === "to") notes.push("calc-direction-to");
  if (tokens.length > 1) notes.push("calc-several");
  const isQuery = chosenStream === queries && tokens[0] < header.streams[queries].modality.length;
  const query = isQuery ? tokens[0] : header.answer_tokens[queries];
  return { mapIndex, head, query, notes };
}

/** Whether the scale is 1 / sqrt(size of a query), as it usually is. */
export function isRootScale(steps) {
  return Math.abs(steps.scale * Math.sqrt(steps.query.shape[2]) - 1) < 1e-6;
}
