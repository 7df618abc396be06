// The steps of one attention in a list: each with its formula, its numbers, and the difference from the model's own.
import { strongest } from "./attentionRows.js";
import {
  differences,
  headContribution,
  headRows,
  isRootScale,
  linear,
  maxDifference,
  norm,
  productTerms,
  vector,
} from "./attentionSteps.js";
import { make, setText } from "./dom.js";
import { bracketed, Step } from "./calculationStep.js";
import { HeatStrip, LinearMapFigure } from "./heatStrips.js";
import { KeyFigure } from "./keyAxisFigure.js";
import { formatNumber } from "./numberFormat.js";
import { fillKeyTable, fillModalityTable, MAX_KEYS } from "./stepTables.js";
import { largestMagnitude, RangeLegend } from "./vectorColours.js";

const MAX_TERMS = 3; // terms that are written out
const [INPUT_MATRIX, OUTPUT_MATRIX] = [96, 144]; // heights in CSS pixels

/** The steps of the head and query that `calculator` computes. */
export class StepsPanel {
  constructor(calculator) {
    this.calculator = calculator;
    this.viewer = calculator.viewer;
    this.element = make("ol", { class: "steps" });
  }

  /** Lays the steps out for vectors of the sizes in `steps`. */
  build(steps) {
    const { viewer } = this;
    const { say } = viewer;
    const size = steps.query.shape[2];
    const scale = formatNumber(steps.scale);
    const isRoot = isRootScale(steps);
    const scaledFormula = isRoot ? say("calc-scaled-formula-root", { size }) : say("calc-scaled-formula", { scale });
    const heads = steps.query.shape[0];
    this.vectors = steps.to_query ? new Step(viewer, "calc-vectors", say("calc-vectors-formula")) : null;
    this.scores = new Step(viewer, "calc-scores", say("calc-scores-formula", { size }));
    this.scaled = new Step(viewer, "calc-scaled", scaledFormula);
    this.softmax = new Step(viewer, "calc-softmax", say("calc-softmax-formula"));
    this.attnOutput = new Step(viewer, "calc-attn-output", say("calc-attn-output-formula"));
    this.concatenated = steps.projection
      ? new Step(viewer, "calc-concatenated", say("calc-concatenated-formula", { heads }))
      : null;
    this.buildVectors(steps);
    const keyFigure = (step, code) => new KeyFigure(viewer, step.reading, say(code));
    const strip = (step, code) => new HeatStrip(viewer, step.reading, say(code));
    const stripList = (...parts) => make("div", { class: "strips" }, ...parts.map((part) => part.element ?? part));
    this.keys = keyFigure(this.scores, "calc-keys");
    this.rawBars = keyFigure(this.scores, "calc-raw-bars");
    this.range = new RangeLegend(say("calc-signed"));
    this.terms = ["calc-q", "calc-k", "calc-products"].map((code) => strip(this.scores, code));
    this.termsName = make("h5");
    this.scores.add(this.range, this.keys, this.rawBars, stripList(this.termsName, ...this.terms));
    this.logitBars = keyFigure(this.scaled, "calc-logit-bars");
    this.scaled.add(this.logitBars);
    this.weightBars = keyFigure(this.softmax, "calc-weight-bars");
    this.keyTable = make("table", { class: "numbers" });
    this.modalityTable = make("table", { class: "numbers" });
    this.softmax.add(this.weightBars, make("div", { class: "tables" }, this.keyTable, this.modalityTable));
    this.contributions = Array.from({ length: MAX_KEYS }, () => strip(this.attnOutput, "calc-part"));
    this.attnOutputs = ["calc-o", "calc-o-model"].map((code) => strip(this.attnOutput, code));
    this.attnOutputRange = new RangeLegend(say("calc-signed"));
    this.attnOutput.add(this.attnOutputRange, stripList(...this.contributions, ...this.attnOutputs));
    if (this.concatenated) {
      const { reading } = this.concatenated;
      this.projection = new LinearMapFigure(viewer, reading, say("calc-projection"), OUTPUT_MATRIX);
      this.outputs = ["calc-output", "calc-output-model"].map((code) => strip(this.concatenated, code));
      this.outputRange = new RangeLegend(say("calc-signed"));
      this.concatenated.add(this.projection, this.outputRange, stripList(...this.outputs));
    }
    const all = [this.vectors, this.scores, this.scaled, this.softmax, this.attnOutput, this.concatenated];
    this.element.replaceChildren(...all.filter(Boolean).map((step) => step.element));
  }

  buildVectors(steps) {
    if (!this.vectors) return;
    const kinds = ["query", "key", "value"].filter((kind) => steps["to_" + kind]);
    this.linearMaps = kinds.map((kind) => {
      const label = this.viewer.say("calc-map-" + kind);
      return { kind, figure: new LinearMapFigure(this.viewer, this.vectors.reading, label, INPUT_MATRIX) };
    });
    this.vectors.add(make("div", { class: "linear-maps" }, ...this.linearMaps.map(({ figure }) => figure.element)));
  }

