// Rows, columns and sums of attention maps: typed arrays in, typed arrays out. No DOM.
import { dequantizationTable } from "./quantization.js";
import { flowMethod, parseSectionName, streamsOf } from "./mapRef.js";
import { PooledMap } from "./pooledMap.js";

export const MODALITIES = ["image", "text", "audio", "special"];

/**
 * The attention maps of one run that have arrived so far, by MapRef. A map has `mapRef`, `queryStream`, `keyStream`,
 * `queries` and `keys` (counts), `from` [query, modality], `to` [key, modality] and `matrix` [modality, modality].
 */
export class AttentionMaps {
  constructor() {
    this.run = null;
    this.byRef = new Map();
    /** The checkpoint of training that is shown; null where the run has no training timeline. */
    this.checkpoint = null;
  }

  /**
   * Adds the maps, rows and windows of a container. `header` is the header of the whole run, where the container is an
   * answer to a request and has a short one. Maps of the same run stay, maps of another run are dropped.
   */
  addSections(data, header = data.header) {
    if (header.run !== this.run) this.byRef.clear();
    this.run = header.run;
    const names = Object.keys(data.header.sections);
    for (const name of names) {
      const { kind, ref } = parseSectionName(name);
      if ((kind !== "codes" && kind !== "overview") || this.byRef.has(ref)) continue;
      const attnMap = kind === "codes" ? makeAttentionMap(data, header, ref) : new PooledMap(data, header, ref);
      this.byRef.set(ref, attnMap);
      if (attnMap.checkpoint === undefined) continue;
      const first = this.byRef.get(attnMap.mapRef + "@0");
      attnMap.checkpoints = first.checkpoints ?? [];
      attnMap.checkpoints.push(attnMap);
    }
    for (const name of names) {
      const { kind, ref, rest } = parseSectionName(name);
      if (kind === "row") this.get(ref)?.addRow(rest, data.section(name));
      else if (kind === "window") this.get(ref)?.setWindow(rest, data.section(name));
    }
  }

  /** Returns a map at the checkpoint shown; null where it has not arrived. */
  get(mapRef) {
    return this.byRef.get(this.checkpoint === null ? mapRef : `${mapRef}@${this.checkpoint}`) ?? null;
  }
}

/**
 * Returns a map with all its weights, `codes` [query, key] being their 16-bit codes. Of a run along training there is
 * one map for each checkpoint; their common `checkpoints` lists them all, for a colour scale that is the same for all.
 */
function makeAttentionMap(data, header, name) {
  const codes = data.section("codes/" + name);
  const at = header.timeline ? name.lastIndexOf("@") : -1;
  const [mapRef, checkpoint] = at < 0 ? [name] : [name.slice(0, at), name.slice(at + 1)];
  const [queryStream, keyStream] = streamsOf(header, mapRef);
  return {
    mapRef,
    checkpoint,
    codes,
    queryStream,
    keyStream,
    queries: codes.shape[0],
    keys: codes.shape[1],
    values: dequantizationTable(codes.decade),
    from: data.section("from/" + name),
    to: data.section("to/" + name),
    matrix: data.section("matrix/" + name),
  };
}

/** Returns one weight of a map; null where it has not arrived. */
export function weight(attnMap, query, key) {
  if (attnMap.isPooled) return attnMap.weight(query, key);
  return attnMap.values[attnMap.codes[query * attnMap.keys + key]];
}

/**
 * Returns the mean of the rows of these tokens, [key] ("from": what they attend to), or the mean of their columns,
 * [query] ("to": what attends to them).
 */
export function amounts(attnMap, tokens, direction) {
  if (attnMap.isPooled) return attnMap.amounts(tokens, direction);
  const isFrom = direction === "from";
  const mean = new Float64Array(isFrom ? attnMap.keys : attnMap.queries);
  const { codes, values, keys } = attnMap;
  for (const token of tokens) {
    if (isFrom) for (let k = 0, at = token * keys; k < keys; k++) mean[k] += values[codes[at + k]];
    else for (let q = 0, at = token; q < mean.length; q++, at += keys) mean[q] += values[codes[at]];
  }
  if (tokens.length > 1) for (let k = 0; k < mean.length; k++) mean[k] /= tokens.length;
  return mean;
}

