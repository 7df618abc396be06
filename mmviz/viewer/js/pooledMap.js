// A plane too long for all its weights: its overview, and the rows and windows that were fetched. No DOM.
import { lut } from "./codes.js";
import { DESCRIPTION } from "./description.js";

const KEPT = 512; // rows that stay, the newest
const FEW = 16; // a larger group is looked at by its bins alone

/** The streams that ask and are asked in a plane, sent or not. */
export function streamsOf(header, id) {
  if (header.flows[id]) return header.flows[id];
  const map = header.maps[Number(id.split(":")[0])];
  return [map.queries, map.keys];
}

/** The plane of a map whose overview a container brings. */
export function makeLongPlane(data, header, id) {
  return new LongPlane(data, header, id);
}

/** Means over bins of tokens, and exact rows, columns and windows as they come. */
export class LongPlane {
  constructor(data, header, id) {
    const { edges } = header.maps[Number(id.split(":")[0])];
    this.id = id;
    this.isLong = true;
    [this.queryStream, this.keyStream] = streamsOf(header, id);
    this.edges = { from: edges.queries, to: edges.keys };
    this.queries = edges.queries.at(-1);
    this.keys = edges.keys.at(-1);
    this.bins = { from: binsOf(edges.queries), to: binsOf(edges.keys) };
    const codes = data.section("overview/" + id);
    const values = lut(codes.decade);
    this.across = codes.shape[1];
    this.overview = Float64Array.from(codes, (code) => values[code]);
    this.largest = this.overview.reduce((most, amount) => Math.max(most, amount), 0) || 1;
    for (const name of ["from", "to", "matrix"]) this[name] = data.section(name + "/" + id);
    this.rows = new Map();
    this.window = null;
  }

  /** `name` is DIRECTION/TOKEN. */
  keepRow(name, codes) {
    const values = lut(codes.decade);
    this.rows.delete(name);
    this.rows.set(
      name,
      Float64Array.from(codes, (code) => values[code]),
    );
    if (this.rows.size > KEPT) this.rows.delete(this.rows.keys().next().value);
  }

  /** `name` is FIRST-LAST/FIRST-LAST. */
  keepWindow(name, codes) {
    const [queries, keys] = name.split("/").map((part) => part.split("-").map(Number));
    const values = lut(codes.decade);
    const amounts = Float64Array.from(codes, (code) => values[code]);
    const most = amounts.reduce((high, amount) => Math.max(high, amount), 0) || 1;
    this.window = { name, queries, keys, shape: codes.shape, amounts, most };
  }

  /** Sections that an exact look at these tokens still needs; none where there are too many of them. */
  missing(tokens, direction) {
    if (tokens.length > FEW) return [];
    const names = tokens.map((token) => `${direction}/${token}`);
    return names.filter((name) => !this.rows.has(name)).map((name) => `row/${this.id}/${name}`);
  }

  /** Whether `amounts` of these tokens are exact. */
  isExact(tokens, direction) {
    return tokens.length <= FEW && tokens.every((token) => this.rows.has(`${direction}/${token}`));
  }

  /** The mean of what these tokens give or get: from their rows where they are here, else from their bins. */
  amounts(tokens, direction) {
    const isFrom = direction === "from";
    const found = new Float64Array(isFrom ? this.keys : this.queries);
    const inBins = new Float64Array(isFrom ? this.across : this.overview.length / this.across);
    let binned = 0;
    for (const token of tokens) {
      const row = tokens.length > FEW ? null : this.rows.get(`${direction}/${token}`);
      if (row) for (let k = 0; k < found.length; k++) found[k] += row[k];
      else {
        binned++;
        const bin = this.bins[direction][token];
        const [first, step] = isFrom ? [bin * this.across, 1] : [bin, this.across];
        for (let k = 0, at = first; k < inBins.length; k++, at += step) inBins[k] += this.overview[at];
      }
    }
    if (binned) {
      const bins = this.bins[isFrom ? "to" : "from"];
      for (let k = 0; k < found.length; k++) found[k] += inBins[bins[k]];
    }
    if (tokens.length > 1) for (let k = 0; k < found.length; k++) found[k] /= tokens.length;
    return found;
  }

  /** One weight, where a row, a column or the window has it; else null. */
  weight(query, key) {
    const row = this.rows.get(`from/${query}`);
    if (row) return row[key];
    const column = this.rows.get(`to/${key}`);
    if (column) return column[query];
    const { window } = this;
    if (!window || !isSingle(window.queries, window.shape[0]) || !isSingle(window.keys, window.shape[1])) return null;
    const [q, k] = [query - window.queries[0], key - window.keys[0]];
    if (q < 0 || k < 0 || q >= window.shape[0] || k >= window.shape[1]) return null;
    return window.amounts[q * window.shape[1] + k];
  }

  /** The mean weight around a cell: of the window if it is there, else of the overview; and over how many tokens. */
  around(query, key) {
    const { window } = this;
    if (window && isIn(query, window.queries) && isIn(key, window.keys)) {
      const [q, k] = [binIn(query, window.queries, window.shape[0]), binIn(key, window.keys, window.shape[1])];
      const [high, wide] = [widthOf(q, window.queries, window.shape[0]), widthOf(k, window.keys, window.shape[1])];
      return { amount: window.amounts[q * window.shape[1] + k], queries: high, keys: wide };
    }
    const [q, k] = [this.bins.from[query], this.bins.to[key]];
    const width = (edges, bin) => edges[bin + 1] - edges[bin];
    return {
      amount: this.overview[q * this.across + k],
      queries: width(this.edges.from, q),
      keys: width(this.edges.to, k),
    };
  }
}

/** The section of a window of a plane. */
export function windowName(plane, { q, k, queries, keys }) {
  return `${q}-${q + queries}/${k}-${k + keys}`;
}

/** For every token the bin it lies in. */
function binsOf(edges) {
  const bins = new Uint16Array(edges.at(-1));
  for (let bin = 0; bin + 1 < edges.length; bin++) bins.fill(bin, edges[bin], edges[bin + 1]);
  return bins;
}

/** The bin of a token in a window, whose bin k of n begins at FIRST + floor((LAST - FIRST) * k / n). */
function binIn(token, [first, last], bins) {
  return Math.min(bins - 1, Math.floor(((token - first + 1) * bins - 1) / (last - first)));
}

function widthOf(bin, [first, last], bins) {
  const edge = (k) => Math.floor(((last - first) * k) / bins);
  return edge(bin + 1) - edge(bin);
}

function isIn(token, [first, last]) {
  return token >= first && token < last;
}

function isSingle([first, last], bins) {
  return last - first === bins && bins <= DESCRIPTION.window;
}
