// The steps of one attention as on a board: each with its formula, its numbers, and how near it is to the model.
import { MODALITIES, strongest } from "./attentionRows.js";
import { make, setText } from "./dom.js";
import {
  applied,
  apart,
  byModality,
  differences,
  isRoot,
  norm,
  partOf,
  plain,
  rowsOf,
  terms,
  vector,
} from "./steps.js";
import { KeyFigure, MapFigure, mostOf, Range, Strip } from "./heatStrips.js";

const MOST_NAMED = 5; // keys that are named
const MOST_TERMS = 3; // terms that are written out
const [TALL, TALLER] = [96, 144]; // CSS pixels of a matrix

/** One step: its words, and what is `shown` beside them. */
class Step {
  constructor(viewer, code, formula) {
    this.live = make("p", { class: "live" });
    this.difference = make("p", { class: "difference", "data-part": code + "-difference" });
    this.reading = make("output", { class: "reading" });
    this.shown = make("div", { class: "shown" });
    const { say } = viewer;
    const title = make("h4", { text: say(code) });
    const written = make("p", { class: "formula", text: formula });
    const help = make("p", { class: "note", text: say(code + "-help") });
    const words = make("div", { class: "what" }, title, written, help, this.live, this.difference);
    this.element = make("li", { "data-step": code }, words, make("div", {}, this.shown, this.reading));
  }

  show(...parts) {
    this.shown.append(...parts.map((part) => part.element ?? part));
  }
}

/** The steps of the head and query that `calculator` looks at. */
export class Board {
  constructor(calculator) {
    this.calculator = calculator;
    this.viewer = calculator.viewer;
    this.element = make("ol", { class: "board" });
  }

  /** Lay the steps out for vectors of these sizes; `steps` are those of any head. */
  build(steps) {
    const { viewer } = this;
    const { say } = viewer;
    const size = steps.query.shape[2];
    const scale = plain(steps.scale);
    const scaling = isRoot(steps) ? say("calc-scaled-formula-root", { size }) : say("calc-scaled-formula", { scale });
    const heads = steps.query.shape[0];
    this.vectors = steps.to_query ? new Step(viewer, "calc-vectors", say("calc-vectors-formula")) : null;
    this.scores = new Step(viewer, "calc-scores", say("calc-scores-formula", { size }));
    this.scaled = new Step(viewer, "calc-scaled", scaling);
    this.softmax = new Step(viewer, "calc-softmax", say("calc-softmax-formula"));
    this.mixed = new Step(viewer, "calc-mixed", say("calc-mixed-formula"));
    this.joined = steps.projection ? new Step(viewer, "calc-joined", say("calc-joined-formula", { heads })) : null;
    this.buildVectors(steps);
    const along = (step, code) => new KeyFigure(viewer, step.reading, say(code));
    this.keys = along(this.scores, "calc-keys");
    this.rawBars = along(this.scores, "calc-raw-bars");
    this.range = new Range(say("calc-signed"));
    const strip = (step, code) => new Strip(viewer, step.reading, say(code));
    this.terms = ["calc-q", "calc-k", "calc-products"].map((code) => strip(this.scores, code));
    this.termsName = make("h5");
    const strips = make("div", { class: "strips" }, this.termsName, ...this.terms.map((one) => one.element));
    this.scores.show(this.range, this.keys, this.rawBars, strips);
    this.seenBars = along(this.scaled, "calc-seen-bars");
    this.scaled.show(this.seenBars);
    this.weightBars = along(this.softmax, "calc-weight-bars");
    this.table = make("table", { class: "numbers" });
    this.sums = make("table", { class: "numbers" });
    this.softmax.show(this.weightBars, make("div", { class: "tables" }, this.table, this.sums));
    this.parts = Array.from({ length: MOST_NAMED }, () => strip(this.mixed, "calc-part"));
    this.whole = ["calc-o", "calc-o-model"].map((code) => strip(this.mixed, code));
    this.mixedRange = new Range(say("calc-signed"));
    this.mixed.show(
      this.mixedRange,
      make("div", { class: "strips" }, ...[...this.parts, ...this.whole].map((one) => one.element)),
    );
    if (this.joined) {
      this.projection = new MapFigure(viewer, this.joined.reading, say("calc-projection"), TALLER);
      this.outputs = ["calc-output", "calc-output-model"].map((code) => strip(this.joined, code));
      this.outputRange = new Range(say("calc-signed"));
      const both = make("div", { class: "strips" }, ...this.outputs.map((one) => one.element));
      this.joined.show(this.projection, this.outputRange, both);
    }
    const all = [this.vectors, this.scores, this.scaled, this.softmax, this.mixed, this.joined];
    this.element.replaceChildren(...all.filter(Boolean).map((step) => step.element));
  }

  buildVectors(steps) {
    if (!this.vectors) return;
    const kinds = ["query", "key", "value"].filter((kind) => steps["to_" + kind]);
    this.maps = kinds.map((kind) => {
      const figure = new MapFigure(this.viewer, this.vectors.reading, this.viewer.say("calc-map-" + kind), TALL);
      return { kind, figure };
    });
    this.vectors.show(make("div", { class: "maps" }, ...this.maps.map(({ figure }) => figure.element)));
  }

