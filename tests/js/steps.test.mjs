// The steps of an attention small enough to be worked out on paper.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AllSteps, apart, byModality, differences, grouped, isEdited, isRoot, noEdits, norm, partOf, placeOf, plain, rowsOf,
  scores, softmax, terms, vector, work,
} from "../../mmviz/viewer/js/steps.js"; // prettier-ignore

const part = (shape, ...values) => Object.assign(Float32Array.from(values), { shape });
// Two heads of two numbers, one query, three keys.
const paper = () => ({
  scale: 0.5,
  off: [],
  query: part([2, 1, 2], 1, 2, 0, 1),
  key: part([2, 3, 2], 2, 0, 0, 1, 1, 1, 1, 0, 0, 2, 0, 0),
  value: part([2, 3, 2], 1, 0, 0, 1, 1, 1, 4, 0, 0, 4, 0, 0),
  projection: part([1, 2, 4], 1, 0, 0, 1, 0, 1, 1, 0),
  bias: part([1, 1, 2], 10, 20),
});
const near = (found, expected) => assert.ok(apart(found, expected) < 1e-12, `${found} is not ${expected}`);

test("scores, scale, softmax, weighted sum and output, on paper", () => {
  const steps = paper();
  near(scores(steps, 0, 0), [2, 2, 3]);
  near(terms(steps, 0, 0, 2), [1, 2]);
  const found = work(steps, 0, 0);
  near(found.scaled, [1, 1, 1.5]);
  const parts = [1, 1, 1.5].map((one) => Math.exp(one - 1.5));
  const sum = parts[0] + parts[1] + parts[2];
  assert.equal(found.top, 1.5);
  near(found.parts, parts);
  near(found.weights, parts.map((one) => one / sum)); // prettier-ignore
  near(found.mixed, [(parts[0] + parts[2]) / sum, (parts[1] + parts[2]) / sum]);
  // the other head: scores 0, 2, 0, scaled 0, 1, 0
  const other = Math.E / (2 + Math.E);
  near(found.joined, [...found.mixed, 4 / (2 + Math.E), 4 * other]);
  near(found.output, [10 + found.mixed[0] + 4 * other, 20 + found.mixed[1] + 4 / (2 + Math.E)]);
  near(partOf(steps, 0, found.mixed), [found.mixed[0], found.mixed[1]]);
});

test("edits go through to the output, of this head alone", () => {
  const steps = paper();
  const edits = { temperature: 2, isScaled: false, blocked: new Set([1]), scores: new Map([[0, 5]]) };
  assert.ok(isEdited(edits) && !isEdited(noEdits()));
  for (const [name, value] of Object.entries(edits)) assert.ok(isEdited({ ...noEdits(), [name]: value }), name);
  const [before, found] = [work(steps, 0, 0), work(steps, 0, 0, edits)];
  near(found.raw, [5, 2, 3]);
  near(found.seen.filter(Number.isFinite), [5, 3]);
  const first = 1 / (1 + Math.exp(-1)); // e^(5/2) against e^(3/2)
  near(found.weights, [first, 0, 1 - first]);
  near(found.mixed, [1, 1 - first]);
  near(found.joined.subarray(2), before.joined.subarray(2));
  near(found.output, [before.output[0] - before.mixed[0] + 1, before.output[1] - before.mixed[1] + 1 - first]);
  assert.deepEqual([...edits.blocked], [1], "what was given stays as it was");
});

test("the temperature sharpens and evens, and nothing overflows", () => {
  near(softmax([1000, 999], 1).weights, softmax([1, 0], 1).weights);
  assert.ok(softmax([1, 0], 0.1).weights[0] > 0.9999 && softmax([1, 0], 10).weights[0] < 0.53);
  const none = softmax([-Infinity, -Infinity]);
  assert.deepEqual([none.weights, none.sum], [[0, 0], 0], "nobody is asked");
});

test("masks are added, of all heads or of each", () => {
  const masked = { ...paper(), mask: part([1, 1, 3], 0, -Infinity, 1) };
  near(work(masked, 0, 0).weights, softmax([1, -Infinity, 2.5]).weights);
  near(work(masked, 1, 0).weights, softmax([0, -Infinity, 1]).weights);
  const each = { ...paper(), mask: part([2, 1, 3], 0, 0, 0, -Infinity, 0, 0) };
  near(work(each, 0, 0).weights, work(paper(), 0, 0).weights);
  assert.equal(work(each, 1, 0).weights[0], 0);
  assert.equal(work(each, 1, 0, { ...noEdits(), blocked: new Set([1]) }).weights[2], 1);
});