  paint(current) {
    if (this.vectors) this.paintVectors(current);
    this.paintScores(current);
    this.paintScaled(current);
    this.paintSoftmax(current);
    this.paintAttnOutput(current);
    if (this.concatenated) this.paintOutput(current);
  }

  paintVectors({ steps, mapIndex, head, query, key }) {
    const { say } = this.viewer;
    let most = 0;
    for (const { kind, figure } of this.linearMaps) {
      const vectors = steps[kind];
      const size = vectors.shape[2];
      const token = kind === "query" ? query : key;
      const input = vector(kind === "query" ? steps.state : (steps.context ?? steps.state), 0, token);
      const matrix = Object.assign(headRows(steps["to_" + kind], head, size), { shape: [1, size, input.length] });
      const bias = steps[kind + "_bias"]?.subarray(head * size, (head + 1) * size);
      const output = linear(matrix, bias, input);
      most = Math.max(most, maxDifference(output, vector(vectors, head, token)));
      const letter = kind[0];
      const names = [say("calc-number-x"), letter];
      const range = ([x, w, y]) => say("calc-ranges", { x, w, symbol: letter, y });
      figure.paint({ id: `${mapIndex}:${head}:${kind}`, input, matrix, bias, output, names, range });
    }
    setText(this.vectors.numbers, say("calc-vectors-live", { query: this.nameOf(query, true), key: this.nameOf(key) }));
    setText(this.vectors.difference, say("calc-difference", { difference: formatNumber(most, 2) }));
  }

  paintScores({ steps, mapIndex, head, query, key, computed, unedited, edits, isEdited, keyAxis }) {
    const { say } = this.viewer;
    const [q, k] = [vector(steps.query, head, query), vector(steps.key, head, key)];
    const [, count, size] = steps.key.shape;
    const keys = steps.key.subarray(head * count * size, (head + 1) * count * size);
    const most = largestMagnitude(q, keys);
    const products = productTerms(steps, head, query, key);
    this.range.paint(most);
    const describe = (other) =>
      say("calc-key-score", { token: this.nameOf(other), score: formatNumber(computed.raw[other]) });
    this.keys.paintKeys({ ...keyAxis, describe }, `${mapIndex}:${head}`, q, keys, most);
    this.rawBars.paintBars({ ...keyAxis, describe }, computed.raw, { before: isEdited ? unedited.raw : null });
    setText(this.termsName, say("calc-term-by-term", { query: this.nameOf(query, true), key: this.nameOf(key) }));
    this.terms[0].paint(q, most, "q");
    this.terms[1].paint(k, most, "k");
    const factors = (at, digits) => `${bracketed(q[at], digits)} × ${bracketed(k[at], digits)}`;
    const describeTerm = (at) => `${at + 1}: ${factors(at, 4)} = ${formatNumber(products[at])}`;
    this.terms[2].paint(products, largestMagnitude(products), describeTerm);
    const terms = Array.from({ length: Math.min(MAX_TERMS, size) }, (_, at) => factors(at)).join(" + ");
    const score = formatNumber(unedited.raw[key]);
    setText(this.scores.numbers, say("calc-scores-live", { token: this.nameOf(key), terms, score }));
    const isSet = edits.scores.has(key);
    setText(this.scores.difference, isSet ? say("calc-score-set", { score: formatNumber(computed.raw[key]) }) : "");
  }

  paintScaled({ steps, key, computed, unedited, edits, isEdited, keyAxis }) {
    const { say } = this.viewer;
    const describe = (other) =>
      say("calc-key-logit", { token: this.nameOf(other), score: formatNumber(computed.logits[other]) });
    const isMasked = (other) => computed.logits[other] === -Infinity;
    const before = isEdited ? unedited.logits : null;
    this.logitBars.paintBars({ ...keyAxis, describe }, computed.logits, { before, isMasked });
    const mask = isMasked(key) ? -Infinity : (computed.mask?.[key] ?? 0);
    setText(
      this.scaled.numbers,
      say("calc-scaled-live", {
        token: this.nameOf(key),
        score: bracketed(computed.raw[key], 4),
        scale: formatNumber(edits.isScaled ? steps.scale : 1),
        mask: bracketed(mask, 4),
        logit: formatNumber(computed.logits[key]),
      }),
    );
    const masked = computed.logits.filter((logit) => logit === -Infinity).length;
    setText(this.scaled.difference, masked ? say("calc-masked", { count: masked, of: computed.logits.length }) : "");
  }

