// A map of a long sequence, or a flow: mean weights over bins of tokens, and the exact rows and windows that were requested. No DOM.
import { dequantizationTable } from "./quantization.js";
import { FORMAT_SCHEMA } from "./formatSchema.js";
import { parseMapRef, streamsOf } from "./mapRef.js";

const MAX_ROWS = 512; // exact rows that are kept, the newest
const MAX_GROUP = 16; // a larger group of tokens is read from its bins alone

/**
 * A map whose weights are too many to be sent. `overview` [query bin, key bin] holds the mean weight of each cell, and
 * `edges` the bounds of the bins. Exact rows, columns and one window are added as they arrive.
 */
export class PooledMap {
  constructor(data, header, mapRef) {
    this.mapRef = mapRef;
    this.isPooled = true;
    [this.queryStream, this.keyStream] = streamsOf(header, mapRef);
    const edges = edgesOf(header, mapRef);
    this.edges = { from: edges.queries, to: edges.keys };
    this.queries = edges.queries.at(-1);
    this.keys = edges.keys.at(-1);
    this.bins = { from: binsOf(edges.queries), to: binsOf(edges.keys) };
    const codes = data.section("overview/" + mapRef);
    const values = dequantizationTable(codes.decade);
    this.keyBins = codes.shape[1];
    this.overview = Float64Array.from(codes, (code) => values[code]);
    this.largest = this.overview.reduce((most, amount) => Math.max(most, amount), 0) || 1;
    for (const name of ["from", "to", "matrix"]) this[name] = data.section(name + "/" + mapRef);
    this.rows = new Map();
    this.window = null;
  }

  /** Adds an exact row ("from/TOKEN") or column ("to/TOKEN"). Drops the oldest beyond `MAX_ROWS`. */
  addRow(name, codes) {
    const values = dequantizationTable(codes.decade);
    this.rows.delete(name);
    this.rows.set(
      name,
      Float64Array.from(codes, (code) => values[code]),
    );
    if (this.rows.size > MAX_ROWS) this.rows.delete(this.rows.keys().next().value);
  }

  /** Sets the window, in place of the one before; `name` is FIRST-LAST/FIRST-LAST, queries then keys. */
  setWindow(name, codes) {
    const [queries, keys] = name.split("/").map((range) => range.split("-").map(Number));
    const values = dequantizationTable(codes.decade);
    const weights = Float64Array.from(codes, (code) => values[code]);
    const most = weights.reduce((high, amount) => Math.max(high, amount), 0) || 1;
    this.window = { name, queries, keys, shape: codes.shape, weights, most };
  }

  /** Returns the names of the sections that exact amounts of these tokens still need; none for a group too large. */
  missingRows(tokens, direction) {
    if (tokens.length > MAX_GROUP) return [];
    const names = tokens.map((token) => `${direction}/${token}`);
    return names.filter((name) => !this.rows.has(name)).map((name) => `row/${this.mapRef}/${name}`);
  }

  /** Whether `amounts` of these tokens are exact. */
  isExact(tokens, direction) {
    return tokens.length <= MAX_GROUP && tokens.every((token) => this.rows.has(`${direction}/${token}`));
  }

  /**
   * Returns the mean of the rows, [key], or the columns, [query], of these tokens: exact ones where they have arrived,
   * else those of the bins that the tokens lie in.
   */
  amounts(tokens, direction) {
    const isFrom = direction === "from";
    const mean = new Float64Array(isFrom ? this.keys : this.queries);
    const binSums = new Float64Array(isFrom ? this.keyBins : this.overview.length / this.keyBins);
    let binned = 0;
    for (const token of tokens) {
      const row = tokens.length > MAX_GROUP ? null : this.rows.get(`${direction}/${token}`);
      if (row) for (let k = 0; k < mean.length; k++) mean[k] += row[k];
      else {
        binned++;
        const bin = this.bins[direction][token];
        const [first, stride] = isFrom ? [bin * this.keyBins, 1] : [bin, this.keyBins];
        for (let k = 0, at = first; k < binSums.length; k++, at += stride) binSums[k] += this.overview[at];
      }
    }
    if (binned) {
      const bins = this.bins[isFrom ? "to" : "from"];
      for (let k = 0; k < mean.length; k++) mean[k] += binSums[bins[k]];
    }
    if (tokens.length > 1) for (let k = 0; k < mean.length; k++) mean[k] /= tokens.length;
    return mean;
  }

