// The steps of an attention small enough to be computed on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  calculatorTarget, computeAttention, differences, groupByModality, headContribution, headRows, isEdited, isRootScale,
  maxDifference, noEdits, norm, productTerms, scores, softmax, StepsStore, sumByModality, vector,
} from "../../mmviz/viewer/js/attentionSteps.js"; // prettier-ignore
import { formatNumber } from "../../mmviz/viewer/js/numberFormat.js";

const part = (shape, ...values) => Object.assign(Float32Array.from(values), { shape });
// Two heads of two numbers, one query, three keys.
const paperSteps = () => ({
  scale: 0.5,
  ablated_heads: [],
  query: part([2, 1, 2], 1, 2, 0, 1),
  key: part([2, 3, 2], 2, 0, 0, 1, 1, 1, 1, 0, 0, 2, 0, 0),
  value: part([2, 3, 2], 1, 0, 0, 1, 1, 1, 4, 0, 0, 4, 0, 0),
  projection: part([1, 2, 4], 1, 0, 0, 1, 0, 1, 1, 0),
  bias: part([1, 1, 2], 10, 20),
});
const assertNear = (actual, expected) =>
  assert.ok(maxDifference(actual, expected) < 1e-12, `${actual} is not ${expected}`);

test("scores, scale, softmax, weighted sum and output, on paper", () => {
  const steps = paperSteps();
  assertNear(scores(steps, 0, 0), [2, 2, 3]);
  assertNear(productTerms(steps, 0, 0, 2), [1, 2]);
  const computed = computeAttention(steps, 0, 0);
  assertNear(computed.scaled, [1, 1, 1.5]);
  const exps = [1, 1, 1.5].map((logit) => Math.exp(logit - 1.5));
  const sum = exps[0] + exps[1] + exps[2];
  assert.equal(computed.top, 1.5);
  assertNear(computed.exps, exps);
  assertNear(computed.weights, exps.map((value) => value / sum)); // prettier-ignore
  const { attnOutput } = computed;
  assertNear(attnOutput, [(exps[0] + exps[2]) / sum, (exps[1] + exps[2]) / sum]);
  // the other head: scores 0, 2, 0, scaled 0, 1, 0
  const other = Math.E / (2 + Math.E);
  assertNear(computed.concatenated, [...attnOutput, 4 / (2 + Math.E), 4 * other]);
  assertNear(computed.output, [10 + attnOutput[0] + 4 * other, 20 + attnOutput[1] + 4 / (2 + Math.E)]);
  assertNear(headContribution(steps, 0, attnOutput), [attnOutput[0], attnOutput[1]]);
});

test("edits go through to the output, of this head alone", () => {
  const steps = paperSteps();
  const edits = { temperature: 2, isScaled: false, blocked: new Set([1]), scores: new Map([[0, 5]]) };
  assert.ok(isEdited(edits) && !isEdited(noEdits()));
  for (const [name, value] of Object.entries(edits)) assert.ok(isEdited({ ...noEdits(), [name]: value }), name);
  const [before, after] = [computeAttention(steps, 0, 0), computeAttention(steps, 0, 0, edits)];
  assertNear(after.raw, [5, 2, 3]);
  assertNear(after.logits.filter(Number.isFinite), [5, 3]);
  const first = 1 / (1 + Math.exp(-1)); // e^(5/2) against e^(3/2)
  assertNear(after.weights, [first, 0, 1 - first]);
  assertNear(after.attnOutput, [1, 1 - first]);
  assertNear(after.concatenated.subarray(2), before.concatenated.subarray(2));
  const [x, y] = before.attnOutput;
  assertNear(after.output, [before.output[0] - x + 1, before.output[1] - y + 1 - first]);
  assert.deepEqual([...edits.blocked], [1], "the edits stay as they were");
});

test("the temperature sharpens and flattens, and nothing overflows", () => {
  assertNear(softmax([1000, 999], 1).weights, softmax([1, 0], 1).weights);
  assert.ok(softmax([1, 0], 0.1).weights[0] > 0.9999 && softmax([1, 0], 10).weights[0] < 0.53);
  const masked = softmax([-Infinity, -Infinity]);
  assert.deepEqual([masked.weights, masked.sum], [[0, 0], 0], "a fully masked query");
});

test("masks are added, of all heads or of each", () => {
  const masked = { ...paperSteps(), mask: part([1, 1, 3], 0, -Infinity, 1) };
  assertNear(computeAttention(masked, 0, 0).weights, softmax([1, -Infinity, 2.5]).weights);
  assertNear(computeAttention(masked, 1, 0).weights, softmax([0, -Infinity, 1]).weights);
  const perHead = { ...paperSteps(), mask: part([2, 1, 3], 0, 0, 0, -Infinity, 0, 0) };
  assertNear(computeAttention(perHead, 0, 0).weights, computeAttention(paperSteps(), 0, 0).weights);
  assert.equal(computeAttention(perHead, 1, 0).weights[0], 0);
  assert.equal(computeAttention(perHead, 1, 0, { ...noEdits(), blocked: new Set([1]) }).weights[2], 1);
});