  paintSoftmax({ steps, head, query, key, computed, unedited, edits, isEdited, keyAxis, modalities }) {
    const { say } = this.viewer;
    const describe = (other) => {
      const [from, to, amount] = [this.nameOf(query, true), this.nameOf(other), formatNumber(computed.weights[other])];
      return say("weight-attention", { from, to, amount });
    };
    const isMasked = (other) => computed.logits[other] === -Infinity;
    const before = isEdited ? unedited.weights : null;
    this.weightBars.paintBars({ ...keyAxis, describe }, computed.weights, { before, isMasked, height: 80 });
    const [token, temperature, sum] = [this.nameOf(key), formatNumber(edits.temperature, 3), formatNumber(computed.sum)];
    const [logit, top] = [bracketed(computed.logits[key], 4), bracketed(computed.top, 4)];
    const [part, weight] = [formatNumber(computed.exps[key]), formatNumber(computed.weights[key])];
    const numbers = say("calc-softmax-live", { token, logit, temperature, top, part, sum, weight });
    setText(this.softmax.numbers, computed.sum ? numbers : say("calc-all-masked"));
    const shifted = computed.weights.reduce((total, value, k) => total + Math.abs(value - unedited.weights[k]), 0) / 2;
    const { weights } = differences(steps, head, query, computed);
    setText(
      this.softmax.difference,
      isEdited
        ? say("calc-shifted", { moved: formatNumber(shifted) })
        : say("calc-difference", { difference: formatNumber(weights, 2) }),
    );
    const modelWeights = vector(steps.weights, head, query);
    fillKeyTable(this.keyTable, say, (other) => this.nameOf(other), key, computed, modelWeights);
    fillModalityTable(this.modalityTable, say, modalities, computed, modelWeights);
  }

  paintAttnOutput({ steps, head, query, computed, unedited, isEdited }) {
    const { say } = this.viewer;
    const top = strongest(computed.weights, MAX_KEYS);
    const contributions = top.map((key) =>
      Float64Array.from(vector(steps.value, head, key), (number) => number * computed.weights[key]),
    );
    const modelOutput = vector(steps.attn_output, head, query);
    const most = largestMagnitude(...contributions, computed.attnOutput, modelOutput);
    this.attnOutputRange.paint(most);
    const term = (key) => `${formatNumber(computed.weights[key], 2)} × v(“${this.nameOf(key)}”)`;
    this.contributions.forEach((strip, k) => {
      strip.element.hidden = k >= top.length;
      if (k >= top.length) return;
      setText(strip.name, term(top[k]));
      strip.paint(contributions[k], most, say("calc-number-part"));
    });
    this.attnOutputs[0].paint(computed.attnOutput, most, "o");
    this.attnOutputs[1].paint(modelOutput, most, say("calc-number-own", { name: "o" }));
    const terms = top.slice(0, MAX_TERMS).map(term).join(" + ");
    const length = formatNumber(norm(computed.attnOutput));
    setText(this.attnOutput.numbers, say("calc-attn-output-live", { terms, length }));
    const difference = maxDifference(computed.attnOutput, modelOutput);
    this.paintDifference(this.attnOutput, isEdited, computed.attnOutput, unedited.attnOutput, difference);
  }

  paintOutput({ steps, mapIndex, head, query, computed, unedited, isEdited }) {
    const { say } = this.viewer;
    const size = computed.attnOutput.length;
    const { concatenated: input, output } = computed;
    const headRange = [head * size, (head + 1) * size];
    this.projection.paint({
      id: `${mapIndex}`,
      input,
      matrix: steps.projection,
      bias: steps.bias,
      output,
      names: ["o", say("calc-number-output")],
      range: ([x, w, y]) => say("calc-ranges-output", { x, w, y }),
      highlighted: headRange,
    });
    const modelOutput = vector(steps.output, 0, query);
    const most = largestMagnitude(output, modelOutput);
    this.outputRange.paint(most);
    this.outputs[0].paint(output, most, say("calc-number-output"));
    this.outputs[1].paint(modelOutput, most, say("calc-number-own", { name: say("calc-number-output") }));
    const part = formatNumber(norm(headContribution(steps, head, input.subarray(...headRange))));
    const length = formatNumber(norm(output));
    const isAblated = steps.ablated_heads.includes(head);
    const numbers = isAblated ? say("calc-ablated", { length }) : say("calc-concatenated-live", { part, length });
    setText(this.concatenated.numbers, numbers);
    this.paintDifference(this.concatenated, isEdited, output, unedited.output, maxDifference(output, modelOutput));
  }

  /** Writes how far a vector lies from the model's own; once something is edited, how far the edit moved it. */
  paintDifference(step, isEdited, values, uneditedValues, difference) {
    const { say } = this.viewer;
    const moved = formatNumber(norm(values.map((number, k) => number - uneditedValues[k])));
    const length = formatNumber(norm(uneditedValues));
    const unmoved = say("calc-difference", { difference: formatNumber(difference, 2) });
    setText(step.difference, isEdited ? say("calc-moved", { moved, length }) : unmoved);
  }

  nameOf(token, isQuery = false) {
    return this.calculator.nameOf(token, isQuery);
  }
}