  /** Returns one exact weight where a row, a column or the window holds it, else null. */
  weight(query, key) {
    const row = this.rows.get(`from/${query}`);
    if (row) return row[key];
    const column = this.rows.get(`to/${key}`);
    if (column) return column[query];
    const { window } = this;
    if (!window || !isExactRange(window.queries, window.shape[0]) || !isExactRange(window.keys, window.shape[1])) {
      return null;
    }
    const [q, k] = [query - window.queries[0], key - window.keys[0]];
    if (q < 0 || k < 0 || q >= window.shape[0] || k >= window.shape[1]) return null;
    return window.weights[q * window.shape[1] + k];
  }

  /**
   * Returns the mean weight of the bin around a cell, from the window where it covers the cell, else from the overview:
   * the `amount`, and over how many `queries` and `keys` it is the mean.
   */
  meanAround(query, key) {
    const { window } = this;
    if (window && isIn(query, window.queries) && isIn(key, window.keys)) {
      const [q, k] = [binIn(query, window.queries, window.shape[0]), binIn(key, window.keys, window.shape[1])];
      return {
        amount: window.weights[q * window.shape[1] + k],
        queries: binWidth(q, window.queries, window.shape[0]),
        keys: binWidth(k, window.keys, window.shape[1]),
      };
    }
    const [q, k] = [this.bins.from[query], this.bins.to[key]];
    const width = (edges, bin) => edges[bin + 1] - edges[bin];
    return {
      amount: this.overview[q * this.keyBins + k],
      queries: width(this.edges.from, q),
      keys: width(this.edges.to, k),
    };
  }
}

/** Returns the name of a window within the sections of its map: FIRST-LAST/FIRST-LAST, queries then keys. */
export function windowName({ q, k, queries, keys }) {
  return `${q}-${q + queries}/${k}-${k + keys}`;
}

/** Returns the edges of the bins of a map or a flow, whose streams have the same bins as in the maps over them. */
function edgesOf(header, mapRef) {
  const parts = parseMapRef(header, mapRef);
  if (parts) return header.maps[parts.mapIndex].edges;
  const ofStream = (stream) => {
    for (const { edges, queries, keys } of header.maps) {
      if (edges && queries === stream) return edges.queries;
      if (edges && keys === stream) return edges.keys;
    }
    return Array.from({ length: header.streams[stream].modality.length + 1 }, (_, token) => token);
  };
  const [queries, keys] = streamsOf(header, mapRef).map(ofStream);
  return { queries, keys };
}

/** Returns the bin of every token, [token]. */
function binsOf(edges) {
  const bins = new Uint16Array(edges.at(-1));
  for (let bin = 0; bin + 1 < edges.length; bin++) bins.fill(bin, edges[bin], edges[bin + 1]);
  return bins;
}

/** Returns the bin of a token in a window, whose bin k of n begins at FIRST + floor((LAST - FIRST) * k / n). */
function binIn(token, [first, last], bins) {
  return Math.min(bins - 1, Math.floor(((token - first + 1) * bins - 1) / (last - first)));
}

/** Returns how many tokens a bin of a window holds. */
function binWidth(bin, [first, last], bins) {
  const edge = (k) => Math.floor(((last - first) * k) / bins);
  return edge(bin + 1) - edge(bin);
}

function isIn(token, [first, last]) {
  return token >= first && token < last;
}

/** Whether every bin of a side of a window is one token. */
function isExactRange([first, last], bins) {
  return last - first === bins && bins <= FORMAT_SCHEMA.window_bins;
}