  paint(now) {
    if (this.vectors) this.paintVectors(now);
    this.paintScores(now);
    this.paintSoftmax(now);
    this.paintMixed(now);
    if (this.joined) this.paintJoined(now);
  }

  paintVectors({ steps, map, head, query, key }) {
    const { say } = this.viewer;
    let most = 0;
    for (const { kind, figure } of this.maps) {
      const own = steps[kind];
      const size = own.shape[2];
      const token = kind === "query" ? query : key;
      const taken = vector(kind === "query" ? steps.state : (steps.context ?? steps.state), 0, token);
      const matrix = Object.assign(rowsOf(steps["to_" + kind], head, size), { shape: [1, size, taken.length] });
      const bias = steps[kind + "_bias"]?.subarray(head * size, (head + 1) * size);
      const made = applied(matrix, bias, taken);
      most = Math.max(most, apart(made, vector(own, head, token)));
      const letter = kind[0];
      const names = [say("calc-number-x"), letter];
      const range = ([x, w, y]) => say("calc-ranges", { x, w, made: letter, y });
      figure.paint({ id: `${map}:${head}:${kind}`, taken, matrix, bias, made, names, range });
    }
    setText(this.vectors.live, say("calc-vectors-live", { query: this.name(query, true), key: this.name(key) }));
    setText(this.vectors.difference, say("calc-difference", { difference: plain(most, 2) }));
  }

  paintScores({ steps, map, head, query, key, worked, before, edits, isEdited, place }) {
    const { say } = this.viewer;
    const [asking, asked] = [vector(steps.query, head, query), vector(steps.key, head, key)];
    const [, count, size] = steps.key.shape;
    const keys = steps.key.subarray(head * count * size, (head + 1) * count * size);
    const most = mostOf(asking, keys);
    const products = terms(steps, head, query, key);
    this.range.paint(most);
    const tell = (one) => say("calc-key-score", { token: this.name(one), score: plain(worked.raw[one]) });
    this.keys.paintKeys({ ...place, words: tell }, `${map}:${head}`, asking, keys, most);
    this.rawBars.paintBars({ ...place, words: tell }, worked.raw, { before: isEdited ? before.raw : null });
    setText(this.termsName, say("calc-term-by-term", { query: this.name(query, true), key: this.name(key) }));
    this.terms[0].paint(asking, most, "q");
    this.terms[1].paint(asked, most, "k");
    const told = (k) => `${k + 1}: ${bracket(asking[k], 4)} × ${bracket(asked[k], 4)} = ${plain(products[k])}`;
    this.terms[2].paint(products, mostOf(products), told);
    const first = Array.from(
      { length: Math.min(MOST_TERMS, size) },
      (_, k) => `${bracket(asking[k])} × ${bracket(asked[k])}`,
    );
    const score = plain(before.raw[key]);
    setText(this.scores.live, say("calc-scores-live", { token: this.name(key), terms: first.join(" + "), score }));
    const set = edits.scores.has(key);
    setText(this.scores.difference, set ? say("calc-score-set", { score: plain(worked.raw[key]) }) : "");

    const words = (one) => say("calc-key-seen", { token: this.name(one), score: plain(worked.seen[one]) });
    const isBlocked = (one) => worked.seen[one] === -Infinity;
    const old = isEdited ? before.seen : null;
    this.seenBars.paintBars({ ...place, words }, worked.seen, { before: old, blocked: isBlocked });
    const added = isBlocked(key) ? -Infinity : (worked.mask?.[key] ?? 0);
    setText(
      this.scaled.live,
      say("calc-scaled-live", {
        token: this.name(key),
        score: bracket(worked.raw[key], 4),
        scale: plain(edits.isScaled ? steps.scale : 1),
        mask: bracket(added, 4),
        seen: plain(worked.seen[key]),
      }),
    );
    const out = worked.seen.filter((one) => one === -Infinity).length;
    setText(this.scaled.difference, out ? say("calc-masked", { count: out, of: worked.seen.length }) : "");
  }