test("an ablated head contributes nothing to the output", () => {
  const ablated = computeAttention({ ...paperSteps(), ablated_heads: [0] }, 0, 0);
  assertNear(ablated.concatenated.subarray(0, 2), [0, 0]);
  assert.ok(norm(ablated.attnOutput) > 0);
  const other = computeAttention({ ...paperSteps(), ablated_heads: [1] }, 0, 0);
  assertNear(other.concatenated.subarray(2), [0, 0]);
});

test("without the output projection there is no output", () => {
  const steps = { ...paperSteps(), projection: undefined, bias: undefined };
  const computed = computeAttention(steps, 0, 0);
  assert.equal(computed.output, null);
  const [x, y] = computed.attnOutput;
  const model = { weights: part([2, 1, 3], ...computed.weights, 0, 0, 0), attn_output: part([2, 1, 2], 0.5, x, y) };
  const { weights, attnOutput, output } = differences({ ...steps, ...model }, 0, 0, computed);
  assert.equal(output, null);
  assert.ok(weights < 1e-7 && Math.abs(attnOutput - Math.max(x - 0.5, Math.abs(y - x))) < 1e-6);
});

test("sections become the steps of maps, and go with their run", () => {
  const store = new StepsStore();
  const values = part([1, 1, 2], 1, 2);
  const header = {
    run: "a",
    steps: [
      { scale: 0.5, ablated_heads: [] },
      { scale: 2, ablated_heads: [1] },
    ],
    sections: {},
  };
  const send = (run, ...names) => ({
    header: { run, sections: Object.fromEntries(names.map((name) => [name, {}])) },
    section: () => values,
  });
  store.addSections(send("a", "steps/1/query", "codes/0:0"), header);
  assert.equal(store.get(0), null);
  assert.deepEqual([store.get(1).scale, store.get(1).ablated_heads, store.get(1).query], [2, [1], values]);
  store.addSections(send("a", "steps/0/key"), header);
  assert.ok(store.get(0).key && store.get(1).query, "what has arrived stays");
  store.addSections({ header: { ...header, run: "b" }, section: () => values });
  assert.equal(store.get(1), null);
});

test("the calculator follows the view, and explains where it shows one head or query of several", () => {
  const modality = ["special", "text", "image"];
  const header = {
    streams: { all: { modality }, far: { modality: ["image", "image"] } },
    maps: [
      { ref: "0", stack: "", queries: "far", keys: "all" },
      { ref: "0.1", stack: "", queries: "all", keys: "all" },
    ],
    answer_tokens: { all: 0, far: 0 },
    default_stack: "",
  };
  const targetOf = (mapRef, tokens, chosenStream = "all", direction = "from") =>
    calculatorTarget(header, { mapRef, tokens, chosenStream, direction });
  const target = (mapIndex, head, query, ...notes) => ({ mapIndex, head, query, notes });
  assert.deepEqual(targetOf("0.1:3", [2]), target(1, 3, 2));
  assert.deepEqual(targetOf("0:mean", [1], "far"), target(0, 0, 1, "calc-mean"));
  assert.deepEqual(targetOf("rollout", [2, 1]), target(1, 0, 2, "calc-flow", "calc-several"));
  assert.deepEqual(targetOf("0.1:0", [1], "all", "to"), target(1, 0, 1, "calc-direction-to"));
  assert.deepEqual(targetOf("0:1", [2], "all", "to"), target(0, 1, 0, "calc-direction-to"), "another stream");
});

test("tokens by modality, rows of a head, and how numbers are written", () => {
  const modality = ["special", "text", "image", "text"];
  assert.deepEqual(groupByModality(modality), [2, 1, 3, 0]);
  assert.deepEqual(sumByModality(modality, [1, 2, 4, 8]), [4, 10, 0, 1]);
  assert.deepEqual([...headRows(part([1, 4, 2], 0, 1, 2, 3, 4, 5, 6, 7), 1, 2)], [4, 5, 6, 7]);
  assert.deepEqual([...vector(part([2, 2, 1], 1, 2, 3, 4), 1, 0)], [3]);
  assert.ok(isRootScale({ scale: 1 / Math.sqrt(2), query: { shape: [1, 1, 2] } }) && !isRootScale(paperSteps()));
  const written = [[0, "0"], [-1.23456, "−1.235"], [1.2e-7, "1.2e-7"], [-Infinity, "−∞"], [148.737, "148.7"], [0.5, "0.5"], [1234567, "1.2e+6"]]; // prettier-ignore
  for (const [value, text] of written) assert.equal(formatNumber(value), text);
});