/** Returns `first` minus `second`, element by element. */
export function difference(first, second) {
  return first.map((amount, k) => amount - second[k]);
}

/**
 * Returns the largest absolute amount over the tokens that are drawn on an input (`isDrawn` [token]), where a colour
 * scale ends. Where those are all 0, returns the largest of all tokens; where every amount is 0, returns 1.
 */
export function largest(values, isDrawn) {
  let most = 0;
  for (let k = 0; k < values.length; k++) if (isDrawn[k] && Math.abs(values[k]) > most) most = Math.abs(values[k]);
  if (most === 0) for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most || 1;
}

/** Returns a map at all checkpoints of training; only itself where the run has no training timeline. */
export function allCheckpoints(attnMap) {
  return attnMap.checkpoints ?? [attnMap];
}

/**
 * Returns the largest weight of a map over all checkpoints; with `isDrawn` [token], only over the keys ("from") or the
 * queries ("to") that are drawn on an input. Returns 1 where every weight is 0.
 */
export function largestOfMap(attnMap, isDrawn = null, direction = "from") {
  return Math.max(...allCheckpoints(attnMap).map((atCheckpoint) => largestWeight(atCheckpoint, isDrawn, direction)));
}

function largestWeight(attnMap, isDrawn, direction) {
  if (attnMap.isPooled) return attnMap.largest;
  const { codes, keys } = attnMap;
  let most = 0; // a larger weight has a larger code
  for (let q = 0, at = 0; q < attnMap.queries; q++) {
    for (let k = 0; k < keys; k++, at++) {
      if (codes[at] > most && (!isDrawn || isDrawn[direction === "from" ? k : q])) most = codes[at];
    }
  }
  return attnMap.values[most] || 1;
}

/**
 * Returns the mean attention of these tokens by modality, each an array [modality]: `sums`, `perToken` (divided by the
 * number of tokens), `ratio` and `counts` of tokens. The ratio is `perToken` relative to uniform attention, where each
 * weight is 1 / keys; of relevance, whose rows sum to anything, relative to its own mean over all tokens. `modalities`
 * [token] are those of the stream on the other side.
 */
export function modalityTotals(attnMap, tokens, direction, modalities) {
  const sections = direction === "from" ? attnMap.from : attnMap.to;
  const counts = countModalities(modalities);
  const sums = [0, 0, 0, 0];
  for (const token of tokens) for (let m = 0; m < 4; m++) sums[m] += sections[token * 4 + m] / tokens.length;
  const perToken = sums.map((sum, m) => (counts[m] ? sum / counts[m] : 0));
  const total = sums.reduce((all, sum) => all + sum, 0);
  const isRelevance = flowMethod(attnMap.mapRef) === "relevance";
  const usual = isRelevance ? total / modalities.length || 1 : 1 / attnMap.keys;
  return { sums, perToken, ratio: perToken.map((mean) => mean / usual), counts };
}

/** Returns the number of tokens of each modality, in the order of `MODALITIES`. */
export function countModalities(modalities) {
  return MODALITIES.map((modality) => modalities.filter((other) => other === modality).length);
}

/**
 * Returns the modality matrix, [query modality, key modality] flattened, as "sums", "per-token" or "ratio" (relative to
 * uniform attention; of relevance, to the mean of the row); `keyCounts` [modality] is the number of keys of each modality.
 */
export function normalizedMatrix(attnMap, measure, keyCounts) {
  const total = keyCounts.reduce((sum, count) => sum + count, 0);
  const isRelevance = flowMethod(attnMap.mapRef) === "relevance";
  const rowTotal = (at) => {
    if (!isRelevance) return 1;
    const first = at - (at % 4);
    return attnMap.matrix.subarray(first, first + 4).reduce((all, sum) => all + sum, 0) || 1;
  };
  return Float64Array.from(attnMap.matrix, (sum, at) => {
    const count = keyCounts[at % 4];
    if (measure === "sums" || !count) return sum;
    if (measure === "per-token") return sum / count;
    return (sum / count) * (total / rowTotal(at));
  });
}

/** Returns the indices of the `count` largest absolute amounts, the largest first; none of an amount of 0. */
export function strongest(values, count) {
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
  return order.slice(0, count).filter((k) => values[k] !== 0);
}