  paintSoftmax({ steps, head, query, key, worked, before, edits, isEdited, place, modalities }) {
    const { say } = this.viewer;
    const words = (one) => {
      const [from, to, amount] = [this.name(query, true), this.name(one), plain(worked.weights[one])];
      return say("weight", { from, to, amount });
    };
    const blocked = (one) => worked.seen[one] === -Infinity;
    const old = isEdited ? before.weights : null;
    this.weightBars.paintBars({ ...place, words }, worked.weights, { before: old, blocked, height: 80 });
    const [token, temperature, sum] = [this.name(key), plain(edits.temperature, 3), plain(worked.sum)];
    const [seen, top] = [bracket(worked.seen[key], 4), bracket(worked.top, 4)];
    const [part, weight] = [plain(worked.parts[key]), plain(worked.weights[key])];
    const live = say("calc-softmax-live", { token, seen, temperature, top, part, sum, weight });
    setText(this.softmax.live, worked.sum ? live : say("calc-nobody"));
    const moved = worked.weights.reduce((sum, one, k) => sum + Math.abs(one - before.weights[k]), 0) / 2;
    const { weights } = differences(steps, head, query, worked);
    setText(
      this.softmax.difference,
      isEdited
        ? say("calc-shifted", { moved: plain(moved) })
        : say("calc-difference", { difference: plain(weights, 2) }),
    );
    const own = vector(steps.weights, head, query);
    const most = strongest(worked.weights, MOST_NAMED);
    const rows = (most.includes(key) ? most : [...most, key]).map((one) => [
      this.name(one),
      plain(worked.raw[one]),
      plain(worked.seen[one]),
      plain(worked.parts[one]),
      plain(worked.weights[one]),
      plain(own[one]),
    ]);
    const heads = ["calc-column-key", "calc-column-raw", "calc-column-seen", "calc-column-exp", "calc-column-weight"];
    fill(
      this.table,
      say("calc-table"),
      [...heads, "calc-column-model"].map((code) => say(code)),
      rows,
    );
    const [parts, now, was] = [worked.parts, worked.weights, own].map((all) => byModality(modalities, all));
    const sums = MODALITIES.flatMap((modality, k) => {
      const count = modalities.filter((one) => one === modality).length;
      return count ? [[say("modality-" + modality), count, plain(parts[k]), plain(now[k]), plain(was[k])]] : [];
    });
    const columns = ["calc-column-modality", "calc-column-keys", "calc-column-exp", "calc-column-weight"];
    fill(
      this.sums,
      say("calc-sums"),
      [...columns, "calc-column-model"].map((code) => say(code)),
      sums,
    );
  }

  paintMixed({ steps, head, query, worked, before, isEdited }) {
    const { say } = this.viewer;
    const top = strongest(worked.weights, MOST_NAMED);
    const brought = top.map((key) =>
      Float64Array.from(vector(steps.value, head, key), (one) => one * worked.weights[key]),
    );
    const own = vector(steps.mixed, head, query);
    const most = mostOf(...brought, worked.mixed, own);
    this.mixedRange.paint(most);
    this.parts.forEach((part, k) => {
      part.element.hidden = k >= top.length;
      if (k >= top.length) return;
      setText(part.name, `${plain(worked.weights[top[k]], 2)} × v(“${this.name(top[k])}”)`);
      part.paint(brought[k], most, say("calc-number-part"));
    });
    this.whole[0].paint(worked.mixed, most, "o");
    this.whole[1].paint(own, most, say("calc-number-own", { name: "o" }));
    const written = top.slice(0, MOST_TERMS).map((key) => `${plain(worked.weights[key], 2)} × v(“${this.name(key)}”)`);
    setText(this.mixed.live, say("calc-mixed-live", { terms: written.join(" + "), length: plain(norm(worked.mixed)) }));
    this.tell(this.mixed, isEdited, worked.mixed, before.mixed, apart(worked.mixed, own));
  }

  paintJoined({ steps, map, head, query, worked, before, isEdited }) {
    const { say } = this.viewer;
    const size = worked.mixed.length;
    const [taken, made] = [worked.joined, worked.output];
    this.projection.paint({
      id: `${map}`,
      taken,
      matrix: steps.projection,
      bias: steps.bias,
      made,
      names: ["o", say("calc-number-output")],
      range: ([x, w, y]) => say("calc-ranges-output", { x, w, y }),
      mark: [head * size, (head + 1) * size],
    });
    const own = vector(steps.output, 0, query);
    const most = mostOf(made, own);
    this.outputRange.paint(most);
    this.outputs[0].paint(made, most, say("calc-number-output"));
    this.outputs[1].paint(own, most, say("calc-number-own", { name: say("calc-number-output") }));
    const part = plain(norm(partOf(steps, head, worked.joined.subarray(head * size, (head + 1) * size))));
    const length = plain(norm(made));
    const isOff = steps.off.includes(head);
    setText(this.joined.live, isOff ? say("calc-off", { length }) : say("calc-joined-live", { part, length }));
    this.tell(this.joined, isEdited, made, before.output, apart(made, own));
  }

  /** How near a vector is to the model's own, or how far an edit moved it. */
  tell(step, isEdited, found, before, difference) {
    const { say } = this.viewer;
    const [moved, length] = [plain(norm(found.map((one, k) => one - before[k]))), plain(norm(before))];
    const same = say("calc-difference", { difference: plain(difference, 2) });
    setText(step.difference, isEdited ? say("calc-moved", { moved, length }) : same);
  }

  name(token, isQuery = false) {
    return this.calculator.nameOf(token, isQuery);
  }
}

/** A number as a factor: in brackets where it has a sign. */
function bracket(value, digits = 3) {
  return value < 0 ? `(${plain(value, digits)})` : plain(value, digits);
}

/** Fill a table anew; its first column heads the rows. */
function fill(table, caption, heads, rows) {
  const line = ([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row", text: first }), ...rest.map((text) => make("td", { text })));
  table.replaceChildren(
    make("caption", { text: caption }),
    make("tr", {}, ...heads.map((text) => make("th", { scope: "col", text }))),
    ...rows.map(line),
  );
}