test("a head that is off brings nothing to the output", () => {
  const found = work({ ...paper(), off: [0] }, 0, 0);
  near(found.joined.subarray(0, 2), [0, 0]);
  assert.ok(norm(found.mixed) > 0);
  near(work({ ...paper(), off: [1] }, 0, 0).joined.subarray(2), [0, 0]);
});

test("without the map that joins the heads there is no output", () => {
  const steps = { ...paper(), projection: undefined, bias: undefined };
  const found = work(steps, 0, 0);
  assert.equal(found.output, null);
  const own = { weights: part([2, 1, 3], ...found.weights, 0, 0, 0), mixed: part([2, 1, 2], 0.5, ...found.mixed) };
  const { weights, mixed, output } = differences({ ...steps, ...own }, 0, 0, found);
  assert.equal(output, null);
  assert.ok(
    weights < 1e-7 &&
      Math.abs(mixed - Math.max(found.mixed[0] - 0.5, Math.abs(found.mixed[1] - found.mixed[0]))) < 1e-6,
  );
});

test("sections become the steps of maps, and go with their run", () => {
  const all = new AllSteps();
  const values = part([1, 1, 2], 1, 2);
  const header = {
    run: "a",
    steps: [
      { scale: 0.5, off: [] },
      { scale: 2, off: [1] },
    ],
    sections: {},
  };
  const send = (run, ...names) => ({
    header: { run, sections: Object.fromEntries(names.map((n) => [n, {}])) },
    section: () => values,
  });
  all.take(send("a", "steps/1/query", "codes/0:0"), header);
  assert.equal(all.get(0), null);
  assert.deepEqual([all.get(1).scale, all.get(1).off, all.get(1).query], [2, [1], values]);
  all.take(send("a", "steps/0/key"), header);
  assert.ok(all.get(0).key && all.get(1).query, "what came before stays");
  all.take({ header: { ...header, run: "b" }, section: () => values });
  assert.equal(all.get(1), null);
});

test("what is worked out where something is looked at", () => {
  const modality = ["special", "text", "image"];
  const header = {
    streams: { all: { modality }, far: { modality: ["image", "image"] } },
    maps: [
      { queries: "far", keys: "all" },
      { queries: "all", keys: "all" },
    ],
  };
  const at = (id, tokens, chosen = "all", direction = "from") => placeOf(header, { id, tokens, chosen, direction });
  assert.deepEqual(at("1:3", [2]), { map: 1, head: 3, query: 2, notes: [] });
  assert.deepEqual(at("0:mean", [1], "far"), { map: 0, head: 0, query: 1, notes: ["calc-mean"] });
  assert.deepEqual(at("rollout", [2, 1]), { map: 1, head: 0, query: 2, notes: ["calc-flow", "calc-several"] });
  assert.deepEqual(at("1:0", [1], "all", "to"), { map: 1, head: 0, query: 1, notes: ["calc-asked"] });
  assert.deepEqual(at("0:1", [2], "all", "to"), { map: 0, head: 1, query: 0, notes: ["calc-asked"] }, "another stream");
});

test("tokens in groups, sums by modality, rows of a head, and numbers as they are written", () => {
  const modality = ["special", "text", "image", "text"];
  assert.deepEqual(grouped(modality), [2, 1, 3, 0]);
  assert.deepEqual(byModality(modality, [1, 2, 4, 8]), [4, 10, 0, 1]);
  assert.deepEqual([...rowsOf(part([1, 4, 2], 0, 1, 2, 3, 4, 5, 6, 7), 1, 2)], [4, 5, 6, 7]);
  assert.deepEqual([...vector(part([2, 2, 1], 1, 2, 3, 4), 1, 0)], [3]);
  assert.ok(isRoot({ scale: 1 / Math.sqrt(2), query: { shape: [1, 1, 2] } }) && !isRoot(paper()));
  const written = [[0, "0"], [-1.23456, "−1.235"], [1.2e-7, "1.2e-7"], [-Infinity, "−∞"], [148.737, "148.7"], [0.5, "0.5"], [1234567, "1.2e+6"]]; // prettier-ignore
  for (const [value, words] of written) assert.equal(plain(value), words);
});
